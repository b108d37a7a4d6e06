"""Deliveries that change their place, within one transaction each, with everything that belongs to the place.

A conversation goes on elsewhere when its platform is away (`move`); a thread that was only named gets its real name
(`opened`) or turns out impossible (`not_opened`); a room gets a new id (`move_room`).
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from datetime import datetime

from channels.base import ThreadRef
from channels.delivery import Delivery, PlaceTaken
from storage import rows
from storage.database import to_us
from storage.outbox_rows import message_body, rest_of
from storage.sql import load

SQL = load("outbox")
JOURNAL = load("journal")


def move(tx: sqlite3.Connection, delivery: Delivery, to: ThreadRef, rest: str, note: str, now: datetime) -> None:
    """See `channels.delivery.Outbox.move`."""
    row = tx.execute(SQL["row"], {"n": delivery.n}).fetchone()
    if row is None or row["state"] not in ("pending", "sending") or row["lane"] != delivery.lane:
        return
    there = {"place": to.key, "session": delivery.session, "old": delivery.lane, "n": delivery.n}
    if tx.execute(SQL["bound_elsewhere"], there).fetchone():
        raise PlaceTaken(to.key)
    earlier = json.loads(row["body"]).get("note")  # said for a place that turned out to be away as well
    if earlier and rest.startswith(earlier):
        rest = rest.removeprefix(earlier).lstrip("\n")
    body = {**json.loads(message_body(delivery.message)), "note": note}
    for name in ("reply_to", "answer_with"):  # they mean something at the old place only
        body.pop(name, None)
    tried = rows.to_json([tried.key for tried in delivery.tried])
    text = "\n\n".join(piece for piece in (note, rest) if piece)
    if delivery.opening is not None:
        _readdress(tx, delivery, to, now)
    tx.execute(SQL["move"], {**there, "text": text, "body": rows.to_json(body), "tried": tried})
    for begun in tx.execute(SQL["begun_followers"], there).fetchall():
        tx.execute(SQL["rest_of_follower"], {"n": begun["n"], "text": rest_of(begun["parts"], begun["part"])})
    tx.execute(SQL["follow"], {**there, "tried": tried})
    tx.execute(SQL["bind_living"], {**there, "now": to_us(now)})
    tx.execute(SQL["answer_there"], there)


def opened(tx: sqlite3.Connection, delivery: Delivery, thread: ThreadRef, now: datetime) -> None:
    """See `channels.delivery.Outbox.opened`."""
    tx.execute(SQL["opened"], {"n": delivery.n, "place": thread.key, "now": to_us(now)})
    _readdress(tx, delivery, thread, now)
    if delivery.message.text:
        tx.execute(SQL["show_delivery"], {"place": thread.key, "n": delivery.n, "now": to_us(now)})


def not_opened(tx: sqlite3.Connection, delivery: Delivery, now: datetime) -> list[str]:
    """See `channels.delivery.Outbox.not_opened`."""
    assert delivery.opening is not None
    old, room = delivery.lane, delivery.opening.room
    if delivery.message.text:
        tx.execute(SQL["say_in_room"], {"n": delivery.n})
    else:
        tx.execute(SQL["bury"], {"n": delivery.n, "state": "cancelled", "error": "there are no threads here"})
    if not tx.execute(SQL["bound_elsewhere"], {"place": room.key, "session": delivery.session}).fetchone():
        _readdress(tx, delivery, room, now)
        return [room.key]
    there = {"session": delivery.session, "old": old}
    tx.execute(JOURNAL["unbind"], {"place": old})
    homes = tx.execute(SQL["homes"], there).fetchone()
    tx.execute(SQL["forget_home"], there)
    if homes is not None and homes["parent_home"] is not None:
        above = {**there, "place": homes["parent_home"]}
        tx.execute(SQL["readdress_waiting_mail"], above)
        tx.execute(SQL["readdress_deliveries"], above)
        return [homes["parent_home"]]
    why = (
        "this room has no threads, and another session talks in it: bind the session to a place with /focus, then retry"
    )
    tx.execute(SQL["give_up_lane"], {"lane": old, "error": why})
    return []


def move_room(tx: sqlite3.Connection, room: ThreadRef, to: str) -> list[str]:
    """See `SqliteOutbox.move_room`."""
    new_room = replace(room, room=to)
    if new_room == room:
        return []
    moved = {"old": room.key, "place": new_room.key}
    for query in ("moved_back", "moved_before", "moved"):
        tx.execute(SQL[query], moved)
    threads = f"{room.channel}:{room.space}/{room.room}/"
    places = [row["place"] for row in tx.execute(SQL["places_of_room"], {"room": room.key, "threads": threads})]
    lanes = []
    for place in places:
        there = {"place": replace(ThreadRef.parse(place), room=to).key, "old": place}
        for query in _FOLLOWING:
            tx.execute(SQL[query], there)
        lanes.append(there["place"])
    return lanes


_FOLLOWING = (
    *("rebind", "readdress_home", "readdress_mail", "deliver_in_moved_room", "open_in_moved_room"),
    *("readdress_timeline", "readdress_questions", "readdress_reports", "readdress_monitors"),
    "readdress_marks",
)


def _readdress(tx: sqlite3.Connection, delivery: Delivery, place: ThreadRef, now: datetime) -> None:
    """The placeholder of a thread becomes the thread, or the place where the session talks instead."""
    there = {"place": place.key, "old": delivery.lane, "session": delivery.session, "now": to_us(now)}
    tx.execute(JOURNAL["unbind"], {"place": delivery.lane})
    tx.execute(SQL["bind_living"], there)
    for query in ("readdress_session", "readdress_waiting_mail", "readdress_deliveries"):
        tx.execute(SQL[query], there)
