"""Between the socket and the intake: events of one room are committed in order, and only then acknowledged.

Slack hands each envelope over on its own and repeats what it saw no acknowledgement for. So whoever brings
a payload waits here until the intake has it. A room has at most one commit under way; what arrives meanwhile
goes into the next one together, sorted by Slack's own timestamps. Rooms do not wait for each other.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from channels.base import EventId, Inbound, Intake, Kind, NotAccepted
from channels.slack.reader import order_of, room_of, ts_order

Payload = Mapping[str, Any]

SEEN = "seen"
"""The cursor: the `ts` of the newest message that was committed."""

CLOCK_SECONDS = 60.0
SETTLE_SECONDS = 0.01
"""Events that Slack sends at one moment may overtake each other: so long they are collected and sorted. What people
press and command is not held up by it."""

SAID = frozenset({Kind.MESSAGE, Kind.COMMAND})


@dataclass(slots=True)
class _Room:
    waiting: list[tuple[Payload, asyncio.Future[None]]] = field(default_factory=list)
    opened: asyncio.Event | None = None  # set while an earlier gap of this room is still being filled


class Arrivals:
    """One connection's way in. `read` turns payloads into events; it may look names up but must not fail."""

    def __init__(
        self,
        intake: Intake,
        read: Callable[[Sequence[Payload]], Awaitable[list[list[Inbound]]]],
        group: asyncio.TaskGroup,
        *,
        seen: str = "",
        bound: int = 10_000,
    ) -> None:
        self._intake = intake
        self._read = read
        self._group = group
        self._seen = seen
        self._bound = bound
        self._held = 0
        self.gap_open = False
        """While what was missed is being fetched: the cursor stays before it, for the case of a crash."""
        self._rooms: dict[str, _Room] = {}

    async def commit(self, payload: Payload) -> None:
        """Return once the payload's events are committed. Raises NotAccepted: do not acknowledge."""
        if self._held >= self._bound:
            raise NotAccepted("too many events wait for the intake")
        name = room_of(payload)
        room = self._rooms.get(name)
        if room is None:
            room = self._rooms[name] = _Room()
            self._group.create_task(self._work(name, room))
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        room.waiting.append((payload, done))
        self._held += 1
        try:
            await done
        finally:
            self._held -= 1

    def hold(self, name: str) -> Callable[[], None]:
        """Let this room's events wait until the returned function is called: older ones are being fetched."""
        room = self._rooms.get(name)
        if room is None:
            room = self._rooms[name] = _Room()
            self._group.create_task(self._work(name, room))
        room.opened = room.opened or asyncio.Event()
        return room.opened.set

    async def accept(self, events: Sequence[Inbound]) -> None:
        """Commit events that came another way (the history)."""
        if events:
            await self._intake.accept(events, cursors=self._cursors(events))

    async def begin(self) -> None:
        """The first connection ever: what is missed from now on is missed. (Slack's clock may be behind ours.)"""
        cursor = f"{time.time() - CLOCK_SECONDS:.6f}"
        try:
            await self._intake.accept((), cursors={SEEN: cursor})
        except NotAccepted:
            return
        self._seen = self._seen or cursor

    async def _work(self, name: str, room: _Room) -> None:
        while True:
            if room.opened is not None:
                await room.opened.wait()
                room.opened = None
            if room.waiting and all("event" in payload for payload, _ in room.waiting):
                await asyncio.sleep(SETTLE_SECONDS)
            if not room.waiting:
                del self._rooms[name]
                return
            batch, room.waiting = sorted(room.waiting, key=lambda item: order_of(item[0])), []
            await self._commit([item for item in batch if not item[1].done()])

    async def _commit(self, batch: Sequence[tuple[Payload, asyncio.Future[None]]]) -> None:
        failure: Exception | None = None
        try:
            found = await self._read([payload for payload, _ in batch])
            events = _once(event for group in found for event in group)
            if events:
                await self._intake.accept(events, cursors=self._cursors(events))
        except NotAccepted as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - the top of a room's worker; whoever brought it hears of it
            failure = NotAccepted(f"the intake failed: {type(error).__name__}")
            failure.__cause__ = error
        for _, done in batch:
            if not done.done():
                done.set_exception(failure) if failure else done.set_result(None)

    def _cursors(self, events: Sequence[Inbound]) -> dict[str, str]:
        said = (event.message_id for event in events if event.kind in SAID and event.message_id)
        newest = max(said, key=ts_order, default="")
        if self.gap_open or ts_order(newest) <= ts_order(self._seen):
            return {}
        self._seen = newest
        return {SEEN: newest}


def _once(events: Iterable[Inbound]) -> list[Inbound]:
    """One of each id. Of two reports of one post the fuller one stays: a mention's may lack what hangs on it."""
    kept: dict[EventId, Inbound] = {}
    for event in events:
        if event.id not in kept or _fullness(event) > _fullness(kept[event.id]):
            kept[event.id] = event
    return list(kept.values())


def _fullness(event: Inbound) -> tuple[int, int]:
    return len(event.attachments), len(event.text)
