"""What was missed, read from Discord's histories.

A new session of the gateway may have missed anything. So the history of every bound thread, of every conversation in
direct messages, and of every room in which Discord says that something newer was written is read from where it is
committed, oldest first. A channel is held until its history is committed; what arrived live meanwhile follows. A few
channels are read at once, so that hundreds of them do not eat up the limits that answers need.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Container, Coroutine, Iterable
from typing import Any, TypeVar

import aiohttp
import discord

from channels.base import Unavailable
from channels.discord import normalize
from channels.discord.commands import STOP_BUTTON
from channels.discord.errors import UNKNOWN_CHANNEL
from channels.discord.ingress import Arrival, Ingress, now
from channels.discord.normalize import Identity
from channels.discord.payloads import Message, Room
from channels.discord.places import Place, Places
from channels.discord.rest import Rest

_log = logging.getLogger(__name__)
_PAGE = 100
_MOST_PAGES = 200
_AT_ONCE = 8
_RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
_LONGEST_RATE_LIMIT_SECONDS = 600.0

Answer = TypeVar("Answer")


class Histories:
    """Reads channels' histories into the ingress of one run. `arrival` makes a message's arrival."""

    def __init__(
        self,
        rest: Rest,
        places: Places,
        ingress: Ingress,
        *,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        arrival: Callable[[Message, Place], Arrival],
        me: Callable[[], Identity],
        previews: Container[str],
    ) -> None:
        self._rest = rest
        self._places = places
        self._ingress = ingress
        self._spawn = spawn
        self._arrival = arrival
        self._me = me
        self._previews = previews
        self._since = 0
        self._again: set[str] = set()
        self._active: set[str] = set()
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def new_session(self) -> None:
        """A gap begins where the last commit was, for rooms without a position of their own."""
        self._since = self._ingress.latest
        self._active.clear()

    def are_active(self, threads: Iterable[str]) -> None:
        """Discord names these threads as not archived."""
        self._active.update(threads)

    def newer_in(self, rooms: Iterable[Room]) -> None:
        """Read those rooms of which Discord says that something was written since the gap began."""
        for room in rooms:
            place = self._places[room.id]
            newer = self._since and room.last_message_id is not None and int(room.last_message_id) > self._since
            if newer and place is not None and not place.forum:
                self.begin(place)

    def begin(self, place: Place) -> None:
        """Hold a channel, read it, and let go of it."""
        if self._ingress.holds(place.channel_id):
            self._again.add(place.channel_id)
            return
        self._ingress.hold(place.channel_id)
        self._spawn(self._read(place, self._since))

    async def described(self, channel_id: str) -> Room | None:
        """What Discord says of a channel. None when the bot may not know, or Discord does not answer."""
        try:
            return Room.model_validate(await self._asked(lambda: self._rest.get_channel(channel_id)))
        except (discord.HTTPException, Unavailable, ValueError):
            _log.warning("Discord does not say what the channel %s is", channel_id)
            return None

    async def join(self, thread_id: str) -> None:
        """Take part in a thread. A bot that does not join again hears nothing of an unarchived thread."""
        try:
            await self._rest.join_thread(thread_id)
        except (discord.DiscordException, aiohttp.ClientError, TimeoutError, OSError) as error:
            _log.warning("the thread %s could not be joined: %s", thread_id, type(error).__name__)

    async def _read(self, place: Place, since: int) -> None:
        channel_id = place.channel_id
        reading = True
        while reading:
            self._again.discard(channel_id)
            # A thread's id is that of its first moment: nothing in it is older.
            after = await self._ingress.start_of(channel_id) or max(since, int(place.thread or 0))
            if after:
                await self._read_pages(place, after)
            reading = channel_id in self._again
        if place.thread is not None and channel_id not in self._active:
            await self._what_became_of(place)
        self._ingress.release(channel_id)

    async def _read_pages(self, place: Place, after: int) -> None:
        for _ in range(_MOST_PAGES):
            page = await self._page(place, after)
            found = sorted((message for message in page if int(message.id) > after), key=lambda raw: int(raw.id))
            if not found:
                return
            for raw in filter(self._is_stray_preview, found):
                self._spawn(self._remove(raw))
            await self._ingress.settled([self._arrival(raw, place) for raw in found])
            after = int(found[-1].id)
            if len(page) < _PAGE:
                return
        _log.warning("more than %d messages were missed in %s; the rest is left", _MOST_PAGES * _PAGE, place.channel_id)

    async def _page(self, place: Place, after: int) -> list[Message]:
        """A page of history. A channel that is gone or closed to us has none."""
        try:
            raw = await self._asked(lambda: self._rest.logs_from(place.channel_id, _PAGE, after=after))
        except discord.HTTPException as error:
            _log.warning("the history of %s cannot be read: %s %s", place.channel_id, error.status, error.code)
            if error.code == UNKNOWN_CHANNEL and not place.direct:
                gone = normalize.place_deleted(place, self._me(), now())
                self._ingress.put(self._ingress.arrival(place.channel_id, [gone]))
            return []
        return [message for message in map(_message_or_none, raw or []) if message is not None]

    async def _asked(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """Ask until there is an answer. Raises discord.HTTPException when it is no, Unavailable when there is none."""
        failures = 0
        deadline = asyncio.get_running_loop().time() + _LONGEST_RATE_LIMIT_SECONDS
        async with self._slots:
            while failures < len(_RETRY_SECONDS) and asyncio.get_running_loop().time() < deadline:
                try:
                    return await ask()
                except discord.RateLimited as error:
                    await asyncio.sleep(error.retry_after)
                    continue
                except discord.DiscordServerError as error:
                    _log.info("Discord answers %s; asking again", error.status)
                except (aiohttp.ClientError, TimeoutError, OSError) as error:
                    _log.info("Discord does not answer (%s); asking again", type(error).__name__)
                await asyncio.sleep(_RETRY_SECONDS[failures])
                failures += 1
        raise Unavailable("what was missed cannot be read: Discord does not answer")

    async def _what_became_of(self, place: Place) -> None:
        """A bound thread that is not among the active ones was archived or deleted while we were away."""
        room = await self.described(place.channel_id)
        if room is None:
            return
        at = self._places.learn_room(room, place.space)
        event = normalize.thread_changed(room, place, at, self._me(), now())
        if event is not None:
            self._ingress.put(self._ingress.arrival(place.channel_id, [event]))
        elif not at.joined:
            await self.join(place.channel_id)

    def _is_stray_preview(self, raw: Message) -> bool:
        """Whether this is a preview of ours (see `live`) that a crash left behind."""
        ours = raw.author is not None and raw.author.id == self._me().user_id
        return ours and raw.id not in self._previews and STOP_BUTTON in raw.button_ids

    async def _remove(self, raw: Message) -> None:
        try:
            await self._rest.delete_message(raw.channel_id, raw.id)
        except (discord.DiscordException, aiohttp.ClientError, TimeoutError, OSError) as error:
            _log.warning("a preview is left in %s: %s", raw.channel_id, type(error).__name__)


def _message_or_none(raw: Any) -> Message | None:
    try:
        return Message.model_validate(raw)
    except ValueError:
        return None
