"""From what Slack sent to what happened: pure, so that recorded payloads test all of it.

Three promises. One post is one event: `message` and `app_mention` of it, and the copy that a look into the
history brings, share an id; so do the report of an edit or a deletion and what a later look finds of it. The bot
never hears itself. What cannot be read is nothing, not an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from channels.base import EventId, Inbound, Kind
from channels.slack.changes import changed
from channels.slack.messages import SPOKEN, attachments_of, is_bot, is_ours, name_of, text_of
from channels.slack.payloads import EventCallback, Interaction, Message, Reaction, RoomEvent, SlashCommand
from channels.slack.pressed import buttons, shortcut, slash
from channels.slack.reader import ASKED_BY, Reader, event_id, is_direct, ts_time

ROOM_KINDS = {
    "channel_archive": Kind.THREAD_ARCHIVED,
    "group_archive": Kind.THREAD_ARCHIVED,
    "channel_left": Kind.THREAD_ARCHIVED,  # the bot was taken out of it
    "group_left": Kind.THREAD_ARCHIVED,
    "channel_unarchive": Kind.THREAD_UNARCHIVED,
    "group_unarchive": Kind.THREAD_UNARCHIVED,
    "channel_deleted": Kind.THREAD_DELETED,
    "group_deleted": Kind.THREAD_DELETED,
}

_BANG = re.compile(r"!(?=[A-Za-z])")


def normalize(payload: Mapping[str, Any], reader: Reader, *, now: datetime) -> list[Inbound]:
    """What happened, in the order in which it did. Empty for what does not concern us or cannot be read."""
    try:
        match payload.get("type"):
            case "event_callback":
                return _event(EventCallback.model_validate(payload), reader, now)
            case "block_actions":
                return buttons(Interaction.model_validate(payload), reader, now)
            case "message_action":
                return shortcut(Interaction.model_validate(payload), reader, now)
            case _ if payload.get("command"):
                return slash(SlashCommand.model_validate(payload), payload, reader, now)
    except ValidationError:
        return []
    return []


def spoken(message: Message, reader: Reader, *, now: datetime, addressed: bool = False) -> list[Inbound]:
    """One message that somebody said: from an event, or from the history."""
    if message.subtype not in SPOKEN or not message.channel or not message.ts or is_ours(message, reader):
        return []
    user = message.user or message.bot_id
    if not user:
        return []
    direct = is_direct(message.channel, message.channel_type)
    text, mentioned = text_of(message, reader)
    kind = Kind.MESSAGE
    if _BANG.match(text) and (message.thread or direct or mentioned):
        kind, text = Kind.COMMAND, _BANG.sub("/", text, count=1)
    attachments = tuple(attachments_of(message.files))
    if not text and not attachments and not (mentioned or addressed):
        return []
    return [
        Inbound(
            id=EventId(f"message:{message.channel}/{message.ts}"),
            kind=kind,
            where=reader.place(message.channel, message.thread),
            sender=reader.sender(user, name_of(message), is_bot=is_bot(message)),
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
            return changed(message, callback, reader, now)
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


def _reaction(event: Reaction, callback: EventCallback, reader: Reader, now: datetime) -> list[Inbound]:
    if event.item.type != "message" or not event.item.channel or not event.user or event.user == reader.me.user:
        return []
    return [
        Inbound(
            id=event_id(callback, f"reaction:{event.item.channel}/{event.item.ts}/{event.user}/{event.event_ts}"),
            kind=Kind.REACTION,
            where=reader.place(event.item.channel),
            sender=reader.sender(event.user),
            text="",
            sent_at=ts_time(event.event_ts, now),
            message_id=event.item.ts,
            payload=event.reaction,
            direct=is_direct(event.item.channel),
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
            id=event_id(callback, f"{kind.value}:{room}/{event.event_ts}"),
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
            id=event_id(callback, f"stopped:{event.channel}/{event.thread_ts}/{event.event_ts}"),
            kind=Kind.COMMAND,
            where=reader.place(event.channel, event.thread_ts),
            sender=reader.sender(event.user),
            text="/stop",
            sent_at=ts_time(event.event_ts, now),
            direct=is_direct(event.channel),
            answer_with=None if is_direct(event.channel) else ASKED_BY + event.user,
        )
    ]
