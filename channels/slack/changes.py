"""Edits and deletions, told by an event or found by a later look: pure, and the same event either way."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from channels.base import EventId, Inbound, Kind, ThreadRef
from channels.slack.messages import SPOKEN, attachments_of, is_bot, is_ours, name_of, text_of
from channels.slack.payloads import EventCallback, Message
from channels.slack.reader import Reader, event_id, is_direct, ts_time


def looked_up(place: ThreadRef, ts: str, message: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The event that Slack would have sent of what became of a message; None when nothing did. `message` is what
    the history shows of it now, None when it shows none."""
    event = {"type": "message", "channel": place.room}
    if message is None or message.get("subtype") == "tombstone":
        before = {"ts": ts, "thread_ts": place.thread}
        return {**event, "subtype": "message_deleted", "deleted_ts": ts, "previous_message": before}
    edited = message.get("edited")
    if not isinstance(edited, dict):
        return None
    return {**event, "subtype": "message_changed", "event_ts": edited.get("ts"), "message": dict(message)}


def changed(event: Message, callback: EventCallback, reader: Reader, now: datetime) -> list[Inbound]:
    """An edit or a deletion. Slack also says "changed" when only a link's preview, a reply count or a language
    guess was added: those are nothing. A root that has replies is not deleted but becomes a tombstone."""
    before, after = event.previous_message, event.message
    gone = event.subtype == "message_deleted" or (after is not None and after.subtype == "tombstone")
    about = before if gone and before is not None else after
    if about is None:
        about = Message(ts=event.deleted_ts, channel=event.channel)
    ts = (event.deleted_ts or (after.ts if after else "")) if gone else about.ts
    if not event.channel or not ts or is_ours(about, reader):
        return []
    if not gone and not _rewritten(before, about):
        return []
    text, mentioned = ("", False) if gone else text_of(about, reader)
    editor = about.edited.user if about.edited and not gone else ""
    user = about.user or about.bot_id or editor
    return [
        Inbound(
            id=EventId(f"delete:{event.channel}/{ts}") if gone else _edit_id(event, about, callback),
            kind=Kind.DELETE if gone else Kind.EDIT,
            where=reader.place(event.channel, about.thread),
            sender=reader.sender(user or "unknown", name_of(about), is_bot=is_bot(about)),
            text=text,
            sent_at=ts_time(event.event_ts or event.ts, now),
            message_id=ts,
            attachments=() if gone else tuple(attachments_of(about.files)),
            mentioned=mentioned,
            direct=is_direct(event.channel, event.channel_type),
        )
    ]


def _edit_id(event: Message, after: Message, callback: EventCallback) -> EventId:
    """Of an edit, by its own time, which the message keeps; of another change, by its report."""
    edited = after.edited.ts if after.edited else ""
    before = event.previous_message
    if edited and (before is None or before.edited is None or before.edited.ts != edited):
        return EventId(f"edit:{event.channel}/{after.ts}/{edited}")
    return event_id(callback, f"{event.subtype}:{event.channel}/{after.ts}/{event.event_ts or event.ts}")


def _rewritten(before: Message | None, after: Message) -> bool:
    if after.subtype not in SPOKEN:
        return False
    if before is None:
        return after.edited is not None
    return before.text != after.text or {file.id for file in before.files} != {file.id for file in after.files}
