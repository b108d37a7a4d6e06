"""Runs the monitors: plans them, carries out what is due, and takes up what a former run left.

One firing, walked: the timetable says that it is due; it is claimed in the store, so that nobody else makes it;
what is watched is looked at; what is to become of it is judged; and the result is written in one transaction
with the mail that wakes the agent. Whatever is cut off before that is taken up again by whoever starts next,
compares with the same last state, and comes to the same end. A firing that fails stops no other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from agents.fetching import Fetcher
from agents.monitors.base import (
    Added,
    Firing,
    FiringKey,
    FiringState,
    Monitor,
    MonitorName,
    MonitorStore,
    Record,
    Result,
    Source,
    firing_key,
)
from agents.monitors.judge import Limit, judged
from agents.monitors.look import Lookout
from agents.monitors.schedule import to_fire
from agents.monitors.timetable import Timetable

log = structlog.get_logger("monitors")

_LOOKS_AT_ONCE = 32
_AGAIN_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorParts:
    store: MonitorStore
    timetable: Timetable
    fetcher: Fetcher
    limit: Limit
    clock: Callable[[], datetime]
    fired: Callable[[FiringState], None]
    """How a firing ended, once that is stored: for metrics."""


class Monitors:
    """All monitors. `run` must be running for anything to fire; the rest works without."""

    def __init__(self, parts: MonitorParts) -> None:
        self._parts = parts
        self._group: asyncio.TaskGroup | None = None
        self._lookout = Lookout(parts.fetcher)
        self._room = asyncio.Semaphore(_LOOKS_AT_ONCE)
        self._busy: dict[MonitorName, deque[tuple[Firing, bool]]] = {}  # and what waits for the one before
        self._planning = asyncio.Lock()

    @property
    def busy(self) -> int:
        """How many are being carried out now."""
        return len(self._busy)

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                for firing in await self._parts.store.take_up():
                    self._start(firing, claimed=True)
                await self._parts.timetable.run(self._due, self._plan_soon)
            finally:
                self._group = None

    async def configure(self, monitors: Sequence[Monitor]) -> None:
        """Make the configuration's monitors these; what did not change goes on undisturbed."""
        now = self._parts.clock()
        for monitor in await self._parts.store.configure(monitors, now):
            await self.fire_now(monitor.name, f"first:{now.isoformat()}")
        await self._plan()

    async def records(self) -> Sequence[Record]:
        return await self._parts.store.records()

    async def record(self, name: str) -> Record | None:
        return await self._parts.store.record(MonitorName(name))

    async def add(self, monitor: Monitor, cause: str, *, limit: int | None = None) -> Added:
        """Add one made in chat. Idempotent by `cause`. Raises agents.base.Refused."""
        added = await self._parts.store.add(monitor, cause, self._parts.clock(), limit=limit)
        await self._plan_one(added.name)
        if monitor.check is not None and added.new:
            # What is there now is what later looks are compared with.
            await self.fire_now(added.name, f"first:{cause}")
        return added

    async def remove(self, name: str, *, by: str) -> bool:
        removed = await self._parts.store.remove(MonitorName(name), self._parts.clock(), by=by)
        await self._plan_one(MonitorName(name))
        return removed

    async def pause(self, name: str, paused: bool, *, by: str) -> bool:
        known = await self._parts.store.pause(MonitorName(name), paused, self._parts.clock(), by=by)
        await self._plan_one(MonitorName(name))
        return known

    async def fire_now(self, name: MonitorName, cause: str) -> None:
        """Fire out of turn. Idempotent by `cause`."""
        key = FiringKey(f"monitor:{name}:run:{cause}")
        firing = Firing(key=key, monitor=name, scheduled_at=self._parts.clock(), asked=True)
        if await self._parts.store.claim(firing, self._parts.clock()):
            self._start(firing, claimed=True)

    # --- planning

    def _plan_soon(self) -> None:
        self._spawn(self._plan_safely(), "plan monitors")

    async def _plan_safely(self) -> None:
        while True:
            try:
                await self._plan()
                return
            except Exception:
                log.exception("monitors not planned")
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _plan(self) -> None:
        async with self._planning:
            if self._group is None:
                return  # planned when it runs
            self._parts.timetable.clear()
            now = self._parts.clock()
            for record in await self._parts.store.records():
                await self._plan_record(record, now)

    async def _plan_one(self, name: MonitorName) -> None:
        async with self._planning:
            if self._group is None:
                return
            record = await self._parts.store.record(name)
            if record is not None:
                await self._plan_record(record, self._parts.clock())
                return
            self._parts.timetable.forget(name)

    async def _plan_record(self, record: Record, now: datetime) -> None:
        """What was missed is fired or left out; what comes is planned."""
        monitor, schedule = record.monitor, record.schedule()
        if not record.paused:
            due, fire = to_fire(schedule, monitor.missed, record.settled_at, now)
            if due is not None and fire:
                self._due(monitor.name, due)
            elif due is not None:
                await self._parts.store.skip(_firing(monitor.name, due), now)
                self._parts.fired(FiringState.SKIPPED)
        self._parts.timetable.plan(monitor.name, schedule, record.next_at(now))

    # --- firing

    def _due(self, name: MonitorName, scheduled: datetime) -> None:
        self._start(_firing(name, scheduled), claimed=False)

    def _start(self, firing: Firing, *, claimed: bool) -> None:
        """One at a time for each monitor, so that two never find the same difference."""
        if self._group is None:
            return  # not begun, or stopping: a claimed one is taken up at the next begin, others are due again then
        waiting = self._busy.get(firing.monitor)
        if waiting is None:
            self._busy[firing.monitor] = deque([(firing, claimed)])
            self._spawn(self._carry_out(firing.monitor), f"monitor-{firing.monitor}")
            return
        if not claimed and waiting and not waiting[-1][1]:
            waiting.pop()  # the last one stands for all that came due meanwhile
        waiting.append((firing, claimed))

    async def _carry_out(self, name: MonitorName) -> None:
        waiting = self._busy[name]
        try:
            while waiting:
                await self._fire_safely(*waiting.popleft())
        finally:
            del self._busy[name]

    async def _fire_safely(self, firing: Firing, claimed: bool) -> None:
        """The top of a firing: whatever goes wrong stays with this monitor."""
        try:
            if claimed or await self._parts.store.claim(firing, self._parts.clock()):
                await self._fire(firing)
        except Exception as error:
            log.exception("monitor failed", monitor=firing.monitor)
            await self._note_failure(firing, error)

    async def _fire(self, firing: Firing) -> None:
        parts = self._parts
        facts = await parts.store.facts(firing, parts.clock())
        if facts is None:
            return
        check = facts.record.monitor.check
        found = None
        if check is not None:
            async with self._room:
                trusted = facts.record.source is Source.CONFIG
                found = await self._lookout.look(check, facts.seen, trusted=trusted)
        now = parts.clock()
        result = judged(facts, found, parts.limit, now)
        if await parts.store.finish(firing, result, now):
            log.info("monitor fired", monitor=firing.monitor, outcome=result.outcome)
            parts.fired(result.state)

    async def _note_failure(self, firing: Firing, error: Exception) -> None:
        why = f"it failed by itself ({type(error).__name__}); the operator's log has the details"
        result = Result(state=FiringState.FAILED, outcome=why, error=why)
        try:
            if await self._parts.store.finish(firing, result, self._parts.clock()):
                self._parts.fired(result.state)
        except Exception:
            log.exception("monitor's failure not noted", monitor=firing.monitor)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        assert self._group is not None, "the timetable tells only while it runs"
        self._group.create_task(work, name=name)


def _firing(name: MonitorName, scheduled: datetime) -> Firing:
    return Firing(key=firing_key(name, scheduled), monitor=name, scheduled_at=scheduled)
