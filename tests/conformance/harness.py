"""What a platform's test rig gives to the conformance suite.

The suite (test_channel.py) is written once and runs on every adapter. A rig joins an adapter to its
loopback platform: the adapter side is what Threadmill sees, the person side is what people do and see
there. A rig's module is `tests/conformance/rig_<platform>.py` and defines

    @asynccontextmanager
    async def rig(tmp_path: Path) -> AsyncIterator[Rig]: ...

which starts the loopback server, opens the channel and runs it under a recording intake until it is connected.

What a platform does not have (Telegram tells nobody of a deletion, a page cannot be unreachable for itself), the rig
answers with `CannotDo`: the test is skipped with that sentence, unless it is what proves a declared capability.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from channels.base import Attachment, Channel, EventId, Inbound, Kind, NotAccepted, OpenPrompt, ThreadRef


class Fault(Enum):
    """How the platform's next answer to a send goes wrong."""

    RATE_LIMITED = "429 with the platform's own retry header (1 s)"
    SERVER_ERROR = "one 5xx"
    FORBIDDEN = "no permission in this room"
    UNKNOWN_ROOM = "the room does not exist"
    ANSWER_LOST = "the message is shown to people, but the connection drops before the answer"
    UNREACHABLE = "connections are refused until `heal`"


class CannotDo(Exception):
    """This platform has no such thing. The text says why."""


@dataclass(slots=True)
class Shown:
    """One message as a person sees it, in the order of the screen."""

    message_id: str
    text: str
    buttons: tuple[tuple[str, str], ...] = ()  # (id, label)
    files: tuple[tuple[str, bytes], ...] = ()  # (name, content)
    by_bot: bool = True


@dataclass
class RecordingIntake:
    """An intake that keeps what it was given; `refuse` makes it fail as a full disk would."""

    events: list[Inbound] = field(default_factory=list)
    cursors: dict[str, str] = field(default_factory=dict)
    bound: list[ThreadRef] = field(default_factory=list)
    open: list[OpenPrompt] = field(default_factory=list)
    watched: list[ThreadRef] = field(default_factory=list)
    refuse: bool = False
    refused: int = 0  # how often it refused
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def accept(self, events: Sequence[Inbound], *, cursors: Mapping[str, str] = {}) -> frozenset[EventId]:
        if self.refuse:
            self.refused += 1
            async with self.arrived:
                self.arrived.notify_all()
            raise NotAccepted("the disk is full (test)")
        known = {event.id for event in self.events}
        async with self.arrived:
            new = [event for event in events if event.id not in known]
            self.events.extend(new)
            self.cursors.update(cursors)
            self.arrived.notify_all()
        return frozenset(event.id for event in new)

    async def cursor(self, name: str) -> str | None:
        return self.cursors.get(name)

    async def bound_threads(self) -> Sequence[ThreadRef]:
        return tuple(self.bound)

    async def open_prompts(self) -> Sequence[OpenPrompt]:
        return tuple(self.open)

    async def watched_rooms(self) -> Sequence[ThreadRef]:
        return tuple(self.watched)

    async def wait_for(self, count: int, timeout_seconds: float = 10.0) -> list[Inbound]:
        """The events, once there are at least `count` of them."""
        async with asyncio.timeout(timeout_seconds), self.arrived:
            await self.arrived.wait_for(lambda: len(self.events) >= count)
        return self.events

    async def wait_until_refused(self, timeout_seconds: float = 10.0) -> None:
        async with asyncio.timeout(timeout_seconds), self.arrived:
            await self.arrived.wait_for(lambda: self.refused > 0)


class Rig(Protocol):
    """An adapter joined to its loopback platform."""

    channel: Channel
    intake: RecordingIntake
    room: ThreadRef  # a room that the bot and a person named Ada share, in which threads can be opened
    stranger_account: str  # account text of another member of that room ("slack:T1/U9")
    ada_account: str

    async def says(self, where: ThreadRef, text: str, *, by: str | None = None, mention: bool = False) -> str:
        """A person (Ada) writes; the platform's message id."""

    async def sends_file(self, where: ThreadRef, name: str, content: bytes) -> str: ...
    async def edits(self, where: ThreadRef, message_id: str, text: str) -> None: ...
    async def deletes(self, where: ThreadRef, message_id: str) -> None: ...
    async def presses(self, where: ThreadRef, message_id: str, button_id: str) -> None: ...
    async def shown(self, where: ThreadRef) -> list[Shown]:
        """Everything visible there, oldest first, people's messages too."""

    async def typing_shown(self, where: ThreadRef) -> bool: ...
    async def fail(self, fault: Fault) -> None:
        """The next send meets this fault (UNREACHABLE: every request, until `heal`)."""

    async def heal(self) -> None: ...
    async def drop_connections(self) -> None:
        """The platform closes what it pushes events through (gateway, socket, poll)."""

    async def repeat_last_event(self) -> None:
        """The platform delivers its last event once more, as it does when it missed the acknowledgement."""

    async def acknowledged(self, message_id: str) -> bool:
        """Whether the platform counts the event of this message as taken by the bot."""

    async def stop(self) -> None:
        """Stop the adapter, as the end of Threadmill does. `reconnect` may follow."""

    async def reconnect(self) -> None:
        """Stop the adapter, throw it away, and run a new one on the same intake (a restart of Threadmill)."""

    async def stored_file(self, content: bytes, name: str, media_type: str) -> Attachment:
        """Put a file in the rig's attachment store, to be sent."""


class SilentRig(Rig, Protocol):
    """Of a platform that does not tell its bots everything."""

    silent: frozenset[Kind]


class MarkRig(Rig, Protocol):
    """Needed for Capability.REACT."""

    async def marks(self, where: ThreadRef, message_id: str) -> list[str]:
        """The bot's reactions on a message, in the platform's form."""


class CommandRig(Rig, Protocol):
    """Of a platform with commands of its own."""

    async def commands(self, where: ThreadRef, text: str) -> None:
        """Ada gives a command in the platform's form; `text` is in ours: `/help`."""


class StreamingRig(Rig, Protocol):
    """Needed for Capability.STREAM where a preview is no message."""

    async def live_shown(self, where: ThreadRef) -> str:
        """The text that is shown there while it is being written."""


class EphemeralRig(CommandRig, Protocol):
    """Needed for Capability.EPHEMERAL."""

    async def shown_to(self, where: ThreadRef, account: str) -> list[Shown]:
        """What this account sees there beside what everybody sees."""
