"""The configuration file as it may be written: every table, every key, its bounds and what it is for.

Strict: a key that is not here is an error, and so is `"5"` where 5 is wanted. This is the only description of
the file: the JSON Schema that editors use and the sentences of errors are made from it. A channel's own keys
stand in that platform's package (`channels.<kind>.Settings`), a model's in `agents.models.settings`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from agents.models.settings import ModelSettings
from bot.config import times
from bot.config.values import Days, Host, Moment, OneOrMore, Piece, Place, RoleWord, Span, When, Words, Zone


class _Table(BaseModel):
    # Built when first used: a file that has no monitors does not pay for their validator.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)


class BotTable(_Table):
    """The bot as a whole."""

    data: str = Field(
        default="data",
        min_length=1,
        description="The folder of the database, attachments and workspaces; relative to the folder of this file.",
    )
    skills: str = Field(
        default="skills", min_length=1, description="The folder of skills: a folder for each, with a SKILL.md in it."
    )
    timezone: Zone = Field(
        default="UTC",
        description="The time zone of schedules, of `hour` in routes and of a day's costs, such as Europe/Berlin.",
    )


class WebTable(_Table):
    """The web page and the HTTP interface."""

    host: str = Field(default="127.0.0.1", min_length=1, description="The address to listen on.")
    port: int = Field(default=8642, ge=0, le=65535, description="The port to listen on; 0 takes any free one.")
    token: SecretStr | None = Field(
        default=None, description="The bearer token. When it is left out, one is made and kept in the data folder."
    )
    allowed_hosts: list[str] = Field(
        default_factory=list,
        max_length=50,
        description="Names under which the page is reached, beside `host` and localhost: a proxy's name, say.",
    )

    @field_validator("token")
    @classmethod
    def _token_is_long(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None:
            text = token.get_secret_value()
            if len(text) < 8 or not text.isascii() or not text.isprintable() or " " in text:
                raise ValueError("needs at least 8 ASCII characters without blanks; leave it out to have one made")
        return token


class AgentTable(_Table):
    """An agent: its prompt and everything that it may do."""

    model: str = Field(default="default", description="One of [models].")
    models: list[str] = Field(
        default_factory=list, max_length=50, description="Other models that its sessions may be spawned with."
    )
    prompt: Words = Field(description="Who it is and how it works: the system prompt.")
    description: str = Field(
        default="", max_length=1000, description="What it is good at, for people and other agents."
    )
    tools: list[str] = Field(
        default_factory=list, max_length=200, description="Tools by name; spawn, send, files, state are groups."
    )
    workspace: str = Field(
        default="own",
        pattern=r"^(own|shared:[a-z0-9][a-z0-9_-]{0,39})$",
        description="own: each session has a folder of its own; shared:NAME: one that all who name it work in.",
    )
    state: list[Literal["tree", "agent", "everyone"]] = Field(
        default=["tree"], max_length=3, description="With whom it shares values by the state tools."
    )
    skills: list[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]] = Field(
        default_factory=list, max_length=100, description="Its skills, by the names of their folders."
    )
    spawns: list[str] = Field(default_factory=list, description="Agents that it may spawn.")
    may_message: list[str] = Field(default_factory=list, description="Agents whose sessions it may send messages to.")
    queue: Literal["steer", "followup", "collect", "interrupt"] = Field(
        default="steer", description="What happens with a message that comes while a turn runs."
    )
    queue_limit: int = Field(default=50, ge=1, le=10_000, description="How many messages may wait for one session.")
    debounce_seconds: float = Field(
        default=0.0, ge=0, le=60, description="How long to wait for more messages before a turn begins."
    )
    max_depth: int = Field(default=3, ge=0, le=20, description="How many generations of children it may have.")
    max_children: int = Field(default=5, ge=0, le=1000, description="How many living children a session may have.")
    max_running: int | None = Field(
        default=None, ge=1, le=100_000, description="How many turns of this agent may run at once; others wait."
    )
    spawns_per_minute: int = Field(
        default=60, ge=1, le=100_000, description="How many sessions its whole tree may spawn in a minute."
    )
    max_steps: int = Field(default=50, ge=1, le=10_000, description="The most model calls in one turn.")
    turn_timeout_seconds: float = Field(default=600.0, gt=0, le=86_400, description="The longest a turn may take.")
    idle_timeout_seconds: float = Field(
        default=120.0, gt=0, le=86_400, description="The longest silence of the model or a tool within a turn."
    )
    expire_after_hours: float | None = Field(
        default=None, gt=0, le=87_600, description="An idle session ends after this time; never when it is left out."
    )
    budget_usd: float | None = Field(default=None, ge=0, description="What one session may spend, in US dollars.")
    budget_usd_per_day: float | None = Field(
        default=None, ge=0, description="What all sessions of this agent may spend in a day, in US dollars."
    )
    max_tokens: int = Field(default=8192, ge=1, le=1_000_000, description="The longest answer, in tokens.")
    thinking_tokens: int | None = Field(
        default=None, ge=0, le=1_000_000, description="How many tokens it may think; as its model says when left out."
    )
    approve: list[str] = Field(
        default_factory=list, max_length=200, description="Tools whose calls a person must allow first, each time."
    )
    escalate_to: list[str] = Field(
        default_factory=list,
        max_length=10,
        description="People or roles who are asked one after the other when a question is not answered in time.",
    )
    ping_pong_turns: int = Field(
        default=5, ge=1, le=1000, description="Rounds of messages with another session without a person in between."
    )
    max_hops: int = Field(
        default=20,
        ge=1,
        le=10_000,
        description="Messages in a row that sessions may cause one another to send without a person in between.",
    )
    ask_timeout_seconds: float = Field(
        default=3600.0, ge=10, le=604_800, description="How long each of them has to answer; reminded after half of it."
    )


class RouteTable(_Table):
    """Which agent answers what. Every key that is given must match; the first route that matches takes it."""

    name: str = Field(default="", max_length=100, description="For people: what `route explain` calls it.")
    channel: str | None = Field(default=None, description="The channel's name; any when it is left out.")
    space: str | None = Field(default=None, min_length=1, description="A guild's or team's id.")
    room: str | None = Field(default=None, min_length=1, description="A room's id.")
    within: str | None = Field(
        default=None, max_length=200, description='A pattern for the thread\'s id: "?*" any thread, "" the room itself.'
    )
    on: Literal["message", "mention", "command"] = Field(
        default="message",
        description="message: everything said there; mention: only what addresses the bot; command: /NAME text.",
    )
    command: str | None = Field(
        default=None,
        pattern=r"^[a-z][a-z0-9_-]{0,31}$",
        description="The command's name without its slash, with on = \"command\"; the agent's name when left out.",
    )
    direct: bool | None = Field(default=None, description="true: only direct messages; false: only other places.")
    agent: str = Field(description="The agent that answers.")
    thread: bool = Field(default=False, description="Answer in a thread under the message, bound to a new session.")
    when: When | None = Field(
        default=None, description='A condition, such as "hour >= 9 and hour < 17" or \'text.contains("urgent")\'.'
    )
    hours: OneOrMore[Span] = Field(default_factory=list, description="Times of day, such as 09:00-17:30 or 22-6.")
    days: Days | None = Field(default=None, description="Days of the week, such as mon-fri or sat,sun.")
    timezone: Zone | None = Field(default=None, description="For hours, days and when; [bot] timezone when left out.")
    role: RoleWord = Field(default="none", description="The least role of the sender.")
    bots: bool = Field(default=False, description="Whether other bots may talk here.")
    contains: OneOrMore[Piece] = Field(default_factory=list, description="Any of these is in the text.")
    starts_with: OneOrMore[Piece] = Field(default_factory=list, description="The text begins with one of these.")
    priority: Literal["high", "normal", "low"] = Field(default="normal", description="Which work goes first.")

    @model_validator(mode="after")
    def _command_is_asked(self) -> Self:
        if self.command is not None and self.on != "command":
            raise ValueError('command: needs on = "command" beside it')
        return self


class AccessTable(_Table):
    """What people may do who are not listed under [people]."""

    default_role: RoleWord = Field(default="none", description="Their role; none means that they must be let in first.")


class PersonTable(_Table):
    """One person with the accounts that are hers."""

    accounts: list[str] = Field(
        min_length=1, max_length=50, description="Immutable account ids: slack:T1/U1, telegram:42, discord:99."
    )
    role: RoleWord = Field(default="user", description="What she may do.")
    reach: list[str] = Field(default_factory=list, max_length=20, description="Channels to reach her on, in order.")


class CheckTable(_Table):
    """What a monitor looks at before it wakes its agent."""

    url: str = Field(pattern=r"^https?://", max_length=2000, description="The address to fetch.")
    changed: bool = Field(default=True, description="Wake the agent only when the content has changed.")
    timeout_seconds: float = Field(default=20.0, gt=0, le=300, description="The longest the fetch may take.")


class McpTable(_Table):
    """A server of tools (MCP): a program that is started, or an address. Its tools are NAME_<tool>."""

    command: str | None = Field(default=None, min_length=1, max_length=1000, description="The program to start.")
    args: list[str] = Field(default_factory=list, max_length=100, description="Its arguments.")
    env: dict[str, SecretStr] = Field(default_factory=dict, description="Variables of its environment.")
    url: str | None = Field(
        default=None, pattern=r"^https?://", max_length=2000, description="The address, for streamable HTTP."
    )
    headers: dict[str, SecretStr] = Field(default_factory=dict, description="Headers of each request to the address.")
    allow: list[str] | None = Field(
        default=None, max_length=100, description="Only these of its tools; all when it is left out."
    )
    timeout_seconds: float = Field(default=60.0, gt=0, le=3600, description="The longest one call may take.")

    @model_validator(mode="after")
    def _program_or_address(self) -> Self:
        if (self.command is None) == (self.url is None):
            raise ValueError("needs either command or url")
        if self.url is not None and (self.args or self.env):
            raise ValueError("url: args and env belong to a command")
        if self.command is not None and self.headers:
            raise ValueError("headers: they belong to a url")
        return self


class MonitorTable(_Table):
    """An agent on a schedule."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$", description="Unique: letters, digits, - and _.")
    every: str | None = Field(default=None, description="An interval: 30s, 5m, 1h30m, 7d.")
    cron: str | None = Field(default=None, description='Five fields: "0 9 * * mon-fri"; or @daily.')
    at: Moment | None = Field(default=None, description="Once: 2026-12-01T09:00.")
    timezone: Zone | None = Field(default=None, description="For cron and at; [bot] timezone when left out.")
    agent: str = Field(description="The agent that is woken.")
    prompt: Words = Field(description="What it is asked.")
    check: CheckTable | None = Field(default=None, description="Look first, without a model call.")
    report_to: list[Place] = Field(
        min_length=1,
        max_length=20,
        description="Places such as slack:T1/C2. Each gets every report; the first is its session's home.",
    )
    missed: Literal["once", "skip"] = Field(
        default="once", description="Firings missed while Threadmill did not run: once makes up for all, skip for none."
    )

    @field_validator("every")
    @classmethod
    def _every_is_a_duration(cls, text: str | None) -> str | None:
        if text is not None:
            times.duration(text)
        return text

    @field_validator("cron")
    @classmethod
    def _cron_is_cron(cls, text: str | None) -> str | None:
        return times.cron(text) if text is not None else None

    @field_validator("at")
    @classmethod
    def _at_is_a_moment(cls, text: str | None) -> str | None:
        if text is not None:
            times.moment(text, times.time_zone("UTC"))
        return text

    @model_validator(mode="after")
    def _one_schedule(self) -> Self:
        given = [key for key in ("every", "cron", "at") if getattr(self, key) is not None]
        if len(given) != 1:
            had = f"this one has {' and '.join(given)}" if given else "this one has none"
            raise ValueError(f"needs exactly one of every, cron and at; {had}")
        return self


