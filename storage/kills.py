"""Kills on SQLite: a session and everything below it end in one transaction, and their threads are told.

What they still wanted to say is dropped; what is said of them is the runtime's: who killed each, and what it had done.
It waits its turn like any message, so that fifty of them do not stand before the answer to the command.

Platforms let a bot write some twenty messages a minute into one room, its threads together. So of a large tree only the
first threads of each room are told, and every one that somebody has written in; the reply to the command names all.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from datetime import datetime

from agents.base import Ended, Mode, SessionId
from agents.ports import Killed
from agents.progress import age, counted
from channels.base import DeliveryKey, Outbound, ThreadRef
from storage import audit, outbox, rows
from storage.database import from_nano, from_us, to_us
from storage.session_ends import Told, end_row, tell_parent
from storage.sql import load

SQL = load("journal")
_NOTICES = 10  # in one room, to threads that nobody has written in


def kill_tree(
    tx: sqlite3.Connection,
    session: SessionId,
    by: str,
    now: datetime,
    told: Told,
    answered_in: ThreadRef | None,
    actor: str,
) -> Killed:
    """End it. In the thread `answered_in` the answer to the command says what is to be said. `by` is for people to
    read, `actor` (an account, a session) for the audit log."""
    tree = tx.execute(SQL["tree"], {"id": session}).fetchall()
    living = [row for row in tree if row["state"] != "ended"]
    for row in living:
        told.woken.extend(end_row(tx, row, Ended.KILLED, f"killed by {by}", now).woken)
        if row["turn"]:
            tx.execute(SQL["end_turn_row"], {"id": row["turn"], "now": to_us(now), "outcome": "killed"})
    told.lanes.extend(outbox.cancel_for(tx, [row["id"] for row in living]))
    if not living:
        return Killed(sessions=(), tool_calls=0)
    top = living[0]
    if top["id"] == session and top["mode"] == Mode.RUN.value:
        above = tell_parent(tx, top, Ended.KILLED, f"killed by {by}", now)
        told.woken.extend(above.woken)
    calls = {row["id"]: tx.execute(SQL["tool_calls"], {"session": row["id"]}).fetchone()[0] for row in living}
    told.lanes.extend(_say(tx, living, calls, by, now, answered_in))
    audit.append(
        tx,
        at=now,
        actor=actor,
        action="kill",
        resource=top["label"],
        session=session,
        detail={"sessions": [row["id"] for row in living]},
    )
    return Killed(sessions=tuple(rows.session(row) for row in living), tool_calls=sum(calls.values()))


def _say(
    tx: sqlite3.Connection,
    killed: list[sqlite3.Row],
    calls: dict[str, int],
    by: str,
    now: datetime,
    answered_in: ThreadRef | None,
) -> list[str]:
    """Tell each thread; the lanes."""
    lanes = []
    untouched: Counter[ThreadRef] = Counter()
    for row in killed:
        home = rows.place(row["home"])
        if (
            home is None or home == answered_in or (home.thread or "").startswith("+")
        ):  # its thread is not opened any more
            continue
        if not tx.execute(SQL["written_in"], {"place": home.key}).fetchone()[0]:
            untouched[home.in_room] += 1
            if untouched[home.in_room] > _NOTICES:
                continue
        text = _notice(row, calls[row["id"]], by, now)
        message = Outbound(key=DeliveryKey(f"killed:{row['id']}"), to=home, text=text, ours=True)
        if outbox.enqueue(tx, message, now=now):  # of no session: who is killed says nothing more
            lanes.append(home.key)
    return lanes


def _notice(row: sqlite3.Row, calls: int, by: str, now: datetime) -> str:
    while_doing = f", while {row['doing']}" if row["doing"] else ""
    lasted = age(now - from_us(row["created_at"]))
    return (
        f"**{row['label']}** was killed by {by}{while_doing}. Until then: {counted(row['turns'], 'turn')},"
        f" {counted(calls, 'tool call')}, ${from_nano(row['spent_nano']):.4f}, in {lasted}."
        f" `/history {row['id']}` shows each step."
    )
