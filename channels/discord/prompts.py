"""What became of the messages that are not answered yet, while nobody listened.

A new session of the gateway tells nothing of the edits and deletions that it missed. So the messages that wait, or that
a turn is answering, are looked up, and what happened to them is told as the gateway would have told it, under the same
event ids. Messages that stand near each other are read in one page of their channel's history; one that is not in
it is asked for by its id before it counts as deleted, since a bot without the right to read a history is shown an
empty one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

import discord

from channels.base import Inbound, OpenPrompt
from channels.discord import normalize
from channels.discord.asking import PAGE, Asking, messages_in
from channels.discord.errors import UNKNOWN_MESSAGE
from channels.discord.ingress import Ingress, now
from channels.discord.normalize import Identity
from channels.discord.payloads import Deleted, Message
from channels.discord.places import Place, place_at
from channels.discord.rest import Rest

_log = logging.getLogger(__name__)


class Prompts:
    """Looks up open prompts, channel by channel, for one run."""

    def __init__(self, rest: Rest, asking: Asking, ingress: Ingress, me: Callable[[], Identity]) -> None:
        self._rest = rest
        self._asking = asking
        self._ingress = ingress
        self._me = me
        self._open: dict[str, list[int]] = {}  # message ids by channel id, oldest first

    def known(self, prompts: Iterable[OpenPrompt]) -> list[Place]:
        """Remember what is open now; the places in which there is something to look up."""
        self._open.clear()
        places: dict[str, Place] = {}
        for prompt in prompts:
            place = place_at(prompt.where)
            if place.channel_id.isdecimal() and prompt.message_id.isdecimal():
                self._open.setdefault(place.channel_id, []).append(int(prompt.message_id))
                places[place.channel_id] = place
        for ids in self._open.values():
            ids.sort()
        return list(places.values())

    async def look_up(self, place: Place) -> None:
        """Put into the ingress what happened to the open prompts of this channel. Raises Unavailable."""
        waiting = self._open.pop(place.channel_id, [])
        try:
            while waiting:
                answer = await self._asking.ask(
                    lambda first=waiting[0]: self._rest.logs_from(place.channel_id, PAGE, after=first - 1)  # type: ignore[misc]
                )
                page = {int(message.id): message for message in messages_in(answer)}
                covered = _covered(waiting, page)
                for message_id in covered:
                    raw = page.get(message_id) or await self._found(place, message_id)
                    self._ingress.put(self._ingress.arrival(place.channel_id, self._told(place, message_id, raw)))
                waiting = waiting[len(covered) :]
        except discord.HTTPException as error:
            _log.warning("open messages in %s cannot be looked up: %s %s", place.channel_id, error.status, error.code)

    async def _found(self, place: Place, message_id: int) -> Message | None:
        """The message by its id. None when it is gone. Raises discord.HTTPException when Discord does not say."""
        try:
            answer = await self._asking.ask(lambda: self._rest.get_message(place.channel_id, message_id))
        except discord.NotFound as error:
            if error.code == UNKNOWN_MESSAGE:
                return None
            raise
        return next(iter(messages_in([answer])), Message(id=str(message_id), channel_id=place.channel_id))

    def _told(self, place: Place, message_id: int, raw: Message | None) -> Sequence[Inbound]:
        if raw is not None:
            changed = normalize.edit(raw, place, self._me())
            return [changed] if changed is not None else []
        gone = Deleted(channel_id=place.channel_id, id=str(message_id))
        author = self._ingress.author_of(str(message_id))
        authors = {str(message_id): author} if author is not None else {}
        return normalize.deletions(gone, place, self._me(), authors, now())


def _covered(waiting: Sequence[int], page: Iterable[int]) -> Sequence[int]:
    """Those of which a page of history, read from the first on, tells whether they are there: a full page up to its
    end, a shorter one all."""
    ids = list(page)
    reached = max(ids) if len(ids) >= PAGE else max(waiting)
    return [message_id for message_id in waiting if message_id <= reached] or waiting[:1]
