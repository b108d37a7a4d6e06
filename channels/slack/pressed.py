"""What people press, choose in a menu and type as a slash command: pure readings of Slack's interactions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from channels.base import EventId, Inbound, Kind
from channels.slack.entities import readable
from channels.slack.messages import attachments_of, text_of
from channels.slack.payloads import Interaction, SlashCommand
from channels.slack.reader import Reader, is_direct, ts_time

HAND_OVER = "threadmill_hand_over"
"""callback_id of the shortcut in a message's menu that hands the message to an agent."""

STOP_BUTTON = "threadmill:stop"
"""The Stop button of a message that is being written: pressing it is the stop command."""


def buttons(event: Interaction, reader: Reader, now: datetime) -> list[Inbound]:
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
            direct=is_direct(room),
            answer_with=event.response_url or None,
        )
        for action in event.actions
        if action.type == "button" and action.action_id
    ]


def shortcut(event: Interaction, reader: Reader, now: datetime) -> list[Inbound]:
    room, message = event.channel.id, event.message
    if event.callback_id != HAND_OVER or not room or not event.user.id:
        return []
    text, _ = text_of(message, reader)
    ts = message.ts or event.message_ts
    return [
        Inbound(
            id=EventId(f"shortcut:{event.trigger_id or f'{room}/{ts}/{event.action_ts}'}"),
            kind=Kind.COMMAND,
            where=reader.place(room, message.thread_ts or ts),
            sender=reader.sender(event.user.id, event.user.name or event.user.username),
            text=f"/spawn -- {text}".rstrip(),
            sent_at=ts_time(event.action_ts, now),
            message_id=ts or None,
            attachments=tuple(attachments_of(message.files)),
            direct=is_direct(room),
            answer_with=event.response_url or None,
        )
    ]


def slash(event: SlashCommand, raw: Mapping[str, Any], reader: Reader, now: datetime) -> list[Inbound]:
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
            direct=is_direct(event.channel_id, "im" if event.channel_name == "directmessage" else ""),
            answer_with=event.response_url or None,
        )
    ]
