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
from agents.session import Move, moved
from channels.base import DeliveryKey, Outbound
from storage import audit, outbox, rows
from storage.database import to_us
from storage.sql import load

SQL = load("journal")

ENDED_BY: dict[Outcome, Ended] = {
    Outcome.DONE: Ended.DONE,
    Outcome.FAILED: Ended.FAILED,
    Outcome.TIMED_OUT: Ended.TIMED_OUT,
    Outcome.OVER_BUDGET: Ended.FAILED,
}

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


def finish(tx: sqlite3.Connection, row: sqlite3.Row, ended: Ended, result: str, now: datetime) -> Told:
    """End a session, unbind its places, drop its waiting mail, and tell whoever spawned it."""
    end_row(tx, row, ended, result, now)
    return tell_parent(tx, row, ended, result, now)


def end_row(tx: sqlite3.Connection, row: sqlite3.Row, ended: Ended, result: str, now: datetime) -> None:
    moved(State(row["state"]), Move.END)
    tx.execute(SQL["finish"], {"id": row["id"], "ended": ended.value, "result": result, "now": to_us(now)})
    tx.execute(SQL["unbind_session"], {"session": row["id"]})
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


def tell_parent(tx: sqlite3.Connection, row: sqlite3.Row, ended: Ended, result: str, now: datetime) -> Told:
    if row["parent"] is None:
        return Told()
    text = outcome_text(row, ended, result)
    above = tx.execute(SQL["nearest_living"], {"id": row["parent"]}).fetchone()
    if above is None:
        return _say_at_root(tx, row, text, now)
    key = f"result:{row['id']}"
    if tx.execute(SQL["mail_known"], {"key": key}).fetchone():
        return Told()
    tx.execute(
        SQL["insert_mail"],
        {
            "key": key,
            "session": above["id"],
            "kind": "result",
            "mode": None,
            "text": text,
            "sender": None,
            "sender_name": row["label"],
            "from_session": row["id"],
            "inbox": None,
            "place": None,
            "reply_to": None,
            "attachments": None,
            "now": to_us(now),
        },
    )
    return Told(woken=[SessionId(above["id"])])


def outcome_text(row: sqlite3.Row, ended: Ended, result: str) -> str:
    """The sentence that a parent gets. The outcome is the runtime's word; the text below it is the child's."""
    head = f"{row['label']} ({row['agent']}, {row['id']}) {_WORDS[ended]}."
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
