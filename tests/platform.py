"""A platform in memory, for tests of what stands above the adapters: it shows what was said, and fails on command."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from channels.base import (
    Account,
    Attachment,
    Capability,
    ChannelName,
    ChannelState,
    DeliveryKey,
    Health,
    Intake,
    Limits,
    LiveText,
    Mark,
    OpenThread,
    Outbound,
    Receipt,
    Rejected,
    ThreadRef,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """How a call goes wrong: after the effect when `shown`, and instead of it otherwise."""

    error: BaseException
    shown: bool = False


@dataclass
class Platform:
    """Fulfils `channels.base.Channel`. `people_see` is the truth about what was said."""

    name: ChannelName
    capabilities: Capability = Capability.NONE
    part_length: int = 1000
    people_see: list[tuple[str, str]] = field(default_factory=list)  # (place, text)
    keys: dict[str, str] = field(default_factory=dict)  # key, message id
    threads: list[str] = field(default_factory=list)
    openings: list[OpenThread] = field(default_factory=list)
    coming: list[Trouble] = field(default_factory=list)  # for the next calls
    always: Callable[[str], Trouble | None] = lambda _: None  # by the place's key
    gates: defaultdict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(_opened))
    said: asyncio.Condition = field(default_factory=asyncio.Condition)
    calls: int = 0
    edits_tried: int = 0
    state: ChannelState = ChannelState.CONNECTED
    limits: Limits = field(default=Limits(text_units=1000, attachment_bytes=1000))

    def texts(self, place: str | None = None) -> list[str]:
        return [text for where, text in self.people_see if place is None or where == place]

    async def until_said(self, count: int, seconds: float = 10.0) -> list[str]:
        async with asyncio.timeout(seconds), self.said:
            await self.said.wait_for(lambda: len(self.people_see) >= count)
        return self.texts()

    def health(self) -> Health:
        return Health(state=self.state, since=datetime.now(UTC))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    async def run(self, intake: Intake) -> None:
        await asyncio.Event().wait()

    def split(self, message: Outbound) -> Sequence[Outbound]:
        texts = [
            message.text[at : at + self.part_length] for at in range(0, max(1, len(message.text)), self.part_length)
        ]
        if len(texts) == 1:
            return (message,)
        return [
            replace(message, key=DeliveryKey(f"{message.key}#{index}"), text=text) for index, text in enumerate(texts)
        ]

    async def send(self, part: Outbound) -> Receipt:
        place = part.to.key
        trouble = await self._meet(place)
        if Capability.IDEMPOTENT_SEND not in self.capabilities or part.key not in self.keys:
            self.keys[part.key] = f"m{len(self.people_see)}"
            await self._show(place, part.text)
        if trouble is not None:
            raise trouble.error
        return Receipt(message_ids=(self.keys[part.key],), sent_at=datetime.now(UTC))

    async def edit(self, part: Outbound, message_id: str) -> None:
        if Capability.EDIT not in self.capabilities:
            raise Rejected("nothing is edited here")
        self.edits_tried += 1
        trouble = await self._meet(part.to.key)
        if trouble is not None:
            raise trouble.error
        async with self.said:
            self.people_see[int(message_id.removeprefix("m"))] = (part.to.key, part.text)
            self.said.notify_all()

    async def open_thread(self, request: OpenThread) -> ThreadRef:
        self.openings.append(request)
        trouble = await self._meet(request.room.key)
        place = replace(request.room, thread=f"t{len(self.threads)}")
        self.threads.append(request.title)
        if request.first_text:
            await self._show(place.key, request.first_text)
        if trouble is not None:
            raise trouble.error
        return place

    async def direct(self, account: Account) -> ThreadRef:
        return ThreadRef(channel=self.name, room=account)

    async def typing(self, where: ThreadRef) -> None:
        pass

    async def react(
        self,
        where: ThreadRef,
        message_id: str,
        mark: Mark | None,
        instead_of: Mark | None = None,
    ) -> None:
        raise Rejected("nobody's messages are marked here")

    def confined(self, where: ThreadRef) -> bool:
        return False

    async def link(self, where: ThreadRef) -> str | None:
        return None

    async def find(self, part: Outbound, since: datetime) -> Receipt | None:
        await self._meet(part.to.key)
        if part.key not in self.keys:
            return None
        return Receipt(message_ids=(self.keys[part.key],), sent_at=datetime.now(UTC))

    async def fetch(self, attachment: Attachment, limit_bytes: int) -> AsyncIterator[bytes]:
        if limit_bytes >= 0:
            raise Rejected("nothing is fetched here")
        yield b""

    async def live(self, where: ThreadRef, reply_to: str | None = None) -> LiveText:
        raise Rejected("nothing is shown while it is written")

    async def _meet(self, place: str) -> Trouble | None:
        """Wait for the place's gate, then meet the trouble that comes. One after the effect is returned."""
        self.calls += 1
        async with self.said:
            self.said.notify_all()
        await self.gates[place].wait()
        trouble = self.coming.pop(0) if self.coming else self.always(place)
        if trouble is not None and not trouble.shown:
            raise trouble.error
        return trouble

    async def _show(self, place: str, text: str) -> None:
        async with self.said:
            self.people_see.append((place, text))
            self.said.notify_all()


def _opened() -> asyncio.Event:
    gate = asyncio.Event()
    gate.set()
    return gate
