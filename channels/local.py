"""The channels of the program itself: the page, the terminal and HTTP.

Their people look at the store: what a place shows is its timeline, which the courier writes with the receipt. So
saying something here needs no network, cannot be lost and cannot be doubled; `shown` tells whoever looks that there
is something new, or that something is being typed.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from channels.base import (
    Account,
    Attachment,
    Capability,
    ChannelContext,
    ChannelName,
    ChannelState,
    EventId,
    Health,
    Inbound,
    Intake,
    Kind,
    Limits,
    LiveText,
    Mark,
    OpenThread,
    Outbound,
    Receipt,
    Rejected,
    Sender,
    ThreadRef,
    Unavailable,
)

ROOM = "main"
LONGEST_TEXT = 100_000  # characters
LONGEST_THREAD = 80  # characters of a thread's name
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

Clock = Callable[[], datetime]
Reword = Callable[[Outbound, str], Awaitable[None]]
"""Puts another text and other buttons in the place of a message that was said, in the store."""

Address = Callable[[ThreadRef], str | None]
"""Where a place can be looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What became of a message that was handed in."""

    id: str
    new: bool  # False: the same id was accepted before


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """News for whoever looks at a place."""

    where: ThreadRef
    kind: str  # said, edited, typing
    message_id: str = ""
    part: Outbound | None = None  # what was said, or is said there now


def _nobody_looks(_: Shown) -> None:
    pass


class LocalChannel:
    """`channels.base.Channel` for web, console and api."""

    def __init__(
        self,
        context: ChannelContext,
        *,
        shown: Callable[[Shown], None] = _nobody_looks,
        reword: Reword | None = None,
        address: Address = lambda _: None,
        clock: Clock = lambda: datetime.now(UTC),
    ) -> None:
        self._context = context
        self._shown = shown
        self._reword = reword
        self._address = address
        self._clock = clock
        self._intake: Intake | None = None
        self._since = clock()

    @property
    def name(self) -> ChannelName:
        return self._context.name

    @property
    def capabilities(self) -> Capability:
        return (
            Capability.THREADS
            | Capability.BUTTONS
            | Capability.ATTACHMENTS_IN
            | Capability.ATTACHMENTS_OUT
            | Capability.TYPING
            | Capability.DIRECT
            | Capability.IDEMPOTENT_SEND
            | (Capability.EDIT if self._reword is not None else Capability.NONE)
        )

    @property
    def limits(self) -> Limits:
        return Limits(text_units=10_000_000, attachment_bytes=100 * 1024 * 1024, button_count=25)

    def health(self) -> Health:
        state = ChannelState.CONNECTED if self._intake is not None else ChannelState.CONNECTING
        return Health(state=state, since=self._since)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._intake = None

    async def run(self, intake: Intake) -> None:
        self._intake, self._since = intake, self._clock()
        try:
            await asyncio.Event().wait()
        finally:
            self._intake = None

    async def receive(
        self,
        *,
        thread: str,
        text: str,
        id: str | None,
        account: Account,
        name: str,
        attachments: Sequence[Attachment] = (),
        kind: Kind = Kind.MESSAGE,
        payload: str | None = None,
    ) -> Received:
        """Commit what a person wrote. The same id a second time is recognised, and is no second message.

        Raises ValueError with a sentence for bad input, Unavailable before `run`, NotAccepted when it cannot be
        committed.
        """
        if self._intake is None:
            raise Unavailable("Threadmill is still starting: try again in a moment")
        where = ThreadRef(channel=self.name, room=ROOM, thread=checked_thread(thread))
        _check_text(text, needed=not attachments and kind in (Kind.MESSAGE, Kind.COMMAND))
        if id is not None and not (0 < len(id) <= 200 and id.isprintable()):
            raise ValueError("`id` must be 1 to 200 printable characters")
        event = EventId(f"{thread}/{id}" if id else uuid.uuid4().hex)
        inbound = Inbound(
            id=event,
            kind=Kind.COMMAND if kind is Kind.MESSAGE and text.startswith("/") else kind,
            where=where,
            sender=Sender(account=account, name=name),
            text=text,
            sent_at=self._clock(),
            message_id=event,
            attachments=tuple(attachments),
            direct=True,
            payload=payload,
        )
        new = await self._intake.accept((inbound,))
        return Received(id=id or event, new=event in new)

    def split(self, message: Outbound) -> Sequence[Outbound]:
        return (message,)

    async def send(self, part: Outbound) -> Receipt:
        _local(part.to, self.name)
        self._shown(Shown(where=part.to, kind="said", message_id=part.key, part=part))
        return Receipt(message_ids=(part.key,), sent_at=self._clock())

    async def edit(self, part: Outbound, message_id: str) -> None:
        _local(part.to, self.name)
        if self._reword is None:
            raise Rejected(f"{self.name} cannot change what was said")
        await self._reword(part, message_id)
        self._shown(Shown(where=part.to, kind="edited", message_id=message_id, part=part))

    async def open_thread(self, request: OpenThread) -> ThreadRef:
        """A thread named by its title. The same request names the same thread."""
        _local(request.room, self.name)
        slug = re.sub(r"[^\w]+", "-", request.title.lower()).strip("-")[:40].rstrip("-")
        unique = hashlib.sha256(request.key.encode()).hexdigest()[:6]
        thread = ThreadRef(channel=self.name, room=request.room.room, thread=f"{slug or 'thread'}-{unique}")
        if request.first_text:
            first = Outbound(key=request.key, to=thread, text=request.first_text)
            self._shown(Shown(where=thread, kind="said", message_id=request.key, part=first))
        return thread

    async def direct(self, account: Account) -> ThreadRef:
        if not account.startswith(f"{self.name}:"):
            raise Rejected(f"{account} is no account of {self.name}")
        return ThreadRef(channel=self.name, room=ROOM, thread="home")

    async def typing(self, where: ThreadRef) -> None:
        self._shown(Shown(where=where, kind="typing"))

    async def react(
        self,
        where: ThreadRef,  # noqa: ARG002
        message_id: str,  # noqa: ARG002
        mark: Mark | None,  # noqa: ARG002
        instead_of: Mark | None = None,  # noqa: ARG002
    ) -> None:
        raise Rejected(f"{self.name} shows by itself what became of a message")

    def confined(self, where: ThreadRef) -> bool:  # noqa: ARG002
        return False

    async def link(self, where: ThreadRef) -> str | None:
        return self._address(where)

    async def find(self, part: Outbound, since: datetime) -> Receipt | None:  # noqa: ARG002
        raise Rejected(f"{self.name} recognises a message that is sent again: nothing is to be looked up")

    async def fetch(self, attachment: Attachment, limit_bytes: int) -> AsyncIterator[bytes]:
        content = await self._context.files.read(attachment)
        if len(content) > limit_bytes:
            raise Rejected(f"{attachment.name} has {len(content)} bytes, more than {limit_bytes}")
        yield content

    async def live(self, where: ThreadRef, reply_to: str | None = None) -> LiveText:  # noqa: ARG002
        raise Rejected(f"{self.name} shows what is being written by itself")


def checked_thread(name: str) -> str:
    """A thread's name as people may choose it. Raises ValueError."""
    if not name or len(name) > LONGEST_THREAD or _CONTROL.search(name) or name != name.strip():
        raise ValueError(f"a thread's name has 1 to {LONGEST_THREAD} characters, none of them invisible")
    if name.startswith("+"):
        raise ValueError("a thread's name cannot begin with +: that stands for a thread that is being opened")
    return name


def _check_text(text: str, *, needed: bool) -> None:
    if needed and not text.strip():
        raise ValueError("the message is empty: `text` must say something")
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"the message has {len(text)} characters, and {LONGEST_TEXT} are the most: attach a file")
    if "\x00" in text:
        raise ValueError("the message has a NUL character in it")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("the message has half of a character in it (a lone surrogate)") from None


def _local(where: ThreadRef, name: ChannelName) -> None:
    if where.channel != name or where.room != ROOM:
        raise Rejected(f"{where.key} is no place of {name}")
