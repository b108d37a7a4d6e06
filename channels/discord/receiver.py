"""What each event of the gateway means.

One receiver serves one `run`: it reads raw events in Discord's order, learns from them where rooms and threads are, and
puts what concerns the core into the ingress. It never waits: what takes a request (a history, a channel that the
gateway did not name, an acknowledgement) is a task, and the channel that it concerns is held meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Coroutine, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from channels.base import ChannelContext, Inbound, Intake, Unavailable
from channels.discord import commands, normalize
from channels.discord.history import Histories
from channels.discord.ingress import Arrival, Ingress, now
from channels.discord.interactions import Interactions
from channels.discord.normalize import Identity
from channels.discord.payloads import Deleted, Guild, Interaction, Message, Reaction, Room
from channels.discord.places import Place, Places, place_at
from channels.discord.rest import Rest

_MOST_DIRECT_ROOMS = 200
DIRECT_ROOMS = "direct-rooms"


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
        self._connected = connected
        self.ingress = Ingress(intake, troubled=troubled)
        self._interactions = Interactions(rest, context.commands, context.suggestions)
        self._histories = Histories(
            rest, places, self.ingress, spawn=spawn, arrival=self._arrival, me=lambda: self.me, previews=previews
        )
        self._me: Identity | None = None
        self._direct_rooms: list[str] = []
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
        self._spawn(self._interactions.acknowledge(event))

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
        self._histories.new_session()
        self.ingress.hold_all()
        self._spawn(self._catch_up())
        self._spawn(self._interactions.declare(self._me.application_id, self._intake))
        self._connected(self._me)

    def _resumed(self, _data: Mapping[str, Any]) -> None:
        self._connected(self.me)

    async def _catch_up(self) -> None:
        bound = [place_at(where) for where in await self._intake.bound_threads()]
        # A thread that is still to be opened has no id of Discord's yet.
        bound = [place for place in bound if place.channel_id.isdecimal()]
        known = {place.channel_id for place in bound}
        bound += [Place(room=room) for room in self._direct_rooms if room not in known]
        for place in bound:
            if self._places[place.channel_id] is None:
                self._places.learn(place)
            self._histories.begin(place)
        self._histories.open_prompts(await self._intake.open_prompts())
        self.ingress.release_all()

    # --- rooms and threads -----------------------------------------------------------------------

    def _guild(self, data: Mapping[str, Any]) -> None:
        if data.get("unavailable"):
            return
        guild = Guild.model_validate(data)
        ours = {role.id for role in guild.roles if role.tags is not None and role.tags.bot_id == self.me.user_id}
        self._me = replace(self.me, roles=self.me.roles | ours)
        self._histories.are_active(thread.id for thread in guild.threads)
        self._histories.newer_in(self._places.learn_guild(guild))

    def _threads(self, data: Mapping[str, Any]) -> None:
        guild_id = str(data.get("guild_id", ""))
        rooms = Guild.model_validate({"id": guild_id, "threads": data.get("threads")}).threads
        for room in rooms:
            self._places.learn_room(room, guild_id)
        self._histories.are_active(room.id for room in rooms)
        self._histories.newer_in(rooms)

    def _room(self, data: Mapping[str, Any]) -> None:
        self._places.learn_room(Room.model_validate(data))

    def _thread_update(self, data: Mapping[str, Any]) -> None:
        room = Room.model_validate(data)
        before = self._places[room.id]
        at = self._places.learn_room(room)
        event = normalize.thread_changed(room, before, at, self.me, now())
        if event is None:
            return
        if not at.archived:
            self._spawn(self._histories.join(room.id))
        arrival = self.ingress.arrival(room.id, [event])
        self.ingress.after_hold(room.id, lambda: self.ingress.put(arrival))

    def _gone(self, data: Mapping[str, Any]) -> None:
        room = Room.model_validate(data)
        at = self._places[room.id] or self._places.learn_room(room)
        # With a room go its threads, of which Discord says nothing then.
        for gone in [*(self._places.threads_in(room.id) if at.thread is None else []), at]:
            arrival = self.ingress.arrival(gone.channel_id, [normalize.place_deleted(gone, self.me, now())])
            self._places.forget(gone.channel_id)
            self.ingress.after_hold(gone.channel_id, partial(self.ingress.put, arrival))

    # --- messages --------------------------------------------------------------------------------

    def _message(self, data: Mapping[str, Any]) -> None:
        raw = Message.model_validate(data)
        if raw.author is not None and raw.author.id == self.me.user_id:
            return
        self._located(raw.channel_id, raw.guild_id, lambda at: self._arrival(raw, at))

    def _arrival(self, raw: Message, at: Place) -> Arrival:
        event = normalize.message(raw, at, self.me)
        return replace(
            self._one(raw.channel_id, event),
            message_id=raw.id,
            cursors=self._remember_direct(at) if event is not None else {},
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
            events = normalize.deletions(raw, at, self.me, authors, now())
            return self.ingress.arrival(raw.channel_id, events)

        self._located(raw.channel_id, raw.guild_id, arrive)

    def _reaction(self, data: Mapping[str, Any]) -> None:
        raw = Reaction.model_validate(data)
        self._located(
            raw.channel_id,
            raw.guild_id,
            lambda at: self._one(raw.channel_id, normalize.reaction(raw, at, self.me, now())),
        )

    def _interaction(self, data: Mapping[str, Any]) -> None:
        raw = Interaction.model_validate(data)
        channel_id = raw.place_id
        if channel_id is None:
            return
        if raw.channel is not None and self._places[channel_id] is None:
            self._places.learn_room(raw.channel, raw.guild_id)
        if raw.type == commands.AUTOCOMPLETE:
            self._typed(raw, self._places[channel_id] or Place(space=raw.guild_id or "", room=channel_id))
            return

        def arrive(at: Place) -> Arrival:
            return self._one(channel_id, commands.interaction(raw, at, self.me, self._context.commands, now()))

        at = self._places[channel_id]
        if at is None:
            self._located(channel_id, raw.guild_id, arrive)
        else:
            # Commands run ahead of what waits, and Discord waits three seconds for a sign: they are not held.
            self.ingress.put(arrive(at))

    def _typed(self, raw: Interaction, at: Place) -> None:
        """Somebody is typing a command. That is no event: nothing is committed."""
        if raw.person is not None:
            sender = normalize.sender_of(raw.person, self.me, raw.member)
            self._spawn(self._interactions.suggest(raw, sender, at.ref(self._context.name)))

    def _one(self, channel_id: str, event: Inbound | None) -> Arrival:
        return self.ingress.arrival(channel_id, [event] if event is not None else [])

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
        room = await self._histories.described(channel_id)
        if room is not None:
            self._places.learn_room(room, guild_id)
        else:
            # What was said there is worth more than knowing the room of its thread.
            self._places.learn(Place(space=guild_id, room=channel_id))
        self.ingress.release(channel_id)

    def _remember_direct(self, at: Place) -> Mapping[str, str]:
        if not at.direct or at.room in self._direct_rooms:
            return {}
        self._direct_rooms = [*self._direct_rooms, at.room][-_MOST_DIRECT_ROOMS:]
        return {DIRECT_ROOMS: json.dumps(self._direct_rooms)}
