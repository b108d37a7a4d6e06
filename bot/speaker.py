"""What the bot says on its own account: command replies, refusals, news for operators."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from agents.base import SessionId
from channels.base import Outbound
from storage.outbox import SqliteOutbox


class Speaker:
    """Puts messages into the outbox and tells the courier."""

    def __init__(self, outbox: SqliteOutbox, notify: Callable[[str], None], clock: Callable[[], datetime]) -> None:
        self._outbox = outbox
        self._notify = notify
        self._clock = clock

    async def say(self, message: Outbound, *, session: SessionId | None = None) -> None:
        if await self._outbox.put(message, session=session, now=self._clock()):
            self._notify(message.to.key)
