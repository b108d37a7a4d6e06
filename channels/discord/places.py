"""Which room a channel id belongs to.

Discord names a thread by its own id alone; we speak of it as a thread in a room. This directory remembers what the
gateway told (guilds, channels, threads) in a few dozen bytes each, instead of the library's object cache,
and forgets the least recently used beyond its bound: what is unknown is asked by REST.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

from channels.base import ChannelName, ThreadRef
from channels.discord.payloads import FORUM_TYPES, PRIVATE_THREAD, THREAD_TYPES, Guild, Room

_MOST_PLACES = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a channel id is. `space` is empty in direct messages."""

    space: str = ""
    room: str
    thread: str | None = None
    forum: bool = False
    archived: bool = False
    joined: bool = False
    private: bool | None = None  # a thread for its members alone; None: not known
    archive_minutes: int | None = None  # of a room: how long its threads stay in the list

    @property
    def direct(self) -> bool:
        return not self.space

    @property
    def channel_id(self) -> str:
        return self.thread or self.room

    def ref(self, channel: ChannelName) -> ThreadRef:
        return ThreadRef(channel=channel, space=self.space, room=self.room, thread=self.thread)


def place_of(room: Room, guild_id: str | None = None) -> Place:
    """The place that a channel object describes. Pure."""
    space = room.guild_id or guild_id or ""
    if room.type not in THREAD_TYPES or room.parent_id is None:
        minutes = room.default_auto_archive_duration or None
        return Place(space=space, room=room.id, forum=room.type in FORUM_TYPES, archive_minutes=minutes)
    return Place(
        space=space,
        room=room.parent_id,
        thread=room.id,
        archived=room.thread_metadata is not None and room.thread_metadata.archived,
        joined=room.member is not None,
        private=room.type == PRIVATE_THREAD,
    )


def place_at(where: ThreadRef) -> Place:
    return Place(space=where.space, room=where.room, thread=where.thread)


class Places:
    """What is known of channels so far."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Place] = OrderedDict()

    def __getitem__(self, channel_id: str) -> Place | None:
        place = self._known.get(channel_id)
        if place is not None:
            self._known.move_to_end(channel_id)
        return place

    def learn(self, place: Place) -> Place:
        self._known[place.channel_id] = place
        self._known.move_to_end(place.channel_id)
        while len(self._known) > _MOST_PLACES:
            self._known.popitem(last=False)
        return place

    def learn_room(self, room: Room, guild_id: str | None = None) -> Place:
        place = place_of(room, guild_id)
        before = self._known.get(room.id)
        if before is not None and before.joined and not place.joined:
            place = replace(place, joined=True)
        return self.learn(place)

    def learn_guild(self, guild: Guild) -> list[Room]:
        """Remember a guild's rooms and active threads, and give them back."""
        rooms = [*guild.channels, *guild.threads]
        for room in rooms:
            self.learn_room(room, guild.id)
        return rooms

    def threads_in(self, room: str) -> list[Place]:
        """The threads of a room that are known."""
        return [place for place in self._known.values() if place.room == room and place.thread is not None]

    def forget(self, channel_id: str) -> None:
        self._known.pop(channel_id, None)
