"""The nouns of talking, and the contract of a channel.

Everything above this module speaks of threads, messages and deliveries in these words, whatever the
platform. It imports nothing of ours, so that an adapter can be read, tested and replaced alone.

The error tree, named by what the caller should do:

    ChannelError
    ├── TemporaryFailure   try again later, at the same place
    ├── Unavailable        the platform cannot be reached: wait, and fall back to the next place
    ├── Rejected           give up and tell somebody
    │   ├── NoThreads      this room has no threads: talk in the room itself
    │   └── RoomMoved      the room has another id now: follow it, and say it there
    └── UnknownOutcome     it may have been done: find out before it is sent again
    NotAccepted            the intake could not commit: do not acknowledge to the platform
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, Flag, auto
from types import TracebackType
from typing import NewType, Protocol, Self
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """A platform's own rules, so that the core can keep them. Units of text are the platform's own count."""

    text_units: int
    attachment_bytes: int
    per_thread_per_second: float = 1000.0
    burst_per_thread: int = 1
    per_second: float = 1000.0
    button_count: int = 5


class Capability(Flag):
    """What an adapter can do natively. The conformance suite proves each flag that is declared."""

    NONE = 0
    THREADS = auto()  # open_thread makes threads
    EDIT = auto()
    BUTTONS = auto()
    ATTACHMENTS_IN = auto()
    ATTACHMENTS_OUT = auto()
    TYPING = auto()
    DIRECT = auto()  # `direct` finds a private place with an account
    IDEMPOTENT_SEND = auto()  # the same key sent twice within a minute shows one message
    RECONCILE = auto()  # `find` tells whether a key was sent
    EPHEMERAL = auto()
    BACKFILL = auto()  # what was said while we were away is fetched by `run`
    STREAM = auto()  # shows text while it is being written, see LiveText
    REACT = auto()  # marks a person's message, see Mark


class ChannelState(Enum):
    CONNECTING = "connecting"
    CONNECTED = "connected"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    state: ChannelState
    since: datetime
    detail: str = ""  # a sentence for a person: what is wrong and what to do


class ChannelError(Exception):
    """Its text is a sentence for the operator; it never carries a token."""


class TemporaryFailure(ChannelError):
    """Try again later at the same place, not before `retry_after` when it is given."""

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(ChannelError):
    """The platform cannot be reached or does not let us in. Nothing was sent."""


class Rejected(ChannelError):
    """It will not work however often it is tried: unknown room, no permission, bot blocked, bad payload."""


class NoThreads(Rejected):
    """This room has no threads."""


class RoomMoved(Rejected):
    """The platform gave the room another id, `to`. Nothing was done at the old one."""

    def __init__(self, message: str, *, to: str) -> None:
        super().__init__(message)
        self.to = to


class UnknownOutcome(ChannelError):
    """The request left, its answer did not come. It may have been done."""


class NotAccepted(Exception):
    """The event is not committed. Do not acknowledge it: the platform shall send it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPrompt:
    """A person's message that is not answered yet: where it was written, and the platform's id of it."""

    where: ThreadRef
    message_id: str


class Intake(Protocol):
    """Where an adapter hands over what came in. `bot.intake` fulfils it."""

    async def accept(self, events: Sequence[Inbound], *, cursors: Mapping[str, str] = {}) -> frozenset[EventId]:
        """Commit the events, and the adapter's cursors with them, in one transaction; the ids that were new.

        When this returns, the events survive a crash: acknowledge them now. Copies of events already
        accepted are recognised by their id and end here. Does not wait for any answer to be made.
        Raises NotAccepted when nothing was committed.
        """

    async def cursor(self, name: str) -> str | None:
        """A position that this adapter stored with `accept` (an offset, a last message id)."""

    async def bound_threads(self) -> Sequence[ThreadRef]:
        """This channel's places that are bound to a living session, for backfill after a gap."""

    async def open_prompts(self) -> Sequence[OpenPrompt]:
        """This channel's messages of people that wait or that a running turn is answering, newest first, a few hundred
        at most. After a gap in its events an adapter looks each of them up, and hands an edit or a deletion that
        nobody told it of over as the event that the platform would have sent, under that event's id."""

    async def watched_rooms(self) -> Sequence[ThreadRef]:
        """This channel's rooms and direct conversations in which something new may begin: those that routes name, and
        those in which somebody was heard lately, newest first; a few dozen. `space` is empty where only the
        configuration names the room. After a gap an adapter fetches what was said there too, within a bound."""


class Files(Protocol):
    """Attachment contents by hash. `storage.files` fulfils it."""

    async def read(self, attachment: Attachment) -> bytes:
        """The content of an attachment whose source is `sha256:…`. Raises FileNotFoundError."""


class LiveText(Protocol):
    """A message that is being written, shown as it grows. Transient: the answer itself is a delivery."""

    async def update(self, text: str, status: str) -> None:
        """Show the text so far and what is being done. Keeps the platform's pace: older texts may be skipped."""

    async def close(self) -> None:
        """Take the preview away or leave it to the delivery that replaces it. Never raises."""


