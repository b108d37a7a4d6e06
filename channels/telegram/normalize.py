"""What Telegram told, in the words of channels.base. Pure: an update goes in, an `Inbound` comes out, or None
for what nobody needs to hear.

Three things differ from what one would expect. A message in a topic carries a reply to the topic's first service
message, which is no reply of a person. The General topic is the group itself. And groups without topics
still number their reply chains as threads: only `is_topic_message` tells a topic, and `chains` which are ours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from channels.base import Account, Attachment, ChannelName, EventId, Inbound, Kind, Sender, ThreadRef
from channels.telegram.chains import Chains
from channels.telegram.direct_messages import direct_messages
from channels.telegram.incoming_text import read_text
from channels.telegram.payloads import (
    CallbackQuery,
    Chat,
    File,
    MemberUpdate,
    Message,
    MessageReaction,
    StoppedGeneration,
    Update,
    User,
)

GENERAL_TOPIC = 1
STOP_BUTTON = "live:stop"
"""Callback data of the Stop button under a message that is being written: it comes back as `/stop`."""

_COMMAND = re.compile(r"/([A-Za-z0-9_]{1,64})(?:@(\w{3,64}))?(?=\s|$)(.*)", re.DOTALL)
_PRESENT = frozenset({"creator", "administrator", "member", "restricted"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Me:
    """The bot itself, as getMe tells."""

    id: int
    username: str
    has_topics: bool = False  # in private chats
    reads_everything: bool = False  # privacy mode is off


def normalize(
    update: Update, *, channel: ChannelName, me: Me, now: datetime, chains: Chains | None = None
) -> Inbound | None:
    """The event of an update, or None when there is nothing to hear in it (or it is the bot's own)."""
    id = EventId(f"update:{update.update_id}")
    reading = _Reading(channel=channel, me=me, now=now, id=id, chains=chains or Chains())
    if message := update.message or update.channel_post:
        return reading.message(message)
    if message := update.edited_message or update.edited_channel_post:
        return reading.edit(message)
    if update.callback_query:
        return reading.button(update.callback_query)
    if update.message_reaction:
        return reading.reaction(update.message_reaction)
    if update.my_chat_member:
        return reading.membership(update.my_chat_member)
    if update.stopped_message_generation:
        return reading.stopped(update.stopped_message_generation)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """One update on its way to an event."""

    channel: ChannelName
    me: Me
    now: datetime
    id: EventId
    chains: Chains

    def message(self, message: Message) -> Inbound | None:
        if message.migrate_to_chat_id is not None:
            return self._event(Kind.ROOM_MOVED, message, payload=str(message.migrate_to_chat_id))
        if message.forum_topic_closed is not None:
            return self._event(Kind.THREAD_ARCHIVED, message)
        if message.forum_topic_reopened is not None:
            return self._event(Kind.THREAD_UNARCHIVED, message)
        return self._said(Kind.MESSAGE, message)

    def edit(self, message: Message) -> Inbound | None:
        return self._said(Kind.EDIT, message)

    def button(self, query: CallbackQuery) -> Inbound | None:
        if query.message is None or not query.data:
            return None  # from an inline message or a game, which we never send
        stop = query.data == STOP_BUTTON
        return Inbound(
            id=self.id,
            kind=Kind.COMMAND if stop else Kind.BUTTON,
            where=self._where(query.message),
            sender=self._user(query.sender),
            text="/stop" if stop else "",
            sent_at=self.now,  # a press carries no time
            message_id=str(query.message.message_id),
            direct=query.message.chat.type == "private",
            mentioned=True,
            payload=None if stop else query.data,
        )

    def reaction(self, reaction: MessageReaction) -> Inbound | None:
        sender = self._sender(reaction.user, reaction.actor_chat)
        before = set(reaction.old_reaction)
        added = [new.emoji or new.custom_emoji_id or new.type for new in reaction.new_reaction if new not in before]
        if not added or sender is None:
            return None
        return Inbound(
            id=self.id,
            kind=Kind.REACTION,
            where=ThreadRef(channel=self.channel, room=str(reaction.chat.id)),
            sender=sender,
            text="",
            sent_at=self._time(reaction.date),
            message_id=str(reaction.message_id),
            direct=reaction.chat.type == "private",
            payload=added[0],
        )

    def membership(self, update: MemberUpdate) -> Inbound | None:
        """Blocked or removed, the place is parked; let in again, it goes on."""
        was, is_now = (
            bool(member and member.status in _PRESENT) for member in (update.old_chat_member, update.new_chat_member)
        )
        if was == is_now:
            return None
        return Inbound(
            id=self.id,
            kind=Kind.THREAD_UNARCHIVED if is_now else Kind.THREAD_ARCHIVED,
            where=ThreadRef(channel=self.channel, room=str(update.chat.id)),
            sender=self._user(update.sender),
            text="",
            sent_at=self._time(update.date),
            direct=update.chat.type == "private",
        )

    def stopped(self, stopped: StoppedGeneration) -> Inbound:
        """Drafts exist in private chats only, so the chat is the person."""
        chat, topic = stopped.chat, stopped.message_thread_id
        return Inbound(
            id=self.id,
            kind=Kind.COMMAND,
            where=ThreadRef(channel=self.channel, room=str(chat.id), thread=str(topic) if topic else None),
            sender=Sender(account=Account(f"{self.channel}:{chat.id}"), name=chat.title or str(chat.id)),
            text="/stop",
            sent_at=self.now,
            direct=True,
            mentioned=True,
        )

    def _said(self, kind: Kind, message: Message) -> Inbound | None:
        text, mentioned = read_text(
            message.text or message.caption, message.entities or message.caption_entities, self.me.id, self.me.username
        )
        attachments = _attachments(message)
        text = text or _described(message)
        if not text and not attachments:
            return None  # a service message, or content that says nothing to a reader
        if kind is Kind.MESSAGE and (command := _COMMAND.fullmatch(text)):
            name, addressee, rest = command.groups()
            if addressee and addressee.lower() != self.me.username.lower():
                return None  # a command for another bot
            # Telegram sends /start when a person opens the chat for the first time.
            name = "help" if name.lower() == "start" else name
            kind, text, mentioned = Kind.COMMAND, f"/{name}{rest}".strip(), mentioned or bool(addressee)
        reply = _reply_of_a_person(message)
        if chosen := self._chosen(message, reply):
            text = f"{text}\n\n{chosen}".strip()
        if reply is not None and reply.sender is not None and reply.sender.id == self.me.id:
            mentioned = True
        return self._event(
            kind,
            message,
            text=text,
            attachments=attachments,
            mentioned=mentioned,
            reply_to=None if reply is None else str(reply.message_id),
        )

    def _chosen(self, message: Message, reply: Message | None) -> str:
        """What the person chose of an answer of ours, or of his own words, to speak about. Others' words stay out
        of what he says: an agent would take them for his."""
        if message.quote is None or not message.quote.is_manual or reply is None or reply.sender is None:
            return ""
        writer = message.sender.id if message.sender else None
        if reply.sender.id not in (self.me.id, writer):
            return ""
        return "\n".join(f"> {line}".rstrip() for line in message.quote.text.strip().split("\n"))

    def _event(
        self,
        kind: Kind,
        message: Message,
        *,
        text: str = "",
        payload: str | None = None,
        attachments: tuple[Attachment, ...] = (),
        mentioned: bool = False,
        reply_to: str | None = None,
    ) -> Inbound | None:
        sender = self._sender(message.sender, message.sender_chat or message.chat)
        own = message.sender is not None and message.sender.id == self.me.id
        if sender is None or (own and kind in (Kind.MESSAGE, Kind.EDIT, Kind.COMMAND)):
            return None
        return Inbound(
            id=self.id,
            kind=kind,
            where=self._where(message),
            sender=sender,
            text=text,
            sent_at=self._time(message.edit_date if kind is Kind.EDIT and message.edit_date else message.date),
            message_id=str(message.message_id),
            reply_to=reply_to,
            attachments=attachments,
            mentioned=mentioned,
            direct=message.chat.type == "private",
            payload=payload,
        )

    def _where(self, message: Message) -> ThreadRef:
        topic = message.message_thread_id if self._in_topic(message) else None
        room = ThreadRef(channel=self.channel, room=str(message.chat.id))
        if message.direct_messages_topic is not None:
            return direct_messages(room, message.direct_messages_topic.topic_id)
        if topic is None or topic == GENERAL_TOPIC:
            return self.chains.thread_of(message, room) or room
        return ThreadRef(channel=self.channel, room=room.room, thread=str(topic))

    def _in_topic(self, message: Message) -> bool:
        """Also where a server leaves the flag out: private chats number nothing but topics, and only in a topic is a
        topic's first service message answered."""
        reply = message.reply_to_message
        return (
            message.is_topic_message
            or (message.chat.type == "private" and self.me.has_topics)
            or (reply is not None and reply.forum_topic_created is not None)
        )

    def _sender(self, user: User | None, chat: Chat | None) -> Sender | None:
        """Anonymous administrators and linked channels write as a chat; `from` is then a stand-in."""
        if chat is not None and (user is None or user.id in _STAND_INS):
            return Sender(account=Account(f"{self.channel}:{chat.id}"), name=chat.title or str(chat.id))
        return None if user is None else self._user(user)

    def _user(self, user: User) -> Sender:
        name = f"{user.first_name} {user.last_name}".strip() or user.username or str(user.id)
        return Sender(account=Account(f"{self.channel}:{user.id}"), name=name, is_bot=user.is_bot)

    def _time(self, seconds: int) -> datetime:
        try:
            return datetime.fromtimestamp(seconds, UTC) if seconds > 0 else self.now
        except (OverflowError, OSError, ValueError):
            return self.now


# https://core.telegram.org/bots/api#message: `from` holds a fake sender for messages sent on behalf of a chat.
_STAND_INS = frozenset({1087968824, 136817688, 777000})


def _reply_of_a_person(message: Message) -> Message | None:
    reply = message.reply_to_message
    if reply is None or reply.forum_topic_created is not None:
        return None
    return None if message.is_topic_message and reply.message_id == message.message_thread_id else reply


def _attachments(message: Message) -> tuple[Attachment, ...]:
    found: list[tuple[File | None, str, str]] = [
        (message.photo[-1] if message.photo else None, "photo.jpg", "image/jpeg"),
        (message.animation, "animation.mp4", "video/mp4"),
        # An animation is told as a document as well, for old clients.
        (None if message.animation else message.document, "document", "application/octet-stream"),
        (message.audio, "audio.mp3", "audio/mpeg"),
        (message.voice, "voice.ogg", "audio/ogg"),
        (message.video, "video.mp4", "video/mp4"),
        (message.video_note, "video-note.mp4", "video/mp4"),
        (message.sticker, *_sticker_form(message.sticker)),
    ]
    return tuple(
        Attachment(
            name=file.file_name or name,
            media_type=file.mime_type or media_type,
            size_bytes=file.file_size,
            source=file.file_id,
        )
        for file, name, media_type in found
        if file is not None
    )


def _sticker_form(sticker: File | None) -> tuple[str, str]:
    if sticker is not None and sticker.is_animated:
        return "sticker.tgs", "application/gzip"
    if sticker is not None and sticker.is_video:
        return "sticker.webm", "video/webm"
    return "sticker.webp", "image/webp"


def _described(message: Message) -> str:
    """In words, what was sent instead of words."""
    if message.sticker:
        return message.sticker.emoji
    if message.poll:
        return _lines(f"Poll: {message.poll.question}", [option.text for option in message.poll.options])
    if message.checklist:
        return _lines(f"Checklist: {message.checklist.title}", [task.text for task in message.checklist.tasks])
    if message.venue:
        where = message.venue.location
        place = f" ({where.latitude}, {where.longitude})" if where else ""
        return f"Venue: {message.venue.title}, {message.venue.address}{place}"
    if message.location:
        return f"Location: {message.location.latitude}, {message.location.longitude}"
    if message.contact:
        contact = message.contact
        return f"Contact: {contact.first_name} {contact.last_name}".rstrip() + f", {contact.phone_number}"
    if message.dice:
        return f"{message.dice.emoji} {message.dice.value}"
    return ""


def _lines(title: str, items: Sequence[str]) -> str:
    return "\n".join([title, *(f"- {item}" for item in items)])
