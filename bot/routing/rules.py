"""One route rule, and whether it takes a message.

A rule is a plain value: the configuration makes it once, with its condition parsed and its hours read, and
matching it costs a few comparisons. `why_not` answers in words, since the same answer decides and explains
(`threadmill route explain`): the two cannot drift apart.

Pure: no I/O, and the time is an argument.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any

from agents.base import AgentName
from bot.access import Principal, Role
from bot.routing.conditions import Condition, ConditionFailed
from channels.base import ChannelName, Inbound, Kind

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class On(Enum):
    """What makes a rule look at a message."""

    MESSAGE = "message"  # any message
    MENTION = "mention"  # one that addresses the bot: by mention, by a reply to it, or in a direct conversation
    COMMAND = "command"  # `/name text`, with the rule's command or its agent's name as the name


class Priority(Enum):
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """A span of the local clock. One that ends before it begins goes over midnight."""

    begin: time
    end: time  # not included

    @classmethod
    def parse(cls, text: str) -> Hours:
        """`09:00-17:30` or `22-6`. Raises ValueError with a sentence."""
        match = re.fullmatch(r"\s*(\d{1,2})(?::(\d\d))?\s*[-–]\s*(\d{1,2})(?::(\d\d))?\s*", text)
        try:
            if match is None:
                raise ValueError
            begin_hour, begin_minute, end_hour, end_minute = (int(part or 0) for part in match.groups())
            if end_hour == 24 and end_minute == 0:
                end_hour = 0
            begin, end = time(begin_hour, begin_minute), time(end_hour, end_minute)
        except ValueError:
            raise ValueError(f"{text!r} is not a span of hours: write for example 09:00-17:30") from None
        return cls(begin=begin, end=end)

    def day_of(self, local: datetime) -> int | None:
        """The weekday (0 = Monday) on which the span that covers this moment began; None when it covers it not."""
        clock = local.time()
        if self.begin < self.end:
            return local.weekday() if self.begin <= clock < self.end else None
        if clock >= self.begin:
            return local.weekday()
        return (local - timedelta(days=1)).weekday() if clock < self.end else None


def parse_days(text: str) -> frozenset[int]:
    """`mon-fri`, `sat,sun`, `fri-mon` as weekdays (0 = Monday). Raises ValueError with a sentence."""
    days: set[int] = set()
    try:
        for part in text.lower().split(","):
            first, dash, last = (piece.strip() for piece in part.partition("-"))
            begin = WEEKDAYS.index(first)
            end = WEEKDAYS.index(last) if dash else begin
            days.update((begin + step) % 7 for step in range((end - begin) % 7 + 1))
    except ValueError:
        raise ValueError(f"{text!r} names no days: write for example mon-fri or sat,sun") from None
    return frozenset(days)


ANY_DAY = frozenset(range(7))
ALWAYS = Hours(begin=time(0), end=time(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Which messages go to which agent. What is None or empty is not asked."""

    agent: AgentName
    name: str = ""  # for people
    channel: ChannelName | None = None
    space: str | None = None
    room: str | None = None
    within: str | None = None  # a pattern for the thread (`*` any, `?*` threads only), "" the room itself only
    on: On = On.MESSAGE
    command: str | None = None  # with On.COMMAND; None: the agent's name
    direct: bool | None = None
    open_thread: bool = False  # answer in a new thread under the message
    when: Condition | None = None
    hours: tuple[Hours, ...] = ()
    days: frozenset[int] = ANY_DAY  # on which the hours begin
    timezone: tzinfo | None = None  # None: the bot's
    role_at_least: Role = Role.NONE
    bots: bool = False  # bots may start and continue conversations
    contains: tuple[str, ...] = ()  # any of these, whatever the case
    starts_with: tuple[str, ...] = ()
    priority: Priority = Priority.NORMAL

    @property
    def command_name(self) -> str:
        return (self.command or self.agent).lower()


