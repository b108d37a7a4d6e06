"""Events on their way from the inbox: those of one place in order, places side by side, each until it is handled.

What was committed is offered here at once. Memory has a bound: beyond it, and after a start, events are read back from
the inbox. Whatever goes wrong with one event stays with it: while the store fails it is tried again, and what fails by
itself is buried where people find it.

What ends something (`/kill`, `/stop`) waits for what was written before it a second at most: a large file that is being
fetched, or a burst of thousands of messages, is no reason to go on with what somebody wants to end.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from itertools import count

import structlog

from bot.routing.router import command_in
from channels.base import Account, Inbound, Kind
from storage.database import StorageError
from storage.inbox import Inbox, Stored

log = structlog.get_logger("dispatcher")

_IN_MEMORY = 10_000  # events; beyond that they wait in the inbox only
_PAUSES = (0.1, 1.0, 5.0, 30.0)  # seconds, while the store fails
_TRIES = 20  # about ten minutes
_HURRY_SECONDS = 1.0
_ENDING = frozenset({"kill", "stop"})


class EventQueues:
    """Gives each event to `handle`, or after its failure to `bury`. `run` must be running for `offer` to have an
    effect."""

    def __init__(
        self,
        inbox: Inbox,
        handle: Callable[[Stored], Awaitable[None]],
        bury: Callable[[Stored, Exception], Awaitable[None]],
    ) -> None:
        self._inbox = inbox
        self._handle = handle
        self._bury = bury
        self._places: dict[str, deque[Stored]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._led: dict[str, str] = {}  # places whose events wait in another's queue
        self._ahead: dict[str, dict[Account, int]] = {}  # by place and person, the last /kill that went ahead
        self._held: set[int] = set()
        self._behind = asyncio.Event()  # events wait in the inbox that are not in memory
        self._decided = asyncio.Event()
        self._missed = False  # and one more came while they were being read

    @property
    def waiting(self) -> int:
        """Events in memory that are not decided yet."""
        return len(self._held)

    def offer(self, events: Sequence[Stored]) -> None:
        for stored in events:
            if self._group is None or self._behind.is_set() or len(self._held) >= _IN_MEMORY:
                self._missed = True
                self._behind.set()
            else:
                self._take(stored)

    def overtaken(self, stored: Stored) -> bool:
        """Whether a /kill that the same person gave later in the same place has gone ahead of this. Nobody cancels
        what others wrote."""
        ahead = self._ahead.get(self._queue_of(stored.event), {})
        return stored.n < ahead.get(stored.event.sender.account, 0)

    async def run(self) -> None:
        """Take up what a former run left, then serve until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._behind.set()
            try:
                while True:
                    await self._behind.wait()
                    await self._catch_up()
            finally:
                self._group = None

    async def _catch_up(self) -> None:
        """Read what is not decided back from the inbox, a page at a time, until memory has it all."""
        after = 0
        while True:
            self._missed = False
            held = frozenset(self._held)  # what is decided while the page is read still stands in it
            try:
                page = await self._inbox.unrouted(after=after)
            except StorageError:
                log.exception("the inbox cannot be read")
                await asyncio.sleep(1.0)
                continue
            for stored in page:
                if stored.n not in held and stored.n not in self._held:
                    self._take(stored)
                after = stored.n
            if not page and not self._missed:
                self._behind.clear()
                return
            await self._room()

    async def _room(self) -> None:
        """Wait until memory is half empty."""
        while len(self._held) > _IN_MEMORY // 2:
            self._decided.clear()
            await self._decided.wait()

    def _take(self, stored: Stored) -> None:
        assert self._group is not None
        self._held.add(stored.n)
        place = self._queue_of(stored.event)
        queue = self._places.get(place)
        if queue is not None:
            queue.append(stored)
            if _ends_something(stored.event):
                asyncio.get_running_loop().call_later(_HURRY_SECONDS, self._hurry, place, stored)
            return
        self._places[place] = deque((stored,))
        self._group.create_task(self._drain(place), name=f"dispatch-{place}")

    def _hurry(self, place: str, stored: Stored) -> None:
        """It has waited for long enough."""
        queue = self._places.get(place)
        if self._group is None or queue is None or stored not in queue:
            return
        queue.remove(stored)
        if _command(stored.event) == "kill":
            self._ahead.setdefault(place, {})[stored.event.sender.account] = stored.n
        self._group.create_task(self._handle_one(stored), name=f"dispatch-ahead-{place}")

    async def _handle_one(self, stored: Stored) -> None:
        await self._handle_safely(stored)
        self._held.discard(stored.n)
        self._decided.set()

    def _queue_of(self, event: Inbound) -> str:
        """A place's own; what is said in a room that has just got its id waits until that is known."""
        place = event.where.key
        place = self._led.get(place, place)
        if event.kind is Kind.ROOM_MOVED and event.payload:
            self._led[replace(event.where, room=event.payload).key] = place
        return place

    async def _drain(self, place: str) -> None:
        queue = self._places[place]
        try:
            while queue:
                await self._handle_one(queue.popleft())
        finally:
            del self._places[place]
            self._ahead.pop(place, None)
            self._led = {led: by for led, by in self._led.items() if by != place} if self._led else self._led

    async def _handle_safely(self, stored: Stored) -> None:
        """The top of an event's way: whatever goes wrong stays with this event, and is not lost."""
        event = stored.event
        with structlog.contextvars.bound_contextvars(channel=event.where.channel, event=stored.key):
            failure: Exception | None = None
            for tries in count():
                try:
                    await (self._handle(stored) if failure is None else self._bury(stored, failure))
                    return
                except StorageError as error:
                    log.warning("not dispatched yet", error=str(error))
                    await asyncio.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
                    if tries >= _TRIES and failure is None:
                        failure = error  # the store's failure, or this event's own: then it can be buried
                except Exception as error:
                    log.exception("event failed")
                    if failure is not None:
                        return  # it stays undecided in the inbox, and the next start reads it again
                    failure = error


def _command(event: Inbound) -> str | None:
    """The name of the command that the event gives, as a message, in the platform's form or by a button."""
    text = event.payload if event.kind is Kind.BUTTON else event.text
    given = command_in(text or "") if event.kind in {Kind.MESSAGE, Kind.COMMAND, Kind.BUTTON} else None
    return given[0] if given is not None else None


def _ends_something(event: Inbound) -> bool:
    return _command(event) in _ENDING
