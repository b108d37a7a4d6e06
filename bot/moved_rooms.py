"""Rooms that got another id, and what still names them by the old one.

Telegram gives a group that becomes a supergroup a new id, Slack a channel that changes its kind. All that is stored
follows in one transaction (`SqliteOutbox.move_room`), whoever notices first: the platform tells, or a message is
refused at the old id. What people wrote into the configuration cannot be changed for them, so it is read
as if it said the new id, and operators are told which keys to edit. What was said at the old id and comes in later is
taken for said at the new one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import structlog

from bot.config.parts import Config
from bot.routing.rules import Rule
from channels.base import Inbound, Kind, ThreadRef

log = structlog.get_logger("rooms")


class StoresMoves(Protocol):
    """`storage.outbox` fulfils it."""

    async def move_room(self, room: ThreadRef, to: str) -> Sequence[str]: ...
    async def moved_rooms(self) -> Mapping[ThreadRef, ThreadRef]: ...


class MovedRooms:
    """Every move that is known. `refresh` must be called before anything else."""

    def __init__(
        self,
        store: StoresMoves,
        notify: Callable[[str], None],
        moved: Callable[[ThreadRef, ThreadRef], None],
    ) -> None:
        self._store = store
        self._notify = notify
        self._moved = moved
        self._now: Mapping[ThreadRef, ThreadRef] = {}

    async def refresh(self) -> None:
        self._now = await self._store.moved_rooms()

    async def follow(self, room: ThreadRef, to: str) -> None:
        """Let everything follow this room to its new id. Once more does no harm."""
        new = replace(room, room=to)
        known = self._now.get(room) == new
        lanes = await self._store.move_room(room, to)
        await self.refresh()
        for lane in lanes:
            self._notify(lane)
        if not known and new != room:
            log.warning("a room has a new id", room=room.key, now=new.key)
            self._moved(room, new)

    def place(self, where: ThreadRef) -> ThreadRef:
        """The place by its room's present id."""
        room = self._now.get(where.in_room) if self._now else None
        return where if room is None else replace(where, room=room.room)

    def lane(self, key: str) -> str:
        """Where what is addressed to this place waits: as `place`, of a place's text form."""
        return self.place(ThreadRef.parse(key)).key if self._now else key

    def heard(self, event: Inbound) -> Inbound:
        """The event where it belongs now. News of a move stays where the platform told it."""
        where = self.place(event.where)
        return event if where == event.where or event.kind is Kind.ROOM_MOVED else replace(event, where=where)

    def read(self, config: Config) -> Config:
        """The configuration with present ids in the place of old ones."""
        return replace(
            config,
            routes=tuple(self._present(rule) for rule in config.routes),
            monitors=tuple(
                replace(monitor, report_to=tuple(self.place(place) for place in monitor.report_to))
                for monitor in config.monitors
            ),
        )

    def _present(self, rule: Rule) -> Rule:
        new = next((new for room, new in self._now.items() if _names(rule, room)), None)
        return rule if new is None else replace(rule, room=new.room)


def news_of(room: ThreadRef, new: ThreadRef, config: Config) -> str:
    """What operators are told: the keys of the configuration, as it is written, that are to be edited. Empty when
    there are none."""
    keys = [f"routes[{index}].room" for index, rule in enumerate(config.routes) if _names(rule, room)]
    keys += [
        f"the report_to of monitor {monitor.name}"
        for monitor in config.monitors
        if any(place.in_room == room for place in monitor.report_to)
    ]
    if not keys:
        return ""
    return (
        f"The room `{room.key}` has the new id `{new.room}`, and its conversations go on there. The configuration "
        f"names it by the old id in {', '.join(keys)}. I read that as the new one; please write `{new.room}` there."
    )


def _names(rule: Rule, room: ThreadRef) -> bool:
    return rule.room == room.room and rule.channel in (None, room.channel) and rule.space in (None, room.space)