class Facts:
    """What rules may ask about one message; what only some rules ask is worked out once, when asked."""

    __slots__ = ("_locals", "_text", "_variables", "command", "inbound", "now", "principal", "timezone")

    def __init__(
        self, inbound: Inbound, principal: Principal, *, now: datetime, timezone: tzinfo, command: str | None
    ) -> None:
        self.inbound = inbound
        self.principal = principal
        self.now = now
        self.timezone = timezone
        self.command = command  # the name of the command that the text is
        self._locals: dict[tzinfo, datetime] = {}
        self._text: str | None = None
        self._variables: dict[tzinfo, dict[str, Any]] = {}

    def local(self, timezone: tzinfo) -> datetime:
        found = self._locals.get(timezone)
        if found is None:
            found = self._locals[timezone] = self.now.astimezone(timezone)
        return found

    @property
    def folded(self) -> str:
        if self._text is None:
            self._text = self.inbound.text.casefold()
        return self._text

    def variables(self, timezone: tzinfo) -> dict[str, Any]:
        """The variables of `bot.routing.conditions`."""
        found = self._variables.get(timezone)
        if found is None:
            local, inbound = self.local(timezone), self.inbound
            found = self._variables[timezone] = {
                "hour": local.hour,
                "minute": local.minute,
                "weekday": WEEKDAYS[local.weekday()],
                "date": local.date().isoformat(),
                "channel": inbound.where.channel,
                "room": inbound.where.room,
                "thread": inbound.where.thread or "",
                "text": inbound.text,
                "sender": inbound.sender.name,
                "account": inbound.sender.account,
                "role": self.principal.role.word,
                "mentioned": inbound.mentioned,
                "direct": inbound.direct,
                "has_attachments": bool(inbound.attachments),
            }
        return found


def why_not(rule: Rule, facts: Facts) -> str | None:
    """Why this rule does not take the message, in words; None when it does."""
    return not_here(rule, facts.inbound) or _not_this(rule, facts) or _not_now(rule, facts)


def not_here(rule: Rule, inbound: Inbound) -> str | None:
    """Why this rule is not about the place."""
    where = inbound.where
    if rule.channel is not None and rule.channel != where.channel:
        return f"it is for the channel {rule.channel}"
    if rule.space is not None and rule.space != where.space:
        return f"it is for the space {rule.space}"
    if rule.room is not None and rule.room != where.room:
        return f"it is for the room {rule.room}"
    if rule.within is not None and not _within(rule.within, where.thread):
        return f"it is for threads like {rule.within!r}" if rule.within else "it is not for threads"
    if rule.direct is not None and rule.direct != inbound.direct:
        return "it is for direct conversations" if rule.direct else "it is not for direct conversations"
    return None


def _within(pattern: str, thread: str | None) -> bool:
    return fnmatchcase(thread or "", pattern) if pattern else thread is None


def _not_this(rule: Rule, facts: Facts) -> str | None:
    inbound = facts.inbound
    if inbound.sender.is_bot and not rule.bots:
        return "it is not for bots"
    if rule.on is On.COMMAND:
        if facts.command != rule.command_name:
            return f"it is for the command /{rule.command_name}"
    elif facts.command is not None and inbound.kind is Kind.COMMAND:
        return "it is not for commands"
    elif rule.on is On.MENTION and not (inbound.mentioned or inbound.direct):
        return "the bot is not mentioned"
    if facts.principal.role < rule.role_at_least:
        return f"it is for {rule.role_at_least.word}s and above, and the sender is {facts.principal.role.word}"
    if rule.contains and not any(part.casefold() in facts.folded for part in rule.contains):
        return f"the text contains none of {', '.join(rule.contains)}"
    if rule.starts_with and not facts.folded.startswith(tuple(part.casefold() for part in rule.starts_with)):
        return f"the text starts with none of {', '.join(rule.starts_with)}"
    return None


def _not_now(rule: Rule, facts: Facts) -> str | None:
    timezone = rule.timezone or facts.timezone
    if rule.hours or rule.days != ANY_DAY:
        local = facts.local(timezone)
        if not any(hours.day_of(local) in rule.days for hours in rule.hours or (ALWAYS,)):
            return f"it is not for {WEEKDAYS[local.weekday()]} {local:%H:%M} ({timezone})"
    if rule.when is not None:
        try:
            if not rule.when.holds(facts.variables(timezone)):
                return f"its condition is false: {rule.when.source}"
        except ConditionFailed as error:
            return f"its condition failed ({error}): {rule.when.source}"
    return None
