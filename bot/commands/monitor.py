"""/monitor: what is watched, and for whom."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from agents.base import AgentName, NotFound
from agents.monitors.base import Check, Monitor, MonitorName, Record
from agents.monitors.cron import MACROS, after_gap
from agents.monitors.service import Monitors
from agents.ports import Profiles
from agents.team import first_line
from bot.access import Action, Resource, authorise
from bot.commands.base import Command, Misused, Request, allow
from bot.config import times
from channels.base import CommandOption, Takes

MOST = 50  # of one account, made in chat
_PROMPT = "Tell people briefly what has changed, when it matters to them."
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_USAGE = (
    "/monitor [list] · /monitor add [name:] every 5m|cron 0 9 * * mon-fri|@daily|at 2026-12-01T09:00 [agent] URL and/or"
    " what to do · /monitor pause|resume|run|remove NAME"
)


def command(monitors: Monitors, profiles: Profiles, timezone: ZoneInfo) -> Command:
    async def run(request: Request) -> str:
        verb, rest = request.word()
        match verb.lower():
            case "" | "list":
                return await _list(monitors, request)
            case "add":
                allow(request, Action.MONITORS_WRITE)
                monitor = _parsed(rest, request, profiles, timezone)
                added = await monitors.add(monitor, request.key, limit=MOST)
                return _added(monitor, added.name, request.now)
            case "pause" | "resume" | "run" | "remove" as what:
                return await _change(monitors, request, what, rest)
            case _:
                raise Misused("Say what to do: list, add, pause, resume, run or remove.")

    return Command(
        name="monitor",
        summary="Watch a page, or wake an agent on a schedule",
        usage=_USAGE,
        run=run,
        decides=True,
        looks=frozenset({"", "list"}),
        options=(
            CommandOption(
                name="action",
                description="What to do; nothing lists them",
                choices=("list", "add", "pause", "resume", "run", "remove"),
            ),
            CommandOption(name="monitor", description="Its name; to add one, when and what", takes=Takes.MONITOR),
        ),
        action=Action.MONITORS_WRITE,
    )


async def _list(monitors: Monitors, request: Request) -> str:
    """What the person may see: her own, those that report where she asks, and for operators all. What is watched may be
    nobody else's business."""
    allow(request, Action.MONITORS_READ)
    lines = [_line(record, request.now) for record in await monitors.records() if _may_see(request, record.monitor)]
    return "\n".join(lines) or "There are no monitors. /monitor add every 5m https://example.org begins one."


def _may_see(request: Request, monitor: Monitor) -> bool:
    here = any(request.where in (place, place.in_room) for place in monitor.report_to)
    resource = Resource.of_monitor(monitor.name, monitor.owner)
    return here or authorise(request.principal, Action.MONITORS_READ, resource).allowed


def _line(record: Record, now: datetime) -> str:
    monitor, zone = record.monitor, record.monitor.timezone
    next_at = record.next_at(now)
    if record.paused:
        state = "**paused**"
    elif next_at is not None:
        state = f"next {_clock(next_at, zone, now)}"
    else:
        state = "over"
    last = f", last {_clock(record.last_fired, zone, now)}" if record.last_fired else ""
    what = monitor.check.url if monitor.check else first_line(monitor.prompt)
    error = f"\n  last error: {record.last_error}" if record.last_error else ""
    return f"- **{monitor.name}** {monitor.when}, {state}{last} · {monitor.agent}: {what}{error}"


def _clock(moment: datetime, zone: ZoneInfo, now: datetime) -> str:
    local = moment.astimezone(zone)
    return f"{local:%H:%M:%S}" if local.date() == now.astimezone(zone).date() else f"{local:%Y-%m-%d %H:%M}"


