"""The previews of a channel, and their handing over to deliveries.

When a preview is over, its message stays for a moment: the delivery that says this text for good takes it over, so that
people see one message grow and settle. If none comes it is taken away.
"""

from __future__ import annotations

import asyncio
import time

from channels.base import ThreadRef
from channels.slack.live import Left, LiveMessage
from channels.slack.screen import Screen
from channels.slack.status import Status

STAYS_SECONDS = 4.0
TAKEOVER_SECONDS = 45 * 60.0
"""An older preview is not taken over: `find` looks an hour back."""


class Previews:
    """See above."""

    def __init__(self, screen: Screen, status: Status) -> None:
        self._screen = screen
        self._status = status
        self._open: dict[ThreadRef, LiveMessage] = {}
        self._left: dict[ThreadRef, Left] = {}
        self._removals: set[asyncio.Task[None]] = set()

    def open(self, place: ThreadRef, asker: str | None) -> LiveMessage:
        message = LiveMessage(self._screen, self._status, place, asker, self._closed)
        self._open[place] = message
        return message

    def _closed(self, message: LiveMessage) -> None:
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
            if time.monotonic() - left.begun < TAKEOVER_SECONDS:
                return left
            await self.remove(place, left)
            return None
        message = self._open.get(place)
        if message is not None and message.begun and _same(message.shown, text):
            return await message.give_up()
        return None

    async def settled(self, left: Left) -> None:
        """It has become an answer."""
        await self._screen.traces.drop(left.ts)

    async def remove(self, place: ThreadRef, left: Left) -> bool:
        """Take a preview away. False when Slack refuses, so that it stands for certain. Never raises."""
        return await self._screen.remove(place, left.ts, streaming=left.streaming)

    async def aclose(self) -> None:
        for task in list(self._removals):
            task.cancel()
        await asyncio.gather(*self._removals, return_exceptions=True)

    async def _remove_later(self, place: ThreadRef, left: Left) -> None:
        try:
            await asyncio.sleep(STAYS_SECONDS)
        finally:
            if self._left.get(place) is left:
                del self._left[place]
                await self.remove(place, left)


def _same(preview: str, text: str) -> bool:
    """Whether a delivery says what a preview has been showing."""
    shown, said = preview.strip()[:200], text.strip()[:200]
    return shown.startswith(said) or said.startswith(shown)
