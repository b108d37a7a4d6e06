"""Which of the mail that waits is taken in, by the session's queue mode, and where the answer to it belongs then."""

from __future__ import annotations

import json
import sqlite3

from agents.base import ALWAYS_JOIN, Answer, QueueMode
from channels.base import ThreadRef
from storage import rows

_ALWAYS_JOINS = frozenset(kind.value for kind in ALWAYS_JOIN)


def _mode(mail: sqlite3.Row, session: sqlite3.Row) -> str:
    return str(mail["mode"] or session["queue"] or QueueMode.STEER.value)


def interrupts(mail: sqlite3.Row, session: sqlite3.Row) -> bool:
    return mail["kind"] not in _ALWAYS_JOINS and _mode(mail, session) == "interrupt"


def joins(waiting: list[sqlite3.Row], session: sqlite3.Row) -> list[sqlite3.Row]:
    """Which of the waiting mail joins the turn that runs."""
    return [mail for mail in waiting if mail["kind"] in _ALWAYS_JOINS or _mode(mail, session) == "steer"]


def starts(waiting: list[sqlite3.Row], session: sqlite3.Row) -> list[sqlite3.Row]:
    """Which of the waiting mail a new turn takes in: in followup one message, otherwise all that waits."""
    taken: list[sqlite3.Row] = []
    for mail in waiting:
        followup = mail["kind"] not in _ALWAYS_JOINS and _mode(mail, session) == "followup"
        if followup and taken:
            break
        taken.append(mail)
        if followup:
            break
    return taken


def answer_after(taken: list[sqlite3.Row], session: sqlite3.Row, *, fresh: bool) -> dict[str, str | int | None]:
    """Where the answer belongs after this mail: where the last one that named a place came from. Where a session
    reports to several places, a turn that took in mail without a place is a report for all of them."""
    unasked = session["report_to"] is not None and any(mail["place"] is None for mail in taken)
    report = int(unasked or (not fresh and bool(session["answer_report"])))
    for mail in reversed(taken):
        if mail["place"] is not None:
            return {"answer_to": mail["place"], "answer_reply": mail["reply_to"], "answer_report": report}
    if fresh or session["answer_to"] is None:
        return {"answer_to": session["home"], "answer_reply": None, "answer_report": report}
    return {"answer_to": session["answer_to"], "answer_reply": session["answer_reply"], "answer_report": report}


def answer_of(session: sqlite3.Row) -> Answer:
    report_to = json.loads(session["report_to"]) if session["answer_report"] else ()
    return Answer(
        to=rows.place(session["answer_to"]),
        reply_to=session["answer_reply"],
        report_to=tuple(ThreadRef.parse(place) for place in report_to),
    )
