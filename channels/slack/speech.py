"""Saying things on Slack: each message in the way that is right for it, and found again when its answer was lost.

A way is chosen here and taken elsewhere: posts and edits (`writer`), answers for one person (`whispers`), threads
(`openings`), files, and messages that people have seen grow and that only have to be made final (`previews`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from channels.base import (
    ChannelError,
    DeliveryKey,
    Files,
    Intake,
    OpenThread,
    Outbound,
    Receipt,
    Rejected,
    TemporaryFailure,
    ThreadRef,
)
from channels.slack.calls import Calls
from channels.slack.files import share, shared_as, upload
from channels.slack.live import Left
from channels.slack.lookup import Lookup
from channels.slack.openings import Openings
from channels.slack.pace import Pace
from channels.slack.previews import Previews
from channels.slack.reader import ASKED_BY, Identity
from channels.slack.render import mrkdwn, with_commands
from channels.slack.screen import Screen
from channels.slack.status import Status
from channels.slack.thinking import MARK, Thinking
from channels.slack.whispers import Whispers, is_for_one
from channels.slack.writer import Writer, receipt_of

HALF_DONE = timedelta(minutes=10)
"""Files that were shared so long ago may belong to a post that did not follow."""

MOST_TAKEN = 1000
BURST = 5
COMMENT_LENGTH = 3000
CLOSING_SECONDS = 3.0


class Speech:
    """The outgoing half of a Slack channel."""

    def __init__(
        self,
        client: AsyncWebClient,
        session: aiohttp.ClientSession,
        calls: Calls,
        files: Files,
        *,
        pace: Pace,
        commands: frozenset[str] = frozenset(),
    ) -> None:
        self._commands = commands
        self._client = client
        self._http = session
        self._calls = calls
        self._files = files
        self._writer = Writer(client, calls, pace)
        self._lookup = Lookup(client, calls)
        self._whispers = Whispers(client, session, calls, self._writer)
        self._openings = Openings(self._writer, self._lookup, self._native)
        self.screen = Screen(client, calls, pace)
        self.thinking = Thinking(client, calls, self.screen.traces)
        self.status = Status(client, calls, self.thinking)
        self.previews = Previews(self.screen, self.status)
        self._taken: OrderedDict[DeliveryKey, Left] = OrderedDict()
        self._shared: OrderedDict[DeliveryKey, frozenset[str]] = OrderedDict()
        self._afterwards: set[asyncio.Task[None]] = set()

    async def aclose(self) -> None:
        """Take away what stands for the moment, if Slack is there: else the next start does so."""
        for task in self._afterwards:
            task.cancel()
        await asyncio.gather(*self._afterwards, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_SECONDS):
                await asyncio.gather(self.previews.aclose(), self.thinking.aclose())

    async def send(self, part: Outbound, *, me: Identity) -> Receipt:
        part = self._as_said(part)
        if is_for_one(part) and (whispered := await self._whispers.say(part)) is not None:
            return whispered
        await self._writer.turn(part)
        try:
            receipt = await (self._say_with_files(part, me) if part.attachments else self._say(part))
        except Rejected:
            handle = part.answer_with or ASKED_BY
            if handle.startswith(ASKED_BY) or part.attachments:
                raise
            # A command can be typed where the bot is no member; its own address works there all the same.
            return await self._whispers.answer(part, visible=True)
        if not part.control:
            self.rest(part.to)
        return receipt

    def rest(self, place: ThreadRef, *, in_silence: bool = False) -> None:
        """Nothing is on its way here any more, or it is there. Returns at once."""
        if self.status.is_working(place):
            task = asyncio.create_task(self.status.done(place, in_silence=in_silence))
            self._afterwards.add(task)
            task.add_done_callback(self._afterwards.discard)

    async def edit(self, part: Outbound, message_id: str) -> None:
        if part.spare and not self.screen.edits.take(time.monotonic()):
            raise TemporaryFailure("other changes come first in this workspace", retry_after=timedelta(seconds=5))
        await self._writer.change(part, message_id)

    async def clear(self, intake: Intake) -> None:
        """Take away what a former process left standing on Slack. Never raises but for cancellation."""
        for id, place in (await self.screen.traces.left_behind(intake)).items():
            if id.startswith(MARK):
                await self.thinking.clear(place, id.removeprefix(MARK))
            else:
                await self.screen.clear(place, id)

    async def open_thread(self, request: OpenThread) -> ThreadRef:
        place = await self._openings.open(request)
        self.status.name(place, request.title)
        return place

    async def find(self, part: Outbound, since: datetime, *, me: Identity) -> Receipt | None:
        if is_for_one(part):
            self._whispers.doubt(part)
            return None
        if _in_one_message(self._as_said(part)):
            return await self._lookup.files(part, self._shared.get(part.key), since, me)
        return await self._lookup.post(part, since)

    def _as_said(self, part: Outbound) -> Outbound:
        """What we say ourselves names commands natively; what an agent writes stays as it is."""
        return (
            replace(part, text=self._native(part.text, part.to)) if part.control or part.buttons or part.ours else part
        )

    def _native(self, text: str, where: ThreadRef) -> str:
        """What we say of commands, in the form in which they are given there."""
        bang = where.thread is not None or where.room.startswith("D")
        return with_commands(text, self._commands, here="!" if bang else "/threadmill ")

    async def _say(self, part: Outbound) -> Receipt:
        """A post; or, when this text has been shown while it was written, that message made final."""
        left = self._taken.pop(part.key, None)
        if left is None and not part.control:
            left = await self.previews.claim(part.to, part.text)
        if left is None:
            return await self._writer.post(part)
        # A second try, after an answer that was lost or a refusal for now, comes back to the same message.
        self._taken[part.key] = left
        while len(self._taken) > MOST_TAKEN:
            self._taken.popitem(last=False)
        try:
            if left.streaming:
                await self.screen.stop(part.to, left.ts)
            receipt = await self._writer.settle(part, left.ts)
        except Rejected:
            del self._taken[part.key]
            if not await self.previews.remove(part.to, left) and left.text.strip() == part.text.strip():
                return receipt_of(left.ts)  # it stands there, and once is enough
            return await self._writer.post(part)
        del self._taken[part.key]
        await self.previews.settled(left)
        return receipt

    # Files --------------------------------------------------------------------------------------------------

    async def _say_with_files(self, part: Outbound, me: Identity) -> Receipt:
        """Short text without buttons goes with the files, in one message. Otherwise the files come first and the
        post with the key last, so that the key stands for both; files that are there already stay single."""
        if not _in_one_message(part):
            shared = self._shared.get(part.key)
            if await self._lookup.files(part, shared, datetime.now(UTC) - HALF_DONE, me) is None:
                await self._share(part, "")
            return await self._writer.post(part)
        return await self._share(part, mrkdwn(part.text))

    async def _share(self, part: Outbound, comment: str) -> Receipt:
        async with self._calls.guarded("take a file"):
            uploaded = [
                (await upload(self._client, self._http, self._files, attachment), attachment.name)
                for attachment in part.attachments
            ]
        self._shared[part.key] = frozenset(file_id for file_id, _ in uploaded)
        while len(self._shared) > MOST_TAKEN:
            self._shared.popitem(last=False)
        await self._calls.ask("share a file", share(self._client, part.to, uploaded, comment), says=True)
        try:
            async with self._calls.guarded("show a file", seconds=5.0):
                return receipt_of(await shared_as(self._client, uploaded[0][0], part.to.room))
        except ChannelError:
            return receipt_of("")


def _in_one_message(part: Outbound) -> bool:
    return bool(part.attachments) and not part.buttons and len(part.text) <= COMMENT_LENGTH
