"""What Slack shows of a session: its title, and that it works, with Slack's own Stop button where the app is an agent.

`agents.sessions.setStatus` is the newer way: it has the title, stays until it is changed and brings the Stop button.
An app that is not declared an agent, or a server that lacks the method, gets `assistant.threads.setTitle` and
`assistant.threads.setStatus`, which Slack clears with the next message. Where neither works, and outside of threads,
there is a sign on the message that is being answered (`thinking`). Nothing here raises: a missing status is no reason
to fail.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import OrderedDict
from dataclasses import dataclass

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from channels.base import ChannelError, Rejected, ThreadRef
from channels.slack.calls import Calls
from channels.slack.errors import word_of
from channels.slack.pace import Budget
from channels.slack.thinking import Thinking

logger = logging.getLogger(__name__)

AGAIN_SECONDS = 60.0
"""Slack takes a status away after two minutes at most; so it is said again after one."""

FORGET_SECONDS = 600.0
"""How long a refusal of the newer method is believed."""

NO_AGENT = frozenset(
    {
        "app_not_agent",
        "not_an_agent",
        "unknown_method",
        "missing_scope",
        "not_allowed_token_type",
        "feature_not_enabled",
    }
)
"""Refusals that are not about the one place: the newer method is not for this app, or not on this server."""

WORDS = "is working on it…"
CALL_SECONDS = 5.0
MOST_PLACES = 5000
TRIES = 4
TITLE_LENGTH = 200
STALE_SECONDS = 15.0
"""Whoever shows that an answer is on its way says so again every few seconds."""


@dataclass(slots=True, kw_only=True)
class _Shown:
    until: float  # when it has to be said again
    stays: bool  # until it is taken back
    asked: float  # when it was last asked for
    refused: bool = False  # Slack takes the newer kind elsewhere, but not here


class Status:
    """The statuses of a channel's threads, each said once a minute at most."""

    def __init__(self, client: AsyncWebClient, calls: Calls, thinking: Thinking) -> None:
        self._client = client
        self._calls = calls
        self._thinking = thinking
        self._working: OrderedDict[ThreadRef, _Shown] = OrderedDict()
        self._titles: OrderedDict[ThreadRef, str] = OrderedDict()
        self._titled: OrderedDict[ThreadRef, None] = OrderedDict()
        self._plain_until = 0.0
        self._sessions = Budget(per_minute=50)

    def has_stop(self, place: ThreadRef) -> bool:
        """Whether Slack shows its own Stop button in this place, as far as we know."""
        shown = self._working.get(place)
        return self._for_agents and not (shown is not None and shown.refused)

    @property
    def _for_agents(self) -> bool:
        return time.monotonic() >= self._plain_until

    def name(self, place: ThreadRef, title: str) -> None:
        """The title that the session's entry in Slack gets when it is first shown. The first one stays."""
        words = " ".join(title.split())
        if words:
            self._titles.setdefault(place, words if len(words) <= TITLE_LENGTH else words[: TITLE_LENGTH - 1] + "…")
        while len(self._titles) > MOST_PLACES:
            self._titles.popitem(last=False)

    async def working(self, place: ThreadRef, initiator: str | None = None) -> None:
        """Say that an answer is on its way."""
        now = time.monotonic()
        shown = self._working.get(place)
        if shown is not None:
            shown.asked = now
        if shown is not None and shown.until > now:
            return
        if place.thread is None:
            await self._sign(place, now)
            return
        stays, refused = (shown.stays, shown.refused) if shown is not None else (False, False)
        if self.has_stop(place) and self._sessions.take(now):
            taken = await self._session(place, "processing", initiator)
            stays, refused = taken or stays, taken is False and self._for_agents
        if stays or await self._plain(place, WORDS):
            self._keep(place, _Shown(until=now + AGAIN_SECONDS, stays=stays, asked=now, refused=refused))
        else:
            await self._sign(place, now)

    async def _sign(self, place: ThreadRef, now: float) -> None:
        """Where there is no status."""
        if await self._thinking.begin(place):
            self._keep(place, _Shown(until=math.inf, stays=False, asked=now, refused=True))

    def _keep(self, place: ThreadRef, shown: _Shown) -> None:
        self._working[place] = shown
        self._working.move_to_end(place)
        while len(self._working) > MOST_PLACES:
            self._working.popitem(last=False)

    async def done(self, place: ThreadRef, *, in_silence: bool = False) -> None:
        """The answer is there, or (`in_silence`) none will come. The newer kind of status must be taken back; the
        older one ends with an answer."""
        shown = self._working.pop(place, None)
        if shown is None:
            return
        await self._thinking.end(place)
        if not shown.stays:
            if in_silence and not shown.refused:
                await self._plain(place, "")
            return
        for _ in range(TRIES):
            if place in self._working or await self._session(place, "active", None) is not None:
                return
            await asyncio.sleep(AGAIN_SECONDS / TRIES)

    async def watch(self) -> None:
        """Take back the statuses that nobody asks for any more: a turn that was stopped says nothing. Serves until
        cancelled."""
        while True:
            await asyncio.sleep(STALE_SECONDS / 3)
            stale = time.monotonic() - STALE_SECONDS
            for place in [place for place, shown in self._working.items() if shown.asked < stale]:
                await self.done(place, in_silence=True)

    def is_working(self, place: ThreadRef) -> bool:
        return place in self._working

    async def _plain(self, place: ThreadRef, words: str) -> bool:
        """Say it the older way; whether Slack took it."""
        try:
            async with self._calls.guarded("show a status", seconds=CALL_SECONDS):
                await self._client.assistant_threads_setStatus(
                    channel_id=place.room, thread_ts=place.thread or "", status=words
                )
        except ChannelError as error:
            logger.debug("no status in %s: %s", place.key, error)
            return False
        if words and place.room.startswith("D"):  # elsewhere threads have no titles
            await self._title(place)
        return True

    async def _title(self, place: ThreadRef) -> None:
        """Name a thread the older way, once."""
        title = self._titles.get(place)
        if not title or place in self._titled:
            return
        self._titled[place] = None
        while len(self._titled) > MOST_PLACES:
            self._titled.popitem(last=False)
        try:
            async with self._calls.guarded("name a thread", seconds=CALL_SECONDS):
                await self._client.assistant_threads_setTitle(
                    channel_id=place.room, thread_ts=place.thread or "", title=title
                )
        except ChannelError as error:
            logger.debug("no title for %s: %s", place.key, error)

    async def _session(self, place: ThreadRef, status: str, initiator: str | None) -> bool | None:
        """Say it the newer way. False: refused; None: it could not be said now."""
        try:
            async with self._calls.guarded("show a status", seconds=CALL_SECONDS):
                try:
                    await self._client.agents_sessions_setStatus(
                        channel_id=place.room,
                        thread_ts=place.thread,
                        status=status,
                        title=self._titles.get(place),
                        initiator_user_id=initiator,
                    )
                except SlackApiError as error:
                    if word_of(error) in NO_AGENT:
                        self._plain_until = time.monotonic() + FORGET_SECONDS
                    raise
        except Rejected as error:
            logger.debug("Slack shows no agent session in %s: %s", place.key, error)
            return False
        except ChannelError as error:
            logger.debug("no status in %s: %s", place.key, error)
            return None
        return True
