"""What was said while nobody listened. Slack repeats an undelivered event for about six minutes and then lets it
go, so after each gap the bound places are read back, from some minutes before the newest message we have.

What is found carries the same ids as the events do; the inbox keeps one of each. Events of a room that arrive
meanwhile wait a moment, so that the older ones are committed first, but not so long that Slack repeats them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from channels.base import ChannelError, Inbound, NotAccepted, Rejected, TemporaryFailure, ThreadRef
from channels.slack.arrivals import Arrivals
from channels.slack.calls import Calls
from channels.slack.history import messages_in
from channels.slack.normalize import ts_order

logger = logging.getLogger(__name__)

OVERLAP_SECONDS = 420
"""Slack's last repetition comes after five minutes and has been seen after six."""

HOLD_SECONDS = 2.0
AT_ONCE = 4
TRIES = 5

Read = Callable[[Sequence[dict[str, Any]]], Awaitable[list[list[Inbound]]]]


class Backfill:
    """One gap being filled. `hold` before the socket is read, then `fill`."""

    def __init__(self, client: AsyncWebClient, calls: Calls, arrivals: Arrivals, read: Read) -> None:
        self._client = client
        self._calls = calls
        self._arrivals = arrivals
        self._read = read
        self._rooms: dict[str, list[ThreadRef]] = {}
        self._release: dict[str, Callable[[], None]] = {}

    def hold(self, places: Sequence[ThreadRef]) -> None:
        for place in places:
            self._rooms.setdefault(place.room, []).append(place)
        if not self._rooms:
            return
        self._arrivals.gap_open = True
        loop = asyncio.get_running_loop()
        for room in self._rooms:
            self._release[room] = self._arrivals.hold(room)
            loop.call_later(HOLD_SECONDS, self._release[room])

    async def fill(self, seen: str) -> None:
        """Read back every held place. Never raises but for cancellation: what fails is logged."""
        seconds, micros = ts_order(seen)
        oldest = f"{max(seconds - OVERLAP_SECONDS, 0)}.{micros:06d}"
        gate = asyncio.Semaphore(AT_ONCE)
        try:
            async with asyncio.TaskGroup() as group:
                for room, places in self._rooms.items():
                    group.create_task(self._fill_room(room, places, oldest, gate))
        finally:
            self._arrivals.gap_open = False
            for release in self._release.values():
                release()

    async def _fill_room(self, room: str, places: Sequence[ThreadRef], oldest: str, gate: asyncio.Semaphore) -> None:
        async with gate:
            for place in places:
                await self._fill_place(place, oldest)
        self._release[room]()

    async def _fill_place(self, place: ThreadRef, oldest: str) -> None:
        for attempt in range(TRIES):
            try:
                await self._arrivals.accept(await self._missed(place, oldest))
                return
            except TemporaryFailure as error:
                wait = error.retry_after.total_seconds() if error.retry_after else 2.0**attempt
                await asyncio.sleep(min(wait, 120.0))
            except NotAccepted:
                await asyncio.sleep(2.0**attempt)
            except Rejected as error:
                logger.warning("what was missed in %s cannot be read: %s", place.key, error)
                return
            except ChannelError as error:
                logger.info("reading back %s: %s", place.key, error)
                await asyncio.sleep(2.0**attempt)
        logger.warning("what was missed in %s could not be read", place.key)

    async def _missed(self, place: ThreadRef, oldest: str) -> list[Inbound]:
        found = [
            {**message, "type": "message", "channel": place.room}
            async for message in messages_in(self._client, self._calls, place, oldest)
        ]
        found.sort(key=lambda message: ts_order(str(message.get("ts", ""))))
        wrapped = [{"type": "event_callback", "event": message} for message in found]
        return [event for group in await self._read(wrapped) for event in group]
