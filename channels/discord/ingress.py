"""From the gateway to the inbox: in order, without gap, without double.

Discord's gateway has no acknowledgement. What was missed while nobody listened is read from the channels' histories,
so the position up to which each channel is committed is stored with the events themselves. Promises: events of one
channel are committed in Discord's order; while a channel's history is read (or its room is looked up) what
arrives there live waits behind it, and no other channel waits; a position never moves past an event that is not
committed; an interaction is acknowledged only after its commit. When the inbox cannot commit, events are kept
and tried again; an interaction that is too old by then is dropped, because Discord has told the person that it failed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from channels.base import Inbound, Intake, NotAccepted, Sender, Unavailable

_log = logging.getLogger(__name__)
_LARGEST_BATCH = 200
_MOST_WAITING = 20_000
_ANSWER_WITHIN_SECONDS = 2.5
_RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)
_MOST_AUTHORS = 5_000
_MOST_POSITIONS = 50_000

_Waiting = tuple[str, Callable[[], None]]  # a channel's id, and what to do when it is released

LATEST = "latest"
"""Cursor: the highest message id committed anywhere. A channel that has no position of its own starts here."""


def position_of(channel_id: str) -> str:
    """Name of the cursor that holds a channel's last committed message id."""
    return f"at/{channel_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """Events to be committed together, and how far that brings their channel."""

    events: Sequence[Inbound]
    channel_id: str
    message_id: str | None = None
    cursors: Mapping[str, str] = field(default_factory=dict)  # others that move with it
    arrived_at: float  # the loop's clock, seconds
    committed: Callable[[], None] | None = None  # called once they are


class Ingress:
    """The queue between the gateway and the intake of one `run`, and its only consumer."""

    def __init__(self, intake: Intake, *, troubled: Callable[[str], None]) -> None:
        self._intake = intake
        self._troubled = troubled
        self._queue: asyncio.Queue[Arrival] = asyncio.Queue()
        self._all_held: list[_Waiting] | None = None
        self._held: dict[str, list[_Waiting]] = {}
        self._held_count = 0
        self._authors: OrderedDict[str, Sender] = OrderedDict()
        self._reached: OrderedDict[str, int] = OrderedDict()  # cursor name -> highest id committed by this run
        self._latest = 0

    @property
    def latest(self) -> int:
        """The highest message id committed anywhere; 0 when there is none yet."""
        return self._latest

    async def load(self) -> None:
        """Read where earlier runs ended."""
        self._latest = _number(await self._intake.cursor(LATEST))

    async def start_of(self, channel_id: str) -> int:
        """The message id up to which this channel is committed; 0 when it has no position."""
        return _number(await self._intake.cursor(position_of(channel_id)))

    def author_of(self, message_id: str) -> Sender | None:
        return self._authors.get(message_id)

    def holds(self, channel_id: str) -> bool:
        return channel_id in self._held

    def hold_all(self) -> None:
        """From now on, whatever arrives waits for `release_all`."""
        if self._all_held is None:
            self._all_held = []

    def release_all(self) -> None:
        """Let what has been waiting go, each to its channel, which may be held itself."""
        waiting, self._all_held = self._all_held or [], None
        self._held_count -= len(waiting)
        for channel_id, go in waiting:
            self.after_hold(channel_id, go)

    def hold(self, channel_id: str) -> None:
        """From now on, what arrives in this channel waits for `release`."""
        self._held.setdefault(channel_id, [])

    def release(self, channel_id: str) -> None:
        """Let what has been waiting in this channel go, in its order."""
        waiting = self._held.pop(channel_id, [])
        self._held_count -= len(waiting)
        for _, go in waiting:
            go()

    def after_hold(self, channel_id: str, go: Callable[[], None]) -> None:
        """Do `go` now, or when the channel is released. Raises Unavailable when too much is waiting."""
        waiting = self._all_held if self._all_held is not None else self._held.get(channel_id)
        if waiting is None:
            go()
            return
        waiting.append((channel_id, go))
        self._held_count += 1
        self._check_bound()

    def arrival(self, channel_id: str, events: Sequence[Inbound]) -> Arrival:
        """Events that have just arrived in a channel and leave its position where it is."""
        return Arrival(events=events, channel_id=channel_id, arrived_at=asyncio.get_running_loop().time())

    def put(self, arrival: Arrival) -> None:
        """Queue for the next commit."""
        for event in arrival.events:
            if event.message_id is not None and event.id == f"message:{event.message_id}":
                self._authors[event.message_id] = event.sender
        while len(self._authors) > _MOST_AUTHORS:
            self._authors.popitem(last=False)
        self._queue.put_nowait(arrival)
        self._check_bound()

    async def settled(self, arrivals: Sequence[Arrival]) -> None:
        """Queue these and wait until they are committed."""
        if not arrivals:
            return
        done = asyncio.Event()
        for arrival in arrivals[:-1]:
            self.put(arrival)
        self.put(replace(arrivals[-1], committed=done.set))
        await done.wait()

    async def commit_forever(self, acknowledge: Callable[[Inbound], None]) -> None:
        """Commit what is queued, many at a time, and acknowledge what wants it. Runs until cancelled."""
        while True:
            batch = [await self._queue.get()]
            while len(batch) < _LARGEST_BATCH and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            for event in await self._commit(batch):
                if event.answer_with is not None:
                    acknowledge(event)
            for arrival in batch:
                if arrival.committed is not None:
                    arrival.committed()

    async def _commit(self, batch: Sequence[Arrival]) -> Sequence[Inbound]:
        """Commit, however long it takes, what is not too late by then."""
        loop = asyncio.get_running_loop()
        attempt = 0
        while True:
            alive = [arrival for arrival in batch if not _too_late(arrival, loop.time())]
            events = list({event.id: event for arrival in alive for event in arrival.events}.values())
            if not events:
                return []
            try:
                await self._intake.accept(events, cursors=self._cursors(alive))
            except NotAccepted as error:
                if attempt == 0:
                    _log.warning("Discord's events are kept back, because the inbox does not commit: %s", error)
                self._troubled("messages are kept back, because the inbox does not commit. Is the disk full?")
                await asyncio.sleep(_RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)])
                attempt += 1
                continue
            if attempt:
                self._troubled("")
            return events

    def _cursors(self, batch: Sequence[Arrival]) -> dict[str, str]:
        """What the batch moves. The overall position rests while a history is being read, so that a crash then
        leaves no gap in channels without a position of their own."""
        cursors: dict[str, str] = {}
        for arrival in batch:
            cursors.update(arrival.cursors)
            if arrival.message_id is None or not arrival.events:
                continue
            name, number = position_of(arrival.channel_id), _number(arrival.message_id)
            self._reached[name] = max(self._reached.get(name, 0), number)
            self._reached.move_to_end(name)
            cursors[name] = str(self._reached[name])
            if not self._held and self._all_held is None:
                self._latest = max(self._latest, number)
                cursors[LATEST] = str(self._latest)
        while len(self._reached) > _MOST_POSITIONS:
            self._reached.popitem(last=False)
        return cursors

    def _check_bound(self) -> None:
        if self._queue.qsize() + self._held_count > _MOST_WAITING:
            raise Unavailable("more events arrived than could be committed; what is dropped now is read again later")


def now() -> datetime:
    """The time that is given to an event which has none of its own."""
    return datetime.now(UTC)


def _too_late(arrival: Arrival, now: float) -> bool:
    """Whether the platform has already told the person that this interaction failed."""
    answering = any(event.answer_with is not None for event in arrival.events)
    return answering and now - arrival.arrived_at > _ANSWER_WITHIN_SECONDS


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else 0
