"""Forgets a person: what these accounts said and caused is deleted or blanked, wherever it stands.

What stays, and why: the rows of the inbox without account, name, text and files, since their event ids are how a
repetition is recognised; each session's row with what it cost; money by day, under nobody's name; the timeline of
places that others share, with gaps; and the audit log, whose rows name account ids and actions but no message. It is
not touched, so it still verifies.

Values that agents share go when a session of the person wrote them last. (Its own workspace is a folder:
`storage.kept_work` finds it, and whoever calls this deletes it before.)

What cannot be told apart is named in the report and not touched: sessions of others in which the person took
part (what he wrote there is blanked, but answers and summaries may quote it), monitors that name an account, and
the files of the backups folder.

Freed space is overwritten (`secure_delete`). The work is done in small writes, in an order in which it can be
interrupted anywhere and done again.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from agents.base import SessionId
from channels.base import Account
from storage import audit
from storage.database import Database, Work
from storage.retention import BATCH, Removed, digests_in, unreferenced
from storage.sql import load

SQL = load("forgetting")
NOBODY = "forgotten"
NOWHERE = "forgotten:forgotten"  # still a place that can be read
BLANK = "[forgotten]"  # stands in an agent's conversation where the text was


class StillLiving(Exception):
    """The person has sessions that have not ended. Its text names them and says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What was removed (or would be), and what a person has to look at."""

    removed: Removed
    living: tuple[str, ...]  # of a dry run: labels of sessions that have to be ended first
    quoted_in: tuple[SessionId, ...]  # sessions of others that may quote the person
    monitors: tuple[str, ...]  # that name an account
    backups: tuple[str, ...]  # files that still hold all of it


@dataclass(slots=True)
class _Forgetting:
    database: Database
    accounts: Mapping[str, Any]  # for the queries: {"accounts": JSON, "nobody", "nowhere", "batch"}
    dry_run: bool
    removed: Counter[str] = field(default_factory=Counter)
    digests: set[str] = field(default_factory=set)
    counted: set[int] = field(default_factory=set)  # deliveries, in a dry run

    async def read(self, query: str, **values: Any) -> list[sqlite3.Row]:
        given = {**self.accounts, **values}
        return await self.database.read(lambda tx: tx.execute(SQL[query], given).fetchall())

    async def write(self, work: Work[int]) -> int:
        """A write after which nothing of the former content is left in the file's free space."""

        def burning(tx: sqlite3.Connection) -> int:
            before = tx.execute("pragma secure_delete").fetchone()[0]
            tx.execute("pragma secure_delete = on")
            try:
                return work(tx)
            finally:
                tx.execute(f"pragma secure_delete = {int(before)}")

        return await self.database.write(burning)

    async def change(self, query: str, **values: Any) -> int:
        given = {**self.accounts, **values}
        return await self.write(lambda tx: tx.execute(SQL[query], given).rowcount)

    async def inbox(self) -> None:
        """What came in, and the bot's own replies to it."""
        if self.dry_run:
            self.removed["messages"] += (await self.read("count_inbox"))[0][0]
            return
        while found := await self.read("inbox"):
            keys = [f"reply:{row['channel']}/{row['event_id']}" for row in found]
            given = {**self.accounts, "ns": _numbers(found), "keys": json.dumps(keys)}

            def work(tx: sqlite3.Connection, given: Mapping[str, Any] = given) -> int:
                tx.execute(SQL["blank_replies"], given)
                return tx.execute(SQL["blank_inbox"], given).rowcount

            self.digests |= digests_in(row["attachments"] for row in found)
            self.removed["messages"] += await self.write(work)

    async def mail(self) -> list[int]:
        """The numbers of what waited for agents or was taken in."""
        numbers: list[int] = []
        last, after = await self._last("last_mail"), 0
        while after < last:
            to = after + 4 * BATCH
            found = await self.read("mail", after=after, to=to)
            numbers += (row["n"] for row in found)
            self.digests |= digests_in(row["attachments"] for row in found)
            after = to
        self.removed["mail"] += len(numbers)
        return numbers

    async def blank_mail(self, numbers: list[int]) -> None:
        for begin in range(0, 0 if self.dry_run else len(numbers), BATCH):
            await self.change("blank_mail", ns=json.dumps(numbers[begin : begin + BATCH]))

    async def inputs(self, mail: set[int], owned: set[str]) -> set[SessionId]:
        """What the person wrote into conversations of others, forks included; the sessions where he did."""
        shared: set[SessionId] = set()
        last, after = await self._last("last_steps"), 0
        while mail and after < last:
            to = after + 4 * BATCH
            for row in await self.read("inputs", after=after, to=to):
                body = json.loads(row["body"])
                if row["session"] in owned or not _blank_items(body, mail):
                    continue
                shared.add(SessionId(row["session"]))
                self.removed["steps"] += 1
                if not self.dry_run:
                    self.digests |= digests_in([row["body"]])
                    await self.change("set_body", n=row["n"], body=json.dumps(body, ensure_ascii=False))
            after = to
        return shared

    async def session(self, session: str) -> None:
        """A session of the person: the whole conversation, and what was said for it."""
        if self.dry_run:
            self.removed["steps"] += (await self.read("count_steps", session=session))[0][0]
            self.removed["shared values"] += (await self.read("count_session_values", session=session))[0][0]
        else:
            while texts := await self.read("steps_text", session=session):
                self.digests |= digests_in(row["text"] for row in texts)
                self.removed["steps"] += await self.change("delete_steps", session=session)
            await self.change("delete_session_buttons", session=session)
            await self.change("delete_session_questions", session=session)
            await self.change("delete_session_grants", session=session)
            self.removed["shared values"] += await self.change("delete_session_values", session=session)
        await self._deliveries("session_deliveries", session=session)
        if not self.dry_run:
            await self.change("blank_session", session=session)
        self.removed["sessions"] += 1

    async def place(self, place: str) -> None:
        """A place that only the person and the bot could read."""
        await self._deliveries("place_deliveries", place=place)
        if self.dry_run:
            return
        while await self.change("delete_timeline", place=place):
            pass
        await self.change("delete_place", place=place)
        await self.change("move_deliveries", place=place)

    async def _deliveries(self, query: str, **which: str) -> None:
        if self.dry_run:
            self.counted |= {row["n"] for row in await self.read(query, **which, batch=-1)}
            self.removed["deliveries"] = len(self.counted)
            return
        while found := await self.read(query, **which):
            self.digests |= digests_in(row["text"] for row in found)
            self.removed["deliveries"] += await self.change("blank_deliveries", ns=_numbers(found))

    async def accounts_of(self) -> None:
        for table in ("accounts", "pairings", "spending"):
            found = (await self.read(f"count_{table}"))[0][0]
            self.removed[table] += found
        if self.dry_run:
            return

        def work(tx: sqlite3.Connection) -> int:
            tx.execute(SQL["merge_spending"], self.accounts)
            for query in (
                "delete_spending",
                "delete_accounts",
                "blank_linkers",
                "delete_pairings",
                "delete_failures",
                "blank_button_users",
                "blank_question_users",
                "blank_question_addressees",
            ):
                tx.execute(SQL[query], self.accounts)
            return 0

        await self.write(work)

    async def _last(self, query: str) -> int:
        return int((await self.read(query))[0][0] or 0)


