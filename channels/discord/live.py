"""A message that grows while the agent writes.

Discord has no streaming, so one message is edited, at most every 1.2 s (five edits in five seconds are allowed), always
to the newest text; texts in between are skipped. It shows the end of the text, what is being done, and a Stop
button, and makes no sound. It is a preview: `close` takes it away, the delivery says the text for good.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable

from channels.base import Button, ChannelError, DeliveryKey, Outbound, Rejected, TemporaryFailure, ThreadRef
from channels.discord.commands import STOP_BUTTON
from channels.discord.speaker import Speaker
from channels.discord.split import pieces

_log = logging.getLogger(__name__)
_PACE_SECONDS = 1.2
_SHOWN_UNITS = 1_800
_STOP = Button(id=STOP_BUTTON, label="Stop", danger=True)


class LiveMessage:
    """One preview. Its only task is awaited by `close`."""

    def __init__(self, speaker: Speaker, where: ThreadRef, reply_to: str | None, *, parked: Callable[[], bool]) -> None:
        self._speaker = speaker
        self._parked = parked
        self._where = where
        self._reply_to = reply_to
        self._name = secrets.token_hex(8)
        self._newest: tuple[str, str] | None = None
        self._shown: tuple[str, str] | None = None
        self._message_id: str | None = None
        self._changed = asyncio.Event()
        self._painter: asyncio.Task[None] | None = None

    async def update(self, text: str, status: str) -> None:
        """Show this soon. Returns at once."""
        self._newest = (text, status)
        self._changed.set()
        if self._painter is None:
            self._painter = asyncio.create_task(self._paint())

    async def close(self) -> None:
        if self._painter is None:
            return
        self._painter.cancel()
        await asyncio.gather(self._painter, return_exceptions=True)
        if self._message_id is None:
            return
        try:
            await self._speaker.delete(self._where, self._message_id)
        except ChannelError as error:
            _log.warning("a preview stays in %s: %s", self._where.key, error)
            stands = isinstance(error, Rejected)
            self._speaker.stayed.leave(self._where, self._message_id, self._whole(), stands=stands)
        finally:
            self._speaker.previews.discard(self._message_id)

    def _whole(self) -> str:
        """The text that is shown, when all of it is."""
        text = self._shown[0] if self._shown is not None else ""
        return text if len(pieces(text, _SHOWN_UNITS)) == 1 else ""

    async def _paint(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            pause = _PACE_SECONDS
            if self._newest is not None and self._newest != self._shown and not self._parked():
                text, status = self._newest
                try:
                    await self._show(preview(text, status))
                    self._shown = (text, status)
                except TemporaryFailure as error:
                    if error.retry_after is not None:
                        pause = max(pause, error.retry_after.total_seconds())
                    self._changed.set()
                except Rejected as error:
                    _log.info("no preview is shown in %s: %s", self._where.key, error)
                    return
                except ChannelError as error:
                    _log.info("a preview cannot be shown in %s: %s", self._where.key, error)
            await asyncio.sleep(pause)

    async def _show(self, text: str) -> None:
        message = Outbound(
            key=DeliveryKey(f"live/{self._name}#0"),
            to=self._where,
            text=text,
            buttons=(_STOP,),
            reply_to=self._reply_to,
        )
        if self._message_id is None:
            self._message_id = (await self._speaker.send_silently(message)).message_ids[0]
            self._speaker.previews.add(self._message_id)
        else:
            await self._speaker.edit(message, self._message_id)


def preview(text: str, status: str) -> str:
    """The end of a text that is still being written, and what is being done."""
    shown = pieces(text, _SHOWN_UNITS)
    tail = shown[-1] if shown else ""
    if len(shown) > 1:
        tail = f"…\n{tail}"
    note = f"-# {' '.join(status.split())[:100]}" if status else ""
    return "\n\n".join(part for part in (tail, note) if part) or "…"
