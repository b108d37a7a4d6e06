"""From what Slack sent to what happened: pure, so that recorded payloads test all of it.

Three promises. One post is one event: `message` and `app_mention` of it, and the copy that a look into the
history brings, share an id. The bot never hears itself. What cannot be read is nothing, not an error.

The account and the place carry the workspace that the bot lives in, also for a guest from another one:
Slack's user ids are unique over all, and the several payloads disagree about whose workspace they name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from pydantic import ValidationError

from channels.base import Account, Attachment, ChannelName, EventId, Inbound, Kind, Sender, ThreadRef
from channels.slack.entities import readable, users_in, without_mention
from channels.slack.payloads import (
    EventCallback,
    File,
    Interaction,
    Message,
    Reaction,
    RoomEvent,
    SlashCommand,
)

SPOKEN = frozenset({"", "file_share", "thread_broadcast", "me_message", "bot_message"})
"""The subtypes of `message` that somebody said; all others are the room's own notices."""

HAND_OVER = "threadmill_hand_over"
"""callback_id of the shortcut in a message's menu that hands the message to an agent."""

STOP_BUTTON = "threadmill:stop"
"""The Stop button of a message that is being written: pressing it is the stop command."""

ASKED_BY = "user:"
"""Begins an `answer_with` that names the person to whom a private answer is shown; others are addresses."""

ROOM_KINDS = {
    "channel_archive": Kind.THREAD_ARCHIVED,
    "group_archive": Kind.THREAD_ARCHIVED,
    "channel_unarchive": Kind.THREAD_UNARCHIVED,
    "group_unarchive": Kind.THREAD_UNARCHIVED,
    "channel_deleted": Kind.THREAD_DELETED,
    "group_deleted": Kind.THREAD_DELETED,
}

_BANG = re.compile(r"!(?=[A-Za-z])")
_UNHOSTED = frozenset({"tombstone", "hidden_by_limit"})


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


def normalize(payload: Mapping[str, Any], reader: Reader, *, now: datetime) -> list[Inbound]:
    """What happened, in the order in which it did. Empty for what does not concern us or cannot be read."""
    try:
        match payload.get("type"):
            case "event_callback":
                return _event(EventCallback.model_validate(payload), reader, now)
            case "block_actions":
                return _buttons(Interaction.model_validate(payload), reader, now)
            case "message_action":
                return _shortcut(Interaction.model_validate(payload), reader, now)
            case _ if payload.get("command"):
                return _slash(SlashCommand.model_validate(payload), payload, reader, now)
    except ValidationError:
        return []
    return []


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


def spoken(message: Message, reader: Reader, *, now: datetime, addressed: bool = False) -> list[Inbound]:
    """One message that somebody said: from an event, or from the history."""
    if message.subtype not in SPOKEN or not message.channel or not message.ts or _ours(message, reader):
        return []
    user = message.user or message.bot_id
    if not user:
        return []
    direct = _direct(message.channel, message.channel_type)
    text, mentioned = _text(message, reader)
    kind = Kind.MESSAGE
    if _BANG.match(text) and (message.thread or direct or mentioned):
        kind, text = Kind.COMMAND, _BANG.sub("/", text, count=1)
    attachments = tuple(_attachments(message.files))
    if not text and not attachments and not (mentioned or addressed):
        return []
    return [
        Inbound(
            id=EventId(f"message:{message.channel}/{message.ts}"),
            kind=kind,
            where=reader.place(message.channel, message.thread),
            sender=reader.sender(user, _name(message), is_bot=_is_bot(message)),
            text=text,
            sent_at=ts_time(message.ts, now),
            message_id=message.ts,
            attachments=attachments,
            mentioned=mentioned or addressed or message.parent_user_id == reader.me.user,
            direct=direct,
            answer_with=ASKED_BY + user if kind is Kind.COMMAND and not direct else None,
        )
    ]


