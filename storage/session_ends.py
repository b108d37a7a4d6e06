"""What the end of a session causes, in the transaction that ends it.

A run that ends tells its parent exactly once: the result is mail with the key `result:<session>`, put into the
parent's box (or the nearest living ancestor's) by the same commit that ends the child. With nobody left
above, it is said at the session's home.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from datetime import datetime

from agents.base import Ended, Outcome, SessionId, State
from agents.ports import Handed
from agents.session import Move, moved
from channels.base import Attachment, DeliveryKey, Outbound
from storage import audit, hops, outbox, rows
from storage.database import to_us
from storage.sql import load

SQL = load("journal")

ENDED_BY: dict[Outcome, Ended] = {
    Outcome.DONE: Ended.DONE,
    Outcome.FAILED: Ended.FAILED,
    Outcome.TIMED_OUT: Ended.TIMED_OUT,
    Outcome.OVER_BUDGET: Ended.FAILED,
}

_KEPT_CHARACTERS = 10_000  # of a result, with the session

_WORDS = {
    Ended.DONE: "is done",
    Ended.KILLED: "was killed",
    Ended.FAILED: "failed",
    Ended.TIMED_OUT: "timed out",
    Ended.EXPIRED: "expired",
}


@dataclass(slots=True)
class Told:
    """Who must be woken after the commit."""

    woken: list[SessionId] = field(default_factory=list)
    lanes: list[str] = field(default_factory=list)


def finish(
    tx: sqlite3.Connection, row: sqlite3.Row, ended: Ended, result: str, now: datetime, handed: Handed | None = None
) -> Told:
    """End a session, unbind its places, drop its waiting mail (what people wrote becomes a dead letter), and tell
    whoever spawned it, who gets `handed` in the stead of a long result."""
    told = end_row(tx, row, ended, result, now)
    above = tell_parent(tx, row, ended, result, now, handed)
    return Told(woken=[*told.woken, *above.woken], lanes=[*told.lanes, *above.lanes])


def end_row(tx: sqlite3.Connection, row: sqlite3.Row, ended: Ended, result: str, now: datetime) -> Told:
    """End the session itself. Sessions that wait for its answer are told that it has ended."""
    told = answer_turn(tx, row, result if ended is Ended.DONE else "", f"{row['label']} {_WORDS[ended]}", now)
    for mail in tx.execute(SQL["unanswered_waiting"], {"session": row["id"]}).fetchall():
        text = f"{row['label']} {_WORDS[ended]} before it took the message in."
        told.woken.extend(_post_answer(tx, row, mail, text, now))
    moved(State(row["state"]), Move.END)
    kept = result[:_KEPT_CHARACTERS]  # the steps have all of it
    tx.execute(SQL["finish"], {"id": row["id"], "ended": ended.value, "result": kept, "now": to_us(now)})
    tx.execute(SQL["unbind_session"], {"session": row["id"]})
    if ended is not Ended.KILLED:
        told.lanes.extend(_tell_of_unread_notes(tx, row, ended, now))
        why = f"{row['label']} ended before it read this"
        tx.execute(SQL["bury_unread"], {"session": row["id"], "why": why})
    tx.execute(SQL["drop_mail"], {"session": row["id"]})
    audit.append(
        tx,
        at=now,
        actor=f"session:{row['id']}",
        action="ended",
        resource=row["label"],
        session=row["id"],
        detail={"ended": ended.value},
    )
    return told


def _tell_of_unread_notes(tx: sqlite3.Connection, row: sqlite3.Row, ended: Ended, now: datetime) -> list[str]:
    """Steering is never lost: a person whose note came too late is told so in the session's thread."""
    home = rows.place(row["home"])
    notes = tx.execute(SQL["notes_waiting"], {"session": row["id"]}).fetchall() if home is not None else []
    if home is None or not notes:
        return []
    lines = "\n".join(f"> {' '.join(note['text'].split())[:300]}" for note in notes)
    text = f"{row['label']} {_WORDS[ended]} before it could take this in:\n\n{lines}"
    late = Outbound(key=DeliveryKey(f"late:{row['id']}"), to=home, text=text, control=True)
    outbox.enqueue(tx, late, session=row["id"], turn=None, now=now)
    return [home.key]