class DeliveryTable(_Table):
    """How messages are brought to people."""

    fallback_after_seconds: float = Field(
        default=20.0, ge=0, le=86_400, description="How long a channel may be down before the next place is used."
    )
    max_age_hours: float = Field(
        default=24.0, gt=0, le=8760, description="A message that could not be sent for so long is a dead letter."
    )


class RetentionTable(_Table):
    """How long things are kept."""

    days: int | None = Field(
        default=None,
        ge=1,
        le=36_500,
        description="Conversations and deliveries that ended longer ago are deleted; nothing is when it is left out.",
    )


class LimitsTable(_Table):
    """Bounds of the whole bot."""

    awake_sessions: int = Field(default=2000, ge=1, le=100_000, description="How many turns may run at once.")
    attachment_megabytes: float = Field(default=25.0, gt=0, le=2000, description="The largest file that is taken in.")
    monitor_reports_per_hour: int = Field(
        default=6, ge=1, le=1000, description="How often one monitor may report; more is held back and summed up."
    )
    workspace_megabytes: float = Field(
        default=200.0, gt=0, le=100_000, description="How much the files of one workspace may hold together."
    )


class FetchTable(_Table):
    """What the tool web_fetch and monitors made in chat may reach: public hosts, unless it is said here."""

    allow: list[Host] = Field(
        default_factory=list,
        max_length=100,
        description="Hosts that are let in although they are private, with or without a port: 127.0.0.1:8080.",
    )
    ports: list[Annotated[int, Field(ge=1, le=65535)]] = Field(
        default=[80, 443], min_length=1, max_length=100, description="Ports of public hosts that are fetched from."
    )


