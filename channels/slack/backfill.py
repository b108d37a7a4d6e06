"""What happened while nobody listened. Slack repeats an undelivered event for about six minutes and then lets it
go, so after each gap three things are looked at: what was said in the bound places; what was said in the rooms where
something new may begin, as far back as is still worth an answer; and whether messages that are not answered yet were
changed or deleted.

What is found carries the same ids as the events do; the inbox keeps one of each. Events of a room that arrive
meanwhile wait a moment, so that the older ones are committed first, but not so long that Slack repeats them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from channels.base import ChannelError, Inbound, NotAccepted, OpenPrompt, Rejected, TemporaryFailure, ThreadRef
from channels.slack.arrivals import Arrivals
from channels.slack.calls import Calls
from channels.slack.changes import looked_up
from channels.slack.errors import word_of
from channels.slack.history import messages_in
from channels.slack.reader import ts_order

logger = logging.getLogger(__name__)

OVERLAP_SECONDS = 420
"""Slack's last repetition comes after five minutes and has been seen after six."""

HOLD_SECONDS = 2.0
AT_ONCE = 4
TRIES = 5
MOST_WAITING_SECONDS = 1800.0
"""How long one place may be put off by Slack's limits."""

MOST_POSTS = 200
MOST_THREADS = 20
"""Of a room that is watched: posts, and threads under them, that are read back."""

JOINED = frozenset({"channel_join", "group_join"})
APART_SECONDS = 600
"""Open messages that lie further apart are looked up one by one, not with all that was said between them."""

Read = Callable[[Sequence[dict[str, Any]]], Awaitable[list[list[Inbound]]]]
Found = Callable[[], Awaitable[list[Inbound]]]


@dataclass(slots=True)
class _Room:
    bound: list[ThreadRef] = field(default_factory=list)
    watched: ThreadRef | None = None
    prompts: dict[ThreadRef, list[str]] = field(default_factory=dict)