class Channel(Protocol):
    """One connected platform.

    Open with `async with`: that makes clients and no network call. Then `run` receives, and the other
    methods may be called at any time, also while `run` is down. Methods raise only the errors above
    (any ChannelError kind, as it fits) and each has its own time-out of at most 30 s.
    """

    @property
    def name(self) -> ChannelName: ...
    @property
    def capabilities(self) -> Capability: ...
    @property
    def limits(self) -> Limits: ...

    def health(self) -> Health: ...

    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def run(self, intake: Intake) -> None:
        """Connect, fetch what was missed, and hand every event to the intake: commit, then acknowledge.

        Events of one thread are handed over in the platform's order. Runs until cancelled; raises
        Unavailable when the connection cannot be made or kept (the supervisor calls again, with
        backoff), Rejected when only a person can help (revoked token).
        """

    def split(self, message: Outbound) -> Sequence[Outbound]:
        """The parts in which this message must be sent, by the platform's own counting. Pure. A message that
        fits is returned as it is. Part `i` of several has the key `{key}#{i}`; code fences are closed and
        opened again with their language; attachments and buttons ride on the last part."""

    async def send(self, part: Outbound) -> Receipt:
        """Say one part (see `split`). No mention in it notifies anybody; links are not unfurled."""

    async def edit(self, part: Outbound, message_id: str) -> None:
        """Replace a message's text and buttons. Needs Capability.EDIT. A `spare` one raises TemporaryFailure where it
        would take another message's turn."""

    async def open_thread(self, request: OpenThread) -> ThreadRef:
        """Open a thread. Raises NoThreads where there are none. The same request comes again when its answer was
        lost: under an anchor it gives the thread that is there."""

    async def direct(self, account: Account) -> ThreadRef:
        """The private place of this account and the bot. Raises Rejected when there is none."""

    async def typing(self, where: ThreadRef) -> None:
        """Show that an answer is on its way, for as long as the platform shows it (5 to 10 s). Never raises."""

    async def react(self, where: ThreadRef, message_id: str, mark: Mark | None, instead_of: Mark | None = None) -> None:
        """Mark somebody's message, in the stead of the mark that we gave it before; None takes that away. Done again,
        it changes nothing. Needs Capability.REACT."""

    def confined(self, where: ThreadRef) -> bool:
        """Whether fewer people see this thread than its room: another thread in the room, opened for what is said
        here, would show it to more of them. True where that is not known. Never raises."""

    async def link(self, where: ThreadRef) -> str | None:
        """An address that opens this place for those who may see it. None where there is none. Never raises."""

    async def find(self, part: Outbound, since: datetime) -> Receipt | None:
        """Was this part said (looking back to `since`)? Needs Capability.RECONCILE."""

    def fetch(self, attachment: Attachment, limit_bytes: int) -> AsyncIterator[bytes]:
        """The content of an attachment that came in. Raises Rejected when it is larger than the limit."""

    async def live(self, where: ThreadRef, reply_to: str | None = None) -> LiveText:
        """Begin a message that is shown while it is written. Needs Capability.STREAM."""


class Takes(Enum):
    """What kind of thing an argument names, where a platform can offer what there is."""

    SESSION = "session"
    AGENT = "agent"
    MODEL = "model"
    MONITOR = "monitor"
    DEAD_LETTER = "dead_letter"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandOption:
    """One argument of a command. The last one takes the rest of the line. With `choices` and `takes`, both are offered;
    with `takes` anything else may be typed too."""

    name: str
    description: str
    required: bool = False
    choices: tuple[str, ...] = ()
    takes: Takes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSpec:
    """A chat command, for a platform's native menu. What is chosen there comes back as text: `/kill all`."""

    name: str
    description: str
    options: tuple[CommandOption, ...] = ()
    descriptions: tuple[tuple[str, str], ...] = ()  # in other languages, by ISO 639-1 code
    for_operators: bool = False  # nobody else may use it
    in_private: bool = False  # it is about codes that others should not see


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """Something that may be typed as an argument. `label` tells a person what it is."""

    value: str
    label: str


class Suggestions(Protocol):
    """What there is to be named in a command, for a platform that asks while somebody types. `bot.suggestions` fulfils
    it."""

    async def suggest(
        self, sender: Sender, where: ThreadRef, command: str, takes: Takes, typed: str
    ) -> Sequence[Suggestion]:
        """At most 25 things that fit what was typed and that this person may use the command on, the likeliest first.
        Nothing is committed by asking. A stranger is offered nothing. The caller sets the time-out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelContext:
    """What every adapter is made with, beside its own part of the configuration."""

    name: ChannelName
    files: Files
    commands: tuple[CommandSpec, ...] = ()
    suggestions: Suggestions | None = None
    operators: Callable[[], Sequence[Account]] = tuple
    """Accounts at this channel that may use every command, as they are known when it is asked."""
    user_agent: str = "Threadmill"