class LogsTable(_Table):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="The least that is shown.")
    format: Literal["auto", "console", "json"] = Field(
        default="auto", description="auto: for people on a terminal, JSON lines elsewhere."
    )


class Document(_Table):
    """Threadmill's config.toml. `${NAME}` in any text is taken from the environment or the .env file beside it."""

    bot: BotTable = Field(default_factory=BotTable)
    web: WebTable = Field(default_factory=WebTable)
    channels: dict[str, dict[str, Any]] = Field(default_factory=dict, description="Connected platforms by name.")
    models: dict[str, ModelSettings] = Field(default_factory=dict, description="Language models by name.")
    agents: dict[str, AgentTable] = Field(default_factory=dict, description="Agents by name; the first is the default.")
    routes: list[RouteTable] = Field(default_factory=list, description="The first match wins.")
    access: AccessTable = Field(default_factory=AccessTable)
    people: dict[str, PersonTable] = Field(default_factory=dict, description="People by name.")
    monitors: list[MonitorTable] = Field(default_factory=list, description="Agents on a schedule.")
    mcp: dict[str, McpTable] = Field(default_factory=dict, description="Servers of tools (MCP) by name.")
    delivery: DeliveryTable = Field(default_factory=DeliveryTable)
    retention: RetentionTable = Field(default_factory=RetentionTable)
    limits: LimitsTable = Field(default_factory=LimitsTable)
    fetch: FetchTable = Field(default_factory=FetchTable)
    logs: LogsTable = Field(default_factory=LogsTable)


@dataclass(slots=True, kw_only=True)
class Tables:
    """The tables of a file that are right by themselves. Lists keep their index, so that an error finds its line."""

    bot: BotTable = field(default_factory=BotTable)
    web: WebTable = field(default_factory=WebTable)
    channels: dict[str, tuple[str, BaseModel]] = field(default_factory=dict)  # kind and settings
    models: dict[str, ModelSettings] = field(default_factory=dict)
    agents: dict[str, AgentTable] = field(default_factory=dict)
    routes: dict[int, RouteTable] = field(default_factory=dict)
    access: AccessTable = field(default_factory=AccessTable)
    people: dict[str, PersonTable] = field(default_factory=dict)
    monitors: dict[int, MonitorTable] = field(default_factory=dict)
    mcp: dict[str, McpTable] = field(default_factory=dict)
    delivery: DeliveryTable = field(default_factory=DeliveryTable)
    retention: RetentionTable = field(default_factory=RetentionTable)
    limits: LimitsTable = field(default_factory=LimitsTable)
    fetch: FetchTable = field(default_factory=FetchTable)
    logs: LogsTable = field(default_factory=LogsTable)
