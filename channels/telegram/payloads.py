"""The Bot API's objects, as far as we read them.

Updates come from outside, so they are parsed here once. Only ids are required: a field that is missing, new or of
the wrong form is as good as absent, so that no odd update can hold up the queue behind it or
take its neighbours down. Field names are the API's (https://core.telegram.org/bots/api).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)

from channels.telegram.characters import whole_characters


class Payload(BaseModel):
    """An object of the API: unknown fields are ignored, unreadable optional ones count as missing."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    @field_validator("*", mode="wrap")
    @classmethod
    def _tolerate(cls, value: Any, read: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        if isinstance(value, str) and not value.isascii():
            value = whole_characters(value)
        try:
            return read(value)
        except ValidationError:
            field = cls.model_fields[str(info.field_name)]
            if field.is_required():
                raise
            return field.get_default(call_default_factory=True)


class User(Payload):
    id: int
    is_bot: bool = False
    first_name: str = ""
    last_name: str = ""
    username: str = ""
    has_topics_enabled: bool = False
    can_read_all_group_messages: bool = False
    can_join_groups: bool = True


class Chat(Payload):
    id: int
    type: str = "private"
    title: str = ""
    username: str = ""
    is_forum: bool = False
    is_direct_messages: bool = False


class Entity(Payload):
    """A stretch of a text. Offsets and lengths count UTF-16 units."""

    type: str
    offset: int
    length: int
    url: str = ""
    language: str = ""
    user: User | None = None


class File(Payload):
    """Any of the API's file objects: Document, PhotoSize, Voice, Sticker…"""

    file_id: str
    file_unique_id: str = ""
    file_name: str = ""
    mime_type: str = ""
    file_size: int | None = None
    title: str = ""
    performer: str = ""
    emoji: str = ""
    is_animated: bool = False
    is_video: bool = False


class PollOption(Payload):
    text: str = ""


class Poll(Payload):
    question: str = ""
    options: tuple[PollOption, ...] = ()


class Location(Payload):
    latitude: float
    longitude: float
    live_period: int | None = None


class Venue(Payload):
    location: Location | None = None
    title: str = ""
    address: str = ""


class Contact(Payload):
    phone_number: str = ""
    first_name: str = ""
    last_name: str = ""


class Dice(Payload):
    emoji: str = ""
    value: int = 0


class ChecklistTask(Payload):
    text: str = ""


class Checklist(Payload):
    title: str = ""
    tasks: tuple[ChecklistTask, ...] = ()


class DirectTopic(Payload):
    """One person's conversation with a channel, in the chat of its direct messages."""

    topic_id: int


class Quote(Payload):
    """The part of a message that an answer is about, when the person chose one."""

    text: str = ""
    is_manual: bool = False


class Message(Payload):
    message_id: int
    chat: Chat
    date: int = 0
    edit_date: int | None = None
    sender: User | None = Field(default=None, alias="from")
    sender_chat: Chat | None = None
    author_signature: str = ""
    message_thread_id: int | None = None
    is_topic_message: bool = False
    media_group_id: str = ""
    direct_messages_topic: DirectTopic | None = None
    reply_to_message: Message | None = None
    quote: Quote | None = None

    text: str = ""
    entities: tuple[Entity, ...] = ()
    caption: str = ""
    caption_entities: tuple[Entity, ...] = ()

    animation: File | None = None
    audio: File | None = None
    document: File | None = None
    photo: tuple[File, ...] = ()
    sticker: File | None = None
    video: File | None = None
    video_note: File | None = None
    voice: File | None = None

    poll: Poll | None = None
    location: Location | None = None
    venue: Venue | None = None
    contact: Contact | None = None
    dice: Dice | None = None
    checklist: Checklist | None = None

    forum_topic_created: Mapping[str, Any] | None = None
    forum_topic_closed: Mapping[str, Any] | None = None
    forum_topic_reopened: Mapping[str, Any] | None = None
    migrate_to_chat_id: int | None = None


class CallbackQuery(Payload):
    id: str
    sender: User = Field(alias="from")
    message: Message | None = None
    data: str = ""


class Reaction(Payload):
    type: str = ""
    emoji: str = ""
    custom_emoji_id: str = ""


class MessageReaction(Payload):
    chat: Chat
    message_id: int
    user: User | None = None
    actor_chat: Chat | None = None
    date: int = 0
    old_reaction: tuple[Reaction, ...] = ()
    new_reaction: tuple[Reaction, ...] = ()


class Member(Payload):
    status: str = ""


class MemberUpdate(Payload):
    chat: Chat
    sender: User = Field(alias="from")
    date: int = 0
    old_chat_member: Member | None = None
    new_chat_member: Member | None = None


class StoppedGeneration(Payload):
    """The person pressed Stop on a draft (Bot API 10.3)."""

    chat: Chat
    message_thread_id: int | None = None
    draft_id: int = 0


class Update(Payload):
    update_id: int
    message: Message | None = None
    edited_message: Message | None = None
    channel_post: Message | None = None
    edited_channel_post: Message | None = None
    callback_query: CallbackQuery | None = None
    message_reaction: MessageReaction | None = None
    my_chat_member: MemberUpdate | None = None
    stopped_message_generation: StoppedGeneration | None = None


WANTED = tuple(name for name in Update.model_fields if name != "update_id")
"""`allowed_updates`: what we ask for is what we can read."""
