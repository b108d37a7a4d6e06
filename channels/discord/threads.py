"""Opening threads.

Discord gives a thread under a message that message's id, and refuses a second one there. So a thread is always opened
under a message: the anchor where there is one, else a short post of our own with a nonce. That makes opening safe
to repeat, after a crash or a lost answer, where a thread without a message would be there twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import discord
from discord.http import Route

from channels.base import DeliveryKey, NoThreads, OpenThread, Outbound, ThreadRef, UnknownOutcome
from channels.discord import errors
from channels.discord.errors import spoken
from channels.discord.payloads import Room
from channels.discord.places import Place, Places
from channels.discord.rest import Rest
from channels.discord.speaker import NO_MENTIONS, SUPPRESS_EMBEDS, Speaker
from channels.discord.split import MESSAGE_UNITS, pieces, split

_LONGEST_TITLE = 100


class ThreadOpener:
    """Opens threads under messages, and posts in forums."""

    def __init__(self, rest: Rest, places: Places, speaker: Speaker) -> None:
        self._rest = rest
        self._places = places
        self._speaker = speaker

    async def open(self, request: OpenThread) -> ThreadRef:
        """See `Channel.open_thread`. May be repeated, except in a forum when the answer was lost."""
        room = request.room
        if not room.space:
            raise NoThreads("direct messages have no threads: talk there itself")
        title = " ".join(request.title.split())[:_LONGEST_TITLE] or "Thread"
        place = await self._place(room)
        named: dict[str, Any] = {"name": title}
        if place.archive_minutes is not None:  # what the room says is Discord's own clients' to follow, and so ours
            named["auto_archive_duration"] = place.archive_minutes
        if place.forum:
            return self._learned(room, await self._forum_post(request, named))
        thread_id = await self._under(room.room, request.anchor, named) if request.anchor is not None else None
        if thread_id is None:
            head = Outbound(key=DeliveryKey(f"{request.key}/anchor"), to=room.in_room, text=f"🧵 **{_plain(title)}**")
            anchor = (await self._speaker.send(head)).message_ids[0]
            thread_id = await self._under(room.room, anchor, named) or anchor
        thread = self._learned(room, thread_id)
        if request.first_text:
            first = Outbound(key=DeliveryKey(f"{request.key}/first"), to=thread, text=request.first_text)
            for part in split(first):
                await self._speaker.send(part)
        return thread

    async def _place(self, room: ThreadRef) -> Place:
        place = self._places[room.room]
        if place is None:
            with spoken("open a thread"):
                raw = await self._rest.get_channel(room.room)
            place = self._places.learn_room(Room.model_validate(raw), room.space)
        return place

    async def _under(self, room: str, anchor: str, named: Mapping[str, Any]) -> str | None:
        """Open a thread under a message. None when the message is not in this room (any more)."""
        route = Route(
            "POST", "/channels/{channel_id}/messages/{message_id}/threads", channel_id=room, message_id=anchor
        )
        with spoken("open a thread"):
            try:
                raw = await self._rest.request(route, json=named)
            except discord.HTTPException as error:
                if error.code == errors.THREAD_EXISTS:
                    return anchor
                if error.code == errors.UNKNOWN_MESSAGE:
                    return None
                raise
        return _id_in(raw)

    async def _forum_post(self, request: OpenThread, named: Mapping[str, Any]) -> str:
        message: dict[str, Any] = {
            "content": (pieces(request.first_text, MESSAGE_UNITS) or [named["name"]])[0],
            "allowed_mentions": NO_MENTIONS,
            "flags": SUPPRESS_EMBEDS,
        }
        route = Route("POST", "/channels/{channel_id}/threads", channel_id=request.room.room)
        with spoken("open a thread"):
            try:
                raw = await self._rest.request(route, json={**named, "message": message})
            except discord.HTTPException as error:
                tag = await self._tag_of(request.room.room) if error.code == errors.TAG_NEEDED else None
                if tag is None:
                    raise
                raw = await self._rest.request(route, json={**named, "message": message, "applied_tags": [tag]})
        return _id_in(raw)

    async def _tag_of(self, forum: str) -> str | None:
        """The first tag of a forum that anybody may apply, for one in which a post must have a tag."""
        room = Room.model_validate(await self._rest.get_channel(forum))
        return next((tag.id for tag in room.available_tags if not tag.moderated), None)

    def _learned(self, room: ThreadRef, thread_id: str) -> ThreadRef:
        self._places.learn(Place(space=room.space, room=room.room, thread=thread_id, joined=True, private=False))
        return ThreadRef(channel=room.channel, space=room.space, room=room.room, thread=thread_id)


def _plain(title: str) -> str:
    """A title that is shown as it is written."""
    return re.sub(r"([\\*_~`|\[\]<>#])", r"\\\1", title)


def _id_in(raw: Any) -> str:
    found = str(raw.get("id", "")) if isinstance(raw, dict) else ""
    if not found.isdecimal():
        raise UnknownOutcome("Discord opened the thread but its answer cannot be read")
    return found
