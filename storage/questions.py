"""Questions to people on SQLite: asked, answered once, and told to the session in the same transaction.

Whether anybody still waits for an answer is not stored but looked up when one comes: the turn that asked must be the
session's turn, and its call must have no result yet. So a question cannot outlive its turn.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from agents.base import Claim, MailKey, MailKind, NewMail, SessionId, TurnId
from agents.ports import Signals
from agents.questions import ALWAYS, DENY, ONCE, Asked, Given, Over, Question, QuestionId, QuestionKind, Taken
from channels.base import Account, Button, Outbound, ThreadRef
from channels.delivery import DeliveryState
from storage import audit, outbox, outbox_rows, rows
from storage.database import Database, from_us, to_us
from storage.journal import held
from storage.sessions import put_mail
from storage.sql import load

SQL = load("questions")
APPROVAL_ANSWERS = (ONCE, ALWAYS, DENY)
_PAGE = 50  # questions that are closed in one go
_NO_LIMIT = 1_000_000  # an answer is never turned away because the session's box is full


class SqliteQuestions:
    """`agents.questions.Questions` on one database file."""

    def __init__(self, database: Database, signals: Signals) -> None:
        self._database = database
        self._signals = signals

    async def ask(self, claim: Claim, question: Question, say: Sequence[Outbound], now: datetime) -> None:
        def tell(_: object) -> None:
            for lane in {message.to.key for message in say}:
                self._signals.said(lane)

        await self._database.write(lambda tx: _ask(tx, claim, question, say, now), tell)

    async def by_key(self, key: str) -> Question | None:
        return await self._one("by_key", key=key)

    async def find(self, id: str) -> Question | None:
        return await self._one("by_id", id=id)

    async def behind(self, button: str) -> tuple[Question, str] | None:
        def work(tx: sqlite3.Connection) -> tuple[Question, str] | None:
            row = tx.execute(SQL["button"], {"id": button}).fetchone()
            if row is None:
                return None
            action = json.loads(row["action"])
            found = tx.execute(SQL["by_id"], {"id": action.get("question", "")}).fetchone()
            return None if found is None else (_question(found), str(action["answer"]))

        return await self._database.read(work)

    async def awaited(self, session: SessionId | None, place: ThreadRef, now: datetime) -> Question | None:
        query = {"session": session, "place": place.key, "now": to_us(now)}

        def work(tx: sqlite3.Connection) -> Question | None:
            for row in tx.execute(SQL["awaited"], query).fetchall():
                if _is_open(tx, row):
                    return _question(row)
            return None

        return await self._database.read(work)

    async def answer(self, question: QuestionId, given: Given, now: datetime) -> Taken:
        woken: list[SessionId] = []

        def work(tx: sqlite3.Connection) -> Taken:
            return _answer(tx, question, given, now, woken)

        taken = await self._database.write(work)
        for session in woken:
            self._signals.mail(session)
        return taken

    async def granted(self, session: SessionId, tool: str) -> bool:
        query = {"session": session, "tool": tool}
        return await self._database.read(lambda tx: tx.execute(SQL["granted"], query).fetchone() is not None)

    async def over(self, now: datetime, after: QuestionId | None = None) -> Sequence[Over]:
        query = {"now": to_us(now), "after": after, "limit": _PAGE}

        def work(tx: sqlite3.Connection) -> list[Over]:
            return [_over(tx, row) for row in tx.execute(SQL["over"], query).fetchall()]

        return await self._database.read(work)

    async def close(self, question: QuestionId, now: datetime) -> None:
        query = {"id": question, "now": to_us(now)}
        await self._database.write(lambda tx: tx.execute(SQL["close"], query).rowcount)

    async def _one(self, query: str, **parameters: str) -> Question | None:
        row = await self._database.read(lambda tx: tx.execute(SQL[query], parameters).fetchone())
        return None if row is None else _question(row)


def _ask(tx: sqlite3.Connection, claim: Claim, question: Question, say: Sequence[Outbound], now: datetime) -> None:
    held(tx, claim)
    new = tx.execute(SQL["by_key"], {"key": question.key}).fetchone() is None
    tx.execute(
        SQL["ask"],
        {
            "id": question.id,
            "key": question.key,
            "session": question.session,
            "turn": question.turn,
            "call": question.call,
            "kind": question.kind.value,
            "text": question.text,
            "choices": rows.to_json([[each.id, each.label, each.danger] for each in question.choices]),
            "tool": question.tool,
            "arguments_hash": question.arguments_hash,
            "asked": rows.to_json(question.asked),
            "places": rows.to_json([place.key for place in question.places]),
            "now": to_us(now),
            "expires_at": to_us(question.expires_at),
        },
    )
    if new:
        _make_buttons(tx, question, now)
        audit.append(
            tx,
            at=now,
            actor=f"session:{question.session}",
            action="asked",
            resource=question.tool or question.kind.value,
            session=question.session,
            detail={"question": question.id, "asked": list(question.asked), "arguments": question.arguments_hash},
        )
    for message in say:
        outbox.enqueue(tx, message, session=question.session, turn=question.turn, now=now)


def _make_buttons(tx: sqlite3.Connection, question: Question, now: datetime) -> None:
    for number, button in enumerate(question.choices):
        answer = APPROVAL_ANSWERS[number] if question.kind is QuestionKind.APPROVAL else button.label
        tx.execute(
            SQL["insert_button"],
            {
                "id": button.id,
                "action": rows.to_json({"question": question.id, "answer": answer}),
                "session": question.session,
                "now": to_us(now),
                "expires_at": to_us(question.expires_at),
            },
        )


def _answer(tx: sqlite3.Connection, id: QuestionId, given: Given, now: datetime, woken: list[SessionId]) -> Taken:
    row = tx.execute(SQL["by_id"], {"id": id}).fetchone()
    if row is not None and row["answer"] is not None:
        return Taken.ANSWERED
    if row is None or row["expires_at"] <= to_us(now) or not _is_open(tx, row):
        return Taken.OVER
    by = {"by": given.by, "now": to_us(now)}
    tx.execute(SQL["answer"], {"id": id, "answer": given.text, "name": given.name, **by})
    tx.execute(SQL["use_buttons"], {"choices": row["choices"], **by})
    tx.execute(SQL["ask_no_more"], {"id": id})
    approval = row["kind"] == QuestionKind.APPROVAL.value
    if approval and given.text == ALWAYS:
        tx.execute(SQL["grant"], {"session": row["session"], "tool": row["tool"], "question": id, **by})
    mail = NewMail(
        key=MailKey(f"answer:{id}"),
        session=SessionId(row["session"]),
        kind=MailKind.ANSWER,
        text=_decision(row["tool"], given.text) if approval else given.text,
        sender=given.by,
        sender_name=given.name,
        inbox=given.inbox,
        where=given.where,
        reply_to=given.reply_to,
        attachments=given.attachments,
    )
    put_mail(tx, mail, now, limit=_NO_LIMIT)
    woken.append(mail.session)
    audit.append(
        tx,
        at=now,
        actor=given.by,
        action=("denied" if given.text == DENY else "approved") if approval else "answered",
        resource=row["tool"] or row["kind"],
        session=row["session"],
        detail={"question": id, "arguments": row["arguments_hash"], **({"answer": given.text} if approval else {})},
    )
    return Taken.TAKEN


def _decision(tool: str, answer: str) -> str:
    """An approval's answer as the model reads it."""
    if answer == DENY:
        return f"{tool} may not run."
    return f"{tool} may run{', from now on without asking' if answer == ALWAYS else ' this once'}."


