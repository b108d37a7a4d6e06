"""How far a turn is from the person who began it all, counted in messages that sessions caused one another to send.

Two agents that thank each other, or a circle of them, would go on for ever. So mail carries a number: what a session
sends has one more than the turn that sends it, and a turn has the greatest number of what it was begun with. A person
who writes sets it back to nothing, as a monitor does; a session's limit (`max_hops`) is asked before its mail is put.

What a session gets back for its own doing does not lengthen the chain: a result has the number of the turn that
spawned, and an answer that joins the turn that waits for it changes nothing. So one turn may spawn and ask as often as
it likes, and only what begins turns without end is ended.
"""

from __future__ import annotations

import sqlite3

from agents.base import MailKind, NewMail, Refused
from storage.sql import load

SQL = load("journal")

_BEGINS_ANEW = frozenset(
    kind.value for kind in (MailKind.PERSON, MailKind.STEER, MailKind.RETRY, MailKind.ANSWER, MailKind.MONITOR)
)
_LENGTHENS = frozenset(kind.value for kind in (MailKind.AGENT, MailKind.STEER))


def of_turn(tx: sqlite3.Connection, session: sqlite3.Row) -> int:
    """Of the turn that a session runs; 0 when it runs none."""
    row = tx.execute(SQL["hops_of_turn"], {"id": session["turn"]}).fetchone() if session["turn"] else None
    return int(row["hops"]) if row is not None else 0


def of_mail(tx: sqlite3.Connection, mail: NewMail, sender: sqlite3.Row | None) -> int:
    """Of mail that is to be put. Raises Refused when the chain would be longer than the sender may make it."""
    if sender is None:
        return 0
    hops = of_turn(tx, sender) + 1
    if mail.max_hops is not None and hops > mail.max_hops:
        raise Refused(
            f"this would be message {hops} in a row that sessions caused one another to send without a person in"
            f" between, and max_hops is {mail.max_hops}: bring what you have to an end, or ask a person.",
            limit="max_hops",
        )
    return hops


def of_task(tx: sqlite3.Connection, parent: sqlite3.Row | None) -> int:
    """Of the task that a new session is made for."""
    return 0 if parent is None else of_turn(tx, parent) + 1


def of_result(tx: sqlite3.Connection, child: sqlite3.Row) -> int:
    """Of a child's result: that of the turn that spawned it."""
    row = tx.execute(SQL["hops_of_first_mail"], {"session": child["id"]}).fetchone()
    return max(0, int(row["hops"]) - 1) if row is not None else 0


def begun_with(taking: list[sqlite3.Row]) -> int:
    """Of a turn that begins with this mail."""
    return 0 if _anew(taking) else max((mail["hops"] for mail in taking), default=0)


def joined(tx: sqlite3.Connection, turn: str, taking: list[sqlite3.Row]) -> None:
    """Bring a turn up to date that this mail joins."""
    longest = max((mail["hops"] for mail in taking if mail["kind"] in _LENGTHENS), default=0)
    if _anew(taking):
        tx.execute(SQL["set_hops"], {"id": turn, "hops": 0})
    elif longest:
        tx.execute(SQL["raise_hops"], {"id": turn, "hops": longest})


def _anew(taking: list[sqlite3.Row]) -> bool:
    return any(mail["hops"] == 0 and mail["kind"] in _BEGINS_ANEW for mail in taking)
