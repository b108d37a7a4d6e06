"""The outbox on SQLite: what is to be said, in the order of each place.

`enqueue`, `enqueue_opening` and `cancel_for` work inside somebody else's transaction, so that a message and what
caused it stand or fall together. `SqliteOutbox` is the courier's side (`channels.delivery.Outbox`).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime

from channels.base import Attachment, Button, DeliveryKey, OpenThread, Outbound, Receipt, ThreadRef
from channels.delivery import Delivery, DeliveryState, NotYet, PlaceTaken
from storage import rows
from storage.database import Database, from_us, to_us
from storage.sql import load

SQL = load("outbox")
JOURNAL = load("journal")


def enqueue(
    tx: sqlite3.Connection, message: Outbound, *, session: str | None = None, turn: str | None = None, now: datetime
) -> bool:
    """Put a message into the outbox. False when its key is known: it is not said again."""
    return _insert(
        tx, message.key, "message", message.to, message.text, _body(message), session, turn, message.control, now
    )


def enqueue_opening(
    tx: sqlite3.Connection, opening: OpenThread, placeholder: ThreadRef, *, session: str, now: datetime
) -> bool:
    """Put a thread to be opened into the outbox, in the placeholder's lane, before everything addressed to it."""
    body = {"room": opening.room.key, "title": opening.title, "anchor": opening.anchor}
    return _insert(
        tx, opening.key, "open_thread", placeholder, opening.first_text, rows.to_json(body), session, None, False, now
    )


def cancel_for(tx: sqlite3.Connection, sessions: Iterable[str]) -> None:
    """What these sessions still wanted to say is not said, control replies excepted."""
    for session in sessions:
        tx.execute(SQL["cancel_for"], {"session": session})


