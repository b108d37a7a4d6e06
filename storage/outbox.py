"""The outbox on SQLite: what is to be said, in the order of each place.

`enqueue`, `enqueue_opening` and `cancel_for` work inside somebody else's transaction, so that a message and what
caused it stand or fall together. `SqliteOutbox` is the courier's side (`channels.delivery.Outbox`). What is open is
found by a partial index, so the cost of a message does not grow with what was said before.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from channels.base import ChannelName, DeliveryKey, OpenThread, Outbound, Receipt, Rejected, ThreadRef
from channels.delivery import Delivery, DeliveryState, Head, NotYet, Said
from storage import outbox_moves as moves
from storage import outbox_rows as shapes
from storage import rows
from storage.database import Database, from_us, to_us
from storage.sql import load

SQL = load("outbox")

_KILLED = "its session was killed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """A message as it stands."""

    part: Outbound
    message_ids: tuple[str, ...]  # empty until it is sent
    sent: bool

    @property
    def text(self) -> str:
        return self.part.text

    def changed(self, text: str, *, spare: bool) -> Outbound:
        """What shall stand there instead: without its files, which stay."""
        return replace(self.part, text=text, attachments=(), spare=spare)


def enqueue(
    tx: sqlite3.Connection, message: Outbound, *, session: str | None = None, turn: str | None = None, now: datetime
) -> bool:
    """Put a message into the outbox. False when its key is known: it is not said again."""
    place = _by_now(tx, message.to)
    return _insert(
        tx,
        key=message.key,
        kind="message",
        place=place,
        text=message.text,
        body=shapes.message_body(message),
        session=session,
        turn=turn,
        control=message.control,
        now=now,
    )


def enqueue_opening(
    tx: sqlite3.Connection, opening: OpenThread, placeholder: ThreadRef, *, session: str, now: datetime
) -> bool:
    """Put a thread to be opened into the outbox, in the placeholder's lane, before everything addressed to it."""
    return _insert(
        tx,
        key=opening.key,
        kind="open_thread",
        place=placeholder.key,
        text=opening.first_text,
        body=shapes.opening_body(opening),
        session=session,
        turn=None,
        control=False,
        now=now,
    )


def cancel_for(tx: sqlite3.Connection, sessions: Iterable[str]) -> list[str]:
    """What these sessions still wanted to say is not said, control replies excepted. The lanes that have less to wait
    for: notify the courier of them."""
    lanes: dict[str, None] = {}
    for session in sessions:
        lanes.update((row["lane"], None) for row in tx.execute(SQL["lanes_of_session"], {"session": session}))
        tx.execute(SQL["cancel_for"], {"session": session})
    return list(lanes)


