"""Previews that are on people's screens now, remembered so that a crash leaves none behind.

A preview is a message, and only Threadmill knows that it is not meant to stay. Its id is stored as a cursor when it is
shown; the next start takes away what the last one could not. Taking one away twice is no harm, so going is not stored.
"""

from __future__ import annotations

import asyncio
import json
import logging

from telegram.error import TelegramError

from channels.base import Intake, NotAccepted, TemporaryFailure, ThreadRef
from channels.stayed import Stayed
from channels.telegram.client import Client
from channels.telegram.errors import Refusal
from channels.telegram.parts import addressed

_log = logging.getLogger(__name__)
_CURSOR = "previews"
_MOST = 1000
_CALL_SECONDS = 8.0


class Previews:
    """The previews of one channel."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._intake: Intake | None = None
        self._shown: set[tuple[int | str, int]] = set()
        self.stayed = Stayed()

    async def tidy(self, intake: Intake) -> None:
        """Take away what an earlier run left, and store through this intake from now on. Raises no channel's error."""
        self._intake = intake
        for chat, message in _read(await intake.cursor(_CURSOR)) - self._shown:
            await self._delete(chat, message)

    async def shown(self, chat: int | str, message: int) -> None:
        self._shown.add((chat, message))
        if self._intake is None or len(self._shown) > _MOST:
            return
        try:
            await self._intake.accept((), cursors={_CURSOR: json.dumps(sorted(self._shown, key=str))})
        except NotAccepted as error:
            _log.info("a preview is not remembered: %s", error)

    async def gone(self, where: ThreadRef, message: int, text: str) -> None:
        """Take one away, which showed this text."""
        chat = addressed(where)["chat_id"]
        self._shown.discard((chat, message))
        error = await self._delete(chat, message)
        if error is not None:
            stands = isinstance(error, Refusal) and error.answer.status in (400, 403, 404)
            self.stayed.leave(where, str(message), text, stands=stands)

    async def _delete(self, chat: int | str, message: int) -> Exception | None:
        """What went wrong; None when it is gone."""
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                await self._client.attempt("deleteMessage", chat_id=chat, message_id=message)
        except (TelegramError, TimeoutError, TemporaryFailure) as error:
            if isinstance(error, Refusal) and error.answer.status == 400 and error.says("not found"):
                return None  # somebody was faster
            _log.info("the preview %s in %s is not taken away: %s", message, chat, error)
            return error
        return None


def _read(stored: str | None) -> set[tuple[int | str, int]]:
    try:
        return {(chat, int(message)) for chat, message in json.loads(stored or "[]")}
    except (ValueError, TypeError):
        return set()
