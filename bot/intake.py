"""Where adapters hand over what came in: commit first, then let it be routed.

An adapter's `accept` returns when its events are on the disk, and only then acknowledges to its platform. What
is committed is handed to the dispatcher in memory; what does not fit there, and what a crash left, is read back
from the inbox, so the memory has a bound and the disk is the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from channels.base import ChannelName, EventId, Inbound, NotAccepted, OpenPrompt, ThreadRef
from storage.database import StorageError
from storage.inbox import Inbox, Stored


class Dispatches(Protocol):
    """Who routes what was committed."""

    def offer(self, events: Sequence[Stored]) -> None: ...


class ChannelIntake:
    """`channels.base.Intake` of one channel."""

    def __init__(
        self,
        channel: ChannelName,
        inbox: Inbox,
        dispatcher: Dispatches,
        clock: Callable[[], datetime],
        routed_rooms: Callable[[ChannelName], Sequence[ThreadRef]] = lambda _: (),
        heard: Callable[[Inbound], Inbound] = lambda event: event,
    ) -> None:
        self._channel = channel
        self._routed_rooms = routed_rooms
        self._heard = heard
        self._inbox = inbox
        self._dispatcher = dispatcher
        self._clock = clock

    async def accept(self, events: Sequence[Inbound], *, cursors: Mapping[str, str] = {}) -> frozenset[EventId]:
        for event in events:
            if event.where.channel != self._channel:
                raise ValueError(f"an event of {event.where.channel} came in on {self._channel}")
        heard = [self._heard(event) for event in events]
        try:
            new = await self._inbox.accept(self._channel, heard, cursors, self._clock(), self._dispatcher.offer)
        except StorageError as error:
            raise NotAccepted(str(error)) from error
        return frozenset(stored.event.id for stored in new)

    async def cursor(self, name: str) -> str | None:
        return await self._inbox.cursor(self._channel, name)

    async def bound_threads(self) -> Sequence[ThreadRef]:
        return await self._inbox.bound_places(self._channel)

    async def open_prompts(self) -> Sequence[OpenPrompt]:
        return await self._inbox.open_prompts(self._channel)

    async def watched_rooms(self) -> Sequence[ThreadRef]:
        heard = await self._inbox.rooms_heard(self._channel)
        known = {room.room for room in heard}
        return (*heard, *(room for room in self._routed_rooms(self._channel) if room.room not in known))