class SqliteOutbox:
    """`channels.delivery.Outbox` on one database file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, message: Outbound, *, session: str | None = None, now: datetime) -> bool:
        return await self._database.write(lambda tx: enqueue(tx, message, session=session, now=now))

    async def lanes(self) -> Sequence[str]:
        return await self._database.read(lambda tx: [row["lane"] for row in tx.execute(SQL["lanes"])])

    async def head(self, lane: str, now: datetime) -> Head:
        return await self._database.read(lambda tx: _head(tx, lane, now))

    async def place_of(self, lane: str) -> str | None:
        place = ThreadRef.parse(lane)
        return await self._database.read(lambda tx: _by_now(tx, place))

    async def take(self, delivery: Delivery, parts: Sequence[Outbound], now: datetime) -> Delivery | None:
        text = shapes.parts_text(delivery.message, parts) if parts else None
        return await self._database.write(lambda tx: _take(tx, delivery, parts, text, now))

    async def said(self, delivery: Delivery, receipt: Receipt, now: datetime) -> Said:
        return await self._database.write(lambda tx: _said(tx, delivery, receipt, now))

    async def later(self, delivery: Delivery, not_before: datetime, why: str, *, doubt: bool = False) -> None:
        state = DeliveryState.SENDING if doubt else DeliveryState.PENDING
        query = {"n": delivery.n, "state": state.value, "not_before": to_us(not_before), "error": why}
        await self._database.write(lambda tx: tx.execute(SQL["later"], query).rowcount)

    async def bury(self, delivery: Delivery, state: DeliveryState, why: str) -> None:
        query = {"n": delivery.n, "state": state.value, "error": why}
        await self._database.write(lambda tx: tx.execute(SQL["bury"], query).rowcount)

    async def move(self, delivery: Delivery, to: ThreadRef, rest: str, note: str, now: datetime) -> None:
        await self._database.write(lambda tx: moves.move(tx, delivery, to, rest, note, now))

    async def behind(self, lane: str, sessions: Sequence[str]) -> Delivery | None:
        query = {"lane": lane, "sessions": rows.to_json(sessions)}
        row = await self._database.read(lambda tx: tx.execute(SQL["behind"], query).fetchone())
        return None if row is None else shapes.delivery(row)

    async def opened(self, delivery: Delivery, thread: ThreadRef, now: datetime) -> None:
        await self._database.write(lambda tx: moves.opened(tx, delivery, thread, now))

    async def not_opened(self, delivery: Delivery, now: datetime) -> Sequence[str]:
        return await self._database.write(lambda tx: moves.not_opened(tx, delivery, now))

    async def in_doubt_again(self, channel: ChannelName, since: datetime) -> Sequence[str]:
        query = {"channel": channel, "since": to_us(since)}
        return await self._database.write(
            lambda tx: list({row["lane"]: None for row in tx.execute(SQL["in_doubt_again"], query).fetchall()})
        )

    async def retry(self, n: int, now: datetime) -> str | None:
        """Try a dead letter again; its lane. None: there is no such dead letter."""

        def work(tx: sqlite3.Connection) -> str | None:
            row = tx.execute(SQL["retry"], {"n": n, "now": to_us(now)}).fetchone()
            return None if row is None else str(row["lane"])

        return await self._database.write(work)

    async def drop(self, n: int) -> bool:
        """Let a dead letter go. False: there is none."""
        return await self._database.write(lambda tx: tx.execute(SQL["drop"], {"n": n}).rowcount > 0)

    async def dead(self, limit: int = 20) -> list[sqlite3.Row]:
        return await self._database.read(lambda tx: tx.execute(SQL["dead"], {"limit": limit}).fetchall())

    async def reword(self, part: Outbound, message_id: str) -> None:
        """Put another text and other buttons in the place of what was said, for channels whose people look at the
        store (`channels.local`): there a message's id is its key."""
        buttons = rows.to_json([[button.id, button.label, button.danger] for button in part.buttons])
        query = {"key": message_id, "place": part.to.key, "text": part.text, "buttons": buttons}

        def work(tx: sqlite3.Connection) -> None:
            if not tx.execute(SQL["reword"], query).rowcount:
                raise Rejected(f"there is no message {message_id} in {part.to.key} any more")

        await self._database.write(work)

    async def spoken(self, key: DeliveryKey) -> Spoken | None:
        """A message that was said, or is about to be. None when there is none, or it will never be said."""

        def work(tx: sqlite3.Connection) -> Spoken | None:
            row = tx.execute(SQL["by_key"], {"key": key}).fetchone()
            if row is None or row["state"] not in ("pending", "sending", "sent"):
                return None
            said = shapes.delivery(row)
            sent = said.state is DeliveryState.SENT
            return Spoken(part=said.message, message_ids=said.message_ids if sent else (), sent=sent)

        return await self._database.read(work)

    async def reword_unsent(self, key: DeliveryKey, text: str) -> bool:
        """Change what is not handed over yet. False when it is."""
        query = {"key": key, "text": text}
        return await self._database.write(lambda tx: tx.execute(SQL["reword_unsent"], query).rowcount > 0)

    async def reworded(self, key: DeliveryKey, text: str) -> None:
        """What people see was changed."""
        query = {"key": key, "text": text}
        await self._database.write(lambda tx: tx.execute(SQL["reworded"], query).rowcount)

    async def pending_count(self) -> int:
        return await self._database.read(lambda tx: int(tx.execute(SQL["pending_count"]).fetchone()[0]))

    async def move_room(self, room: ThreadRef, to: str) -> Sequence[str]:
        """Every reference to a room (and its threads) follows it to its new id, and the move is remembered. The
        places where something is to be said now."""
        return await self._database.write(lambda tx: moves.move_room(tx, room, to))

    async def moved_rooms(self) -> dict[ThreadRef, ThreadRef]:
        """Rooms by their old ids, and as they are now."""
        found = await self._database.read(lambda tx: tx.execute(SQL["moved_rooms"]).fetchall())
        return {ThreadRef.parse(row["room"]): ThreadRef.parse(row["moved_to"]) for row in found}


