"""The real clock of the monitors: APScheduler tells each moment of our schedules, once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from agents.monitors.base import MonitorName
from agents.monitors.schedule import Schedule
from agents.monitors.timetable import ApschedulerTimetable

A, B = MonitorName("a"), MonitorName("b")


class _Told:
    def __init__(self) -> None:
        self.moments: list[tuple[MonitorName, datetime]] = []
        self.changed = asyncio.Event()
        self.began = asyncio.Event()

    def due(self, name: MonitorName, at: datetime) -> None:
        self.moments.append((name, at))
        self.changed.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.moments) < count:
                self.changed.clear()
                await self.changed.wait()


def every(seconds: float, anchor: datetime) -> Schedule:
    return Schedule(anchor=anchor, zone=ZoneInfo("UTC"), every=timedelta(seconds=seconds))


@pytest.fixture
async def told():
    told = _Told()
    told.timetable = ApschedulerTimetable()  # type: ignore[attr-defined]
    running = asyncio.create_task(told.timetable.run(told.due, told.began.set))  # type: ignore[attr-defined]
    await told.began.wait()
    yield told
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_each_moment_of_a_schedule_is_told_as_it_was_scheduled(told) -> None:
    anchor = datetime.now(UTC)
    schedule = every(0.05, anchor)
    told.timetable.plan(A, schedule, schedule.next_after(anchor))
    await told.until(5)
    offsets = [(at - anchor) / timedelta(seconds=0.05) for _, at in told.moments]
    assert offsets == sorted(set(offsets))
    assert all(offset == int(offset) for offset in offsets)


async def test_of_what_is_due_at_once_the_last_moment_is_told(told) -> None:
    anchor = datetime.now(UTC) - timedelta(hours=1, milliseconds=100)
    schedule = every(600, anchor)
    told.timetable.plan(A, schedule, anchor + timedelta(minutes=10))
    await told.until(1)
    assert told.moments == [(A, anchor + timedelta(hours=1))]


async def test_a_plan_replaces_the_one_before_and_what_is_forgotten_is_not_told(told) -> None:
    anchor = datetime.now(UTC)
    for name in (A, B):
        told.timetable.plan(name, every(0.05, anchor), anchor + timedelta(seconds=0.05))
    told.timetable.plan(A, every(3600, anchor), anchor + timedelta(hours=1))
    await told.until(2)
    assert {name for name, _ in told.moments} == {B}
    told.timetable.forget(B)
    told.timetable.forget(B)
    before = len(told.moments)
    once = datetime.now(UTC)
    told.timetable.plan(A, Schedule(anchor=anchor, zone=ZoneInfo("UTC"), at=once), once)
    await told.until(before + 1)
    assert told.moments[before:] == [(A, once)]
