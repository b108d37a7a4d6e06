"""What the web is made with: small ports, fulfilled by `bot.app`."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from agents.tool_servers import ServerState
from bot.events import EventHub
from channels.base import Account, Attachment, CommandSpec, Health, Kind
from storage.views import Views


class Received(Protocol):
    """What became of a message that came in. `new` is False for a copy."""

    @property
    def id(self) -> str: ...
    @property
    def new(self) -> bool: ...


class Receive(Protocol):
    """`channels.local.LocalChannel.receive`. Returns once the message is committed.

    Raises ValueError (a sentence for a person) for bad input, NotAccepted or Unavailable when it could not
    be committed: then nothing was stored, and the same id may be sent again.
    """

    async def __call__(
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
    ) -> Received: ...


class Upload(Protocol):
    """Keeps a file's content. Raises Rejected when it is too large, StorageError, and what `chunks` raises."""

    async def __call__(self, name: str, media_type: str, chunks: AsyncIterable[bytes]) -> Attachment: ...


class DeadLetters(Protocol):
    """What a person may do with a dead letter. The id is that of `storage.view_rows.DeadLetterRow`."""

    async def retry(self, id: str) -> bool:
        """Try it again. False when there is no such dead letter."""

    async def drop(self, id: str) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentCard:
    """An agent that the page offers."""

    name: str
    description: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WebParts:
    views: Views
    hub: EventHub
    receive: Mapping[str, Receive]  # by local channel: web, console, api
    health: Callable[[], Mapping[str, Health]]
    ready: Callable[[], bool]
    metrics: Callable[[], bytes]
    dead_letters: DeadLetters
    token: str
    clock: Callable[[], datetime]
    hosts: frozenset[str] = frozenset()  # names that we are reached by, beside this machine's own
    commands: tuple[CommandSpec, ...] = ()
    agents: Callable[[], Sequence[AgentCard]] = field(default=lambda: ())
    file: Callable[[str], Path | None] = field(default=lambda _: None)  # an attachment's content by its digest
    tool_servers: Callable[[], Sequence[ServerState]] = field(default=lambda: ())
    uploads: Upload | None = None
    upload_bytes: int = 0  # the largest file that is taken in
    rehearsal: bool = False  # no real model: the page says so and teaches what to try
    owner_name: str = "You"

    def account(self, channel: str) -> Account:
        """Whoever holds the token is the owner, on each local channel."""
        return Account(f"{channel}:owner")
