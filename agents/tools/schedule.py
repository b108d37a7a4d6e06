"""The tool with which an agent asks for a monitor: to be woken later, again and again, or when a page changes.

What is made is an ordinary monitor, in the name of the person whose session asks, and reports to that session's
place. An agent gets nothing this way that it does not have: it schedules only agents whose tools are its own, not
more often than every five minutes, and only a few.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agents.base import AgentName, Session
from agents.monitors.base import Check, Monitor, MonitorName, Record
from agents.monitors.cron import Cron, after_gap
from agents.monitors.service import Monitors
from agents.ports import Profiles, Sessions
from agents.tools.base import Call, ToolError
from channels.base import ThreadRef

MOST = 5  # monitors that one session has asked for
SHORTEST = timedelta(minutes=5)


class ScheduleArguments(BaseModel):
    model_config = ConfigDict(extra="forbid")
    action: Literal["add", "list", "remove"] = "add"
    name: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,40}$", description="Its name; needed for remove."
    )
    prompt: str | None = Field(default=None, max_length=10_000, description="What is to be done each time.")
    every_minutes: int | None = Field(default=None, ge=5, le=527_040)
    cron: str | None = Field(default=None, max_length=200, description='Five fields: "0 9 * * mon-fri".')
    at: datetime | None = Field(default=None, description="Once: 2026-12-01T09:00.")
    url: str | None = Field(
        default=None, max_length=2000, description="Look at this page first, and wake only when it has changed."
    )
    agent: str | None = Field(default=None, description="Which agent; you when left out.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.action == "remove" and self.name is None:
            raise ValueError("remove needs a name; list shows them")
        if self.action == "add":
            if sum(value is not None for value in (self.every_minutes, self.cron, self.at)) != 1:
                raise ValueError("add needs exactly one of every_minutes, cron and at")
            if not (self.prompt or "").strip():
                raise ValueError("add needs a prompt")
        return self


class ScheduleTool:
    """schedule."""

    name: ClassVar[str] = "schedule"
    description: ClassVar[str] = (
        "Have work done later or regularly: add, list or remove monitors that wake an agent on a schedule, or when a"
        " page has changed, and report to this conversation's place."
    )
    arguments: ClassVar[type[BaseModel]] = ScheduleArguments
    repeatable: ClassVar[bool] = True
    timeout_seconds: ClassVar[float] = 30.0

    def __init__(self, monitors: Monitors, sessions: Sessions, profiles: Profiles, timezone: ZoneInfo) -> None:
        self._monitors = monitors
        self._sessions = sessions
        self._profiles = profiles
        self._timezone = timezone

    async def run(self, call: Call, arguments: ScheduleArguments) -> str:
        mine = [record for record in await self._monitors.records() if record.monitor.asked_by == call.session.id]
        match arguments.action:
            case "list":
                return "\n".join(_described(record, call.now) for record in mine) or "You have asked for no monitors."
            case "remove":
                return await self._remove(call, mine, str(arguments.name))
            case "add":
                return await self._add(call, arguments)

    async def _remove(self, call: Call, mine: list[Record], name: str) -> str:
        if name not in [record.monitor.name for record in mine]:
            names = ", ".join(record.monitor.name for record in mine) or "none"
            raise ToolError(f"{name!r} is none that you asked for; yours: {names}.")
        await self._monitors.remove(name, by=f"session:{call.session.id}")
        return f"{name} is removed."

    async def _add(self, call: Call, arguments: ScheduleArguments) -> str:
        agent = self._agent(call, arguments)
        home = await self._home(call.session)
        zone = self._timezone
        monitor = Monitor(
            name=MonitorName(arguments.name or f"{agent}-{call.session.label}"[:50]),
            every=timedelta(minutes=arguments.every_minutes) if arguments.every_minutes else None,
            cron=await _cron(arguments.cron, zone, call.now) if arguments.cron is not None else None,
            at=_moment(arguments.at, zone, call.now) if arguments.at is not None else None,
            timezone=zone,
            agent=agent,
            prompt=str(arguments.prompt),
            check=Check(url=arguments.url) if arguments.url else None,
            report_to=(home,),
            owner=call.session.owner,
            owner_name=call.session.owner_name,
            asked_by=call.session.id,
        )
        added = await self._monitors.add(monitor, call.key, limit=MOST)
        return f"{added.name}: {monitor.when}, agent {agent}; it reports to this conversation's place."

    def _agent(self, call: Call, arguments: ScheduleArguments) -> AgentName:
        name = AgentName(arguments.agent or call.session.agent)
        if name != call.session.agent and name not in call.profile.spawns:
            allowed = ", ".join([call.session.agent, *call.profile.spawns])
            raise ToolError(f"you may not schedule the agent {name!r}; you may: {allowed}.")
        profile = self._profiles.profile(name)
        if profile is None:
            raise ToolError(f"there is no agent {name!r}.")
        more = [tool for tool in profile.tools if tool not in call.profile.tools]
        if more:
            raise ToolError(f"{name} has tools that you lack here ({', '.join(more)}), so you may not schedule it.")
        return name

    async def _home(self, session: Session) -> ThreadRef:
        if session.home is not None:
            return session.home
        root = await self._sessions.session(session.root)
        if root is None or root.home is None:
            raise ToolError("this session has no place that a report could go to.")
        return root.home


async def _cron(text: str, zone: ZoneInfo, now: datetime) -> str:
    """Checked, and not too often: its shortest pause within the next hundred firings counts."""

    def checked() -> Cron:
        cron = Cron.parse(text)
        before = cron.next_after(now, zone)
        for _ in range(100):
            after = cron.next_after(before, zone) if before is not None else None
            if after is None or before is None:
                break
            if after - before < SHORTEST:
                raise ValueError(f"{text!r} fires more often than every {SHORTEST.seconds // 60} minutes")
            before = after
        return cron

    try:
        return (await asyncio.to_thread(checked)).text
    except ValueError as error:
        raise ToolError(f"schedule: {error}.") from error


def _moment(at: datetime, zone: ZoneInfo, now: datetime) -> datetime:
    moment = after_gap(at if at.tzinfo is not None else at.replace(tzinfo=zone))
    if moment <= now:
        raise ToolError(f"{at.isoformat()} is past; it is {now.astimezone(zone):%Y-%m-%dT%H:%M} now.")
    return moment.astimezone(UTC)


def _described(record: Record, now: datetime) -> str:
    next_at = record.next_at(now)
    when = f"next at {next_at:%Y-%m-%dT%H:%MZ}" if next_at else "paused" if record.paused else "over"
    return f"{record.monitor.name}: {record.monitor.when}, {when}"