def answer_key(mail: str) -> str:
    """The key of the answer to a mail: there is one at the most."""
    return f"answer:{mail}"


def answer_turn(tx: sqlite3.Connection, row: sqlite3.Row, text: str, otherwise: str, now: datetime) -> Told:
    """Send what a turn that ends has said back to the sessions that wait for it; without a text, why there is none."""
    told = Told()
    if row["turn"] is None:
        return told
    for mail in tx.execute(SQL["unanswered_of_turn"], {"turn": row["turn"], "session": row["id"]}).fetchall():
        told.woken.extend(_post_answer(tx, row, mail, text.strip() or f"({otherwise}. It left no answer.)", now))
    return told


def _post_answer(
    tx: sqlite3.Connection, row: sqlite3.Row, mail: sqlite3.Row, text: str, now: datetime
) -> list[SessionId]:
    asker = tx.execute(SQL["session"], {"id": mail["from_session"]}).fetchone()
    key = answer_key(mail["key"])
    if asker is None or asker["state"] == "ended" or tx.execute(SQL["mail_known"], {"key": key}).fetchone():
        return []
    _insert(tx, row, asker["id"], key, "answer", text, now, far=mail["hops"])
    audit.append(
        tx,
        at=now,
        actor=f"session:{row['id']}",
        action="message",
        resource=asker["label"],
        session=asker["id"],
        detail={"from": row["id"], "answers": mail["key"]},
    )
    return [SessionId(asker["id"])]


def _insert(
    tx: sqlite3.Connection,
    row: sqlite3.Row,
    to: str,
    key: str,
    kind: str,
    text: str,
    now: datetime,
    *,
    far: int,
    files: tuple[Attachment, ...] = (),
) -> None:
    """Mail from a session that ends, or whose turn does, to another."""
    tx.execute(
        SQL["insert_mail"],
        {
            "key": key,
            "session": to,
            "kind": kind,
            "mode": None,
            "text": text,
            "sender": None,
            "sender_name": row["label"],
            "from_session": row["id"],
            "inbox": None,
            "place": None,
            "reply_to": None,
            "attachments": rows.attachments_json(files),
            "wants_answer": False,
            "hops": far,
            "now": to_us(now),
        },
    )


def tell_parent(
    tx: sqlite3.Connection, row: sqlite3.Row, ended: Ended, result: str, now: datetime, handed: Handed | None = None
) -> Told:
    if row["parent"] is None:
        return Told()
    above = tx.execute(SQL["nearest_living"], {"id": row["parent"]}).fetchone()
    if above is None:
        return _say_at_root(tx, row, outcome_text(row, ended, result), now)
    key = f"result:{row['id']}"
    if tx.execute(SQL["mail_known"], {"key": key}).fetchone():
        return Told()
    text = outcome_text(row, ended, result if handed is None else handed.text)
    files = () if handed is None else handed.attachments
    _insert(tx, row, above["id"], key, "result", text, now, far=hops.of_result(tx, row), files=files)
    return Told(woken=[SessionId(above["id"])])


def outcome_text(row: sqlite3.Row, ended: Ended, result: str) -> str:
    """The sentence that a parent gets. The outcome is the runtime's word; the text below it is the child's."""
    who = f"{row['label']} ({row['agent']}, {row['id']})"
    if ended is Ended.KILLED and result.startswith("killed by "):  # by whom is the runtime's word too
        return f"{who} was {result}."
    head = f"{who} {_WORDS[ended]}."
    return f"{head}\n\n{result}" if result else f"{head} It left no text."


def _say_at_root(tx: sqlite3.Connection, row: sqlite3.Row, text: str, now: datetime) -> Told:
    root = tx.execute(SQL["session"], {"id": row["root"]}).fetchone()
    home = rows.place(root["home"] if root is not None else None)
    if home is None:
        return Told()
    key = DeliveryKey(f"result:{row['id']}")
    # control: the root has ended, and what an ended session says is otherwise refused
    outbox.enqueue(tx, Outbound(key=key, to=home, text=text, control=True), session=row["root"], turn=None, now=now)
    return Told(lanes=[home.key])
