"""Discord's events in the nouns of the contract.

Pure: what came in, where it was and who the bot is go in, `Inbound`s come out, none when it is nothing to the
core (the bot's own posts, joins and pins, a link preview that was added). The ids are the platform's own, so that
a message that arrives by the gateway and again by the history of its channel has one id.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from channels.base import Account, Attachment, ChannelName, EventId, Inbound, Kind, Sender
from channels.discord.payloads import (
    Deleted,
    File,
    Member,
    Message,
    Poll,
    Quoted,
    Reaction,
    Room,
    User,
    made_at,
)
from channels.discord.places import Place

_SAID_BY_PEOPLE = frozenset({0, 19})  # a message, a reply; the other types are notices of the platform
_FORWARD = 1
_MENTION = re.compile(r"<@!?([0-9]+)>")
_ROLE_MENTION = re.compile(r"<@&([0-9]+)>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who the bot is. `roles` are those that Discord made for it: people mention them as if they were the bot."""

    channel: ChannelName
    user_id: str
    application_id: str
    roles: frozenset[str] = frozenset()

    def account(self, user_id: str) -> Account:
        return Account(f"{self.channel}:{user_id}")


def platform(me: Identity) -> Sender:
    """The sender of what the platform tells without naming a person (a thread was archived)."""
    return Sender(account=me.account(""), name="Discord")


def sender_of(user: User, me: Identity, member: Member | None = None, *, is_bot: bool = False) -> Sender:
    name = (member.nick if member is not None else "") or user.global_name or user.username or user.id
    return Sender(account=me.account(user.id), name=name, is_bot=is_bot or bool(user.bot))


def message(raw: Message, at: Place, me: Identity) -> Inbound | None:
    """A message that somebody wrote."""
    if raw.author is None or raw.author.id == me.user_id or raw.type not in _SAID_BY_PEOPLE:
        return None
    return Inbound(
        id=EventId(f"message:{raw.id}"),
        kind=Kind.MESSAGE,
        where=at.ref(me.channel),
        sender=sender_of(raw.author, me, raw.member, is_bot=raw.webhook_id is not None),
        text=text_of(raw, me),
        sent_at=raw.timestamp or made_at(raw.id),
        message_id=raw.id,
        reply_to=_answered(raw),
        attachments=attachments_of(raw),
        mentioned=_mentioned(raw, me),
        direct=at.direct,
    )


def edit(raw: Message, at: Place, me: Identity) -> Inbound | None:
    """A message that was changed by its author. Discord sends the same event when it adds a link's preview."""
    if raw.edited_timestamp is None or raw.author is None:
        return None
    if raw.author.id == me.user_id or raw.type not in _SAID_BY_PEOPLE:
        return None
    return Inbound(
        id=EventId(f"edit:{raw.id}:{raw.edited_timestamp.isoformat()}"),
        kind=Kind.EDIT,
        where=at.ref(me.channel),
        sender=sender_of(raw.author, me, raw.member, is_bot=raw.webhook_id is not None),
        text=text_of(raw, me),
        sent_at=raw.edited_timestamp,
        message_id=raw.id,
        reply_to=_answered(raw),
        attachments=attachments_of(raw),
        mentioned=_mentioned(raw, me),
        direct=at.direct,
    )


def deletions(raw: Deleted, at: Place, me: Identity, authors: dict[str, Sender], now: datetime) -> list[Inbound]:
    """Messages that were taken away. Discord does not say by whom: their authors, as far as they are remembered."""
    ids = raw.ids or ([raw.id] if raw.id is not None else [])
    return [
        Inbound(
            id=EventId(f"delete:{message_id}"),
            kind=Kind.DELETE,
            where=at.ref(me.channel),
            sender=authors.get(message_id, platform(me)),
            text="",
            sent_at=now,
            message_id=message_id,
            direct=at.direct,
        )
        for message_id in ids
    ]


def reaction(raw: Reaction, at: Place, me: Identity, now: datetime) -> Inbound | None:
    """An emoji put under a message. Taking it back and putting it again is the same event."""
    if raw.user_id == me.user_id or raw.emoji is None:
        return None
    emoji = raw.emoji.name if raw.emoji.id is None else f"{raw.emoji.name}:{raw.emoji.id}"
    user = raw.member.user if raw.member is not None and raw.member.user is not None else User(id=raw.user_id)
    return Inbound(
        id=EventId(f"reaction:{raw.message_id}:{raw.user_id}:{emoji}"),
        kind=Kind.REACTION,
        where=at.ref(me.channel),
        sender=sender_of(user, me, raw.member),
        text="",
        sent_at=now,
        message_id=raw.message_id,
        direct=at.direct,
        payload=emoji,
    )


