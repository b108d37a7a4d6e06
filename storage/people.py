"""Accounts that were linked or let in, and the short-lived codes for it.

Each method is one transaction, in which the limits are counted too: two requests at one moment cannot both be the
last one allowed. A wrong code is written down before it is answered, so guessing is slowed by the number of
tries and not by how fast they come. Every change has its row in the audit log, without the code.
"""

from __future__ import annotations

import hmac
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from channels.base import Account, ThreadRef
from storage import audit
from storage.database import Database, from_us, to_us
from storage.sql import load

SQL = load("people")

LINK = "link:"  # a purpose, with the person behind the colon
_KEPT = timedelta(days=30)  # settled requests, to be looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An account joined to a person. `person` is a name of the configuration, or the account by which somebody was
    let in; his role stands in the row of that account."""

    account: Account
    person: str
    role: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """A request that waits. `purpose` is `pair` or `link:<person>`; `name` is what the account calls itself."""

    code: str
    account: Account
    name: str
    purpose: str
    place: ThreadRef | None
    created_at: datetime
    expires_at: datetime

    def made_by(self, account: Account) -> bool:
        """Whether a link code comes from this account, or from one already joined to it."""
        return account in (self.account, self.purpose.removeprefix(LINK))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of requests and of wrong codes; `window` is what "lately" means for both."""

    pending_an_account: int
    pending_strangers: int
    wrong_codes: int
    window: timedelta
    after_denial: timedelta  # a stranger who was denied is not heard for so long


class Asked(Enum):
    STORED = "stored"
    TAKEN = "taken"  # the code exists: make another
    LATELY = "lately"  # the stranger was answered within the window, or denied
    TOO_MANY = "too_many"  # of this account
    FULL = "full"  # of all strangers


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongCode:
    left: int  # tries


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedOut:
    """Too many wrong codes from this account."""

    until: datetime


