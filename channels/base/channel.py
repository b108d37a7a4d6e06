"""The contract of a channel, and what the core gives to whoever fulfils it.

The docstrings are the specification: order, errors, time-outs, and what may be done twice. The conformance suite
holds every adapter to them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, Flag, auto
from types import TracebackType
from typing import Protocol, Self

from channels.base.commands import CommandSpec, Suggestions
from channels.base.nouns import (
    Account,
    Attachment,
    ChannelName,
    EventId,
    Inbound,
    Mark,
    OpenThread,
    Outbound,
    Receipt,
    ThreadRef,
)


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
    methods may be called at any time, also while `run` is down. Methods raise only the errors of
    `channels.base.errors` (any ChannelError kind, as it fits) and each has its own time-out of at most 30 s.
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
