"""From tables that fit together to the one frozen Config."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from agents.base import AgentName, QueueMode
from agents.models.base import ModelName
from agents.models.settings import ModelSettings
from agents.monitors.base import Check, Monitor, MonitorName
from agents.monitors.cron import after_gap
from agents.monitors.schedule import Missed
from agents.ports import Profile
from bot.access import Role
from bot.config import parts, times
from bot.config.document import AgentTable, McpTable, MonitorTable, PersonTable, RouteTable, Tables
from bot.config.problems import secrets_in
from bot.config.tools import expanded
from bot.routing.conditions import Condition
from bot.routing.rules import ANY_DAY, Hours, On, Priority, Rule, parse_days
from channels.base import Account, ChannelName, ThreadRef


def built(tables: Tables, folder: Path, file: Path | None) -> parts.Config:
    """The configuration. Relative paths count from `folder`."""
    web = tables.web
    return parts.Config(
        file=file,
        bot=parts.Bot(
            data=(folder / Path(tables.bot.data).expanduser()).absolute(),
            timezone=times.time_zone(tables.bot.timezone),
            skills=(folder / Path(tables.bot.skills).expanduser()).absolute(),
        ),
        web=parts.Web(host=web.host, port=web.port, token=web.token, allowed_hosts=tuple(web.allowed_hosts)),
        channels={
            ChannelName(name): parts.ConfiguredChannel(name=ChannelName(name), kind=kind, settings=settings)
            for name, (kind, settings) in tables.channels.items()
        },
        models={ModelName(name): _model(model, folder) for name, model in tables.models.items()},
        agents={AgentName(name): _profile(name, agent) for name, agent in tables.agents.items()},
        routes=tuple(_rule(route) for route in tables.routes.values()),
        default_role=Role.named(tables.access.default_role),
        people={name: _person(name, person) for name, person in tables.people.items()},
        monitors=tuple(_monitor(monitor, tables.bot.timezone) for monitor in tables.monitors.values()),
        delivery=parts.Delivery(
            fallback_after=timedelta(seconds=tables.delivery.fallback_after_seconds),
            max_age=timedelta(hours=tables.delivery.max_age_hours),
        ),
        mcp={name: _server(server) for name, server in tables.mcp.items()},
        retention_days=tables.retention.days,
        limits=parts.Limits(
            awake_sessions=tables.limits.awake_sessions,
            attachment_bytes=int(tables.limits.attachment_megabytes * 1_000_000),
            monitor_reports_per_hour=tables.limits.monitor_reports_per_hour,
            workspace_bytes=int(tables.limits.workspace_megabytes * 1_000_000),
        ),
        fetch=parts.Fetch(allow=tuple(tables.fetch.allow), ports=tuple(tables.fetch.ports)),
        logs=parts.Logs(level=tables.logs.level, format=tables.logs.format),
        secrets=frozenset(_secrets(tables)),
    )


def _secrets(tables: Tables) -> Iterator[str]:
    settings = [settings for _, settings in tables.channels.values()]
    for secret in secrets_in([tables.web, *settings, *tables.models.values(), *tables.mcp.values()]):
        if secret:
            yield secret


def _model(model: ModelSettings, folder: Path) -> ModelSettings:
    if model.script is None:
        return model
    return model.model_copy(update={"script": (folder / model.script.expanduser()).absolute()})


def _profile(name: str, agent: AgentTable) -> Profile:
    return Profile(
        name=AgentName(name),
        model=ModelName(agent.model),
        models=tuple(ModelName(name) for name in agent.models),
        prompt=agent.prompt,
        description=agent.description,
        tools=expanded([*agent.tools, *(["skills"] if agent.skills else [])]),
        spawns=tuple(AgentName(other) for other in agent.spawns),
        may_message=tuple(AgentName(other) for other in agent.may_message),
        queue=QueueMode(agent.queue),
        queue_limit=agent.queue_limit,
        debounce_seconds=agent.debounce_seconds,
        max_depth=agent.max_depth,
        max_children=agent.max_children,
        max_running=agent.max_running,
        spawns_per_minute=agent.spawns_per_minute,
        max_steps=agent.max_steps,
        turn_timeout_seconds=agent.turn_timeout_seconds,
        idle_timeout_seconds=agent.idle_timeout_seconds,
        expire_after_hours=agent.expire_after_hours,
        budget_usd=agent.budget_usd,
        budget_usd_per_day=agent.budget_usd_per_day,
        max_tokens=agent.max_tokens,
        thinking_tokens=agent.thinking_tokens,
        approve=expanded(agent.approve),
        escalate_to=tuple(agent.escalate_to),
        ping_pong_turns=agent.ping_pong_turns,
        max_hops=agent.max_hops,
        ask_timeout_seconds=agent.ask_timeout_seconds,
        workspace=None if agent.workspace == "own" else agent.workspace,
        state=tuple(agent.state),
        skills=tuple(agent.skills),
    )


def _server(server: McpTable) -> parts.McpServer:
    return parts.McpServer(
        command=server.command,
        args=tuple(server.args),
        env={name: value.get_secret_value() for name, value in server.env.items()},
        url=server.url,
        headers={name: value.get_secret_value() for name, value in server.headers.items()},
        allow=None if server.allow is None else frozenset(server.allow),
        timeout_seconds=server.timeout_seconds,
    )


def _rule(route: RouteTable) -> Rule:
    return Rule(
        agent=AgentName(route.agent),
        name=route.name,
        channel=ChannelName(route.channel) if route.channel is not None else None,
        space=route.space,
        room=route.room,
        within=route.within,
        on=On(route.on),
        command=route.command,
        direct=route.direct,
        open_thread=route.thread,
        when=Condition.parse(route.when) if route.when is not None else None,
        hours=tuple(Hours.parse(span) for span in route.hours),
        days=parse_days(route.days) if route.days is not None else ANY_DAY,
        timezone=times.time_zone(route.timezone) if route.timezone is not None else None,
        role_at_least=Role.named(route.role),
        bots=route.bots,
        contains=tuple(route.contains),
        starts_with=tuple(route.starts_with),
        priority=Priority(route.priority),
    )


def _person(name: str, person: PersonTable) -> parts.Person:
    first: dict[str, Account] = {}
    for account in person.accounts:
        first.setdefault(account.partition(":")[0], Account(account))
    return parts.Person(
        name=name,
        accounts=tuple(Account(account) for account in person.accounts),
        role=Role.named(person.role),
        reach=tuple((ChannelName(channel), first[channel]) for channel in person.reach),
    )


def _monitor(monitor: MonitorTable, default_zone: str) -> Monitor:
    zone = times.time_zone(monitor.timezone or default_zone)
    check = monitor.check
    return Monitor(
        name=MonitorName(monitor.name),
        every=times.duration(monitor.every) if monitor.every is not None else None,
        cron=monitor.cron,
        at=after_gap(times.moment(monitor.at, zone)) if monitor.at is not None else None,
        timezone=zone,
        agent=AgentName(monitor.agent),
        prompt=monitor.prompt,
        check=Check(url=check.url, changed=check.changed, timeout_seconds=check.timeout_seconds)
        if check is not None
        else None,
        report_to=tuple(ThreadRef.parse(place) for place in monitor.report_to),
        missed=Missed(monitor.missed),
    )