def thread_changed(raw: Room, before: Place | None, at: Place, me: Identity, now: datetime) -> Inbound | None:
    """A thread that was archived (parked) or brought back. Other changes of it are nothing to us."""
    if raw.thread_metadata is None or at.thread is None:
        return None
    was_archived = before is not None and before.archived
    if raw.thread_metadata.archived == was_archived:
        return None
    kind = Kind.THREAD_ARCHIVED if raw.thread_metadata.archived else Kind.THREAD_UNARCHIVED
    return Inbound(
        id=EventId(f"{kind.value}:{raw.id}:{raw.thread_metadata.archive_timestamp}"),
        kind=kind,
        where=at.ref(me.channel),
        sender=platform(me),
        text="",
        sent_at=now,
    )


def place_deleted(at: Place, me: Identity, now: datetime) -> Inbound:
    """A thread, or a whole room, that is gone."""
    return Inbound(
        id=EventId(f"thread_deleted:{at.channel_id}"),
        kind=Kind.THREAD_DELETED,
        where=at.ref(me.channel),
        sender=platform(me),
        text="",
        sent_at=now.astimezone(UTC),
    )


def text_of(raw: Message, me: Identity) -> str:
    """What a message says, without the mention of the bot, with people by their names, and with what is not text
    (stickers, polls, forwarded messages) told in words."""
    names = {user.id: user.global_name or user.username for user in raw.mentions}
    text = _MENTION.sub(lambda found: _mention_text(found.group(0), found.group(1), names, me), raw.content)
    text = _ROLE_MENTION.sub(lambda found: "" if found.group(1) in me.roles else found.group(0), text)
    parts = [text.strip()]
    parts += [f"[sticker: {sticker.name}]" for sticker in raw.sticker_items]
    if raw.poll is not None:
        parts.append(_poll_text(raw.poll))
    parts += [_forwarded_text(snapshot.message) for snapshot in raw.message_snapshots if snapshot.message is not None]
    return "\n".join(part for part in parts if part)


def attachments_of(raw: Message) -> tuple[Attachment, ...]:
    forwarded = [
        file for shot in raw.message_snapshots if shot.message is not None for file in shot.message.attachments
    ]
    return tuple(_attachment(raw, file) for file in [*raw.attachments, *forwarded] if file.url)


def _attachment(raw: Message, file: File) -> Attachment:
    # Discord's file addresses expire after a day; with the ids a new one can be asked for.
    return Attachment(
        name=file.filename or "file",
        media_type=file.content_type or "application/octet-stream",
        size_bytes=file.size,
        source=f"{raw.channel_id}/{raw.id}/{file.id or 0} {file.url}",
    )


def _mention_text(whole: str, user_id: str, names: dict[str, str], me: Identity) -> str:
    if user_id == me.user_id:
        return ""
    return f"@{names[user_id]}" if names.get(user_id) else whole


def _mentioned(raw: Message, me: Identity) -> bool:
    if any(user.id == me.user_id for user in raw.mentions) or not me.roles.isdisjoint(raw.mention_roles):
        return True
    answered = raw.referenced_message
    if answered is not None and answered.author is not None and answered.author.id == me.user_id:
        return True
    return any(found == me.user_id for found in _MENTION.findall(raw.content))


def _answered(raw: Message) -> str | None:
    reference = raw.message_reference
    return reference.message_id if reference is not None and reference.type != _FORWARD else None


def _poll_text(poll: Poll) -> str:
    question = poll.question.text if poll.question is not None else ""
    answers = [answer.poll_media.text for answer in poll.answers if answer.poll_media is not None]
    return "\n".join([f"[poll: {question}]", *(f"- {answer}" for answer in answers if answer)])


def _forwarded_text(quoted: Quoted) -> str:
    lines = quoted.content.splitlines() or ["(no text)"]
    return "\n".join(["[forwarded]", *(f"> {line}" for line in lines)])