class Backfill:
    """One gap being filled. `hold` before the socket is read, then `fill`."""

    def __init__(
        self, client: AsyncWebClient, calls: Calls, arrivals: Arrivals, read: Read, *, me: str, look_back: timedelta
    ) -> None:
        self._client = client
        self._calls = calls
        self._arrivals = arrivals
        self._read = read
        self._me = me
        self._look_back = look_back
        self._rooms: dict[str, _Room] = {}
        self._release: dict[str, Callable[[], None]] = {}

    def hold(
        self, bound: Sequence[ThreadRef], watched: Sequence[ThreadRef] = (), prompts: Sequence[OpenPrompt] = ()
    ) -> None:
        for place in bound:
            self._room(place).bound.append(place)
        for room in watched if self._look_back else ():
            self._room(room).watched = room.in_room
        for prompt in prompts:
            self._room(prompt.where).prompts.setdefault(prompt.where, []).append(prompt.message_id)
        if not self._rooms:
            return
        self._arrivals.gap_open = True
        loop = asyncio.get_running_loop()
        for name in self._rooms:
            self._release[name] = self._arrivals.hold(name)
            loop.call_later(HOLD_SECONDS, self._release[name])

    def _room(self, place: ThreadRef) -> _Room:
        return self._rooms.setdefault(place.room, _Room())

    async def fill(self, seen: str) -> None:
        """Look at every held room. Never raises but for cancellation: what fails is logged."""
        seconds, micros = ts_order(seen)
        oldest = f"{max(seconds - OVERLAP_SECONDS, 0)}.{micros:06d}"
        gate = asyncio.Semaphore(AT_ONCE)
        try:
            async with asyncio.TaskGroup() as group:
                for name, room in self._rooms.items():
                    group.create_task(self._fill_room(name, room, oldest, gate))
        finally:
            self._arrivals.gap_open = False
            for release in self._release.values():
                release()

    async def _fill_room(self, name: str, room: _Room, oldest: str, gate: asyncio.Semaphore) -> None:
        async with gate:
            for place in room.bound:
                await self._persist(place, lambda: self._missed(place, oldest))  # noqa: B023 - awaited at once
            if room.watched is not None:
                watched, bound = room.watched, frozenset(place.thread for place in room.bound)
                await self._persist(watched, lambda: self._begun(watched, self._still_worth(oldest), bound))
            for place, messages in room.prompts.items():
                for near in _neighbours(messages):
                    await self._persist(place, lambda: self._changed(place, near))  # noqa: B023 - awaited at once
        self._release[name]()

    async def _persist(self, place: ThreadRef, find: Found) -> None:
        """Commit what is found, also when Slack or the intake is busy for a while."""
        tries, waited = 0, 0.0
        while tries < TRIES and waited < MOST_WAITING_SECONDS:
            pause = 2.0**tries
            try:
                await self._arrivals.accept(await find())
                return
            except TemporaryFailure as error:
                if error.retry_after is None:
                    tries += 1
                else:
                    pause = min(error.retry_after.total_seconds(), 120.0)
            except NotAccepted:
                tries += 1
            except Rejected as error:
                logger.warning("what was missed in %s cannot be read: %s", place.key, error)
                return
            except ChannelError as error:
                logger.info("reading back %s: %s", place.key, error)
                tries += 1
            waited += pause
            await asyncio.sleep(pause)
        logger.warning("what was missed in %s could not be read", place.key)

    # What may have happened ---------------------------------------------------------------------------------

    async def _missed(self, place: ThreadRef, oldest: str) -> list[Inbound]:
        """What was said in a bound place."""
        return await self._said(place, [message async for message in self._messages(place, oldest)])

    async def _begun(self, room: ThreadRef, oldest: str, bound: frozenset[str | None]) -> list[Inbound]:
        """What was said in a room where something new may begin, and in threads under it that nobody is bound to.
        Not what was said before the bot came."""
        found: list[dict[str, Any]] = []
        async for message in self._messages(room, oldest):
            if message.get("subtype") in JOINED and message.get("user") == self._me:
                break
            found.append(message)
            if len(found) == MOST_POSTS:
                logger.warning("only the last %d posts that were missed in %s are read", MOST_POSTS, room.key)
                break
        talked = [
            str(message.get("ts"))
            for message in found
            if ts_order(str(message.get("latest_reply", ""))) > ts_order(oldest) and message.get("ts") not in bound
        ]
        for root in talked[:MOST_THREADS]:
            found += [message async for message in self._messages(replace(room, thread=root), oldest)]
        return await self._said(room, found)

    async def _changed(self, place: ThreadRef, messages: Sequence[str]) -> list[Inbound]:
        """Edits and deletions of these messages, which are in order. One that the history does not show counts as
        deleted only when Slack says so of itself: a history may be closed to us, or cut short."""
        found = {
            message.get("ts"): message async for message in self._messages(place, messages[0], latest=messages[-1])
        }
        looks = [
            looked_up(place, ts, found.get(ts)) for ts in messages if ts in found or await self._is_gone(place, ts)
        ]
        return await self._events([event for event in looks if event is not None])

    async def _is_gone(self, place: ThreadRef, ts: str) -> bool:
        try:
            async with self._calls.guarded("look for a message"):
                try:
                    await self._client.chat_getPermalink(channel=place.room, message_ts=ts)
                except SlackApiError as error:
                    if word_of(error) != "message_not_found":
                        raise
                    return True
        except Rejected as error:
            logger.info("whether a message of %s is still there cannot be seen: %s", place.key, error)
        return False

    def _still_worth(self, oldest: str) -> str:
        """How far back posts in watched rooms are read."""
        return max(oldest, f"{time.time() - self._look_back.total_seconds():.6f}", key=ts_order)

    def _messages(self, place: ThreadRef, oldest: str, latest: str | None = None) -> AsyncIterator[dict[str, Any]]:
        return messages_in(self._client, self._calls, place, oldest, latest=latest)

    # ---------------------------------------------------------------------------------------------------------

    async def _said(self, place: ThreadRef, found: list[dict[str, Any]]) -> list[Inbound]:
        found.sort(key=lambda message: ts_order(str(message.get("ts", ""))))
        return await self._events([{**message, "type": "message", "channel": place.room} for message in found])

    async def _events(self, events: Sequence[dict[str, Any]]) -> list[Inbound]:
        wrapped = [{"type": "event_callback", "event": event} for event in events]
        return [event for group in await self._read(wrapped) for event in group]


def _neighbours(messages: Sequence[str]) -> list[list[str]]:
    """The messages in order, in groups that are worth one look each."""
    groups: list[list[str]] = []
    for ts in sorted(messages, key=ts_order):
        if groups and ts_order(ts)[0] - ts_order(groups[-1][-1])[0] <= APART_SECONDS:
            groups[-1].append(ts)
        else:
            groups.append([ts])
    return groups
