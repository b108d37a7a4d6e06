"""Dead letters in both directions: what could not be said, and what could not be routed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from bot.dispatcher import Dispatcher
from storage.inbox import Inbox
from storage.outbox import SqliteOutbox
from storage.view_rows import DeadLetterRow
from storage.views import Views


class DeadLetters:
    """Lists them, tries them again, lets them go. Ids as in `storage.view_rows.DeadLetterRow`."""

    def __init__(
        self,
        views: Views,
        outbox: SqliteOutbox,
        inbox: Inbox,
        dispatcher: Dispatcher,
        notify: Callable[[str], None],
        clock: Callable[[], datetime],
    ) -> None:
        self._views = views
        self._outbox = outbox
        self._inbox = inbox
        self._dispatcher = dispatcher
        self._notify = notify
        self._clock = clock

    async def list(self, limit: int) -> Sequence[DeadLetterRow]:
        return await self._views.dead_letters(limit=limit)

    async def retry(self, id: str) -> bool:
        number = _number(id)
        if number is None:
            return False
        if id.startswith("i"):
            revived = await self._inbox.revive(number)
            if revived is not None:
                self._dispatcher.offer((revived,))
            return revived is not None
        lane = await self._outbox.retry(number, self._clock())
        if lane is not None:
            self._notify(lane)
        return lane is not None

    async def drop(self, id: str) -> bool:
        number = _number(id)
        if number is None:
            return False
        return await (self._inbox.drop(number) if id.startswith("i") else self._outbox.drop(number))


def _number(id: str) -> int | None:
    digits = id.removeprefix("i")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 18 else None
