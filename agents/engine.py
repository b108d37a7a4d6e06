"""The embedded engine: one activation of a session at a time, in this process.

A session that waits for mail is a row, not a task. `wake` puts its id into a queue; a task is made when there is
room, runs the activation, and runs it again while it was woken meanwhile. `abort` cancels that task and lets the
next activation find out, from what was committed, why: a kill, a stop, newer mail.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import structlog

from agents.base import SessionId

log = structlog.get_logger("engine")

Activate = Callable[[SessionId], Awaitable[None]]


class EmbeddedEngine:
    """`agents.ports.Engine` in one process."""

    def __init__(self, max_awake: int = 2000) -> None:
        self._max_awake = max_awake
        self._ready: deque[SessionId] = deque()
        self._queued: set[SessionId] = set()
        self._again: set[SessionId] = set()
        self._tasks: dict[SessionId, asyncio.Task[None]] = {}
        self._aborted: set[SessionId] = set()
        self._changed = asyncio.Event()

    @property
    def awake(self) -> int:
        return len(self._tasks)

    @property
    def queued(self) -> int:
        """Sessions that wait for room."""
        return len(self._ready)

    def wake(self, session: SessionId, *, after_seconds: float = 0.0) -> None:
        if after_seconds > 0:
            asyncio.get_running_loop().call_later(after_seconds, self.wake, session)
        elif session in self._tasks:
            self._again.add(session)
        elif session not in self._queued:
            self._queued.add(session)
            self._ready.append(session)
            self._changed.set()

    def abort(self, session: SessionId) -> None:
        task = self._tasks.get(session)
        if task is not None and session not in self._aborted:
            self._aborted.add(session)
            task.cancel()

    async def run(self, activate: Activate) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                await self._changed.wait()
                self._changed.clear()
                while self._ready and len(self._tasks) < self._max_awake:
                    session = self._ready.popleft()
                    self._queued.discard(session)
                    task = group.create_task(self._serve(session, activate), name=f"session-{session}")
                    self._tasks[session] = task
                    # A task that is cancelled before it has begun runs none of its lines, no `finally` either.
                    task.add_done_callback(partial(self._served, session))

    def _served(self, session: SessionId, _: asyncio.Task[None]) -> None:
        del self._tasks[session]
        if session in self._again or session in self._aborted:
            self._again.discard(session)
            self._aborted.discard(session)
            self.wake(session)
        self._changed.set()

    async def _serve(self, session: SessionId, activate: Activate) -> None:
        more = True
        while more:
            self._again.discard(session)
            await self._activate(session, activate)
            more = session in self._again

    async def _activate(self, session: SessionId, activate: Activate) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            await activate(session)
        except asyncio.CancelledError:
            if session in self._aborted:
                self._aborted.discard(session)
                self._again.add(session)
                if task.uncancel() > 0:
                    raise  # Threadmill is stopping as well
            elif task.cancelling():
                raise  # Threadmill is stopping
            else:  # nobody cancelled us: something within lets its own cancellation out
                log.exception("activation failed", session=session)
                self._once_more(session)
        except Exception:
            # The top of an actor: nothing that goes wrong in one session may stop another.
            log.exception("activation failed", session=session)
            self._once_more(session)

    def _once_more(self, session: SessionId) -> None:
        with suppress(RuntimeError):
            self.wake(session, after_seconds=5.0)
