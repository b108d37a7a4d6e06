"""What those have in common who keep something on people's screens as it is in the store."""

from __future__ import annotations

import asyncio
from typing import Protocol

from agents.base import SessionId
from channels.base import Outbound


class Says(Protocol):
    """`bot.speaker` fulfils it."""

    async def say(self, message: Outbound, *, session: SessionId | None = None) -> None: ...


async def changed_or(changed: asyncio.Event, seconds: float) -> None:
    """Return when it is told that something changed, or after this time."""
    try:
        async with asyncio.timeout(seconds):
            await changed.wait()
    except TimeoutError:
        pass
