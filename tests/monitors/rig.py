"""Monitors on the real store with real turns of the rehearsal model; only the clock and the timetable are scripted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from agents.base import AgentName
from agents.fetching import Allowed, Fetcher
from agents.monitors.base import Check, Monitor, MonitorName
from agents.monitors.judge import Limit
from agents.monitors.schedule import Schedule
from agents.monitors.service import MonitorParts, Monitors
from agents.monitors.timetable import Due
from channels.base import ThreadRef
from storage.monitors import SqliteMonitors
from tests.agents.world import Signals, World, world

START = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
THREAD = ThreadRef.parse("web:/main/status")
ROOM = ThreadRef.parse("slack:T1/C2")
PLACES = (THREAD, ROOM)


def monitor(url: str | None = None, **changes: Any) -> Monitor:
    """Every five minutes, reported to a thread and a room."""
    values: dict[str, Any] = {
        "name": MonitorName("page"),
        "every": timedelta(minutes=5),
        "timezone": ZoneInfo("UTC"),
        "agent": AgentName("assistant"),
        "prompt": "say News",
        "check": Check(url=url) if url else None,
        "report_to": PLACES,
    }
    return Monitor(**{**values, **changes})


class HandTimetable:
    """`Timetable` that a test moves on by hand."""

    def __init__(self) -> None:
        self.planned: dict[MonitorName, tuple[Schedule, datetime]] = {}
        self.running = asyncio.Event()
        self._due: Due | None = None
        self.jumped: Callable[[], None] = lambda: None

    def plan(self, name: MonitorName, schedule: Schedule, next_at: datetime | None) -> None:
        self.forget(name)
        if next_at is not None:
            self.planned[name] = (schedule, next_at)

    def forget(self, name: MonitorName) -> None:
        self.planned.pop(name, None)

    def clear(self) -> None:
        self.planned.clear()

    async def run(self, due: Due, jumped: Callable[[], None]) -> None:
        self._due, self.jumped = due, jumped
        jumped()
        self.running.set()
        await asyncio.Event().wait()

    def tell(self, now: datetime) -> None:
        """What is due by now, as APScheduler tells it: of several moments of one monitor the last."""
        assert self._due is not None
        for name, (schedule, next_at) in list(self.planned.items()):
            if next_at <= now:
                self._due(name, schedule.last_due(next_at, now) or next_at)
                self.plan(name, schedule, schedule.next_after(now))


@dataclass
class Rig:
    world: World
    monitors: Monitors
    timetable: HandTimetable
    now: datetime = START

    def clock(self) -> datetime:
        return self.now

    async def passes(self, **span: float) -> None:
        """Time passes; everything that it makes due is carried out, turns included."""
        self.now += timedelta(**span)
        self.timetable.tell(self.now)
        await self.at_rest()

    async def at_rest(self) -> None:
        await self.world.until(lambda: self.monitors.busy == 0)
        await self.world.at_rest()

    async def said(self, place: ThreadRef = THREAD) -> list[str]:
        return await self.world.said(place)

    async def firings(self) -> list[tuple[str, str]]:
        rows = await self.world.query("select state, outcome from firings order by scheduled_at, key")
        return [(row["state"], row["outcome"]) for row in rows]


@asynccontextmanager
async def rig(
    folder: Path,
    monitors: Sequence[Monitor] = (),
    *,
    hosts: Sequence[str] = (),
    now: datetime = START,
    holder: str = "one",
    runs: bool = True,
    limit: int = 6,
    **named: Any,
) -> AsyncIterator[Rig]:
    """Leaving it is a crash: nothing is given back."""
    async with world(folder, holder=holder, runs=runs, **named) as made:
        rig = Rig(world=made, monitors=None, timetable=HandTimetable(), now=now)  # type: ignore[arg-type]
        rig.monitors = Monitors(
            MonitorParts(
                store=SqliteMonitors(made.database, holder, Signals(made.engine)),
                timetable=rig.timetable,
                fetcher=Fetcher(Allowed.parse(tuple(hosts))),
                limit=Limit(reports_per_hour=limit),
                clock=rig.clock,
                fired=lambda _: None,
            )
        )
        await rig.monitors.configure(monitors)
        running = asyncio.create_task(rig.monitors.run())
        try:
            await rig.timetable.running.wait()
            await rig.monitors.configure(monitors)  # what `run` plans beside us is planned when this returns
            await rig.world.until(lambda: rig.monitors.busy == 0)
            yield rig
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