class SqliteOutbox:
    """`channels.delivery.Outbox` on one database file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, message: Outbound, *, session: str | None = None, now: datetime) -> bool:
        return await self._database.write(lambda tx: enqueue(tx, message, session=session, now=now))

    async def lanes(self) -> Sequence[str]:
        return await self._database.read(lambda tx: [row["lane"] for row in tx.execute(SQL["lanes"])])

    async def take(self, lane: str, now: datetime) -> Delivery | NotYet | None:
        return await self._database.write(lambda tx: _take(tx, lane, now))

    async def part_said(self, delivery: Delivery, receipt: Receipt) -> None:
        query = {"n": delivery.n, "part": delivery.part + 1, "message_ids": _ids(delivery, receipt)}
        await self._database.write(lambda tx: tx.execute(SQL["part_said"], query).rowcount)

    async def said(self, delivery: Delivery, receipt: Receipt) -> None:
        sent_at = to_us(receipt.sent_at)

        def work(tx: sqlite3.Connection) -> None:
            query = {
                "n": delivery.n,
                "part": delivery.part + 1,
                "message_ids": _ids(delivery, receipt),
                "sent_at": sent_at,
            }
            tx.execute(SQL["said"], query)
            tx.execute(SQL["show_delivery"], {"place": delivery.message.to.key, "n": delivery.n, "at": sent_at})

        await self._database.write(work)

    async def later(self, delivery: Delivery, not_before: datetime, why: str, *, find_out: bool = False) -> None:
        state = "sending" if find_out else "pending"
        query = {"n": delivery.n, "state": state, "not_before": to_us(not_before), "error": why}
        await self._database.write(lambda tx: tx.execute(SQL["later"], query).rowcount)

    async def bury(self, delivery: Delivery, state: DeliveryState, why: str, now: datetime) -> None:
        query = {"n": delivery.n, "state": state.value, "error": why}
        await self._database.write(lambda tx: tx.execute(SQL["bury"], query).rowcount)

    async def move(self, delivery: Delivery, to: ThreadRef, text: str, note: str, now: datetime) -> None:
        await self._database.write(lambda tx: _move(tx, delivery, to, text, note, now))

    async def opened(self, delivery: Delivery, thread: ThreadRef, now: datetime) -> None:
        def work(tx: sqlite3.Connection) -> None:
            ids = {"n": delivery.n, "part": 1, "message_ids": "[]", "sent_at": to_us(now)}
            tx.execute(SQL["said"], ids)
            _readdress(tx, delivery, thread, now)
            if delivery.message.text:
                tx.execute(SQL["show_delivery"], {"place": thread.key, "n": delivery.n, "at": to_us(now)})

        await self._database.write(work)

    async def not_opened(self, delivery: Delivery, now: datetime) -> Sequence[str]:
        return await self._database.write(lambda tx: _not_opened(tx, delivery, now))

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

    async def pending_count(self) -> int:
        return await self._database.read(lambda tx: int(tx.execute(SQL["pending_count"]).fetchone()[0]))

    async def move_room(self, room: ThreadRef, to: str) -> None:
        """Every reference to a room (and its threads) follows it to its new id."""
        await self._database.write(lambda tx: _move_room(tx, room, to))


def _insert(
    tx: sqlite3.Connection,
    key: DeliveryKey,
    kind: str,
    place: ThreadRef,
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
        "place": place.key,
        "text": text,
        "body": body,
        "session": session,
        "turn": turn,
    }
    return tx.execute(SQL["enqueue"], {**values, "control": control, "now": to_us(now)}).rowcount > 0


def _body(message: Outbound) -> str:
    body: dict[str, object] = {}
    if message.attachments:
        body["attachments"] = rows.attachments_list(message.attachments)
    if message.buttons:
        body["buttons"] = [
            {"id": button.id, "label": button.label, "danger": button.danger} for button in message.buttons
        ]
    if message.reply_to is not None:
        body["reply_to"] = message.reply_to
    if message.answer_with is not None:
        body["answer_with"] = message.answer_with
    if message.private:
        body["private"] = True
    return rows.to_json(body)


def _take(tx: sqlite3.Connection, lane: str, now: datetime) -> Delivery | NotYet | None:
    while True:
        row = tx.execute(SQL["head"], {"lane": lane}).fetchone()
        if row is None:
            return None
        if row["session_ended"] == "killed" and not row["control"] and row["state"] == "pending":
            bury = {"n": row["n"], "state": "cancelled", "error": "its session was killed"}
            tx.execute(SQL["bury"], bury)
            continue
        if row["not_before"] > to_us(now):
            return NotYet(until=from_us(row["not_before"]))
        sending = tx.execute(SQL["sending"], {"n": row["n"], "now": to_us(now)}).fetchone()
        return _delivery(row, from_us(sending["sending_at"]))


def _delivery(row: sqlite3.Row, sending_at: datetime) -> Delivery:
    body = json.loads(row["body"])
    place = ThreadRef.parse(row["place"])
    opening = None
    if row["kind"] == "open_thread":
        opening = OpenThread(
            key=DeliveryKey(row["key"]),
            room=ThreadRef.parse(body["room"]),
            title=body["title"],
            first_text=row["text"],
            anchor=body["anchor"],
        )
    message = Outbound(
        key=DeliveryKey(row["key"]),
        to=place,
        text=row["text"],
        attachments=tuple(Attachment(**file) for file in body.get("attachments", ())),
        buttons=tuple(Button(**button) for button in body.get("buttons", ())),
        reply_to=body.get("reply_to"),
        answer_with=body.get("answer_with"),
        control=bool(row["control"]),
        private=body.get("private", False),
    )
    return Delivery(
        n=row["n"],
        message=message,
        opening=opening,
        session=row["session"],
        state=DeliveryState.SENDING,
        attempt=row["attempt"] + 1,
        part=row["part"],
        message_ids=tuple(json.loads(row["message_ids"])),
        tried=tuple(ThreadRef.parse(key) for key in json.loads(row["tried"])),
        cut_off=row["state"] == "sending",
        created_at=from_us(row["created_at"]),
        sending_at=sending_at,
    )


def _ids(delivery: Delivery, receipt: Receipt) -> str:
    return rows.to_json([*delivery.message_ids, *receipt.message_ids])


def _move(tx: sqlite3.Connection, delivery: Delivery, to: ThreadRef, text: str, note: str, now: datetime) -> None:
    session, old = delivery.session, delivery.message.to.key
    place = {"place": to.key, "session": session}
    if tx.execute(SQL["bound_elsewhere"], place).fetchone():
        raise PlaceTaken(to.key)
    if not tx.execute(SQL["noted_before"], {**place, "n": delivery.n}).fetchone():
        text = f"{note}\n\n{text}"
    tried = rows.to_json([tried.key for tried in delivery.tried])
    tx.execute(SQL["move"], {"n": delivery.n, "place": to.key, "text": text, "tried": tried})
    tx.execute(SQL["follow"], {**place, "old": old, "n": delivery.n, "tried": tried})
    if session is not None:
        tx.execute(JOURNAL["bind"], {**place, "now": to_us(now)})
        tx.execute(SQL["answer_there"], {**place, "old": old})


def _readdress(tx: sqlite3.Connection, delivery: Delivery, place: ThreadRef, now: datetime) -> None:
    """The placeholder of a thread becomes the thread (or the room)."""
    old = delivery.message.to.key
    tx.execute(JOURNAL["unbind"], {"place": old})
    row = tx.execute(JOURNAL["session"], {"id": delivery.session}).fetchone()
    if row is not None and row["state"] != "ended":
        tx.execute(JOURNAL["bind"], {"place": place.key, "session": delivery.session, "now": to_us(now)})
    there = {"place": place.key, "old": old, "session": delivery.session}
    tx.execute(SQL["readdress_session"], there)
    tx.execute(SQL["readdress_mail"], {"place": place.key, "old": old})
    tx.execute(SQL["readdress_deliveries"], {"place": place.key, "old": old})


def _not_opened(tx: sqlite3.Connection, delivery: Delivery, now: datetime) -> list[str]:
    assert delivery.opening is not None
    old, room = delivery.message.to.key, delivery.opening.room
    tx.execute(SQL["bury"], {"n": delivery.n, "state": "cancelled", "error": "there are no threads here"})
    if not tx.execute(JOURNAL["session_bound"], {"place": room.key}).fetchone():
        _readdress(tx, delivery, room, now)
        return [room.key]
    tx.execute(JOURNAL["unbind"], {"place": old})
    tx.execute(SQL["forget_home"], {"session": delivery.session, "old": old})
    above = tx.execute(SQL["parent_home"], {"session": delivery.session}).fetchone()
    if above is not None and above["home"] is not None:
        tx.execute(SQL["readdress_deliveries"], {"place": above["home"], "old": old})
        return [above["home"]]
    tx.execute(
        SQL["give_up_lane"], {"lane": old, "error": "there are no threads here, and the room is another session's"}
    )
    return []


def _move_room(tx: sqlite3.Connection, room: ThreadRef, to: str) -> None:
    threads = f"{room.channel}:{room.space}/{room.room}/"
    found = tx.execute(SQL["places_of_room"], {"room": room.key, "threads": threads}).fetchall()
    for row in found:
        old = ThreadRef.parse(row["place"])
        new = ThreadRef(channel=old.channel, space=old.space, room=to, thread=old.thread)
        there = {"place": new.key, "old": old.key}
        tx.execute(SQL["rebind"], there)
        tx.execute(SQL["readdress_home"], there)
        tx.execute(SQL["readdress_mail"], there)
        tx.execute(SQL["readdress_deliveries"], there)
