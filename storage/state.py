"""Shared values on SQLite. A write is one transaction: is the claim still held, was this call made already, is the
version the one that was seen, is there room; then the value and the note that this call was made."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta

from agents.base import Claim, Refused, SessionId
from agents.shared import MOST_CHARACTERS, MOST_KEYS, Scope, SharedValue, Stale
from storage.database import Database, from_us, to_us
from storage.journal import held
from storage.sql import load

SQL = load("state")

_CALLS_KEPT = timedelta(days=7)  # longer than any turn is taken up again


class SqliteSharedValues:
    """`agents.shared.SharedValues` on one database file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def value(self, scope: Scope, key: str) -> SharedValue | None:
        return await self._database.read(lambda tx: _value(tx, scope, key))

    async def values(self, scope: Scope, prefix: str, limit: int) -> Sequence[SharedValue]:
        query = {"scope": scope, "prefix": prefix, "limit": limit}
        return await self._database.read(lambda tx: [_shared(row) for row in tx.execute(SQL["values"], query)])

    async def set(
        self, claim: Claim, call: str, scope: Scope, key: str, value: str, expected: int, now: datetime
    ) -> int:
        def work(tx: sqlite3.Connection) -> int:
            held(tx, claim)
            made = _made(tx, call)
            if made is not None:
                return made
            _refuse_stale(tx, scope, key, expected)
            _refuse_full(tx, scope, key, value)
            version: int = tx.execute(SQL["next_version"]).fetchone()[0]
            row = {"scope": scope, "key": key, "value": value, "version": version}
            tx.execute(SQL["set"], {**row, "session": claim.session, "now": to_us(now)})
            _note(tx, call, version, now)
            return version

        return await self._database.write(work)

    async def delete(self, claim: Claim, call: str, scope: Scope, key: str, expected: int, now: datetime) -> None:
        def work(tx: sqlite3.Connection) -> None:
            held(tx, claim)
            if _made(tx, call) is not None:
                return
            _refuse_stale(tx, scope, key, expected)
            tx.execute(SQL["delete"], {"scope": scope, "key": key})
            _note(tx, call, 0, now)

        await self._database.write(work)


def _value(tx: sqlite3.Connection, scope: Scope, key: str) -> SharedValue | None:
    row = tx.execute(SQL["value"], {"scope": scope, "key": key}).fetchone()
    return None if row is None else _shared(row)


def _shared(row: sqlite3.Row) -> SharedValue:
    return SharedValue(
        key=row["key"],
        value=row["value"],
        version=row["version"],
        changed_by=SessionId(row["changed_by"]),
        changed_at=from_us(row["changed_at"]),
    )


def _made(tx: sqlite3.Connection, call: str) -> int | None:
    row = tx.execute(SQL["written"], {"call": call}).fetchone()
    return None if row is None else int(row["version"])


def _note(tx: sqlite3.Connection, call: str, version: int, now: datetime) -> None:
    tx.execute(SQL["forget_written"], {"before": to_us(now - _CALLS_KEPT)})
    tx.execute(SQL["note_written"], {"call": call, "version": version, "now": to_us(now)})


def _refuse_stale(tx: sqlite3.Connection, scope: Scope, key: str, expected: int) -> None:
    current = _value(tx, scope, key)
    if (current.version if current else 0) != expected:
        raise Stale(current)


def _refuse_full(tx: sqlite3.Connection, scope: Scope, key: str, value: str) -> None:
    size = tx.execute(SQL["size"], {"scope": scope, "key": key}).fetchone()
    if size["keys"] >= MOST_KEYS:
        raise Refused(f"there are {MOST_KEYS} keys already, the most of a scope: delete some (state_list shows them)")
    if size["characters"] + len(value) > MOST_CHARACTERS:
        raise Refused(f"the values of this scope have {MOST_CHARACTERS} characters, the most: delete some")
