"""A time limit for an asynchronous generator that counts only the generator's own time.

`asyncio.timeout` around a loop over events would count the reader's time and cancel the reader in the middle of
its work; around each single event it costs more than the event. So: one timer a call, and a clock that
runs while the generator works.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeVar

T = TypeVar("T")


async def within(seconds: float, events: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """The same events. Raises TimeoutError when making them takes longer than `seconds` in all."""
    clock = _Clock(seconds)
    try:
        while True:
            clock.start()
            try:
                event = await anext(events)
            except StopAsyncIteration:
                return
            except asyncio.CancelledError:
                if clock.spent_it_all():
                    raise TimeoutError(f"it took longer than {seconds:g} s") from None
                raise
            clock.stop()
            yield event
    finally:
        clock.close()


class _Clock:
    """Runs between `start` and `stop`, and cancels the task when its time is up while it runs."""

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._left = seconds
        self._began: float | None = None
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._expired = False
        self._timer: asyncio.TimerHandle | None = self._loop.call_later(seconds, self._fire)

    def start(self) -> None:
        self._task = asyncio.current_task()
        self._cancelling = self._task.cancelling() if self._task is not None else 0
        self._began = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._left, self._fire)

    def stop(self) -> None:
        if self._began is not None:
            self._left -= self._loop.time() - self._began
            self._began = None

    def spent_it_all(self) -> bool:
        """Whether a cancellation was this clock's, and nobody else's as well. Takes it back."""
        if not self._expired or self._task is None:
            return False
        return self._task.uncancel() <= self._cancelling

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _fire(self) -> None:
        self._timer = None
        if self._began is None:  # the reader is at work: what is left begins when the generator goes on
            return
        left = self._left - (self._loop.time() - self._began)
        if left > 0:  # the reader took some of the time
            self._timer = self._loop.call_later(left, self._fire)
        elif self._task is not None:
            self._expired = True
            self._task.cancel()
