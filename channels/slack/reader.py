"""What every reading of a payload needs: whose it is, where and when it happened. Pure.

The account and the place carry the workspace that the bot lives in, also for a guest from another one:
Slack's user ids are unique over all, and the several payloads disagree about whose workspace they name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from channels.base import Account, ChannelName, EventId, Sender, ThreadRef
from channels.slack.entities import users_in
from channels.slack.payloads import EventCallback

ASKED_BY = "user:"
"""Begins an `answer_with` that names the person to whom a private answer is shown; others are addresses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who the bot is, as `auth.test` said."""

    team: str
    user: str
    bot: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """What is needed to read payloads: whose they are, and the names that are known by now."""

    channel: ChannelName
    me: Identity
    names: Mapping[str, str] = field(default_factory=dict)
    commands: frozenset[str] = frozenset()

    def place(self, room: str, thread: str | None = None) -> ThreadRef:
        return ThreadRef(channel=self.channel, space=self.me.team, room=room, thread=thread or None)

    def sender(self, user: str, name: str = "", *, is_bot: bool = False) -> Sender:
        account = Account(f"{self.channel}:{self.me.team}/{user}")
        return Sender(account=account, name=self.names.get(user) or name or user, is_bot=is_bot)


def people_in(payload: Mapping[str, Any]) -> frozenset[str]:
    """The users whose names a reader of this payload would like to know."""
    event = payload.get("event")
    if not isinstance(event, dict):
        user = payload.get("user")
        person = user.get("id") if isinstance(user, dict) else payload.get("user_id")
        return frozenset({person}) if isinstance(person, str) and person else frozenset()
    inner = event.get("message") if isinstance(event.get("message"), dict) else event
    found = [source.get("user") for source in (event, inner) if isinstance(source, dict)]
    text = inner.get("text") if isinstance(inner, dict) else None
    return frozenset(user for user in found if isinstance(user, str) and user) | (
        users_in(text) if isinstance(text, str) else frozenset()
    )


def room_of(payload: Mapping[str, Any]) -> str:
    """The room that the payload is about, by which order is kept. Empty when it names none."""
    event = payload.get("event")
    source = event if isinstance(event, dict) else payload
    for value in (source.get("channel"), source.get("channel_id"), source.get("item"), source.get("old_channel_id")):
        if isinstance(value, str) and value:
            return value
        if isinstance(value, dict):
            named = value.get("channel") or value.get("id")
            if isinstance(named, str):
                return named
    return ""


def order_of(payload: Mapping[str, Any]) -> tuple[int, int]:
    """When it happened, by Slack's clock, as a key for sorting."""
    event = payload.get("event")
    source = event if isinstance(event, dict) else payload
    ts = source.get("event_ts") or source.get("ts") or source.get("action_ts")
    return ts_order(ts) if isinstance(ts, str) else (0, 0)


def ts_order(ts: str) -> tuple[int, int]:
    """A `ts` as a key for sorting; (0, 0) when it is none."""
    seconds, _, fraction = ts.partition(".")
    try:
        return int(seconds), int(fraction.ljust(6, "0")[:6] or 0)
    except ValueError:
        return 0, 0


def ts_time(ts: str, otherwise: datetime) -> datetime:
    seconds, micros = ts_order(ts)
    try:
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros) if seconds > 0 else otherwise
    except (ValueError, OverflowError, OSError):
        return otherwise


def is_direct(room: str, kind: str = "") -> bool:
    return kind == "im" or (not kind and room.startswith("D"))


def event_id(callback: EventCallback, otherwise: str) -> EventId:
    return EventId(f"event:{callback.event_id}" if callback.event_id else otherwise)
