"""What no single key can tell: names that name nothing, circles, things said twice.

Each rule yields paths and sentences; `load` adds files and lines.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from agents.models.settings import ModelSettings
from bot.config.document import AgentTable, MonitorTable, PersonTable, Tables
from bot.config.kinds import ALWAYS_THERE
from bot.config.lines import Path
from bot.config.problems import one_of
from bot.config.tools import known_tools
from channels.base import ThreadRef

Problem = tuple[Path, str]

_ROLES = ("user", "operator", "owner")

_SERVER = re.compile(r"[a-z0-9][a-z0-9-]{0,19}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """All names that the file gives, also those of tables that are wrong inside: they may be referred to."""

    channels: tuple[str, ...]
    models: tuple[str, ...]
    agents: tuple[str, ...]
    people: tuple[str, ...]
    mcp: tuple[str, ...]


def problems(tables: Tables, names: Names) -> Iterator[Problem]:
    """All that is wrong between tables that are right by themselves."""
    yield from _names(names)
    yield from _models(tables.models, names)
    channels = [*names.channels, *ALWAYS_THERE]
    known = known_tools()
    for name, agent in tables.agents.items():
        yield from _agent(("agents", name), agent, names, known)
    for index, route in tables.routes.items():
        at: Path = ("routes", index)
        yield from _name((*at, "agent"), "agent", route.agent, names.agents)
        if route.channel is not None:
            yield from _name((*at, "channel"), "channel", route.channel, channels)
    yield from _people(tables.people, channels)
    yield from _monitors(tables.monitors, names, channels)


def _names(names: Names) -> Iterator[Problem]:
    for table in ("channels", "models", "agents", "people"):
        for name in getattr(names, table):
            if not _NAME.fullmatch(name):
                yield (table, name), "a name has letters, digits, - and _, at most 64 of them; rename it"
    for name in names.mcp:
        if not _SERVER.fullmatch(name):
            yield ("mcp", name), "a server's name has small letters, digits and -, at most 20 of them; rename it"
        if name in {tool.partition("_")[0] for tool in known_tools()}:
            yield (
                ("mcp", name),
                f"tools of Threadmill itself begin with {name}_: a server cannot have this name; rename it",
            )
    for name in names.channels:
        if name in ALWAYS_THERE:
            yield ("channels", name), f"{name} is always there and takes no settings; remove this table or rename it"


def _name(path: Path, noun: str, name: str, known: Collection[str]) -> Iterator[Problem]:
    if name not in known:
        yield path, f"there is no {noun} {name!r}; {one_of(name, list(known))}"


def _models(settings: Mapping[str, ModelSettings], names: Names) -> Iterator[Problem]:
    for name, model in settings.items():
        for index, other in enumerate(model.fallback):
            at: Path = ("models", name, "fallback", index)
            if other == name:
                yield at, f"a model cannot be its own fallback; remove {other!r}"
            else:
                yield from _name(at, "model", other, names.models)
        yield from _twice(("models", name, "fallback"), model.fallback)
    for name in settings:
        circle = _circle(name, settings)
        if circle and min(circle) == name:
            yield (
                ("models", name, "fallback"),
                f"the fallbacks go round in a circle ({' → '.join([*circle, name])}); take one out",
            )


def _circle(start: str, settings: Mapping[str, ModelSettings]) -> list[str]:
    """The names on a way from `start` by fallbacks back to it, empty when there is none."""
    ways = [[start]]
    seen = {start}
    while ways:
        way = ways.pop()
        for other in settings[way[-1]].fallback if way[-1] in settings else []:
            if other == start and len(way) > 1:  # a model as its own fallback is reported by name
                return way
            if other not in seen:
                seen.add(other)
                ways.append([*way, other])
    return []


def _agent(at: Path, agent: AgentTable, names: Names, known: Collection[str]) -> Iterator[Problem]:
    yield from _name((*at, "model"), "model", agent.model, names.models)
    for index, model in enumerate(agent.models):
        yield from _name((*at, "models", index), "model", model, names.models)
    for key in ("spawns", "may_message"):
        for index, other in enumerate(getattr(agent, key)):
            yield from _name((*at, key, index), "agent", other, names.agents)
    for key in ("models", "tools", "spawns", "may_message", "approve", "escalate_to"):
        yield from _twice((*at, key), getattr(agent, key))
    for key in ("tools", "approve"):
        for index, tool in enumerate(getattr(agent, key)):
            if tool.partition("_")[0] not in names.mcp:  # which tools a server has is known when it runs
                yield from _name((*at, key, index), "tool", tool, {*known, *(f"mcp:{name}" for name in names.mcp)})
    for index, person in enumerate(agent.escalate_to):
        yield from _name((*at, "escalate_to", index), "person or role", person, [*names.people, *_ROLES])
    if agent.thinking_tokens is not None and agent.thinking_tokens >= agent.max_tokens:
        yield (*at, "thinking_tokens"), "must be less than max_tokens, which counts thinking and answer together"


def _twice(path: Path, words: list[str]) -> Iterator[Problem]:
    for index, word in enumerate(words):
        if word in words[:index]:
            yield (*path, index), f"{word!r} stands here twice; remove one"


def _people(people: Mapping[str, PersonTable], channels: list[str]) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for name, person in people.items():
        at: Path = ("people", name)
        here = set()
        for index, account in enumerate(person.accounts):
            place: Path = (*at, "accounts", index)
            channel, colon, rest = account.partition(":")
            if not colon or not rest.strip("/") or account != "".join(account.split()):
                yield place, f"{account!r} is no account; write channel:id, such as telegram:42 (/whoami tells it)"
                continue
            yield from _name(place, "channel", channel, channels)
            here.add(channel)
            if account in owners:
                yield place, f"{account!r} belongs to {owners[account]} already; remove it from one of the two"
            owners.setdefault(account, name)
        yield from _twice((*at, "reach"), person.reach)
        for index, channel in enumerate(person.reach):
            place = (*at, "reach", index)
            if channel not in channels:
                yield from _name(place, "channel", channel, channels)
            elif channel not in here:
                yield place, f"{name} has no account on {channel}; add {channel}:… to her accounts"


def _monitors(monitors: Mapping[int, MonitorTable], names: Names, channels: list[str]) -> Iterator[Problem]:
    given: set[str] = set()
    for index, monitor in monitors.items():
        at: Path = ("monitors", index)
        if monitor.name in given:
            yield (*at, "name"), f"there is a monitor {monitor.name!r} already; give this one a name of its own"
        given.add(monitor.name)
        yield from _name((*at, "agent"), "agent", monitor.agent, names.agents)
        yield from _twice((*at, "report_to"), monitor.report_to)
        for place, key in enumerate(monitor.report_to):
            yield from _name((*at, "report_to", place), "channel", ThreadRef.parse(key).channel, channels)
