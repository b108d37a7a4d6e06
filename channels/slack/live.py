"""A message that is shown while it is written: Slack's own stream where it can be, else one message that is edited.

A stream takes additions only, is closed by Slack after some minutes, and its answers can get lost. So what we
are not sure of is written anew by an edit of the same message: nothing is missing at its end and nothing stands
twice. When it is over the message stays for a moment: the delivery that says this text for good takes it over
(see `Previews.claim`), so that people see one message grow and settle. If none comes it is taken away.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass
from typing import Any

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from channels.base import Button, ChannelError, Rejected, TemporaryFailure, ThreadRef, UnknownOutcome
from channels.slack.calls import Calls
from channels.slack.errors import word_of
from channels.slack.pace import Budget, Pace
from channels.slack.pressed import STOP_BUTTON
from channels.slack.render import TEXT_UNITS, actions, blocks, harmless, mrkdwn, units
from channels.slack.status import Status

logger = logging.getLogger(__name__)

STREAM_PAUSE_SECONDS = 0.8
EDIT_PAUSE_SECONDS = 1.5
SETTLE_SECONDS = 5.0
STAYS_SECONDS = 4.0
TAKEOVER_SECONDS = 45 * 60.0
"""An older preview is not taken over: `find` looks an hour back."""

TAIL = 3000
STOP = Button(id=STOP_BUTTON, label="Stop", danger=True)
ENDED = frozenset({"message_not_in_streaming_state", "streaming_state_conflict", "message_not_found"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A preview that waits for its delivery."""

    ts: str
    text: str
    streaming: bool
    begun: float


class LiveMessage:
    """One preview in one place. Its only task is awaited by `close`, or by the delivery that takes it over."""

    def __init__(self, previews: Previews, place: ThreadRef, asker: str | None) -> None:
        self._previews = previews
        self._place = place
        self._asker = asker
        self._newest: tuple[str, str] | None = None
        self._painted: tuple[str, str] | None = None
        self._said = ""  # what a delivery has taken over from this turn's text
        self._ts: str | None = None
        self._begun = 0.0
        self._streaming = False
        self._sent = ""  # what the stream holds by now
        self._task_title = ""
        self._task_number = 0
        self._changed = asyncio.Event()
        self._over = asyncio.Event()
        self._painter: asyncio.Task[None] | None = None

    async def update(self, text: str, status: str) -> None:
        """Show this soon. Returns at once."""
        self._newest = (text, status)
        self._changed.set()
        if self._painter is None and not self._over.is_set():
            self._painter = asyncio.create_task(self._paint())

    async def close(self) -> None:
        await self._settle()
        self._previews.closed(self)
        await self._previews.status.done(self._place)

    async def _settle(self) -> None:
        """Let what is under way come to its end; paint no more."""
        self._over.set()
        self._changed.set()
        if self._painter is not None:
            _, late = await asyncio.wait({self._painter}, timeout=SETTLE_SECONDS)
            for painter in late:
                painter.cancel()
            await asyncio.gather(self._painter, return_exceptions=True)
            self._painter = None

    async def give_up(self) -> Left | None:
        """Hand the message over to a delivery; what is written after it goes into a new one."""
        await self._settle()
        left = self.left()
        if left is not None:
            self._said = (self._newest or ("", ""))[0]
        self._ts, self._sent, self._streaming, self._painted = None, "", False, None
        self._task_title = ""
        self._over.clear()
        return left

    def left(self) -> Left | None:
        if self._ts is None:
            return None
        return Left(ts=self._ts, text=self.shown, streaming=self._streaming, begun=self._begun)

    @property
    def place(self) -> ThreadRef:
        return self._place

    @property
    def begun(self) -> bool:
        """Whether something is shown, or just about to be."""
        return self._ts is not None or self._painter is not None

    @property
    def shown(self) -> str:
        """The newest text, without what a delivery has taken over."""
        return (self._newest or ("", ""))[0].removeprefix(self._said).lstrip()

    # ---------------------------------------------------------------------------------------------------------

    async def _paint(self) -> None:
        pause = 0.0
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause or None):
                    await (self._over if pause else self._changed).wait()
            self._changed.clear()
            if self._over.is_set():
                return
            pause = 0.0
            if self._newest != self._painted:
                pause = await self._paint_once()

    async def _paint_once(self) -> float:
        """One step; the seconds to pause after it."""
        newest = self._newest
        pause = STREAM_PAUSE_SECONDS if self._streaming else EDIT_PAUSE_SECONDS
        try:
            if not await self._show(self.shown, newest[1] if newest else ""):
                self._changed.set()
                return EDIT_PAUSE_SECONDS
            self._painted = newest
        except TemporaryFailure as error:
            self._changed.set()
            return max(error.retry_after.total_seconds() if error.retry_after else 0.0, pause)
        except ChannelError as error:
            logger.info("a preview cannot be shown in %s: %s", self._place.key, error)
        return pause

    async def _show(self, text: str, status: str) -> bool:
        """False when the pace does not allow it now."""
        if self._ts is None:
            return await self._begin(text, status)
        if self._streaming:
            if not self._previews.appends.take(time.monotonic()):
                return False
            if await self._append(text, status):
                return True
        if not self._previews.edits.take(time.monotonic()):
            return False
        await self._previews.edit(self._place, self._ts, text, status)
        return True

    async def _begin(self, text: str, status: str) -> bool:
        previews, now = self._previews, time.monotonic()
        if not previews.pace.take_spare(self._place.room, now):
            return False
        if previews.can_stream(self._place, self._asker) and previews.starts.take(now):
            part = _whole_words(text)
            chunks = [*self._task(status), *_said(harmless(part))]
            if not previews.status.has_stop:
                chunks.append({"type": "blocks", "blocks": [actions((STOP,))]})
            self._ts = await previews.start(self._place, self._asker or "", chunks)
            if self._ts is not None:
                self._begun, self._streaming, self._sent = now, True, harmless(part)
                return True
        self._ts = await previews.post(self._place, text, status)
        self._begun = now
        return True

    async def _append(self, text: str, status: str) -> bool:
        """Add what is new to the stream. False when it must be written anew by an edit."""
        wanted = harmless(_whole_words(text))
        if not wanted.startswith(self._sent) or units(wanted) > TEXT_UNITS:
            await self._previews.stop(self._place, self._ts or "")
            self._streaming = False
            return False
        chunks = [*self._task(status), *_said(wanted[len(self._sent) :])]
        if not chunks:
            return True
        try:
            await self._previews.append(self._place, self._ts or "", chunks)
        except UnknownOutcome:
            await self._previews.stop(self._place, self._ts or "")
            self._streaming = False
            return False
        except Rejected:
            self._streaming = False
            return False
        self._sent = wanted
        return True

    def _task(self, status: str) -> list[dict[str, Any]]:
        """A task card for what is being done, when that has changed."""
        title = " ".join(status.split())[:150]
        if title == self._task_title:
            return []
        chunks = []
        if self._task_title:
            chunks.append(_card(self._task_number, self._task_title, "complete"))
        self._task_title = title
        if title:
            self._task_number += 1
            chunks.append(_card(self._task_number, title, "in_progress"))
        return chunks