def _insert(
    tx: sqlite3.Connection,
    *,
    key: DeliveryKey,
    kind: str,
    place: str,
    text: str,
    body: str,
    session: str | None,
    turn: str | None,
    control: bool,
    now: datetime,
) -> bool:
    values = {
        "key": key,
        "kind": kind,
        "place": place,
        "text": text,
        "body": body,
        "session": session,
        "turn": turn,
        "control": control,
        "now": to_us(now),
    }
    return tx.execute(SQL["enqueue"], values).rowcount > 0


def _by_now(tx: sqlite3.Connection, place: ThreadRef) -> str:
    """Where what is addressed to this place goes: a turn may still name a placeholder whose thread has been opened
    since, or a room by the id that it had when the turn began."""
    if place.thread is None or not place.thread.startswith("+"):
        moved = tx.execute(SQL["moved_to"], {"room": place.in_room.key}).fetchone()
        return place.key if moved is None else replace(place, room=ThreadRef.parse(moved["moved_to"]).room).key
    homes = tx.execute(SQL["homes"], {"session": place.thread[1:]}).fetchone()
    if homes is None:
        return place.key
    return str(homes["home"] or homes["parent_home"] or place.key)


def _head(tx: sqlite3.Connection, lane: str, now: datetime) -> Head:
    moment, waiting = to_us(now), None
    for control in (1, 0):
        row = tx.execute(SQL["head"], {"lane": lane, "control": control}).fetchone()
        if row is None:
            continue
        if row["not_before"] <= moment:
            return shapes.delivery(row)
        waiting = row["not_before"] if waiting is None else min(waiting, row["not_before"])
    return None if waiting is None else NotYet(until=from_us(waiting))


def _take(
    tx: sqlite3.Connection, delivery: Delivery, parts: Sequence[Outbound], text: str | None, now: datetime
) -> Delivery | None:
    row = tx.execute(SQL["row"], {"n": delivery.n}).fetchone()
    if row is None or row["state"] not in ("pending", "sending") or row["lane"] != delivery.lane:
        return None
    if shapes.killed(row):
        tx.execute(SQL["bury"], {"n": row["n"], "state": "cancelled", "error": _KILLED})
        return None
    tx.execute(SQL["sending"], {"n": row["n"], "parts": text, "now": to_us(now)})
    return replace(delivery, state=DeliveryState.SENDING, parts=tuple(parts), sending_at=now)


def _said(tx: sqlite3.Connection, delivery: Delivery, receipt: Receipt, now: datetime) -> Said:
    ids = (*delivery.message_ids, *receipt.message_ids)
    values = {"n": delivery.n, "message_ids": rows.to_json(ids), "now": to_us(now)}
    part = delivery.part + 1
    after = replace(delivery, part=part, message_ids=ids, attempt=0, sending_at=now)
    if part < len(delivery.parts):
        row = tx.execute(SQL["row"], {"n": delivery.n}).fetchone()
        state = DeliveryState.CANCELLED if row is None or shapes.killed(row) else DeliveryState.SENDING
        error = _KILLED if state is DeliveryState.CANCELLED else None
        tx.execute(SQL["part_said"], {**values, "state": state.value, "error": error})
        head = None if state is DeliveryState.SENDING else _head(tx, delivery.lane, now)
        return Said(delivery=replace(after, state=state), head=head)
    tx.execute(SQL["said"], values)
    tx.execute(SQL["show_delivery"], {**values, "place": delivery.message.to.key})
    return Said(delivery=replace(after, state=DeliveryState.SENT), head=_head(tx, delivery.lane, now))
