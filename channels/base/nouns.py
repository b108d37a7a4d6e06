"""What is talked about: places, people, what came in, what goes out. All of it is frozen, and knows no platform."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import NewType
from urllib.parse import quote, unquote

ChannelName = NewType("ChannelName", str)
"""A connected platform's name in the configuration: `slack`, `telegram`, `work-slack`."""

Account = NewType("Account", str)
"""A platform's immutable account id behind its channel's name: `slack:T1/U1`, `telegram:42`."""

EventId = NewType("EventId", str)
"""The platform's own id of an event, unique in its channel. A second copy carries the same one."""

DeliveryKey = NewType("DeliveryKey", str)
"""Deterministic id of one outgoing message: a replay makes the same key again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadRef:
    """Where. `thread` is None for the room itself; `space` is empty where a platform has none.

    Discord: space = guild id (empty in direct messages), room = channel id, thread = thread id.
    Telegram: space empty, room = chat id, thread = message_thread_id.
    Slack: space = team id, room = channel id, thread = thread_ts.
    web, console, api: space empty, room = `main`, thread = the thread's name.
    """

    channel: ChannelName
    space: str = ""
    room: str
    thread: str | None = None

    @property
    def key(self) -> str:
        """Stable text form: `slack:T1/C2/1700000000.000100`, `telegram:42`, `telegram:/-100/7`."""
        space, room = quote(self.space, safe="@-"), quote(self.room, safe="@-")
        if self.thread is not None:
            return f"{self.channel}:{space}/{room}/{quote(self.thread, safe='@-')}"
        return f"{self.channel}:{space}/{room}" if space else f"{self.channel}:{room}"

    @classmethod
    def parse(cls, key: str) -> ThreadRef:
        """Read a key. Raises ValueError with a sentence for a person when it is not one."""
        channel, colon, rest = key.partition(":")
        parts = [unquote(part) for part in rest.split("/")]
        if not colon or not channel or len(parts) > 3:
            raise ValueError(
                f"{key!r} is not a place: write channel:room, channel:space/room or channel:space/room/thread"
            )
        if len(parts) == 1:
            parts.insert(0, "")
        space, room, *threads = parts
        if not room or "" in threads:
            raise ValueError(f"{key!r} names no room or an empty thread: write channel:space/room/thread")
        return cls(channel=ChannelName(channel), space=space, room=room, thread=threads[0] if threads else None)

    @property
    def in_room(self) -> ThreadRef:
        """The room that this thread is in (itself, for a room)."""
        if self.thread is None:
            return self
        return ThreadRef(channel=self.channel, space=self.space, room=self.room)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who. `name` is for display only; rights hang on `account` alone."""

    account: Account
    name: str
    is_bot: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file on its way. `source` is the platform's own handle of it (an id or address) when it came
    in, and `sha256:<hex>` once the content is in the attachment store."""

    name: str
    media_type: str
    size_bytes: int | None
    source: str


class Kind(Enum):
    """What happened. Every kind passes the same gate."""

    MESSAGE = "message"
    EDIT = "edit"  # `message_id` names the message, `text` is the new text
    DELETE = "delete"  # `message_id` names the message
    BUTTON = "button"  # `payload` is the button's id
    COMMAND = "command"  # `text` is in the one grammar, whatever the platform's form: "/kill all"
    REACTION = "reaction"  # `message_id` names the message, `payload` the reaction
    THREAD_ARCHIVED = "thread_archived"  # parked, not killed
    THREAD_UNARCHIVED = "thread_unarchived"
    THREAD_DELETED = "thread_deleted"  # `where` is gone
    ROOM_MOVED = "room_moved"  # `where` is the old room, `payload` the new room's id


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """One event as a platform told it, normalized. `text` is plain text or Markdown without the mention
    that addressed the bot. All text in it is untrusted."""

    id: EventId
    kind: Kind
    where: ThreadRef
    sender: Sender
    text: str
    sent_at: datetime
    message_id: str | None = None  # the platform's id of the message that the event is about
    reply_to: str | None = None  # message id that it answers
    attachments: tuple[Attachment, ...] = ()
    mentioned: bool = False  # the bot is addressed by mention or by a reply to it
    direct: bool = False  # only the sender and the bot can read this place
    payload: str | None = None  # by kind, see there
    answer_with: str | None = None  # opaque handle that ties the answer to this event (interaction token)


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """A choice under a message. `id` is opaque, at most 60 bytes, and carries no state."""

    id: str
    label: str
    danger: bool = False


class Mark(Enum):
    """What a person's message is marked with, as the platform's people mark each other's. One at a time."""

    WAITING = "waiting"  # accepted, and not read yet
    TAKEN_IN = "taken in"  # an agent has it
    REFUSED = "refused"  # nobody will read it any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbound:
    """One message to say. `text` is CommonMark with tables; each adapter renders it for its platform."""

    key: DeliveryKey
    to: ThreadRef
    text: str
    attachments: tuple[Attachment, ...] = ()
    buttons: tuple[Button, ...] = ()
    reply_to: str | None = None  # message id in the same place
    answer_with: str | None = None  # from the Inbound that this answers
    control: bool = False  # a command's reply: goes before everything else that waits there
    private: bool = False  # only for the person asked, where the platform can (Capability.EPHEMERAL)
    stays: bool = False  # meant for whoever reads this very place: it waits, and never falls back to another
    ours: bool = False  # Threadmill says it, no agent: commands in it are named as they are given there
    spare: bool = False  # an edit that may also be left out: it takes no turn that another message could need


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenThread:
    """A thread to be opened in `room`. With `anchor`, under that message of the room where the platform
    has such threads. `first_text` is its first post (empty: none); `apart_text` is its first post where there is
    no `first_text` and the platform's thread stands apart from its anchor: it says what the thread is about. With
    `tried_at` the thread may be there by now: an adapter that can look it up does so before it opens another."""

    key: DeliveryKey
    room: ThreadRef
    title: str
    first_text: str = ""
    apart_text: str = ""
    anchor: str | None = None
    tried_at: datetime | None = None  # when an earlier try began whose answer was lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Proof that the platform has it."""

    message_ids: tuple[str, ...]
    sent_at: datetime
