"""Deletes what is older than the operator wants to keep, a little at a time.

What goes: messages that came in and their place in the timeline, deliveries that were sent, mail, steps and questions
of sessions that ended, values that a tree of them shared, firings, spent buttons, and files that nothing refers to any
more. What stays whatever its age: what is not done yet (waiting mail, pending deliveries), dead letters, the
conversation of a living session, the row of each session with what it cost, values that agents keep for all, money by
day, and the audit log, in which no message stands.

Each write is a few hundred rows, found by number in a window of bounded size, so a message that comes in meanwhile
waits for some milliseconds at most, however much is to be deleted. Interrupted anywhere, it goes on the next time.
With `dry_run` the same rows are counted, and nothing is written.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from storage import audit
from storage.database import Database, Work, to_us
from storage.sql import load

SQL = load("retention")
BATCH = 500  # rows in one write, or looked at in one read
LEAST = timedelta(days=2)  # platforms repeat events for a day: the rows that recognise them stay longer
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_REFERRING = ("inbox", "mail", "deliveries", "steps")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """How long each is kept; None for ever. Raises ValueError for less than two days."""

    messages: timedelta | None = None  # since they came in
    deliveries: timedelta | None = None  # since they were sent
    sessions: timedelta | None = None  # their steps and mail, since they ended
    files: timedelta | None = None  # since they were stored, and nothing refers to them
    records: timedelta | None = None  # firings and buttons

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and value < LEAST:
                raise ValueError(
                    f"[retention]: {name} cannot be kept for less than {LEAST.days} days: platforms repeat events for a"
                    " day, and the stored ones are how a repetition is recognised"
                )

    @classmethod
    def of_days(cls, days: int | None) -> RetentionPolicy:
        """The same time for everything."""
        age = None if days is None else timedelta(days=days)
        return cls(messages=age, deliveries=age, sessions=age, files=age, records=age)


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What was removed (or would be): rows by what they were. The contents of `files` are to be deleted from the
    attachment store by whoever keeps it, each unless it was stored again since."""

    rows: Mapping[str, int]
    files: tuple[str, ...] = ()  # digests
    dry_run: bool = False


def _rows(query: str, values: Mapping[str, Any]) -> Work[list[sqlite3.Row]]:
    values = dict(values)
    return lambda tx: tx.execute(SQL[query], values).fetchall()


def _changed(query: str, values: Mapping[str, Any]) -> Work[int]:
    return lambda tx: tx.execute(SQL[query], values).rowcount


@dataclass(slots=True)
class _Sweep:
    """One run over one database."""

    database: Database
    dry_run: bool
    removed: Counter[str] = field(default_factory=Counter)

    async def numbered(self, table: str, before: int, *deletions: str) -> None:
        """Delete the old rows of a table whose numbers grow with time."""
        end = await self.database.read(lambda tx: _first_young(tx, table, before))
        after = 0
        while (low := await self._first(table, after)) is not None and low < end:
            high = min(low + BATCH, end)
            window = {"low": low, "high": high, "before": before}

            def work(tx: sqlite3.Connection, window: Mapping[str, int] = window) -> int:
                found = [row[0] for row in tx.execute(SQL[f"old_{table}"], window)]
                if found and not self.dry_run:
                    for deletion in deletions:
                        tx.execute(SQL[deletion], {"ns": json.dumps(found)})
                return len(found)

            self.removed[table] += await (self.database.read(work) if self.dry_run else self.database.write(work))
            after = high - 1

    async def _first(self, table: str, after: int) -> int | None:
        found = (await self.database.read(_rows(f"first_{table}", {"after": after})))[0][0]
        return None if found is None else int(found)

    async def sessions(self, before: int) -> None:
        """Empty the sessions that ended: their steps and turns go, the row with what they cost stays."""
        at: dict[str, Any] = {"before": before, "active_at": -1, "id": "", "batch": BATCH}
        while True:
            page = await self.database.read(_rows("ended_sessions", at))
            for row in page:
                await self._session(row["id"])
            if len(page) < BATCH:
                return
            at |= {"active_at": page[-1]["active_at"], "id": page[-1]["id"]}

    async def _session(self, session: str) -> None:
        query = {"session": session, "batch": BATCH}
        if self.dry_run:
            self.removed["steps"] += (await self.database.read(_rows("count_steps", query)))[0][0]
            self.removed["sessions emptied"] += 1
            return
        while deleted := await self.database.write(_changed("delete_steps", query)):
            self.removed["steps"] += deleted

        def finish(tx: sqlite3.Connection) -> None:
            for deletion in ("delete_turns", "delete_questions", "delete_grants"):
                tx.execute(SQL[deletion], query)
            tx.execute(SQL["empty_session"], query)

        await self.database.write(finish)
        self.removed["sessions emptied"] += 1

    async def values(self, before: int) -> None:
        """What trees of sessions shared, once the last session of a tree has ended."""
        after = ""
        while True:
            query = {"before": before, "after": after, "batch": BATCH}
            found = [row["scope"] for row in await self.database.read(_rows("old_trees", query))]
            if found:
                scopes = {"scopes": json.dumps(found)}
                if self.dry_run:
                    self.removed["shared values"] += (await self.database.read(_rows("count_values", scopes)))[0][0]
                else:
                    self.removed["shared values"] += await self.database.write(_changed("delete_values", scopes))
            if len(found) < BATCH:
                return
            after = found[-1]

    async def small(self, table: str, before: int) -> None:
        query = {"before": before, "batch": BATCH}
        if self.dry_run:
            self.removed[table] += (await self.database.read(_rows(f"count_{table}", query)))[0][0]
            return
        while deleted := await self.database.write(_changed(f"delete_{table}", query)):
            self.removed[table] += deleted

    async def places(self, before: int) -> None:
        """Places where nothing that was said is left."""
        after = ""
        while True:
            query = {"before": before, "after": after, "batch": BATCH}
            found = [row["place"] for row in await self.database.read(_rows("old_places", query))]
            if found and not self.dry_run:
                await self.database.write(_changed("delete_places", {"ns": json.dumps(found)}))
            self.removed["places"] += len(found)
            if len(found) < BATCH:
                return
            after = found[-1]

    async def files(self, before: int) -> tuple[str, ...]:
        rows = await self.database.read(_rows("old_files", {"before": before}))
        gone = await unreferenced(self.database, {row["digest"] for row in rows}, delete=not self.dry_run)
        self.removed["files"] += len(gone)
        return tuple(sorted(gone))


