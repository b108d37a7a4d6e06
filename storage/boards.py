"""Boards on SQLite: messages that show what a session's children are doing, and change as they do.

A board is a delivery like any other, begun in the transaction that makes the first child which it shows: its key is
the parent's turn, so a repeated spawn begins no second one. `boards` lists those that still change, so that a restart
takes them up.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from agents import progress
from agents.base import Session
from channels.base import DeliveryKey, Outbound, ThreadRef
from storage import outbox, rows
from storage.database import Database
from storage.sql import load

SQL = load("boards")
OUTBOX = load("outbox")


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A board as it stands: whom it shows (parents before children), and its message."""

    key: DeliveryKey
    place: ThreadRef
    text: str
    sessions: tuple[Session, ...]


def show(tx: sqlite3.Connection, parent: sqlite3.Row, child: sqlite3.Row, now: datetime) -> str | None:
    """Show a new child on the board of its parent's turn; the lane in which a board begins with it."""
    place = rows.place(parent["answer_to"] or parent["home"])
    if parent["turn"] is None or place is None or child["home"] == place.key:
        return None
    key = DeliveryKey(f"progress:{parent['turn']}")
    tx.execute(SQL["show_on"], {"key": key, "session": child["id"]})
    tx.execute(SQL["keep_open"], {"key": key, "parent": parent["id"]})
    message = Outbound(key=key, to=place, text=progress.board([rows.session(child)], now))
    return place.key if outbox.enqueue(tx, message, session=parent["id"], now=now) else None


class SqliteBoards:
    """`bot.showing.progress.Boards` on one database file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self) -> Sequence[DeliveryKey]:
        """Those that still change."""
        return await self._database.read(lambda tx: [DeliveryKey(row["key"]) for row in tx.execute(SQL["open"])])

    async def board(self, key: DeliveryKey) -> Board | None:
        """None when its message is not to be had any more: it could not be said, or was deleted."""
        return await self._database.read(lambda tx: _board(tx, key))

    async def close(self, key: DeliveryKey) -> bool:
        """It changes no more. False when somebody whom it shows lives: then it stays open, unless nobody can see it."""

        def work(tx: sqlite3.Connection) -> bool:
            lives = tx.execute(SQL["lives"], {"key": key}).fetchone() is not None
            if not lives or _board(tx, key) is None:
                tx.execute(SQL["close"], {"key": key})
            return not lives

        return await self._database.write(work)


def _board(tx: sqlite3.Connection, key: DeliveryKey) -> Board | None:
    row = tx.execute(OUTBOX["by_key"], {"key": key}).fetchone()
    if row is None or row["state"] not in ("pending", "sending", "sent"):
        return None
    return Board(
        key=key,
        place=ThreadRef.parse(row["place"]),
        text=row["text"],
        sessions=tuple(rows.session(each) for each in tx.execute(SQL["shown"], {"key": key})),
    )
