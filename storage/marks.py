"""Whose messages wait for a session, and how people see that they were taken in.

A row is put beside the mail, in the same transaction, and stands until what people see is final; so a restart in
between loses no mark, and one that was given before is replaced.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from agents.base import Acknowledge, SessionId
from channels.base import DeliveryKey, Mark, ThreadRef
from storage.database import Database, from_us
from storage.sql import load

SQL = load("marks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A message of a person that is in a session's box, or was."""

    mail: int
    label: str  # of the session
    wanted: Mark | None  # None: the person took it back
    shown: Mark | None
    where: ThreadRef
    message_id: str | None
    reply: DeliveryKey | None
    posted_at: datetime


def put(tx: sqlite3.Connection, mail: int, acknowledge: Acknowledge) -> None:
    values = {
        "mail": mail,
        "place": acknowledge.where.key,
        "message_id": acknowledge.message_id,
        "reply": acknowledge.reply,
    }
    tx.execute(SQL["put"], values)


class SqliteMarks:
    """`bot.showing.marks.Store` on one database file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sessions(self) -> Sequence[SessionId]:
        """Those with messages whose mark is not final."""
        return await self._database.read(lambda tx: [SessionId(row["session"]) for row in tx.execute(SQL["sessions"])])

    async def of(self, session: SessionId) -> Sequence[Marked]:
        query = {"session": session}
        return await self._database.read(lambda tx: [_marked(row) for row in tx.execute(SQL["of"], query)])

    async def shown(self, mail: int, mark: Mark) -> None:
        values = {"mail": mail, "shown": mark.value}
        await self._database.write(lambda tx: tx.execute(SQL["shown"], values).rowcount)

    async def done(self, mail: int) -> None:
        """What people see is final."""
        await self._database.write(lambda tx: tx.execute(SQL["done"], {"mail": mail}).rowcount)


def _marked(row: sqlite3.Row) -> Marked:
    wanted: Mark | None = {"waiting": Mark.WAITING, "taken": Mark.TAKEN_IN}.get(row["state"])
    if row["state"] == "dropped" and row["session_state"] == "ended":
        wanted = Mark.REFUSED
    return Marked(
        mail=row["mail"],
        label=row["label"],
        wanted=wanted,
        shown=None if row["shown"] is None else Mark(row["shown"]),
        where=ThreadRef.parse(row["place"]),
        message_id=row["message_id"],
        reply=None if row["reply"] is None else DeliveryKey(row["reply"]),
        posted_at=from_us(row["created_at"]),
    )
