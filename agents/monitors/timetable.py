"""The clock of the monitors: APScheduler, with our schedules as its triggers and nothing of it stored.

Its jobs live in memory and are made from our table at each start; a job store of its own would fire everything
twice as soon as two processes share it. A due job is only handed on, with the moment it was scheduled for: who
carries it out, and whether it is carried out here at all, is settled by the claim in our store.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from agents.monitors.base import MonitorName
from agents.monitors.schedule import Schedule

if TYPE_CHECKING:
    from apscheduler.schedulers.asyncio import AsyncIOScheduler

Due = Callable[[MonitorName, datetime], None]

_LOOK_SECONDS = 20.0
_JUMP = timedelta(seconds=5)


class Timetable(Protocol):
    """Tells what is due."""

    def plan(self, name: MonitorName, schedule: Schedule, next_at: datetime | None) -> None:
        """Replace what is planned for a monitor. None: nothing."""

    def forget(self, name: MonitorName) -> None: ...
    def clear(self) -> None: ...

    async def run(self, due: Due, jumped: Callable[[], None]) -> None:
        """Call `due` with each moment that comes, until cancelled, and `jumped` when the machine's clock was set
        or the machine slept: then everything must be planned anew."""


class ApschedulerTimetable:
    """`Timetable` on APScheduler 3. Imported when it is run."""

    def __init__(self) -> None:
        self._scheduler: AsyncIOScheduler | None = None
        self._due: Due = _nobody

    def plan(self, name: MonitorName, schedule: Schedule, next_at: datetime | None) -> None:
        self.forget(name)
        if next_at is not None and self._scheduler is not None:
            self._scheduler.add_job(_nothing, _trigger(schedule), id=name, next_run_time=next_at)

    def forget(self, name: MonitorName) -> None:
        if self._scheduler is not None and self._scheduler.get_job(name) is not None:
            self._scheduler.remove_job(name)

    def clear(self) -> None:
        if self._scheduler is not None:
            self._scheduler.remove_all_jobs()

    def _tell(self, name: MonitorName, at: datetime) -> None:
        self._due(name, at)

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[None]:
        from apscheduler.schedulers.asyncio import AsyncIOScheduler

        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            executors={"default": _handing_on(self._tell)},
            job_defaults={"misfire_grace_time": None, "coalesce": True},
        )
        self._scheduler.start()
        try:
            yield
        finally:
            self._scheduler.shutdown(wait=False)
            self._scheduler = None

    async def run(self, due: Due, jumped: Callable[[], None]) -> None:
        self._due = due
        async with self._opened():
            jumped()
            offset = _offset()
            while True:
                await asyncio.sleep(_LOOK_SECONDS)
                # APScheduler waits by the monotonic clock for a time on the wall: it misses that this one was set.
                if abs(_offset() - offset) > _JUMP:
                    jumped()
                offset = _offset()


def _offset() -> timedelta:
    """What the wall's clock is ahead of the monotonic one."""
    return timedelta(seconds=time.time() - time.monotonic())


def _trigger(schedule: Schedule) -> Any:
    """Our schedule as APScheduler asks for it. Of several moments that are due at once it gives the last only."""
    from apscheduler.triggers.base import BaseTrigger

    class Trigger(BaseTrigger):  # type: ignore[misc]
        def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
            after = previous_fire_time or now
            return schedule.last_due(after, now) or schedule.next_after(after)

    return Trigger()


def _handing_on(due: Due) -> Any:
    from apscheduler.executors.base import BaseExecutor

    class HandingOn(BaseExecutor):  # type: ignore[misc]
        """Runs nothing: tells which moments are due."""

        def submit_job(self, job: Any, run_times: list[datetime]) -> None:
            due(MonitorName(job.id), run_times[-1])

        def _do_submit_job(self, job: Any, run_times: list[datetime]) -> None:
            raise NotImplementedError

    return HandingOn()


def _nothing() -> None:
    """What APScheduler believes to run."""


def _nobody(name: MonitorName, at: datetime) -> None:
    """Due before anybody listens."""
