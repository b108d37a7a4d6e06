"""A message that is shown while it is written: Slack's own stream where it can be, else one message that is edited.

A stream takes additions only, is closed by Slack after some minutes, and its answers can get lost. So what we
are not sure of is written anew by an edit of the same message: nothing is missing at its end and nothing stands
twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from channels.base import ChannelError, Rejected, TemporaryFailure, ThreadRef, UnknownOutcome
from channels.slack.render import TEXT_UNITS, actions, harmless, units
from channels.slack.screen import STOP, Screen
from channels.slack.status import Status

logger = logging.getLogger(__name__)

STREAM_PAUSE_SECONDS = 0.8
EDIT_PAUSE_SECONDS = 1.5
SETTLE_SECONDS = 5.0

_LASTING = re.compile(r" \(\d+ s\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A preview that waits for its delivery."""

    ts: str
    text: str
    streaming: bool
    begun: float


class _Task(NamedTuple):
    """What the stream's last task card says."""

    number: int
    title: str


class LiveMessage:
    """One preview in one place. Its only task is awaited by `close`, or by the delivery that takes it over."""

    def __init__(
        self,
        screen: Screen,
        status: Status,
        place: ThreadRef,
        asker: str | None,
        closed: Callable[[LiveMessage], None],
    ) -> None:
        self._screen = screen
        self._status = status
        self._closed = closed
        self._place = place
        self._asker = asker
        self._newest: tuple[str, str] | None = None
        self._painted: tuple[str, str] | None = None
        self._said = ""  # what a delivery has taken over from this turn's text
        self._ts: str | None = None
        self._begun = 0.0
        self._streaming = False
        self._sent = ""  # what the stream holds by now
        self._task = _Task(0, "")
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
        self._closed(self)
        await self._status.done(self._place)

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
        self._task = _Task(0, "")
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
            if not self._screen.appends.take(time.monotonic()):
                return False
            if await self._append(text, status):
                return True
        if not self._screen.edits.take(time.monotonic()):
            return False
        await self._screen.edit(self._place, self._ts, text, status)
        return True

    async def _begin(self, text: str, status: str) -> bool:
        screen, now = self._screen, time.monotonic()
        if not screen.pace.take_spare(self._place.room, now):
            return False
        if screen.can_stream(self._place, self._asker) and screen.starts.take(now):
            part = _whole_words(text)
            cards, task = self._cards(status)
            chunks = [*cards, *_said(harmless(part))]
            if not self._status.has_stop(self._place):
                chunks.append({"type": "blocks", "blocks": [actions((STOP,))]})
            if not chunks:
                return True  # not a whole word yet: the status is sign enough, an empty message would be none
            self._ts = await screen.start(self._place, self._asker or "", chunks)
            if self._ts is not None:
                self._begun, self._streaming, self._sent, self._task = now, True, harmless(part), task
                return True
        self._ts = await screen.post(self._place, text, status)
        self._begun = now
        return True

    async def _append(self, text: str, status: str) -> bool:
        """Add what is new to the stream. False when it must be written anew by an edit."""
        wanted = harmless(_whole_words(text))
        if not wanted.startswith(self._sent) or units(wanted) > TEXT_UNITS:
            await self._screen.stop(self._place, self._ts or "")
            self._streaming = False
            return False
        cards, task = self._cards(status)
        chunks = [*cards, *_said(wanted[len(self._sent) :])]
        if not chunks:
            return True
        try:
            await self._screen.append(self._place, self._ts or "", chunks)
        except UnknownOutcome:
            await self._screen.stop(self._place, self._ts or "")
            self._streaming = False
            return False
        except Rejected:
            self._streaming = False
            return False
        self._sent, self._task = wanted, task
        return True

    def _cards(self, status: str) -> tuple[list[dict[str, Any]], _Task]:
        """Task cards for what is being done, and the task after them: a new card when that is something else than
        before, a change of the last one when only its time went on."""
        title = " ".join(status.split())[:150]
        last = self._task
        if title == last.title:
            return [], last
        chunks, number = [], last.number
        if _LASTING.sub("", title) != _LASTING.sub("", last.title):
            if last.title:
                chunks.append(_card(last, "complete"))
            number += 1
        task = _Task(number, title)
        if title:
            chunks.append(_card(task, "in_progress"))
        return chunks, task


def _said(text: str) -> list[dict[str, Any]]:
    return [{"type": "markdown_text", "text": text}] if text else []


def _card(task: _Task, status: str) -> dict[str, Any]:
    return {"type": "task_update", "id": str(task.number), "title": harmless(task.title), "status": status}


def _whole_words(text: str) -> str:
    """The text up to its last space: what follows may still become a mention."""
    end = max(text.rfind(" "), text.rfind("\n"))
    return text[: end + 1]