async def _change(monitors: Monitors, request: Request, what: str, name: str) -> str:
    record = await monitors.record(name)
    owner = record.monitor.owner if record else None
    allow(request, Action.MONITORS_WRITE, Resource.of_monitor(name, owner))
    if record is None:
        names = ", ".join(each.monitor.name for each in await monitors.records()) or "none"
        raise NotFound(f"There is no monitor {name!r}; there are: {names}.")
    by = str(request.principal.account)
    match what:
        case "pause":
            await monitors.pause(name, True, by=by)
            return f"**{name}** is paused. /monitor resume {name} goes on."
        case "resume":
            await monitors.pause(name, False, by=by)
            return f"**{name}** goes on. What was due meanwhile is left out."
        case "run":
            await monitors.fire_now(record.monitor.name, request.key)
            told = "it reports when something has changed" if record.monitor.check else "its report comes"
            return f"**{name}** runs now: {told} in {', '.join(place.key for place in record.monitor.report_to)}."
        case _:
            if record.source.value == "config":
                return f"**{name}** stands in the configuration: remove it there, or /monitor pause {name}."
            await monitors.remove(name, by=by)
            return f"**{name}** is removed."


def _added(monitor: Monitor, name: str, now: datetime) -> str:
    next_at = monitor.schedule(now).next_after(now)
    if next_at is None:
        return f"**{name}** is added, but will never be due: that time is past."
    looked = f" I look at {monitor.check.url} now, and then tell what changes." if monitor.check else ""
    return (
        f"**{name}**: {monitor.when}, first at {_clock(next_at, monitor.timezone, now)}, agent {monitor.agent};"
        f" it reports here.{looked}"
    )


def _parsed(text: str, request: Request, profiles: Profiles, zone: ZoneInfo) -> Monitor:
    """`[name:] every 5m [agent] URL prompt`."""
    words = text.split()
    name = None
    if words and words[0].endswith(":") and _NAME.fullmatch(words[0][:-1]):
        name = words.pop(0)[:-1]
    try:
        every, cron, at, words = _when(words, zone)
    except ValueError as error:
        raise Misused(f"{error}.") from error
    agent = AgentName(words.pop(0)) if words and words[0] in profiles.names() else None
    url = words.pop(0) if words and words[0].lower().startswith(("http://", "https://")) else None
    prompt = " ".join(words)
    if not prompt and url is None:
        raise Misused("Say what to watch (a web address) or what to do.")
    agent = agent or next(iter(profiles.names()), None)
    if agent is None:
        raise Misused("No agent is configured.")
    return Monitor(
        name=MonitorName(name or _name(url, agent)),
        every=every,
        cron=cron,
        at=at,
        timezone=zone,
        agent=agent,
        prompt=prompt or _PROMPT,
        check=Check(url=url) if url else None,
        report_to=(request.where,),
        owner=request.principal.account,
        owner_name=request.principal.name,
    )


_When = tuple[timedelta | None, str | None, datetime | None, list[str]]


def _when(words: list[str], zone: ZoneInfo) -> _When:
    """The interval, the cron expression or the moment, and the words after it. Raises ValueError."""
    match [word.lower() for word in words[:1]], words[1:]:
        case ["every"], [span, *rest]:
            return times.duration(span), None, None, rest
        case ["cron"], [macro, *rest] if macro.lower() in MACROS:
            return None, times.cron(macro), None, rest
        case ["cron"], [*fields] if len(fields) >= 5:
            return None, times.cron(" ".join(fields[:5]).strip('"')), None, fields[5:]
        case ["at"], [moment, *rest]:
            return None, None, after_gap(times.moment(moment, zone)), rest
        case [macro], rest if macro in MACROS:
            return None, times.cron(macro), None, rest
    raise ValueError("Say when: every 5m, cron 0 9 * * mon-fri, @daily, or at 2026-12-01T09:00")


def _name(url: str | None, agent: str) -> str:
    host = (urlsplit(url).hostname or "") if url else ""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", host.removeprefix("www.")).strip("-")
    return (plain or agent)[:50]
