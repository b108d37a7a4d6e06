"""The configuration as the rest of the program sees it: one frozen object of typed parts.

Nothing here is text to be parsed any more: places are ThreadRefs, durations timedeltas, names are checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, SecretStr

from agents.base import AgentName
from agents.models.base import ModelName
from agents.models.settings import ModelSettings
from agents.monitors.base import Monitor
from agents.ports import Profile
from bot.access import Role
from bot.routing.rules import Rule
from channels.base import Account, ChannelName


@dataclass(frozen=True, slots=True, kw_only=True)
class Bot:
    data: Path  # absolute
    timezone: ZoneInfo
    skills: Path  # absolute


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    host: str
    port: int
    token: SecretStr | None  # None: `bot.config.token.settled` makes or finds one
    allowed_hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredChannel:
    """What an adapter is made from: `channels.<kind>.create(settings, context)`."""

    name: ChannelName
    kind: str
    settings: BaseModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    name: str
    accounts: tuple[Account, ...]
    role: Role
    reach: tuple[tuple[ChannelName, Account], ...]  # in order; channels of `reach` with her account there


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    fallback_after: timedelta
    max_age: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    awake_sessions: int
    attachment_bytes: int
    monitor_reports_per_hour: int
    workspace_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    allow: tuple[str, ...]
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class McpServer:
    """A server of tools: `command` or `url`. `allow` None: all its tools."""

    command: str | None
    args: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    url: str | None
    headers: Mapping[str, str] = field(repr=False)
    allow: frozenset[str] | None
    timeout_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Logs:
    level: Literal["debug", "info", "warning", "error"]
    format: Literal["auto", "console", "json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that is configured. `file` is None when there is no file and these are the defaults."""

    file: Path | None
    bot: Bot
    web: Web
    channels: Mapping[ChannelName, ConfiguredChannel]
    models: Mapping[ModelName, ModelSettings]
    agents: Mapping[AgentName, Profile]
    routes: tuple[Rule, ...]
    default_role: Role
    people: Mapping[str, Person]
    monitors: tuple[Monitor, ...]
    mcp: Mapping[str, McpServer]
    delivery: Delivery
    retention_days: int | None
    limits: Limits
    fetch: Fetch
    logs: Logs
    secrets: frozenset[str] = field(repr=False)  # for the log to hide

    @property
    def rehearsing(self) -> bool:
        """Whether nobody would be asked: every model is a rehearsal."""
        return all(model.kind == "rehearsal" for model in self.models.values())
