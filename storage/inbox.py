"""The inbox: every event as it came in, committed before the platform is told that we have it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from channels.base import Account, ChannelName, EventId, Inbound, Kind, OpenPrompt, Sender, ThreadRef
from storage import rows
from storage.database import Database, from_us, to_us
from storage.sql import load

SQL = load("inbox")

_SHOWN = frozenset({Kind.MESSAGE, Kind.COMMAND})  # what a place's timeline has


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An event with its number in the inbox."""

    n: int
    event: Inbound

    @property
    def key(self) -> str:
        """Deterministic id of everything that this event causes."""
        return f"{self.event.where.channel}/{self.event.id}"


class Inbox:
    """The inbox of all channels on one database file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def accept(
        self,
        channel: ChannelName,
        events: Sequence[Inbound],
        cursors: Mapping[str, str],
        now: datetime,
        then: Callable[[Sequence[Stored]], None] | None = None,
    ) -> list[Stored]:
        """Commit events and cursors together; the events that were new. Raises StorageError. `then` is called with
        them once they are committed, also when whoever waits here is cancelled."""

        def work(tx: sqlite3.Connection) -> list[Stored]:
            new = [stored for event in events if (stored := _insert(tx, channel, event, now)) is not None]
            for name, value in cursors.items():
                tx.execute(SQL["set_cursor"], {"channel": channel, "name": name, "value": value})
            return new

        return await self._database.write(work, then)

    async def cursor(self, channel: ChannelName, name: str) -> str | None:
        query = {"channel": channel, "name": name}
        row = await self._database.read(lambda tx: tx.execute(SQL["cursor"], query).fetchone())
        return None if row is None else str(row["value"])

    async def bound_places(self, channel: ChannelName) -> list[ThreadRef]:
        query = {"channel": channel}
        found = await self._database.read(lambda tx: tx.execute(SQL["bound_places"], query).fetchall())
        return [ThreadRef.parse(row["place"]) for row in found]

    async def open_prompts(self, channel: ChannelName, limit: int = 300) -> list[OpenPrompt]:
        """See `channels.base.Intake`."""
        query = {"channel": channel, "limit": limit}
        found = await self._database.read(lambda tx: tx.execute(SQL["open_prompts"], query).fetchall())
        return [OpenPrompt(where=ThreadRef.parse(row["place"]), message_id=row["message_id"]) for row in found]

    async def rooms_heard(self, channel: ChannelName, limit: int = 30) -> list[ThreadRef]:
        """The rooms that the newest events of people came from, newest first."""
        query = {"channel": channel}
        found = await self._database.read(lambda tx: tx.execute(SQL["places_heard"], query).fetchall())
        return list(dict.fromkeys(ThreadRef.parse(row["place"]).in_room for row in found))[:limit]

    async def mark(self, n: int, state: str, decision: str, session: str | None = None) -> None:
        """What became of an event: routed, ignored, refused or dead, and why."""
        query = {"n": n, "state": state, "decision": decision, "session": session}
        await self._database.write(lambda tx: tx.execute(SQL["mark"], query).rowcount)

    async def unrouted(self, after: int = 0, limit: int = 1000) -> list[Stored]:
        """Events that nobody has decided on yet, in order."""
        query = {"after": after, "limit": limit}
        found = await self._database.read(lambda tx: tx.execute(SQL["unrouted"], query).fetchall())
        return [Stored(n=row["n"], event=_event(row)) for row in found]

    async def original(self, where: ThreadRef, message_id: str) -> Stored | None:
        """The message that an edit, deletion or reply is about."""
        query = {"place": where.key, "message_id": message_id}
        row = await self._database.read(lambda tx: tx.execute(SQL["message"], query).fetchone())
        return None if row is None else Stored(n=row["n"], event=_event(row))

    async def revive(self, n: int) -> Stored | None:
        """Decide anew on a dead event. None: there is no such one."""

        def work(tx: sqlite3.Connection) -> sqlite3.Row | None:
            tx.execute(SQL["free_mail_key"], {"n": n})  # it was mail before, of a session that has ended
            row: sqlite3.Row | None = tx.execute(SQL["revive"], {"n": n}).fetchone()
            return row

        row = await self._database.write(work)
        return None if row is None else Stored(n=row["n"], event=_event(row))

    async def drop(self, n: int) -> bool:
        """Let a dead event go. False: there is none."""
        return await self._database.write(lambda tx: tx.execute(SQL["drop"], {"n": n}).rowcount > 0)

    async def reword(self, n: int, text: str) -> None:
        await self._database.write(lambda tx: tx.execute(SQL["reword_message"], {"n": n, "text": text}).rowcount)


def _insert(tx: sqlite3.Connection, channel: str, event: Inbound, now: datetime) -> Stored | None:
    row = tx.execute(
        SQL["insert_event"],
        {
            "channel": channel,
            "event_id": event.id,
            "kind": event.kind.value,
            "place": event.where.key,
            "account": event.sender.account,
            "sender_name": event.sender.name,
            "is_bot": event.sender.is_bot,
            "text": event.text,
            "message_id": event.message_id,
            "reply_to": event.reply_to,
            "attachments": rows.attachments_json(event.attachments),
            "mentioned": event.mentioned,
            "direct": event.direct,
            "payload": event.payload,
            "answer_with": event.answer_with,
            "sent_at": to_us(event.sent_at),
            "now": to_us(now),
        },
    ).fetchone()
    if row is None:
        return None
    if event.kind in _SHOWN:
        tx.execute(SQL["show_inbound"], {"place": event.where.key, "inbox": row["n"], "at": to_us(now)})
    return Stored(n=row["n"], event=event)


def _event(row: sqlite3.Row) -> Inbound:
    return Inbound(
        id=EventId(row["event_id"]),
        kind=Kind(row["kind"]),
        where=ThreadRef.parse(row["place"]),
        sender=Sender(account=Account(row["account"]), name=row["sender_name"], is_bot=bool(row["is_bot"])),
        text=row["text"],
        sent_at=from_us(row["sent_at"]),
        message_id=row["message_id"],
        reply_to=row["reply_to"],
        attachments=rows.attachments(row["attachments"]),
        mentioned=bool(row["mentioned"]),
        direct=bool(row["direct"]),
        payload=row["payload"],
        answer_with=row["answer_with"],
    )
