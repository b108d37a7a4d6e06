"""What each gateway event means, and the reading of what was missed.

One receiver serves one `run`. A new session (READY without RESUMED) may have missed anything, so it reads the
history of every bound thread, of every conversation in direct messages, and of every room in which Discord says that
something newer was written. Each is held until its history is committed; then what arrived live meanwhile follows.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Container, Coroutine, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import aiohttp
import discord
from discord.http import Route

from channels.base import ChannelContext, Inbound, Intake, NotAccepted, Unavailable
from channels.discord import commands, normalize
from channels.discord.errors import ALREADY_ANSWERED, UNKNOWN_CHANNEL, UNKNOWN_INTERACTION
from channels.discord.ingress import Arrival, Ingress
from channels.discord.normalize import Identity
from channels.discord.payloads import Deleted, Guild, Interaction, Message, Reaction, Room
from channels.discord.places import Place, Places, place_at
from channels.discord.rest import Rest

_log = logging.getLogger(__name__)
_PAGE = 100
_MOST_PAGES = 200
_MOST_DIRECT_ROOMS = 200
_RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
_EPHEMERAL = 64
DIRECT_ROOMS = "direct-rooms"
COMMANDS = "commands"


class Receiver:
    """Reads events in Discord's order (`read`), and does the slower work in tasks of `spawn`."""

    def __init__(
        self,
        context: ChannelContext,
        intake: Intake,
        rest: Rest,
        places: Places,
        *,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        previews: Container[str],
        connected: Callable[[Identity], None],
        troubled: Callable[[str], None],
    ) -> None:
        self._context = context
        self._intake = intake
        self._rest = rest
        self._places = places
        self._spawn = spawn
        self._previews = previews
        self._connected = connected
        self.ingress = Ingress(intake, troubled=troubled)
        self._me: Identity | None = None
        self._direct_rooms: list[str] = []
        self._since = 0  # where this session's gap begins, for rooms without a position of their own
        self._read_again: set[str] = set()
        self._active: set[str] = set()  # threads that this session told of: not archived
        self._handlers: Mapping[str, Callable[[Mapping[str, Any]], None]] = {
            "READY": self._ready,
            "RESUMED": self._resumed,
            "GUILD_CREATE": self._guild,
            "CHANNEL_CREATE": self._room,
            "CHANNEL_UPDATE": self._room,
            "CHANNEL_DELETE": self._gone,
            "THREAD_CREATE": self._room,
            "THREAD_UPDATE": self._thread_update,
            "THREAD_DELETE": self._gone,
            "THREAD_LIST_SYNC": self._threads,
            "MESSAGE_CREATE": self._message,
            "MESSAGE_UPDATE": self._edit,
            "MESSAGE_DELETE": self._delete,
            "MESSAGE_DELETE_BULK": self._delete,
            "MESSAGE_REACTION_ADD": self._reaction,
            "INTERACTION_CREATE": self._interaction,
        }

    @property
    def me(self) -> Identity:
        if self._me is None:
            raise Unavailable("Discord sent events before it said who the bot is")
        return self._me

    async def load(self) -> None:
        """Read the stored positions. Call before connecting."""
        await self.ingress.load()
        stored = await self._intake.cursor(DIRECT_ROOMS)
        if stored is not None:
            self._direct_rooms = [str(room) for room in json.loads(stored)]

    def read(self, event: str, data: Mapping[str, Any]) -> None:
        """Take one event. Raises Unavailable when too much is waiting to be committed."""
        self._handlers[event](data)

    def acknowledge(self, event: Inbound) -> None:
        """Tell Discord, within its three seconds, that an answer is on its way."""
        self._spawn(self._defer(event))

    # --- connection ------------------------------------------------------------------------------

    def _ready(self, data: Mapping[str, Any]) -> None:
        user, application = data.get("user") or {}, data.get("application") or {}
        user_id = str(user.get("id", ""))
        self._me = Identity(
            channel=self._context.name,
            user_id=user_id,
            application_id=str(application.get("id") or user_id),
            roles=self._me.roles if self._me is not None else frozenset(),
        )
        self._since = self.ingress.latest
        self._active.clear()
        self.ingress.hold_all()
        self._spawn(self._catch_up())
        self._spawn(self._declare_commands())
        self._connected(self._me)

    def _resumed(self, _data: Mapping[str, Any]) -> None:
        self._connected(self.me)

    async def _catch_up(self) -> None:
        bound = [place_at(where) for where in await self._intake.bound_threads()]
        known = {place.channel_id for place in bound}
        bound += [Place(room=room) for room in self._direct_rooms if room not in known]
        for place in bound:
            if self._places[place.channel_id] is None:
                self._places.learn(place)
            self._begin_history(place)
        self.ingress.release_all()

    def _begin_history(self, place: Place) -> None:
        if self.ingress.holds(place.channel_id):
            self._read_again.add(place.channel_id)
            return
        self.ingress.hold(place.channel_id)
        self._spawn(self._history(place, self._since))

    async def _history(self, place: Place, since: int) -> None:
        """Commit what was written in a channel while nobody listened, then let its live events follow."""
        channel_id = place.channel_id
        again = True
        while again:
            self._read_again.discard(channel_id)
            # A thread's id is that of its first moment: nothing in it is older.
            after = await self.ingress.start_of(channel_id) or max(since, int(place.thread or 0))
            if after:
                await self._read_pages(place, after)
            again = channel_id in self._read_again
        if place.thread is not None and channel_id not in self._active:
            await self._what_became_of(place)
        self.ingress.release(channel_id)

    async def _what_became_of(self, place: Place) -> None:
        """A bound thread that is not among the active ones was archived or deleted while we were away."""
        room = await self._described(place.channel_id)
        if room is None:
            return
        at = self._places.learn_room(room, place.space)
        event = normalize.thread_changed(room, place, at, self.me, _now())
        if event is not None:
            self.ingress.put(Arrival(events=[event], channel_id=place.channel_id, arrived_at=_clock()))
        elif not at.joined:
            await self._join(place.channel_id)

    async def _read_pages(self, place: Place, after: int) -> None:
        for _ in range(_MOST_PAGES):
            page = await self._page(place, after)
            found = sorted(
                (message for message in page if int(message.id) > after), key=lambda message: int(message.id)
            )
            if not found:
                return
            for raw in found:
                if self._is_stray_preview(raw):
                    self._spawn(self._remove(raw))
            await self.ingress.settled([self._arrival(raw, place) for raw in found])
            after = int(found[-1].id)
            if len(page) < _PAGE:
                return
        _log.warning("more than %d messages were missed in %s; the rest is left", _MOST_PAGES * _PAGE, place.channel_id)

    def _is_stray_preview(self, raw: Message) -> bool:
        """Whether this is a preview of ours (see `live`) that a crash left behind."""
        ours = raw.author is not None and raw.author.id == self.me.user_id
        return ours and raw.id not in self._previews and commands.STOP_BUTTON in raw.button_ids

    async def _remove(self, raw: Message) -> None:
        try:
            await self._rest.delete_message(raw.channel_id, raw.id)
        except (discord.DiscordException, aiohttp.ClientError, TimeoutError, OSError) as error:
            _log.warning("a preview is left in %s: %s", raw.channel_id, type(error).__name__)

    async def _page(self, place: Place, after: int) -> list[Message]:
        """A page of history. A channel that is gone or closed to us has none."""
        for pause in _RETRY_SECONDS:
            try:
                raw = await self._rest.logs_from(place.channel_id, _PAGE, after=after)
                return [message for message in map(_message_or_none, raw or []) if message is not None]
            except discord.RateLimited as error:
                await asyncio.sleep(min(error.retry_after, 30.0))
            except (discord.Forbidden, discord.NotFound) as error:
                self._unreadable(place, error)
                return []
            except (discord.DiscordServerError, aiohttp.ClientError, TimeoutError, OSError):
                await asyncio.sleep(pause)
        raise Unavailable("what was missed cannot be read from Discord")

    def _unreadable(self, place: Place, error: discord.HTTPException) -> None:
        _log.warning("the history of %s cannot be read: %s %s", place.channel_id, error.status, error.code)
        if error.code == UNKNOWN_CHANNEL and not place.direct:
            gone = normalize.place_deleted(place, self.me, _now())
            self.ingress.put(Arrival(events=[gone], channel_id=place.channel_id, arrived_at=_clock()))

    # --- rooms and threads -----------------------------------------------------------------------

    def _guild(self, data: Mapping[str, Any]) -> None:
        if data.get("unavailable"):
            return
        guild = Guild.model_validate(data)
        ours = {role.id for role in guild.roles if role.tags is not None and role.tags.bot_id == self.me.user_id}
        self._me = replace(self.me, roles=self.me.roles | ours)
        self._active.update(thread.id for thread in guild.threads)
        self._newer_in(self._places.learn_guild(guild), guild.id)

    def _threads(self, data: Mapping[str, Any]) -> None:
        guild_id = str(data.get("guild_id", ""))
        rooms = Guild.model_validate({"id": guild_id, "threads": data.get("threads")}).threads
        for room in rooms:
            self._places.learn_room(room, guild_id)
            self._active.add(room.id)
        self._newer_in(rooms, guild_id)

    def _newer_in(self, rooms: Iterable[Room], guild_id: str) -> None:
        """Read the rooms of which Discord says that something was written since we last listened."""
        for room in rooms:
            place = self._places[room.id]
            newer = self._since and room.last_message_id is not None and int(room.last_message_id) > self._since
            if newer and place is not None and not place.forum and guild_id:
                self._begin_history(place)

    def _room(self, data: Mapping[str, Any]) -> None:
        self._places.learn_room(Room.model_validate(data))

    def _thread_update(self, data: Mapping[str, Any]) -> None:
        room = Room.model_validate(data)
        before = self._places[room.id]
        at = self._places.learn_room(room)
        event = normalize.thread_changed(room, before, at, self.me, _now())
        if event is None:
            return
        if not at.archived:
            # A bot that does not join again hears nothing of an unarchived thread.
            self._spawn(self._join(room.id))
        arrival = Arrival(events=[event], channel_id=room.id, arrived_at=_clock())
        self.ingress.after_hold(room.id, lambda: self.ingress.put(arrival))

    def _gone(self, data: Mapping[str, Any]) -> None:
        room = Room.model_validate(data)
        at = self._places[room.id] or self._places.learn_room(room)
        arrival = Arrival(
            events=[normalize.place_deleted(at, self.me, _now())], channel_id=room.id, arrived_at=_clock()
        )
        self._places.forget(room.id)
        self.ingress.after_hold(room.id, lambda: self.ingress.put(arrival))

    async def _join(self, thread_id: str) -> None:
        try:
            await self._rest.join_thread(thread_id)
        except (discord.DiscordException, aiohttp.ClientError, TimeoutError, OSError) as error:
            _log.warning("the thread %s could not be joined: %s", thread_id, type(error).__name__)

    # --- messages --------------------------------------------------------------------------------

    def _message(self, data: Mapping[str, Any]) -> None:
        raw = Message.model_validate(data)
        if raw.author is not None and raw.author.id == self.me.user_id:
            return
        self._located(raw.channel_id, raw.guild_id, lambda at: self._arrival(raw, at))

    def _arrival(self, raw: Message, at: Place) -> Arrival:
        event = normalize.message(raw, at, self.me)
        return Arrival(
            events=[event] if event is not None else [],
            channel_id=raw.channel_id,
            message_id=raw.id,
            cursors=self._remember_direct(at) if event is not None else {},
            arrived_at=_clock(),
        )

    def _edit(self, data: Mapping[str, Any]) -> None:
        raw = Message.model_validate(data)
        self._located(
            raw.channel_id, raw.guild_id, lambda at: self._one(raw.channel_id, normalize.edit(raw, at, self.me))
        )

    def _delete(self, data: Mapping[str, Any]) -> None:
        raw = Deleted.model_validate(data)

        def arrive(at: Place) -> Arrival:
            ids = raw.ids or [raw.id or ""]
            authors = {key: sender for key in ids if (sender := self.ingress.author_of(key)) is not None}
            events = normalize.deletions(raw, at, self.me, authors, _now())
            return Arrival(events=events, channel_id=raw.channel_id, arrived_at=_clock())

        self._located(raw.channel_id, raw.guild_id, arrive)

    def _reaction(self, data: Mapping[str, Any]) -> None:
        raw = Reaction.model_validate(data)
        self._located(
            raw.channel_id,
            raw.guild_id,
            lambda at: self._one(raw.channel_id, normalize.reaction(raw, at, self.me, _now())),
        )

    def _interaction(self, data: Mapping[str, Any]) -> None:
        raw = Interaction.model_validate(data)
        if raw.type == commands.AUTOCOMPLETE:
            self._spawn(self._suggest(raw))
            return
        channel_id = raw.place_id
        if channel_id is None:
            return
        if raw.channel is not None and self._places[channel_id] is None:
            self._places.learn_room(raw.channel, raw.guild_id)

        def arrive(at: Place) -> Arrival:
            return self._one(channel_id, commands.interaction(raw, at, self.me, self._context.commands, _now()))

        at = self._places[channel_id]
        if at is None:
            self._located(channel_id, raw.guild_id, arrive)
        else:
            # Commands run ahead of what waits, and Discord waits three seconds for a sign: they are not held.
            self.ingress.put(arrive(at))

    def _one(self, channel_id: str, event: Inbound | None) -> Arrival:
        return Arrival(events=[event] if event is not None else [], channel_id=channel_id, arrived_at=_clock())

    def _located(self, channel_id: str, guild_id: str | None, arrive: Callable[[Place], Arrival]) -> None:
        """Queue what `arrive` makes, once it is known which room the channel belongs to."""
        if guild_id is None and self._places[channel_id] is None:
            self._places.learn(Place(room=channel_id))
        if self._places[channel_id] is None and not self.ingress.holds(channel_id):
            self.ingress.hold(channel_id)
            self._spawn(self._look_up(channel_id, guild_id or ""))

        def go() -> None:
            at = self._places[channel_id]
            if at is not None:
                self.ingress.put(arrive(at))

        self.ingress.after_hold(channel_id, go)

    async def _look_up(self, channel_id: str, guild_id: str) -> None:
        """Ask what a channel is that the gateway has not told us of. What arrived there waits meanwhile."""
        room = await self._described(channel_id)
        if room is not None:
            self._places.learn_room(room, guild_id)
        else:
            # What was said there is worth more than knowing the room of its thread.
            self._places.learn(Place(space=guild_id, room=channel_id))
        self.ingress.release(channel_id)

    async def _described(self, channel_id: str) -> Room | None:
        """What Discord says of a channel. None when the bot may not know, or Discord does not answer."""
        for pause in _RETRY_SECONDS:
            try:
                return Room.model_validate(await self._rest.get_channel(channel_id))
            except discord.RateLimited as error:
                await asyncio.sleep(min(error.retry_after, 30.0))
            except (discord.Forbidden, discord.NotFound):
                break
            except (discord.DiscordException, aiohttp.ClientError, TimeoutError, OSError, ValueError):
                await asyncio.sleep(pause)
        _log.warning("Discord does not say what the channel %s is", channel_id)
        return None

    def _remember_direct(self, at: Place) -> Mapping[str, str]:
        if not at.direct or at.room in self._direct_rooms:
            return {}
        self._direct_rooms = [*self._direct_rooms, at.room][-_MOST_DIRECT_ROOMS:]
        return {DIRECT_ROOMS: json.dumps(self._direct_rooms)}

    # --- commands --------------------------------------------------------------------------------

    async def _defer(self, event: Inbound) -> None:
        handle = commands.AnswerHandle.parse(event.answer_with or "")
        if handle is None:
            return
        # 5: "thinking", seen by this person only. 6: taken, nothing shown.
        body: dict[str, Any] = {"type": 5, "data": {"flags": _EPHEMERAL}} if handle.command else {"type": 6}
        await self._respond(handle.interaction_id, handle.token, body)

    async def _suggest(self, raw: Interaction) -> None:
        body = {"type": 8, "data": {"choices": commands.suggestions(raw, self._context.commands)}}
        await self._respond(raw.id, raw.token, body)

    async def _respond(self, interaction_id: str, token: str, body: Mapping[str, Any]) -> None:
        route = Route(
            "POST",
            "/interactions/{interaction_id}/{webhook_token}/callback",
            interaction_id=interaction_id,
            webhook_token=token,
        )
        for _ in range(2):
            try:
                await self._rest.request(route, json=body, urgent=True)
                return
            except discord.HTTPException as error:
                if error.code in (UNKNOWN_INTERACTION, ALREADY_ANSWERED) or error.status < 500:
                    _log.warning("an interaction could not be acknowledged: %s %s", error.status, error.code)
                    return
            except (discord.RateLimited, aiohttp.ClientError, TimeoutError, OSError) as error:
                _log.warning("an interaction could not be acknowledged: %s", type(error).__name__)

    async def _declare_commands(self) -> None:
        """Tell Discord our commands, when they are not those that it was last told."""
        declaration = commands.declared(self._context.commands)
        wanted = commands.fingerprint(declaration, self.me.application_id)
        if not declaration or await self._intake.cursor(COMMANDS) == wanted:
            return
        try:
            await self._rest.bulk_upsert_global_commands(self.me.application_id, declaration)
            await self.ingress.store({COMMANDS: wanted})
        except (discord.DiscordException, aiohttp.ClientError, TimeoutError, OSError, NotAccepted) as error:
            _log.warning("the commands could not be declared to Discord, next try at the next start: %s", error)


def _message_or_none(raw: Any) -> Message | None:
    try:
        return Message.model_validate(raw)
    except ValueError:
        return None


def _now() -> datetime:
    return datetime.now(UTC)


def _clock() -> float:
    return asyncio.get_running_loop().time()
