"""The audit log: who did what to what, each row chained by a hash to the one before.

A row is written inside the transaction of what it tells about, so neither exists without the other. Its hash covers
its number, its content and the hash before it: an edit, a deletion, an insertion or a reordering anywhere in
the middle breaks the chain, and `verify` names the first row that does not fit. The head is read again from the
table for each row (5 µs) and not remembered: a neighbour's rollback, to a savepoint or of the whole batch, then has
nothing to put right.

A chain alone cannot show that rows are missing at its end. So the newest number and hash are also written to a
file beside the database, `audit.head`, every minute and at the stop (`write_head`, which never replaces a note that
the log does not contain: that would destroy the evidence). With it, `verify` finds a cut that reaches below the last
such note. It cannot find the loss of rows written after it, and it proves nothing against somebody who rewrites
the table, every hash after his change *and* that file: keep copies of the file (or the hash that `audit verify`
prints) where this machine cannot write.

No row contains the text of a message; what was said stands in the inbox and the steps, where it can be forgotten.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from agents.base import SessionId
from storage.database import Database, StorageError, from_us, to_us
from storage.sql import load

_SQL = load("audit")
_HEAD, _APPEND = _SQL["head"], _SQL["append"]
BEGINNING = ""  # stands before the first row
DETAIL_CHARACTERS = 16_000
_BATCH = 2_000  # rows checked in one go, so that other readers get their turn
_dumps = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode
_chain = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    n: int
    at: datetime
    actor: str  # an account, or `system:<part>`
    action: str
    resource: str
    session: SessionId | None
    detail: Mapping[str, Any]
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The end of the chain at some time. `n` 0: no row."""

    n: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """The first place where the chain does not hold. `why` is a sentence for the operator."""

    n: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What `verify` found. `head` is the last row that holds: note its hash elsewhere."""

    rows: int
    head: Head
    broken: Broken | None


def append(
    tx: sqlite3.Connection,
    *,
    at: datetime,
    actor: str,
    action: str,
    resource: str,
    session: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> int:
    """Add a row in the transaction of `tx` and return its number.

    `detail` is small plain data without the text of any message; one too long is replaced by its length.
    """
    text = _dumps(dict(detail)) if detail else "{}"
    if len(text) > DETAIL_CHARACTERS:
        text = _dumps({"too_long": len(text)})
    head = tx.execute(_HEAD).fetchone()
    n, previous = (head[0] + 1, head[1]) if head else (1, BEGINNING)
    content = (
        n,
        to_us(at),
        _storable(actor),
        _storable(action),
        _storable(resource),
        _storable(session),
        text,
        previous,
    )
    tx.execute(_APPEND, (*content, _hash(content)))
    return int(n)


def _storable(text: str | None) -> str | None:
    """Platforms can send halves of surrogate pairs, which no database takes."""
    if text is None or text.isascii():
        return text
    return text.encode("utf-8", "replace").decode("utf-8")


def _hash(content: Iterable[Any]) -> str:
    """Over the row as a JSON list: no two different rows have the same text."""
    return hashlib.sha256(_chain(list(content)).encode()).hexdigest()


def _row(row: sqlite3.Row) -> AuditRow:
    return AuditRow(
        n=row["n"],
        at=from_us(row["at"]),
        actor=row["actor"],
        action=row["action"],
        resource=row["resource"],
        session=row["session"],
        detail=json.loads(row["detail"]),
        hash=row["hash"],
    )


class AuditLog:
    """Reading and proving the log. Writing is `append`, in the transaction of what it tells about."""

    def __init__(self, database: Database, data: Path | None = None) -> None:
        """`data` is the folder of `audit.head`; None: the database's own."""
        self._database = database
        self._note = (data or database.path.parent) / "audit.head"

    async def record(
        self, *, at: datetime, actor: str, action: str, resource: str, session: str | None = None, **detail: Any
    ) -> int:
        """Add a row about something that writes nothing else (a refusal, a command that only reads)."""
        return await self._database.write(
            lambda tx: append(tx, at=at, actor=actor, action=action, resource=resource, session=session, detail=detail)
        )

    async def read(
        self, *, limit: int = 100, after: int | None = None, session: SessionId | None = None
    ) -> Sequence[AuditRow]:
        """Rows in order: those after number `after`, or without it the newest; of one session, or of all."""

        def work(tx: sqlite3.Connection) -> list[AuditRow]:
            if session is not None:
                rows = tx.execute(_SQL["next_of_session"], (session, after or 0, limit)).fetchall()
            elif after is not None:
                rows = tx.execute(_SQL["next"], (after, limit)).fetchall()
            else:
                rows = tx.execute(_SQL["newest"], (2**62, limit)).fetchall()[::-1]
            return [_row(row) for row in rows]

        return await self._database.read(work)

    async def head(self) -> Head:
        def work(tx: sqlite3.Connection) -> Head:
            row = tx.execute(_HEAD).fetchone()
            return Head(n=row[0], hash=row[1]) if row else Head(n=0, hash=BEGINNING)

        return await self._database.read(work)

    async def write_head(self) -> Broken | None:
        """Note the head in the file. When the log does not contain what was noted before, that note stays.

        What is wrong is returned, for the operator to be told; it never raises, as it runs beside everything else.
        """
        try:
            return await self._write_head()
        except (OSError, ValueError, StorageError) as error:
            return Broken(n=0, why=f"the head of the audit log could not be noted: {error}")

    async def _write_head(self) -> Broken | None:
        noted = await asyncio.to_thread(read_head, self._note)

        def work(tx: sqlite3.Connection) -> tuple[Head, str | None]:
            row = tx.execute(_HEAD).fetchone()
            at_note = tx.execute(_SQL["hash_of"], (noted.n,)).fetchone() if noted and noted.n else None
            return Head(n=row[0], hash=row[1]) if row else Head(n=0, hash=BEGINNING), at_note[0] if at_note else None

        head, at_note = await self._database.read(work)
        if noted is not None and noted.n:
            if at_note is None:
                return Broken(n=head.n + 1, why=_cut(head, noted))
            if at_note != noted.hash:
                return Broken(n=noted.n, why=_REWRITTEN)
        if head != noted:
            await asyncio.to_thread(write_head, self._note, head)
        return None

    async def verify(self, noted: Head | None = None) -> Verified:
        """Check every row, in batches. `noted` is an earlier head (`read_head`): the chain must still contain it."""
        head, rows = Head(n=0, hash=BEGINNING), 0
        while True:
            last = head

            def work(tx: sqlite3.Connection, after: Head = last) -> tuple[int, Head, Broken | None]:
                return _check(tx.execute(_SQL["next"], (after.n, _BATCH)), after, noted)

            checked, head, broken = await self._database.read(work)
            rows += checked
            if broken:
                return Verified(rows=rows, head=head, broken=broken)
            if checked < _BATCH:
                break
        if noted is not None and noted.n > head.n:
            return Verified(rows=rows, head=head, broken=Broken(n=head.n + 1, why=_cut(head, noted)))
        return Verified(rows=rows, head=head, broken=None)