async def forget(
    database: Database, accounts: Sequence[Account], *, by: str, now: datetime, dry_run: bool = False
) -> Forgotten:
    """Forget the person who has these accounts (give all of them). `by` is who asked for it, for the audit log.

    Raises StillLiving while he has sessions that have not ended, and StorageError; then it may be done again.
    """
    given = {"accounts": json.dumps(list(accounts)), "nobody": NOBODY, "nowhere": NOWHERE, "batch": BATCH}
    work = _Forgetting(database, given, dry_run)
    living = [row["label"] for row in await work.read("living")]
    if living and not dry_run:
        raise StillLiving(
            f"{len(living)} of this person's sessions have not ended ({', '.join(living[:5])}"
            f"{' …' if len(living) > 5 else ''}): /kill them, then forget again"
        )
    direct = [row["place"] for row in await work.read("direct_places")]
    owned = [row["id"] for row in await work.read("owned")]
    mail = await work.mail()
    quoted_in = await work.inputs(set(mail), set(owned))
    await work.blank_mail(mail)
    for session in owned:
        await work.session(session)
    for place in direct:
        await work.place(place)
    monitors = [row["name"] for row in await work.read("monitors")]
    await work.inbox()
    await work.accounts_of()
    files = set() if dry_run else await unreferenced(database, work.digests, delete=True)
    work.removed["files"] += len(files)
    removed = Removed(
        rows={name: n for name, n in work.removed.items() if n}, files=tuple(sorted(files)), dry_run=dry_run
    )
    if not dry_run:
        await database.write(_noted(accounts, by, now, removed))
    folder = database.path.parent / "backups"
    return Forgotten(
        removed=removed,
        living=tuple(living),
        quoted_in=tuple(sorted(quoted_in)),
        monitors=tuple(monitors),
        backups=tuple(sorted(file.name for file in folder.iterdir())) if folder.is_dir() else (),
    )


def _noted(
    accounts: Sequence[Account], by: str, now: datetime, removed: Removed
) -> Callable[[sqlite3.Connection], int]:
    """The audit log's row names the accounts by their hashes only: enough to show later that it was done."""
    hashes = sorted(hashlib.sha256(account.encode("utf-8", "replace")).hexdigest() for account in accounts)
    detail = {"accounts": hashes, "rows": dict(removed.rows)}
    return lambda tx: audit.append(tx, at=now, actor=by, action="forgotten", resource="person", detail=detail)


def _numbers(rows: Sequence[sqlite3.Row]) -> str:
    return json.dumps([row["n"] for row in rows])


def _blank_items(body: dict[str, Any], mail: set[int]) -> bool:
    """Blank what came by these mails in an input step. False when none did."""
    found = False
    for item in body.get("mail", ()):
        if item.get("n") in mail and item.get("text") != BLANK:
            item.update(text=BLANK, name="")
            item.pop("attachments", None)
            found = True
    return found
