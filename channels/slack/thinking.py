"""The sign that an answer is on its way where Slack shows none: outside of threads, and to apps without its status.

The message that is being answered carries a reaction until the answer is there. It is on the list of what stands on
Slack, so that a crash leaves none behind.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from channels.base import ChannelError, Rejected, ThreadRef
from channels.slack.calls import Calls
from channels.slack.errors import word_of
from channels.slack.traces import Traces

logger = logging.getLogger(__name__)

EMOJI = "thought_balloon"
MARK = "thinking:"
"""Begins the sign's entry in the list of what stands."""

CALL_SECONDS = 5.0
FORGET_SECONDS = 600.0
MOST_PLACES = 5000
AS_WANTED = frozenset({"already_reacted", "no_reaction", "message_not_found"})


class Thinking:
    """The signs of one channel. Nothing here raises."""

    def __init__(self, client: AsyncWebClient, calls: Calls, traces: Traces) -> None:
        self._client = client
        self._calls = calls
        self._traces = traces
        self._asked: OrderedDict[ThreadRef, str] = OrderedDict()
        self._shown: dict[ThreadRef, str] = {}
        self._refused_until = 0.0

    def asked(self, place: ThreadRef, ts: str) -> None:
        """The newest message of a person in this place."""
        self._asked[place] = ts
        self._asked.move_to_end(place)
        while len(self._asked) > MOST_PLACES:
            self._asked.popitem(last=False)

    async def begin(self, place: ThreadRef) -> bool:
        """Whether the sign is there."""
        ts = self._asked.get(place)
        if place in self._shown:
            return True
        if ts is None or time.monotonic() < self._refused_until:
            return False
        self._shown[place] = ts
        if not await self._react(place, ts, there=True):
            self._shown.pop(place, None)
            return False
        await self._traces.add(MARK + ts, place)
        return True

    async def end(self, place: ThreadRef) -> None:
        ts = self._shown.pop(place, None)
        if ts is not None:
            await self.clear(place, ts)

    async def clear(self, place: ThreadRef, ts: str) -> None:
        """Take a sign away, also one of a former process."""
        if await self._react(place, ts, there=False):
            await self._traces.drop(MARK + ts)

    async def aclose(self) -> None:
        await asyncio.gather(*(self.end(place) for place in list(self._shown)))

    async def _react(self, place: ThreadRef, ts: str, *, there: bool) -> bool:
        change = self._client.reactions_add if there else self._client.reactions_remove
        try:
            async with self._calls.guarded("show that it thinks", seconds=CALL_SECONDS):
                try:
                    await change(channel=place.room, timestamp=ts, name=EMOJI)
                except SlackApiError as error:
                    if word_of(error) not in AS_WANTED:
                        raise
        except ChannelError as error:
            if isinstance(error, Rejected):  # an app without the scope, or a server without the method
                self._refused_until = time.monotonic() + FORGET_SECONDS
            logger.debug("no sign in %s: %s", place.key, error)
            return False
        return True
