"""What was missed, read from Discord's histories.

A new session of the gateway may have missed anything. So the history of every bound thread, of every conversation in
direct messages, and of every room in which Discord says that something newer was written is read from where it is
committed, oldest first; then what became of messages that were read before and are not answered yet is looked up (see
`prompts`). A channel is held until all this is committed; what arrived live meanwhile follows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Coroutine, Iterable
from typing import Any

import aiohttp
import discord

from channels.base import OpenPrompt, Unavailable
from channels.discord import normalize
from channels.discord.asking import PAGE, Asking, messages_in
from channels.discord.commands import STOP_BUTTON
from channels.discord.errors import UNKNOWN_CHANNEL
from channels.discord.ingress import Arrival, Ingress, now
from channels.discord.normalize import Identity
from channels.discord.payloads import Message, Room
from channels.discord.places import Place, Places
from channels.discord.prompts import Prompts
from channels.discord.rest import Rest

_log = logging.getLogger(__name__)
_MOST_PAGES = 200


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
        self._asking = Asking()
        self._prompts = Prompts(rest, self._asking, ingress, me)

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

    def open_prompts(self, prompts: Iterable[OpenPrompt]) -> None:
        """Look up what became of these, behind the histories of their channels."""
        for place in self._prompts.known(prompts):
            self.begin(self._places[place.channel_id] or self._places.learn(place))

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
            return Room.model_validate(await self._asking.ask(lambda: self._rest.get_channel(channel_id)))
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
            await self._prompts.look_up(place)
            if place.thread is not None and channel_id not in self._active:
                await self._what_became_of(place)
            reading = channel_id in self._again
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
            if len(page) < PAGE:
                return
        _log.warning("more than %d messages were missed in %s; the rest is left", _MOST_PAGES * PAGE, place.channel_id)

    async def _page(self, place: Place, after: int) -> list[Message]:
        """A page of history. A channel that is gone or closed to us has none."""
        try:
            raw = await self._asking.ask(lambda: self._rest.logs_from(place.channel_id, PAGE, after=after))
        except discord.HTTPException as error:
            _log.warning("the history of %s cannot be read: %s %s", place.channel_id, error.status, error.code)
            if error.code == UNKNOWN_CHANNEL and not place.direct:
                gone = normalize.place_deleted(place, self._me(), now())
                self._ingress.put(self._ingress.arrival(place.channel_id, [gone]))
            return []
        return messages_in(raw)

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