def _event(callback: EventCallback, reader: Reader, now: datetime) -> list[Inbound]:
    kind = str(callback.event.get("type"))
    if kind in {"message", "app_mention"}:
        message = Message.model_validate(callback.event)
        if message.subtype in {"message_changed", "message_deleted"}:
            return _change(message, callback, reader, now)
        return spoken(message, reader, now=now, addressed=kind == "app_mention")
    if kind == "reaction_added":
        return _reaction(Reaction.model_validate(callback.event), callback, reader, now)
    if kind == "channel_id_changed":
        event = RoomEvent.model_validate(callback.event)
        return _notice(Kind.ROOM_MOVED, event.old_channel_id, event, callback, reader, now, event.new_channel_id)
    if kind == "agent_session_stopped":
        return _stopped(RoomEvent.model_validate(callback.event), callback, reader, now)
    if kind in ROOM_KINDS:
        event = RoomEvent.model_validate(callback.event)
        return _notice(ROOM_KINDS[kind], event.channel, event, callback, reader, now)
    return []


def _change(event: Message, callback: EventCallback, reader: Reader, now: datetime) -> list[Inbound]:
    """An edit or a deletion. Slack also says "changed" when only a link's preview, a reply count or a language
    guess was added: those are nothing. A root that has replies is not deleted but becomes a tombstone."""
    before, after = event.previous_message, event.message
    gone = event.subtype == "message_deleted" or (after is not None and after.subtype == "tombstone")
    about = before if gone and before is not None else after
    if about is None:
        about = Message(ts=event.deleted_ts, channel=event.channel)
    ts = (event.deleted_ts or (after.ts if after else "")) if gone else about.ts
    if not event.channel or not ts or _ours(about, reader):
        return []
    if not gone and not _rewritten(before, about):
        return []
    text, mentioned = ("", False) if gone else _text(about, reader)
    editor = about.edited.user if about.edited and not gone else ""
    user = about.user or about.bot_id or editor
    return [
        Inbound(
            id=_event_id(callback, f"{event.subtype}:{event.channel}/{ts}/{event.event_ts or event.ts}"),
            kind=Kind.DELETE if gone else Kind.EDIT,
            where=reader.place(event.channel, about.thread),
            sender=reader.sender(user or "unknown", _name(about), is_bot=_is_bot(about)),
            text=text,
            sent_at=ts_time(event.event_ts or event.ts, now),
            message_id=ts,
            attachments=() if gone else tuple(_attachments(about.files)),
            mentioned=mentioned,
            direct=_direct(event.channel, event.channel_type),
        )
    ]


def _rewritten(before: Message | None, after: Message) -> bool:
    if after.subtype not in SPOKEN:
        return False
    if before is None:
        return after.edited is not None
    return before.text != after.text or {file.id for file in before.files} != {file.id for file in after.files}


def _reaction(event: Reaction, callback: EventCallback, reader: Reader, now: datetime) -> list[Inbound]:
    if event.item.type != "message" or not event.item.channel or not event.user or event.user == reader.me.user:
        return []
    return [
        Inbound(
            id=_event_id(callback, f"reaction:{event.item.channel}/{event.item.ts}/{event.user}/{event.event_ts}"),
            kind=Kind.REACTION,
            where=reader.place(event.item.channel),
            sender=reader.sender(event.user),
            text="",
            sent_at=ts_time(event.event_ts, now),
            message_id=event.item.ts,
            payload=event.reaction,
            direct=_direct(event.item.channel),
        )
    ]


def _notice(
    kind: Kind,
    room: str,
    event: RoomEvent,
    callback: EventCallback,
    reader: Reader,
    now: datetime,
    payload: str | None = None,
) -> list[Inbound]:
    if not room:
        return []
    return [
        Inbound(
            id=_event_id(callback, f"{kind.value}:{room}/{event.event_ts}"),
            kind=kind,
            where=reader.place(room),
            sender=reader.sender(event.user or event.actor_id or "slack"),
            text="",
            sent_at=ts_time(event.event_ts, now),
            payload=payload,
        )
    ]


def _stopped(event: RoomEvent, callback: EventCallback, reader: Reader, now: datetime) -> list[Inbound]:
    """Slack's own Stop button: the same as typing the command, and judged by the same gate."""
    if not event.channel or not event.user:
        return []
    return [
        Inbound(
            id=_event_id(callback, f"stopped:{event.channel}/{event.thread_ts}/{event.event_ts}"),
            kind=Kind.COMMAND,
            where=reader.place(event.channel, event.thread_ts),
            sender=reader.sender(event.user),
            text="/stop",
            sent_at=ts_time(event.event_ts, now),
            direct=_direct(event.channel),
            answer_with=None if _direct(event.channel) else ASKED_BY + event.user,
        )
    ]


