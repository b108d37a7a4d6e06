"""What people are called. Events carry ids only; a name is for display, so it may be late but never hold things up."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping

logger = logging.getLogger(__name__)

KEPT_SECONDS = 3600.0
MISSED_SECONDS = 300.0
PATIENCE_SECONDS = 1.0


class Names:
    """A bounded memory of names over one look-up. Two questions for one person make one call."""

    def __init__(self, look_up: Callable[[str], Awaitable[str]], *, most: int = 5000) -> None:
        self._look_up = look_up
        self._most = most
        self._known: OrderedDict[str, tuple[str, float]] = OrderedDict()

    async def of(self, users: Iterable[str]) -> Mapping[str, str]:
        """The names of these users, of those that could be had within a second."""
        wanted, now = set(users), time.monotonic()
        missing = [user for user in wanted if user not in self._known or self._known[user][1] < now]
        if missing:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
                    for user in missing[:20]:
                        group.create_task(self._learn(user))
            except TimeoutError:
                for user in missing:
                    self._keep(user, self._known.get(user, ("", 0.0))[0], MISSED_SECONDS)
        return {user: self._known[user][0] for user in wanted if self._known.get(user, ("", 0))[0]}

    async def _learn(self, user: str) -> None:
        try:
            name = await self._look_up(user)
        except Exception:
            logger.exception("the name of %s could not be had", user)
            name = ""
        self._keep(user, name, KEPT_SECONDS if name else MISSED_SECONDS)

    def _keep(self, user: str, name: str, seconds: float) -> None:
        self._known[user] = (name, time.monotonic() + seconds)
        self._known.move_to_end(user)
        while len(self._known) > self._most:
            self._known.popitem(last=False)