_REWRITTEN = "is not the row that was noted: the log was written anew up to here"


def _cut(head: Head, noted: Head) -> str:
    return (
        f"the log ends at row {head.n}, but row {noted.n} was written once: rows at the end were deleted,"
        " or an older backup was put back"
    )


def _check(rows: Iterable[Sequence[Any]], head: Head, noted: Head | None) -> tuple[int, Head, Broken | None]:
    """How many rows hold, the head after them, and what is wrong with the next one."""
    checked = 0
    for row in rows:
        *content, found = row
        n, previous = content[0], content[7]
        if n != head.n + 1:
            missing = f"row {head.n + 1}" if n == head.n + 2 else f"rows {head.n + 1} to {n - 1}"
            return (
                checked,
                head,
                Broken(n=head.n + 1, why=f"missing: {missing} (deleted, or their numbers were changed)"),
            )
        if previous != head.hash:
            return (
                checked,
                head,
                Broken(n=n, why="does not follow the row before it: one of the two was replaced or moved"),
            )
        if found != _hash(content):
            return checked, head, Broken(n=n, why="was changed after it was written")
        if noted is not None and n == noted.n and found != noted.hash:
            return checked, head, Broken(n=n, why=_REWRITTEN)
        head = Head(n=n, hash=found)
        checked += 1
    return checked, head, None


def write_head(file: Path, head: Head) -> None:
    """Note the head beside the database. It survives a crash: old content or new, never half of it."""
    part = file.with_name(file.name + ".part")
    with part.open("w", encoding="ascii") as stream:
        stream.write(f"{head.n} {head.hash or '-'}\n")
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(file)


def read_head(file: Path) -> Head | None:
    """The noted head; None when there is no note. Raises ValueError with a sentence when it is unreadable."""
    try:
        n, hash_ = file.read_text("ascii").split()
        return Head(n=int(n), hash=hash_ if hash_ != "-" else BEGINNING)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ValueError(
            f"{file} is damaged: the end of the audit log cannot be checked; delete it and it is made anew"
        ) from error
