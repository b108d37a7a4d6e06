"""Services that go on whatever happens: one that fails is logged whole, and begun again after a pause.

Everything hangs on one task group, so without this a full disk under the audit head or one unreadable row under the
alarm clock would end every conversation with it. It is for services that keep nothing between two rounds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger("app")

_LONGEST_SECONDS = 60.0


async def lasting(name: str, serve: Callable[[], Awaitable[None]], *, pause_seconds: float = 1.0) -> None:
    """Run `serve` until cancelled, or until it returns."""
    pause = pause_seconds
    while True:
        try:
            await serve()
            return
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            log.exception("a service was cut off by itself; it begins again", service=name, seconds=pause)
        except Exception:
            log.exception("a service failed; it begins again", service=name, seconds=pause)
        await asyncio.sleep(pause)
        pause = min(_LONGEST_SECONDS, pause * 2)
