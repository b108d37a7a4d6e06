"""The nouns of monitors, and what they need from the store.

A *monitor* is what somebody configured or asked for in chat. A *record* is a monitor with what happened to it. A
*firing* is one time that it was due, claimed by one process. What came of it is a *result*, and that is written
in one transaction with everything it causes: the mail that wakes the agent, what was seen, what is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, NewType, Protocol
from zoneinfo import ZoneInfo

from agents.base import AgentName, SessionId
from agents.monitors.cron import Cron
from agents.monitors.schedule import Missed, Schedule
from channels.base import Account, ThreadRef

MonitorName = NewType("MonitorName", str)

FiringKey = NewType("FiringKey", str)
"""`monitor:<name>:<scheduled UTC>`, or `monitor:<name>:run:<cause>` when somebody asked for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What is looked at before the agent is woken."""

    url: str
    changed: bool = True  # wake only when it has changed; else each time, with what is there
    timeout_seconds: float = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """Exactly one of `every`, `cron` and `at` is set."""

    name: MonitorName
    every: timedelta | None = None
    cron: str | None = None
    at: datetime | None = None
    timezone: ZoneInfo
    agent: AgentName
    prompt: str
    check: Check | None = None
    report_to: tuple[ThreadRef, ...]  # every one of them gets the report; the first is the session's home
    missed: Missed = Missed.ONCE
    owner: Account | None = None  # who made it in chat; None: the configuration
    owner_name: str = ""
    asked_by: SessionId | None = None  # the session whose agent asked for it

    def schedule(self, anchor: datetime) -> Schedule:
        cron = Cron.parse(self.cron) if self.cron is not None else None
        return Schedule(anchor=anchor, zone=self.timezone, every=self.every, cron=cron, at=self.at)

    @property
    def when(self) -> str:
        """Its schedule in words."""
        if self.every is not None:
            return f"every {in_words(self.every)}"
        if self.cron is not None:
            return f"cron {self.cron} ({self.timezone.key})"
        assert self.at is not None
        return f"at {self.at.astimezone(self.timezone):%Y-%m-%d %H:%M} ({self.timezone.key})"

    def same_times(self, other: Monitor) -> bool:
        return (self.every, self.cron, self.at, self.timezone.key) == (
            other.every,
            other.cron,
            other.at,
            other.timezone.key,
        )

    def same_watch(self, other: Monitor) -> bool:
        """Whether both look at the same thing: what was seen last still counts."""
        return (self.check and self.check.url) == (other.check and other.check.url)


class Source(Enum):
    CONFIG = "config"
    CHAT = "chat"  # also those that agents asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A monitor and its story so far."""

    monitor: Monitor
    source: Source
    paused: bool
    anchor_at: datetime  # intervals count from here
    settled_at: datetime  # everything scheduled up to here was fired or left out
    session: SessionId | None
    last_fired: datetime | None
    last_error: str | None

    def schedule(self) -> Schedule:
        return self.monitor.schedule(self.anchor_at)

    def next_at(self, now: datetime) -> datetime | None:
        return None if self.paused else self.schedule().next_after(now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was last seen, for the next comparison."""

    digest: str  # of the readable text
    content: str  # its beginning
    raw: str | None = None  # digest of what was sent: the same again need not be made readable
    etag: str | None = None
    modified: str | None = None


class FiringState(Enum):
    CLAIMED = "claimed"  # somebody is at it, or was cut off: then it is taken up again
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"  # missed, and the monitor says that this is left out


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    key: FiringKey
    monitor: MonitorName
    scheduled_at: datetime
    asked: bool = False  # by a person, out of turn


def firing_key(monitor: MonitorName, scheduled: datetime) -> FiringKey:
    return FiringKey(f"monitor:{monitor}:{scheduled.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a firing is judged by, beside what was found."""

    record: Record
    seen: Seen | None
    failures: int  # checks in a row that failed
    told_failing: bool  # its places know that it cannot be checked
    told_flooding: datetime | None  # when they were told last that it reports too much
    waiting: bool  # its last finding has not been taken in by the agent yet
    reports: int  # turns with a report within the last hour


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a firing, and what it causes."""

    state: FiringState
    outcome: str  # a few words for people
    quiet: bool = False  # nothing came of it: not worth keeping for long
    wake: str | None = None  # mail for the agent
    say: str | None = None  # said by the runtime in every place of report_to
    seen: Seen | None = None  # replaces what was last seen
    error: str | None = None  # shown until a firing goes well
    failures: int = 0
    told_failing: bool = False
    told_flooding: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """`new` is False when the same cause had made it before."""

    name: MonitorName
    new: bool


class MonitorStore(Protocol):
    """The durable side of monitors. Every method is one transaction."""

    async def configure(self, monitors: Sequence[Monitor], now: datetime) -> Sequence[Monitor]:
        """Make the configuration's monitors these; those of them that have a check and were never looked at. What
        changed begins anew: other times count from now, another address is as if never looked at. The session of
        one that is gone ends."""

    async def add(self, monitor: Monitor, cause: str, now: datetime, *, limit: int | None = None) -> Added:
        """Add one made in chat, idempotent by its cause; a name that is taken gets a number. `limit` bounds those
        of the same `asked_by`, or of the same owner. Raises agents.base.Refused."""

    async def remove(self, name: MonitorName, now: datetime, *, by: str) -> bool:
        """Remove one and end its session. False: there is none."""

    async def pause(self, name: MonitorName, paused: bool, now: datetime, *, by: str) -> bool:
        """Pause or resume. What was due while it was paused is left out. False: there is none."""

    async def records(self) -> Sequence[Record]: ...
    async def record(self, name: MonitorName) -> Record | None: ...

    async def claim(self, firing: Firing, now: datetime) -> bool:
        """Take a firing. False: it was taken before, or there is no such monitor any more."""

    async def skip(self, firing: Firing, now: datetime) -> None:
        """Note a firing as missed and left out."""

    async def take_up(self) -> Sequence[Firing]:
        """Take over the firings whose holder is gone before their result was written."""

    async def facts(self, firing: Firing, now: datetime) -> Facts | None:
        """None: the monitor is gone."""

    async def finish(self, firing: Firing, result: Result, now: datetime) -> bool:
        """Write the result and everything that it causes. False, and nothing is written: the firing is not ours
        any more or has a result, or the monitor is gone."""


def in_words(span: timedelta) -> str:
    """1h30m, 5m, 30s."""
    seconds = int(span.total_seconds())
    parts = [(seconds // 86_400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s")]
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"


def to_json(monitor: Monitor) -> dict[str, Any]:
    """A monitor as it is stored and shown."""
    check = monitor.check
    return {
        "every_seconds": monitor.every.total_seconds() if monitor.every is not None else None,
        "cron": monitor.cron,
        "at": monitor.at.isoformat() if monitor.at is not None else None,
        "timezone": monitor.timezone.key,
        "agent": monitor.agent,
        "prompt": monitor.prompt,
        "check": {"url": check.url, "changed": check.changed, "timeout_seconds": check.timeout_seconds}
        if check is not None
        else None,
        "report_to": [place.key for place in monitor.report_to],
        "missed": monitor.missed.value,
        "owner": monitor.owner,
        "owner_name": monitor.owner_name,
        "asked_by": monitor.asked_by,
    }


def from_json(name: str, data: Mapping[str, Any]) -> Monitor:
    zone = ZoneInfo(data["timezone"])
    at = datetime.fromisoformat(data["at"]) if data["at"] is not None else None
    return Monitor(
        name=MonitorName(name),
        every=timedelta(seconds=data["every_seconds"]) if data["every_seconds"] is not None else None,
        cron=data["cron"],
        at=at,
        timezone=zone,
        agent=AgentName(data["agent"]),
        prompt=data["prompt"],
        check=Check(**data["check"]) if data["check"] is not None else None,
        report_to=tuple(ThreadRef.parse(place) for place in data["report_to"]),
        missed=Missed(data["missed"]),
        owner=data["owner"],
        owner_name=data["owner_name"],
        asked_by=data["asked_by"],
    )


def named(monitor: Monitor, name: str) -> Monitor:
    return replace(monitor, name=MonitorName(name))
