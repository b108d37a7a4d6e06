"""What Discord sends, as far as we read it.

The edge of the adapter: raw JSON is checked here once, and trusted behind. Only what we need is named, everything
else is ignored, and what may be missing has a default, so that a field that Discord adds or leaves out
never costs a message. Broken members of a list are left out one by one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints, ValidationError

_DISCORD_EPOCH = datetime(2015, 1, 1, tzinfo=UTC)
PRIVATE_THREAD = 12
THREAD_TYPES = frozenset({10, 11, PRIVATE_THREAD})  # announcement, public, private
FORUM_TYPES = frozenset({15, 16})  # forum, media


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) else value


def _text_or_empty(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number_or_zero(value: object) -> int:
    return value if isinstance(value, int) else 0


def _only_ids(value: object) -> list[str]:
    return [str(item) for item in value if str(item).isdecimal()] if isinstance(value, list) else []


def _id_or_none(value: object) -> str | None:
    text = str(value)
    return text if text.isdecimal() and len(text) <= 20 else None


def _moment_or_none(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


Id = Annotated[str, BeforeValidator(_as_text), StringConstraints(pattern=r"^[0-9]{1,20}$")]
MaybeId = Annotated[str | None, BeforeValidator(_id_or_none)]
Ids = Annotated[list[str], BeforeValidator(_only_ids)]
Text = Annotated[str, BeforeValidator(_text_or_empty)]
Number = Annotated[int, BeforeValidator(_number_or_zero)]
Moment = Annotated[datetime | None, BeforeValidator(_moment_or_none)]


class Payload(BaseModel):
    # What people wrote and the tokens of interactions are nothing for the log.
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


def _valid(model: type[Payload], value: object) -> Payload | None:
    try:
        return model.model_validate(value)
    except ValidationError:
        return None


def _each(model: type[Payload]) -> BeforeValidator:
    """A list in which each broken item is left out."""

    def check(value: object) -> list[Any]:
        items = value if isinstance(value, list) else []
        return [item for item in (_valid(model, item) for item in items) if item is not None]

    return BeforeValidator(check)


def _or_none(model: type[Payload]) -> BeforeValidator:
    """An object, or None when it is missing or broken."""
    return BeforeValidator(lambda value: _valid(model, value))


class User(Payload):
    id: Id
    username: Text = ""
    global_name: Text = ""
    bot: bool | None = False


class Member(Payload):
    nick: Text = ""
    user: Annotated[User | None, _or_none(User)] = None


class File(Payload):
    id: MaybeId = None
    filename: Text = ""
    content_type: Text = ""
    size: Number = 0
    url: Text = ""


class Named(Payload):
    """A sticker, or an emoji (`id` is None for those of Unicode)."""

    id: MaybeId = None
    name: Text = ""


class PollMedia(Payload):
    text: Text = ""


class PollAnswer(Payload):
    poll_media: Annotated[PollMedia | None, _or_none(PollMedia)] = None


class Poll(Payload):
    question: Annotated[PollMedia | None, _or_none(PollMedia)] = None
    answers: Annotated[list[PollAnswer], _each(PollAnswer)] = []


class Reference(Payload):
    type: Number = 0  # 0 reply, 1 forward
    message_id: MaybeId = None
    channel_id: MaybeId = None


class Quoted(Payload):
    """A message inside another: the one replied to, or a forwarded one."""

    author: Annotated[User | None, _or_none(User)] = None
    content: Text = ""
    attachments: Annotated[list[File], _each(File)] = []


class Snapshot(Payload):
    message: Annotated[Quoted | None, _or_none(Quoted)] = None


class Component(Payload):
    """A row of components, or one in it."""

    custom_id: Text = ""
    components: list[dict[str, Any]] = []


class Message(Payload):
    id: Id
    channel_id: Id
    guild_id: MaybeId = None
    author: Annotated[User | None, _or_none(User)] = None
    member: Annotated[Member | None, _or_none(Member)] = None
    content: Text = ""
    timestamp: Moment = None
    edited_timestamp: Moment = None
    type: Number = 0
    webhook_id: MaybeId = None
    mentions: Annotated[list[User], _each(User)] = []
    mention_roles: Ids = []
    attachments: Annotated[list[File], _each(File)] = []
    sticker_items: Annotated[list[Named], _each(Named)] = []
    poll: Annotated[Poll | None, _or_none(Poll)] = None
    message_reference: Annotated[Reference | None, _or_none(Reference)] = None
    referenced_message: Annotated[Quoted | None, _or_none(Quoted)] = None
    message_snapshots: Annotated[list[Snapshot], _each(Snapshot)] = []
    components: Annotated[list[Component], _each(Component)] = []

    @property
    def button_ids(self) -> set[str]:
        return {str(button.get("custom_id", "")) for row in self.components for button in row.components}


class Deleted(Payload):
    """One deleted message (`id`) or several (`ids`)."""

    channel_id: Id
    guild_id: MaybeId = None
    id: MaybeId = None
    ids: Ids = []


class Reaction(Payload):
    user_id: Id
    channel_id: Id
    message_id: Id
    guild_id: MaybeId = None
    member: Annotated[Member | None, _or_none(Member)] = None
    emoji: Annotated[Named | None, _or_none(Named)] = None


class ThreadMetadata(Payload):
    archived: bool = False
    locked: bool | None = False
    archive_timestamp: Text = ""


class ForumTag(Payload):
    id: Id
    moderated: bool | None = False  # only moderators may apply it


class Room(Payload):
    """A channel of a guild, a thread, or a channel of direct messages."""

    id: Id
    type: Number = 0
    guild_id: MaybeId = None
    parent_id: MaybeId = None
    last_message_id: MaybeId = None
    default_auto_archive_duration: Number = 0  # minutes
    available_tags: Annotated[list[ForumTag], _each(ForumTag)] = []
    thread_metadata: Annotated[ThreadMetadata | None, _or_none(ThreadMetadata)] = None
    member: dict[str, Any] | None = None  # there when the bot has joined the thread


class RoleTags(Payload):
    bot_id: MaybeId = None


class Role(Payload):
    id: Id
    tags: Annotated[RoleTags | None, _or_none(RoleTags)] = None


class Guild(Payload):
    id: Id
    channels: Annotated[list[Room], _each(Room)] = []
    threads: Annotated[list[Room], _each(Room)] = []
    roles: Annotated[list[Role], _each(Role)] = []


class Option(Payload):
    name: Text = ""
    value: str | int | float | bool | None = None
    focused: bool = False


class Resolved(Payload):
    messages: dict[str, dict[str, Any]] = {}


class InteractionData(Payload):
    name: Text = ""
    type: Number = 1  # of a command: 1 slash, 2 user, 3 message
    custom_id: Text = ""
    options: Annotated[list[Option], _each(Option)] = []
    target_id: MaybeId = None
    resolved: Annotated[Resolved | None, _or_none(Resolved)] = None


class Interaction(Payload):
    id: Id
    application_id: MaybeId = None
    type: Number
    token: str
    channel_id: MaybeId = None
    guild_id: MaybeId = None
    channel: Annotated[Room | None, _or_none(Room)] = None
    data: Annotated[InteractionData | None, _or_none(InteractionData)] = None
    member: Annotated[Member | None, _or_none(Member)] = None
    user: Annotated[User | None, _or_none(User)] = None
    message: Annotated[Message | None, _or_none(Message)] = None

    @property
    def person(self) -> User | None:
        return self.member.user if self.member is not None and self.member.user is not None else self.user

    @property
    def place_id(self) -> str | None:
        return self.channel_id or (self.channel.id if self.channel is not None else None)


def made_at(snowflake: str) -> datetime:
    """The moment inside one of Discord's ids, to the millisecond."""
    return _DISCORD_EPOCH + timedelta(milliseconds=int(snowflake) >> 22)