def _buttons(event: Interaction, reader: Reader, now: datetime) -> list[Inbound]:
    room = event.channel.id or event.container.channel_id
    ts = event.container.message_ts or event.message.ts
    thread = event.container.thread_ts or event.message.thread_ts
    if not room or not event.user.id:
        return []
    return [
        Inbound(
            id=EventId(f"button:{room}/{ts}/{action.action_id}/{event.user.id}/{action.action_ts or event.trigger_id}"),
            kind=Kind.COMMAND if action.action_id == STOP_BUTTON else Kind.BUTTON,
            where=reader.place(room, thread if thread != ts else None),
            sender=reader.sender(event.user.id, event.user.name or event.user.username),
            text="/stop" if action.action_id == STOP_BUTTON else "",
            sent_at=ts_time(action.action_ts, now),
            message_id=ts or None,
            payload=None if action.action_id == STOP_BUTTON else action.action_id,
            direct=_direct(room),
            answer_with=event.response_url or None,
        )
        for action in event.actions
        if action.type == "button" and action.action_id
    ]


def _shortcut(event: Interaction, reader: Reader, now: datetime) -> list[Inbound]:
    room, message = event.channel.id, event.message
    if event.callback_id != HAND_OVER or not room or not event.user.id:
        return []
    text, _ = _text(message, reader)
    ts = message.ts or event.message_ts
    return [
        Inbound(
            id=EventId(f"shortcut:{event.trigger_id or f'{room}/{ts}/{event.action_ts}'}"),
            kind=Kind.COMMAND,
            where=reader.place(room, message.thread_ts or ts),
            sender=reader.sender(event.user.id, event.user.name or event.user.username),
            text=f"/spawn {text}".rstrip(),
            sent_at=ts_time(event.action_ts, now),
            message_id=ts or None,
            attachments=tuple(_attachments(message.files)),
            direct=_direct(room),
            answer_with=event.response_url or None,
        )
    ]


def _slash(event: SlashCommand, raw: Mapping[str, Any], reader: Reader, now: datetime) -> list[Inbound]:
    if not event.channel_id or not event.user_id:
        return []
    said = readable(event.text, reader.names).strip()
    own = event.command.removeprefix("/")
    line = f"/{own} {said}".strip() if own in reader.commands else "/" + (said.lstrip("/!") or "help")
    unique = event.trigger_id or sha256(repr(sorted(raw.items())).encode()).hexdigest()[:32]
    return [
        Inbound(
            id=EventId(f"command:{unique}"),
            kind=Kind.COMMAND,
            where=reader.place(event.channel_id, event.thread_ts),
            sender=reader.sender(event.user_id, event.user_name),
            text=line,
            sent_at=now,
            mentioned=True,
            direct=_direct(event.channel_id, "im" if event.channel_name == "directmessage" else ""),
            answer_with=event.response_url or None,
        )
    ]


def _event_id(callback: EventCallback, otherwise: str) -> EventId:
    return EventId(f"event:{callback.event_id}" if callback.event_id else otherwise)


def _text(message: Message, reader: Reader) -> tuple[str, bool]:
    raw = message.text
    if not raw:
        forwarded = (part for part in message.attachments if not part.from_url or part.is_share)
        raw = "\n".join(part.text or part.fallback for part in forwarded)
    raw, mentioned = without_mention(raw, reader.me.user)
    return readable(raw, reader.names), mentioned


def _attachments(files: Iterable[File]) -> Iterable[Attachment]:
    for file in files:
        if file.mode in _UNHOSTED or not (file.id or file.url_private):
            continue
        yield Attachment(
            name=file.name or file.title or file.id,
            media_type=file.mimetype or "application/octet-stream",
            size_bytes=file.size,
            source=file.url_private_download or file.url_private or f"file:{file.id}",
        )


def _ours(message: Message, reader: Reader) -> bool:
    me = reader.me
    return (bool(message.user) and message.user == me.user) or (bool(me.bot) and message.bot_id == me.bot)


def _is_bot(message: Message) -> bool:
    return bool(message.bot_id) or message.subtype == "bot_message"


def _name(message: Message) -> str:
    profile = message.user_profile
    return profile.display_name or profile.real_name or profile.name or message.username


def _direct(room: str, kind: str = "") -> bool:
    return kind == "im" or (not kind and room.startswith("D"))