def _over(tx: sqlite3.Connection, row: sqlite3.Row) -> Over:
    messages: list[Asked] = []
    all_said = True
    for found in tx.execute(SQL["messages"], {"id": row["id"]}).fetchall():
        said = outbox_rows.delivery(found)
        if said.state in (DeliveryState.PENDING, DeliveryState.SENDING):
            all_said = False
        elif said.state is DeliveryState.SENT and said.message_ids:
            part = said.parts[-1] if said.parts else said.message
            part = replace(part, to=said.message.to)
            messages.append(Asked(whole=said.message, part=part, message_id=said.message_ids[-1]))
    since = row["answered_at"] or row["expires_at"]
    return Over(question=_question(row), since=from_us(since), messages=tuple(messages), all_said=all_said)


def _is_open(tx: sqlite3.Connection, row: sqlite3.Row) -> bool:
    query = {"session": row["session"], "turn": row["turn"], "call": row["call"]}
    return tx.execute(SQL["is_open"], query).fetchone() is not None


def _question(row: sqlite3.Row) -> Question:
    return Question(
        id=QuestionId(row["id"]),
        key=row["key"],
        session=SessionId(row["session"]),
        turn=TurnId(row["turn"]),
        call=row["call"],
        kind=QuestionKind(row["kind"]),
        text=row["text"],
        choices=tuple(Button(id=id, label=label, danger=danger) for id, label, danger in json.loads(row["choices"])),
        tool=row["tool"],
        arguments_hash=row["arguments_hash"],
        asked=tuple(Account(account) for account in json.loads(row["asked"])),
        places=tuple(ThreadRef.parse(place) for place in json.loads(row["places"])),
        expires_at=from_us(row["expires_at"]),
        answer=row["answer"],
        answered_by=row["answered_name"],
    )