async def retain(database: Database, policy: RetentionPolicy, now: datetime, *, dry_run: bool = False) -> Removed:
    """Delete what the policy does not keep. Raises StorageError; what was deleted until then stays deleted."""
    sweep = _Sweep(database, dry_run)
    if policy.messages is not None:
        await sweep.numbered("inbox", to_us(now - policy.messages), "delete_inbox_timeline", "delete_inbox")
    if policy.deliveries is not None:
        before = to_us(now - policy.deliveries)
        await sweep.numbered("deliveries", before, "delete_deliveries_timeline", "delete_deliveries")
    if policy.messages is not None and policy.deliveries is not None:
        await sweep.places(to_us(now - max(policy.messages, policy.deliveries)))
    if policy.sessions is not None:
        await sweep.numbered("mail", to_us(now - policy.sessions), "delete_mail")
        await sweep.sessions(to_us(now - policy.sessions))
        await sweep.values(to_us(now - policy.sessions))
    if policy.records is not None:
        await sweep.small("firings", to_us(now - policy.records))
        await sweep.small("buttons", to_us(now - policy.records))
    files = await sweep.files(to_us(now - policy.files)) if policy.files is not None else ()
    removed = Removed(rows={name: n for name, n in sweep.removed.items() if n}, files=files, dry_run=dry_run)
    if removed.rows and not dry_run:
        await database.write(
            lambda tx: audit.append(
                tx, at=now, actor="system:retention", action="retained", resource="database", detail=removed.rows
            )
        )
    return removed


def _first_young(tx: sqlite3.Connection, table: str, before: int) -> int:
    """The number from which on rows are young: a search by halves, since numbers grow with time. A clock that was
    set back makes it inexact, and no more: each row's own time is asked before it is deleted."""
    low, high = 0, int(tx.execute(SQL[f"last_{table}"]).fetchone()[0] or 0) + 1
    while low < high:
        middle = (low + high) // 2
        row = tx.execute(SQL[f"at_{table}"], {"n": middle}).fetchone()
        if row is None or row["at"] >= before:
            high = middle
        else:
            low = row["n"] + 1
    return low


def digests_in(texts: Iterable[str | None]) -> set[str]:
    """The stored files that these columns refer to."""
    return {digest for text in texts if text for digest in _DIGEST.findall(text)}


async def unreferenced(database: Database, candidates: set[str], *, delete: bool) -> set[str]:
    """Those of these files that nothing refers to; with `delete`, their rows are deleted.

    Everything is read a page at a time, and what was written meanwhile is looked at again in the write
    that deletes, so a file that was just sent once more is not taken away.
    """
    seen: dict[str, int] = {}
    left = {digest.removeprefix("sha256:"): digest for digest in candidates}
    for table in _REFERRING:
        seen[table] = 0
        while left:

            def page(tx: sqlite3.Connection, table: str = table, after: int = seen[table]) -> tuple[set[str], int, int]:
                last = int(tx.execute(SQL[f"last_{table}"]).fetchone()[0] or 0)
                to = min(after + 4 * BATCH, last)
                rows = tx.execute(SQL[f"refers_{table}"], {"after": after, "to": to}).fetchall()
                return digests_in(row["text"] for row in rows), to, last

            found, seen[table], last = await database.read(page)
            for digest in found:
                left.pop(digest, None)
            if seen[table] >= last:
                break
    if not left or not delete:
        return set(left.values())

    def work(tx: sqlite3.Connection) -> set[str]:
        for table in _REFERRING:
            rows = tx.execute(SQL[f"refers_{table}"], {"after": seen[table], "to": 2**62})
            for digest in digests_in(row["text"] for row in rows):
                left.pop(digest, None)
        gone = set(left.values())
        tx.execute(SQL["delete_files"], {"digests": json.dumps(sorted(gone))})
        return gone

    return await database.write(work)
