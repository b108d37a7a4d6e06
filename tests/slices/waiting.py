"""Waiting for a fact of another process or of a platform, which tells nobody when it becomes true."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable

PAUSE_SECONDS = 0.01


async def until(fact: Callable[[], bool | Awaitable[bool]], what: str, *, seconds: float = 15.0) -> None:
    """Return as soon as `fact` holds; an AssertionError that says `what` when it does not in time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        found = fact()
        if await found if inspect.isawaitable(found) else found:
            return
        if loop.time() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(PAUSE_SECONDS)