class People:
    """On one database file."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self._database = database
        self._limits = limits

    async def links(self) -> Sequence[Link]:
        rows = await self._database.read(lambda tx: tx.execute(SQL["links"]).fetchall())
        return [Link(account=Account(row["account"]), person=row["person"], role=row["role"]) for row in rows]

    async def ask(self, request: Pairing) -> Asked:
        """Store a request, made now."""

        def work(tx: sqlite3.Connection) -> Asked:
            self._sweep(tx, request.created_at)
            return self._ask(tx, request)

        return await self._database.write(work)

    async def pending(self, now: datetime) -> Sequence[Pairing]:
        """Requests that wait, oldest first."""

        def work(tx: sqlite3.Connection) -> list[Pairing]:
            return [found for row in tx.execute(SQL["pending"]) if (found := _pairing(row)).expires_at > now]

        return await self._database.read(work)

    async def approve(self, code: str, role: str, by: Account, now: datetime) -> Pairing | WrongCode | LockedOut:
        """Let the stranger in who asked with this code."""

        def work(tx: sqlite3.Connection) -> Pairing | WrongCode | LockedOut:
            found = self._take(tx, code, by, now, link=False)
            if isinstance(found, Pairing):
                tx.execute(SQL["settle"], {"code": found.code, "state": "approved"})
                self._link(tx, found.account, found.account, role, by, now)
                self._audit(tx, by, "pairing_approved", f"account:{found.account}", now, role=role)
            return found

        return await self._database.write(work)

    async def deny(self, code: str, by: Account, now: datetime) -> Pairing | WrongCode | LockedOut:
        def work(tx: sqlite3.Connection) -> Pairing | WrongCode | LockedOut:
            found = self._take(tx, code, by, now, link=False)
            if isinstance(found, Pairing):
                tx.execute(SQL["settle"], {"code": found.code, "state": "denied"})
                self._audit(tx, by, "pairing_denied", f"account:{found.account}", now)
            return found

        return await self._database.write(work)

    async def join(self, code: str, account: Account, now: datetime) -> Pairing | WrongCode | LockedOut:
        """Join the account to the person who made this link code; what was joined to the account goes along.

        A code that is entered by the very person who made it changes nothing: see `Pairing.made_by`.
        """

        def work(tx: sqlite3.Connection) -> Pairing | WrongCode | LockedOut:
            found = self._take(tx, code, account, now, link=True)
            if isinstance(found, Pairing) and not found.made_by(account):
                person = found.purpose.removeprefix(LINK)
                tx.execute(SQL["settle"], {"code": found.code, "state": "approved"})
                tx.execute(SQL["follow"], {"person": person, "account": account})
                self._link(tx, account, person, None, found.account, now)
                self._audit(tx, account, "account_linked", f"person:{person}", now, by=found.account)
            return found

        return await self._database.write(work)

    async def unlink(self, account: Account, by: Account, now: datetime) -> bool:
        """Take an account's rights from the store away. False when it had none."""

        def work(tx: sqlite3.Connection) -> bool:
            gone = tx.execute(SQL["unlink"], {"account": account}).rowcount > 0
            if gone:
                self._audit(tx, by, "account_unlinked", f"account:{account}", now)
            return gone

        return await self._database.write(work)

    # --- within a transaction

    def _ask(self, tx: sqlite3.Connection, request: Pairing) -> Asked:
        now, limits = request.created_at, self._limits
        if request.purpose == "pair":
            since = {"since": to_us(now - limits.window), "denied_since": to_us(now - limits.after_denial)}
            if _count(tx, "asked_since", account=request.account, **since):
                return Asked.LATELY
            if _count(tx, "pending_strangers") >= limits.pending_strangers:
                return Asked.FULL
        if _count(tx, "pending_of", account=request.account) >= limits.pending_an_account:
            return Asked.TOO_MANY
        stored = tx.execute(
            SQL["ask"],
            {
                "code": request.code,
                "account": request.account,
                "name": request.name,
                "purpose": request.purpose,
                "place": request.place.key if request.place else None,
                "now": to_us(now),
                "expires_at": to_us(request.expires_at),
            },
        )
        if stored.rowcount == 0:
            return Asked.TAKEN
        action = "pairing_asked" if request.purpose == "pair" else "link_asked"
        self._audit(tx, request.account, action, f"account:{request.account}", now)
        return Asked.STORED

    def _take(
        self, tx: sqlite3.Connection, code: str, by: Account, now: datetime, *, link: bool
    ) -> Pairing | WrongCode | LockedOut:
        """The request with this code; every one that waits is compared, in the same time wherever it differs."""
        limits = self._limits
        since = {"account": by, "since": to_us(now - limits.window)}
        failures = tx.execute(SQL["failures"], since).fetchall()
        if len(failures) >= limits.wrong_codes:
            return LockedOut(until=from_us(failures[-limits.wrong_codes]["at"]) + limits.window)
        self._sweep(tx, now)
        found: Pairing | None = None
        for row in tx.execute(SQL["pending"]).fetchall():
            same = hmac.compare_digest(row["code"].encode(), code.encode())
            if same and row["purpose"].startswith(LINK) == link:
                found = _pairing(row)
        if found is not None:
            return found
        tx.execute(SQL["fail"], {"account": by, "now": to_us(now)})
        self._audit(tx, by, "wrong_code", f"account:{by}", now)
        return WrongCode(left=limits.wrong_codes - len(failures) - 1)

    def _sweep(self, tx: sqlite3.Connection, now: datetime) -> None:
        tx.execute(SQL["expire"], {"now": to_us(now)})
        tx.execute(SQL["sweep"], {"before": to_us(now - _KEPT)})
        tx.execute(SQL["forget_failures"], {"before": to_us(now - self._limits.window)})

    def _link(
        self, tx: sqlite3.Connection, account: Account, person: str, role: str | None, by: Account, now: datetime
    ) -> None:
        row = {"account": account, "person": person, "role": role, "by": by, "now": to_us(now)}
        tx.execute(SQL["link"], row)

    def _audit(
        self, tx: sqlite3.Connection, actor: Account, action: str, resource: str, now: datetime, **detail: str
    ) -> None:
        audit.append(tx, at=now, actor=actor, action=action, resource=resource, detail=detail)


def _count(tx: sqlite3.Connection, query: str, **values: str | int) -> int:
    return int(tx.execute(SQL[query], values).fetchone()[0])


def _pairing(row: sqlite3.Row) -> Pairing:
    return Pairing(
        code=row["code"],
        account=Account(row["account"]),
        name=row["name"],
        purpose=row["purpose"],
        place=None if row["place"] is None else ThreadRef.parse(row["place"]),
        created_at=from_us(row["created_at"]),
        expires_at=from_us(row["expires_at"]),
    )