class Previews:
    """All previews of a channel: the calls they make, their common pace, and the handing over to deliveries."""

    def __init__(self, client: AsyncWebClient, calls: Calls, pace: Pace, status: Status) -> None:
        self._client = client
        self._calls = calls
        self.pace = pace
        self.status = status
        # Slack's tiers a minute over the whole workspace: 2 for starts, 4 for additions, 3 for edits.
        self.starts = Budget(per_minute=20)
        self.appends = Budget(per_minute=100)
        self.edits = Budget(per_minute=40)  # ten are left to the deliveries' own edits
        self._open: dict[ThreadRef, LiveMessage] = {}
        self._left: dict[ThreadRef, Left] = {}
        self._removals: set[asyncio.Task[None]] = set()
        self._no_streams_until = 0.0
        self.team = ""

    def open(self, place: ThreadRef, asker: str | None) -> LiveMessage:
        message = LiveMessage(self, place, asker)
        self._open[place] = message
        return message

    def closed(self, message: LiveMessage) -> None:
        place = message.place
        if self._open.get(place) is message:
            del self._open[place]
        left = message.left()
        if left is not None:
            self._left[place] = left
            task = asyncio.create_task(self._remove_later(place, left))
            self._removals.add(task)
            task.add_done_callback(self._removals.discard)

    async def claim(self, place: ThreadRef, text: str) -> Left | None:
        """The preview of this text, if there is one: it is the caller's now."""
        left = self._left.get(place)
        if left is not None and _same(left.text, text):
            del self._left[place]
            return left if time.monotonic() - left.begun < TAKEOVER_SECONDS else None
        message = self._open.get(place)
        if message is not None and message.begun and _same(message.shown, text):
            return await message.give_up()
        return None

    async def aclose(self) -> None:
        for task in list(self._removals):
            task.cancel()
        await asyncio.gather(*self._removals, return_exceptions=True)

    def can_stream(self, place: ThreadRef, asker: str | None) -> bool:
        """Slack streams as replies in threads, to one person."""
        return place.thread is not None and bool(asker) and time.monotonic() >= self._no_streams_until

    async def start(self, place: ThreadRef, asker: str, chunks: list[dict[str, Any]]) -> str | None:
        """Begin a stream; its message, or None where Slack does not stream."""
        try:
            answer = await self._calls.ask(
                "begin a stream",
                self._client.chat_startStream(
                    channel=place.room,
                    thread_ts=place.thread or "",
                    recipient_user_id=asker,
                    recipient_team_id=self.team or None,
                    chunks=chunks or None,
                ),
            )
        except TemporaryFailure:
            return None
        except Rejected as error:
            logger.info("Slack does not stream here, messages are edited instead: %s", error)
            self._no_streams_until = time.monotonic() + 600.0
            return None
        ts = answer.get("ts")
        return ts if isinstance(ts, str) and ts else None

    async def append(self, place: ThreadRef, ts: str, chunks: list[dict[str, Any]]) -> None:
        await self._calls.ask(
            "add to a stream", self._client.chat_appendStream(channel=place.room, ts=ts, chunks=chunks), says=True
        )

    async def stop(self, place: ThreadRef, ts: str) -> None:
        """End a stream, if Slack has not done so. Never raises."""
        try:
            async with self._calls.guarded("end a stream", seconds=5.0):
                try:
                    await self._client.chat_stopStream(channel=place.room, ts=ts)
                except SlackApiError as error:
                    if word_of(error) not in ENDED:
                        raise
        except ChannelError as error:
            logger.info("a stream in %s was not ended: %s", place.key, error)

    async def post(self, place: ThreadRef, text: str, status: str) -> str | None:
        answer = await self._calls.ask(
            "show a preview",
            self._client.chat_postMessage(
                channel=place.room,
                thread_ts=place.thread,
                unfurl_links=False,
                unfurl_media=False,
                **_preview(text, status),
            ),
        )
        ts = answer.get("ts")
        return ts if isinstance(ts, str) and ts else None

    async def edit(self, place: ThreadRef, ts: str, text: str, status: str) -> None:
        await self._calls.ask(
            "edit a preview", self._client.chat_update(channel=place.room, ts=ts, **_preview(text, status))
        )

    async def remove(self, place: ThreadRef, left: Left) -> bool:
        """Take a preview away; whether it is gone. Never raises."""
        if left.streaming:
            await self.stop(place, left.ts)
        try:
            await self._calls.ask("take a preview away", self._client.chat_delete(channel=place.room, ts=left.ts))
        except ChannelError as error:
            if "message_not_found" in str(error):
                return True  # somebody was faster
            logger.warning("a preview stays in %s: %s", place.key, error)
            return False
        return True

    async def _remove_later(self, place: ThreadRef, left: Left) -> None:
        try:
            await asyncio.sleep(STAYS_SECONDS)
        finally:
            if self._left.get(place) is left:
                del self._left[place]
                await self.remove(place, left)


def _preview(text: str, status: str) -> dict[str, Any]:
    """A preview's content for a post or an edit: the end of the text, what is being done, a Stop button."""
    body = text if units(text) < TEXT_UNITS - 200 else "…" + text[-TAIL:]
    note = f"_{' '.join(status.split())[:150]}_" if status.strip() else ""
    whole = "\n\n".join(piece for piece in (body.strip(), note) if piece) or "…"
    return {"text": mrkdwn(whole), "blocks": blocks(whole, (STOP,))}


def _said(text: str) -> list[dict[str, Any]]:
    return [{"type": "markdown_text", "text": text}] if text else []


def _card(number: int, title: str, status: str) -> dict[str, Any]:
    return {"type": "task_update", "id": str(number), "title": harmless(title), "status": status}


def _whole_words(text: str) -> str:
    """The text up to its last space: what follows may still become a mention."""
    end = max(text.rfind(" "), text.rfind("\n"))
    return text[: end + 1]


def _same(preview: str, text: str) -> bool:
    """Whether a delivery says what a preview has been showing."""
    shown, said = preview.strip()[:200], text.strip()[:200]
    return shown.startswith(said) or said.startswith(shown)
