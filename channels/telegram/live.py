"""An answer that is shown while it is written.

In a private chat it is a draft: Telegram animates it, it leaves no trace, and it has Telegram's own Stop button.
Elsewhere it is a message that is edited, with a Stop button of ours, and that is taken away when the answer comes. Both
are the least urgent of all that is sent: what the limits do not allow now is left out, and the next text overtakes it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from telegram.error import TelegramError

from channels.base import TemporaryFailure, ThreadRef, Unavailable
from channels.telegram.characters import utf16_units, whole_characters
from channels.telegram.client import Client
from channels.telegram.errors import Refusal, translate
from channels.telegram.normalize import STOP_BUTTON
from channels.telegram.pace import Lane
from channels.telegram.parts import addressed, answering, fits_text
from channels.telegram.previews import Previews
from channels.telegram.render import TEXT_UNITS, Rendered, render, shorten

_log = logging.getLogger(__name__)
_LIVE_CALL_SECONDS = 8.0
_DRAFT_SECONDS = 0.7  # between two texts
_EDIT_SECONDS = 3.0
_QUICK_EDITS = 4
_SLOWED = 2.2  # an answer that takes long is edited less often: a group has 20 messages a minute for everything
_STOP = {"reply_markup": {"inline_keyboard": [[{"text": "■ Stop", "callback_data": STOP_BUTTON}]]}}


def begin(client: Client, previews: Previews, where: ThreadRef, reply_to: str | None) -> DraftText | EditedText:
    """The form of live text that this place has: drafts exist in private chats only."""
    private = where.room.isdigit()
    return (DraftText if private else EditedText)(client, previews, where, reply_to)


def preview(text: str, status: str) -> Rendered:
    """The text so far with what is being done under it."""
    written = render(text) if text.strip() else Rendered(text="")
    status = whole_characters(" ".join(status.split()))[:200]
    if not status:
        return shorten(written, TEXT_UNITS)
    written = shorten(written, TEXT_UNITS - utf16_units(status) - 2)
    gap = "\n\n" if written.text else ""
    offset = utf16_units(written.text + gap)
    italic = {"type": "italic", "offset": offset, "length": utf16_units(status)}
    return Rendered(text=f"{written.text}{gap}{status}", entities=(*written.entities, italic))


@dataclass(slots=True)
class DraftText:
    """A draft in a private chat."""

    client: Client
    previews: Previews
    where: ThreadRef
    reply_to: str | None
    interval_seconds: float = _DRAFT_SECONDS
    _id: int = field(default_factory=lambda: secrets.randbelow(2**31 - 1) + 1)
    _instead: EditedText | None = None
    _not_before: float = 0.0
    _closed: bool = False

    async def update(self, text: str, status: str) -> None:
        if self._instead is not None:
            await self._instead.update(text, status)
            return
        now = time.monotonic()
        if self._closed or now < self._not_before or self.client.may_go_now(self.where.room) > 0:
            return
        self._not_before = now + self.interval_seconds
        shown = preview(text, status)
        refusal = await _quietly(
            self.client,
            "sendMessageDraft",
            **addressed(self.where),
            draft_id=self._id,
            text=shown.text,
            entities=list(shown.entities) or None,
            can_stop=True,
            keep_on_stop=True,
        )
        if refusal is not None and refusal.answer.status in (400, 404):
            # A server that knows no drafts, or none here.
            self._instead = EditedText(self.client, self.previews, self.where, self.reply_to)
            await self._instead.update(text, status)

    async def close(self) -> None:
        """A draft gives way to the message that follows it, and to nothing after 30 seconds."""
        self._closed = True
        if self._instead is not None:
            await self._instead.close()


@dataclass(slots=True)
class EditedText:
    """A message that is edited as the text grows, and deleted at the end."""

    client: Client
    previews: Previews
    where: ThreadRef
    reply_to: str | None
    interval_seconds: float = _EDIT_SECONDS
    _edits: int = 0
    _message_id: int | None = None
    _shown: Rendered | None = None
    _text: str = ""  # what is shown, when all of it is
    _not_before: float = 0.0
    _closed: bool = False
    _busy: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def update(self, text: str, status: str) -> None:
        now = time.monotonic()
        if self._busy.locked() or self._closed or now < self._not_before:
            return
        shown = preview(text, status)
        if not shown.text or shown == self._shown:
            return
        wait = self.client.may_go_now(self.where.room)
        if wait > 0:
            self._not_before = now + min(wait, 1.0)
            return
        self._edits += 1
        self._not_before = now + self.interval_seconds * (1.0 if self._edits <= _QUICK_EDITS else _SLOWED)
        async with self._busy:
            await self._show(shown)
            self._text = text if self._shown == shown and fits_text(text) else ""

    async def _show(self, shown: Rendered) -> None:
        content: dict[str, Any] = {
            "text": shown.text,
            "entities": list(shown.entities) or None,
            "link_preview_options": {"is_disabled": True},
            **_STOP,
        }
        if self._message_id is not None:
            place = {"chat_id": addressed(self.where)["chat_id"], "message_id": self._message_id}
            await _quietly(self.client, "editMessageText", **place, **content)
        else:
            place = {**addressed(self.where), **answering(self.reply_to, self.where), "disable_notification": True}
            try:
                async with asyncio.timeout(_LIVE_CALL_SECONDS):
                    said = await self.client.attempt("sendMessage", lane=Lane.LIVE, **place, **content)
            except (TelegramError, TimeoutError, TemporaryFailure) as error:
                _log.info("the live text in %s is not shown: %s", self.where.key, error)
                # It may be there all the same, or never be allowed: a second one would be worse than none.
                self._closed = not _may_be_tried_again(error)
                return
            self._message_id = said.get("message_id") if isinstance(said, dict) else None
            if self._message_id is None:
                self._closed = True
            else:
                await self.previews.shown(place["chat_id"], self._message_id)
        self._shown = shown

    async def close(self) -> None:
        self._closed = True
        async with self._busy:
            if self._message_id is not None:
                message_id, self._message_id = self._message_id, None
                await self.previews.gone(self.where, message_id, self._text)


def _may_be_tried_again(error: TelegramError | TimeoutError | TemporaryFailure) -> bool:
    if isinstance(error, TelegramError):
        return isinstance(translate(error, "a preview", repeatable=False), TemporaryFailure | Unavailable)
    return isinstance(error, TemporaryFailure)


async def _quietly(client: Client, method: str, **data: Any) -> Refusal | None:
    """A preview is worth no error: what fails is logged. The server's refusal is returned."""
    try:
        async with asyncio.timeout(_LIVE_CALL_SECONDS):
            await client.attempt(method, lane=Lane.LIVE, **data)
    except Refusal as refusal:
        _log.info("%s is refused: %s", method, refusal)
        return refusal
    except (TelegramError, TimeoutError, TemporaryFailure) as error:
        _log.info("%s failed: %s", method, type(error).__name__)
    return None
