"""Delivery: what is to be said is said once, in order, wherever it can be said.

A delivery is a row before it is a message. The courier has one worker for each lane (a place's order) that has
something due, and none for a lane that has not. It marks a row *sending* and commits that, sends, and saves the
receipt; so after a crash a row that is still *sending* is one whose outcome must be found out before it is sent again.

    what the channel says    what becomes of the delivery
    a receipt                sent
    TemporaryFailure         later, in the same lane, whose order is kept; control replies pass
    Unavailable              later; and after `fallback_after` the next place of the person's reach
    Rejected                 dead letter, and the operator is told
    UnknownOutcome           sent again under the same key where the platform forgives that, looked up where it can
                             be, and otherwise marked *unknown* and told: never doubled silently
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Protocol, TypeVar

import structlog

from channels.backoff import backoff_seconds
from channels.base import (
    Capability,
    Channel,
    ChannelName,
    NoThreads,
    OpenThread,
    Outbound,
    Receipt,
    Rejected,
    TemporaryFailure,
    ThreadRef,
    Unavailable,
    UnknownOutcome,
)

T = TypeVar("T")
log = structlog.get_logger("courier")

CALL_SECONDS = 30.0  # the longest one call of a channel may take
SAME_KEY = timedelta(minutes=2)  # how long a platform recognises the key of a message that is sent again
_SENDS_AT_ONCE = 64  # a channel
_BUGS = 5  # attempts at something that fails in a way no adapter should
_UNAVAILABLE_SECONDS = 5.0  # the longest pause while a platform is down


class DeliveryState(Enum):
    PENDING = "pending"
    SENDING = "sending"  # on its way, or cut off there by a crash
    SENT = "sent"
    UNKNOWN = "unknown"  # it may have been said; nobody can tell
    DEAD = "dead"  # a dead letter
    CANCELLED = "cancelled"  # its session was killed, or a person dropped it


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One outgoing message (or thread to be opened) on its way."""

    n: int
    message: Outbound
    opening: OpenThread | None
    session: str | None
    state: DeliveryState
    attempt: int  # counts from 1 with the first try
    part: int  # how many parts are said
    message_ids: tuple[str, ...]
    tried: tuple[ThreadRef, ...]  # places that were unavailable
    cut_off: bool  # it was *sending* when somebody stopped: find out
    created_at: datetime
    sending_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NotYet:
    """The lane's head must wait."""

    until: datetime


class PlaceTaken(Exception):
    """Another living session is bound to that place."""


class Outbox(Protocol):
    """The rows behind the courier. Every method is one transaction."""

    async def lanes(self) -> Sequence[str]:
        """Every lane that has something to send."""

    async def take(self, lane: str, now: datetime) -> Delivery | NotYet | None:
        """The head of a lane (control replies first, then the oldest), marked *sending*. None: nothing to send.
        What a killed session wanted to say is cancelled here, control replies excepted."""

    async def part_said(self, delivery: Delivery, receipt: Receipt) -> None: ...
    async def said(self, delivery: Delivery, receipt: Receipt) -> None:
        """The last part is said: sent, and it stands in the place's timeline."""

    async def later(self, delivery: Delivery, not_before: datetime, why: str, *, find_out: bool = False) -> None:
        """Try again then; with `find_out` it stays *sending*, to be looked up first."""

    async def bury(self, delivery: Delivery, state: DeliveryState, why: str, now: datetime) -> None:
        """Dead, unknown or cancelled."""

    async def move(self, delivery: Delivery, to: ThreadRef, text: str, note: str, now: datetime) -> None:
        """To another place, with what is left of its text behind the note (which a session says once a place), and
        everything that waits behind it for the same session. The place is bound to the session. Raises PlaceTaken."""

    async def opened(self, delivery: Delivery, thread: ThreadRef, now: datetime) -> None:
        """The thread is there: everything that was addressed to the placeholder is addressed to it."""

    async def not_opened(self, delivery: Delivery, now: datetime) -> Sequence[str]:
        """There are no threads: the session talks in the room, or at its parent's home. The lanes to look at."""


class Routes(Protocol):
    """Where else a session's person can be reached. `bot.reach` fulfils it."""

    async def next_place(self, session: str | None, tried: Sequence[ThreadRef]) -> ThreadRef | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CourierParts:
    outbox: Outbox
    routes: Routes
    channel: Callable[[ChannelName], Channel | None]
    clock: Callable[[], datetime]
    fallback_after: timedelta
    max_age: timedelta
    ended: Callable[[Delivery, DeliveryState, str], None]  # sent, dead or unknown: for the page, metrics, operators


class Courier:
    """Takes what is due and says it. `run` must be running for `notify` to have an effect."""

    def __init__(self, parts: CourierParts) -> None:
        self._parts = parts
        self._group: asyncio.TaskGroup | None = None
        self._lanes: dict[str, asyncio.Event] = {}
        self._early: set[str] = set()
        self._slots: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(_SENDS_AT_ONCE))
        self._down_since: dict[ChannelName, datetime] = {}

    @property
    def busy_lanes(self) -> int:
        return len(self._lanes)

    def notify(self, lane: str) -> None:
        """Something new waits in this lane."""
        woken = self._lanes.get(lane)
        if woken is not None:
            woken.set()
        elif self._group is None:
            self._early.add(lane)
        else:
            self._lanes[lane] = asyncio.Event()
            self._group.create_task(self._serve(lane), name=f"lane-{lane}")

    async def run(self) -> None:
        """Take up what a former run left, then serve until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                for lane in {*await self._parts.outbox.lanes(), *self._early}:
                    self.notify(lane)
                await asyncio.Event().wait()
            finally:
                self._group = None

    async def _serve(self, lane: str) -> None:
        woken = self._lanes[lane]
        try:
            while True:
                woken.clear()
                taken = await self._stored(lambda: self._parts.outbox.take(lane, self._parts.clock()))
                if isinstance(taken, Delivery):
                    async with self._slots[taken.message.to.channel]:
                        await self._deliver(taken)
                elif isinstance(taken, NotYet):
                    await _woken_or(woken, (taken.until - self._parts.clock()).total_seconds())
                elif not woken.is_set():
                    return
        finally:
            del self._lanes[lane]
            if woken.is_set():
                self.notify(lane)

    async def _deliver(self, delivery: Delivery) -> None:
        name = delivery.message.to.channel
        with structlog.contextvars.bound_contextvars(delivery=delivery.n, channel=name, session=delivery.session):
            channel = self._parts.channel(name)
            if channel is None:
                await self._bury(delivery, DeliveryState.DEAD, f"the channel {name} is not configured any more")
                return
            try:
                if delivery.opening is not None:
                    await self._open(channel, delivery, delivery.opening)
                else:
                    await self._send(channel, delivery)
                self._down_since.pop(name, None)
            except NoThreads:
                for lane in await self._stored(lambda: self._parts.outbox.not_opened(delivery, self._parts.clock())):
                    self.notify(lane)
            except Rejected as error:
                await self._bury(delivery, DeliveryState.DEAD, str(error))
            except TemporaryFailure as error:
                await self._later(delivery, str(error), error.retry_after)
            except Unavailable as error:
                await self._unavailable(delivery, str(error))
            except Exception as bug:
                log.exception("adapter failed")
                if delivery.attempt >= _BUGS:
                    await self._bury(delivery, DeliveryState.DEAD, f"{type(bug).__name__}: {bug}")
                else:
                    await self._later(delivery, f"{type(bug).__name__}: {bug}")

    async def _open(self, channel: Channel, delivery: Delivery, opening: OpenThread) -> None:
        if delivery.cut_off and opening.anchor is None and Capability.IDEMPOTENT_SEND not in channel.capabilities:
            why = "Threadmill stopped while it opened a thread: an empty one may stand there"
            log.warning("thread may be doubled", why=why)
        try:
            async with asyncio.timeout(CALL_SECONDS):
                thread = await channel.open_thread(opening)
        except (UnknownOutcome, TimeoutError) as error:
            raise TemporaryFailure(f"the thread may not have been opened: {error}") from error
        await self._stored(lambda: self._parts.outbox.opened(delivery, thread, self._parts.clock()))
        self._parts.ended(replace(delivery, message=replace(delivery.message, to=thread)), DeliveryState.SENT, "")
        self.notify(thread.key)

    async def _send(self, channel: Channel, delivery: Delivery) -> None:
        parts = channel.split(delivery.message)
        for index in range(min(delivery.part, len(parts) - 1), len(parts)):
            doubtful = delivery.cut_off and index == delivery.part
            receipt = await self._say(channel, delivery, parts[index], doubtful=doubtful)
            if receipt is None:
                return
            last = index == len(parts) - 1
            saved = self._parts.outbox.said if last else self._parts.outbox.part_said
            at = replace(delivery, part=index)
            await self._stored(lambda at=at, receipt=receipt, saved=saved: saved(at, receipt))  # type: ignore[misc]
            delivery = replace(delivery, message_ids=(*delivery.message_ids, *receipt.message_ids), part=index + 1)
        self._parts.ended(delivery, DeliveryState.SENT, "")

    async def _say(self, channel: Channel, delivery: Delivery, part: Outbound, *, doubtful: bool) -> Receipt | None:
        """One part's receipt. None: its outcome stays unknown, and that is written down."""
        if doubtful:
            return await self._find_out(channel, delivery, part)
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await channel.send(part)
        except (UnknownOutcome, TimeoutError) as error:
            log.warning("outcome unknown", reason=str(error))
            return await self._find_out(channel, delivery, part)

    async def _find_out(self, channel: Channel, delivery: Delivery, part: Outbound) -> Receipt | None:
        """Whether a part whose answer was lost was said; and say it if it was not."""
        fresh = self._parts.clock() - delivery.sending_at < SAME_KEY
        try:
            async with asyncio.timeout(CALL_SECONDS):
                if Capability.IDEMPOTENT_SEND in channel.capabilities and fresh:
                    return await channel.send(part)
                if Capability.RECONCILE in channel.capabilities:
                    found = await channel.find(part, delivery.created_at)
                    return found if found is not None else await channel.send(part)
        except (UnknownOutcome, Unavailable, TemporaryFailure, TimeoutError) as error:
            until = self._parts.clock() + timedelta(seconds=self._pause(delivery, _UNAVAILABLE_SECONDS))
            reason = f"to be found out: {error}"
            await self._stored(lambda: self._parts.outbox.later(delivery, until, reason, find_out=True))
            return None
        why = f"the answer of {part.to.channel} was lost, so this may have been said or not"
        await self._bury(delivery, DeliveryState.UNKNOWN, why)
        return None

    async def _later(self, delivery: Delivery, why: str, wait: timedelta | None = None) -> None:
        now = self._parts.clock()
        if now - delivery.created_at > self._parts.max_age:
            await self._bury(delivery, DeliveryState.DEAD, f"given up after {self._parts.max_age}: {why}")
            return
        until = now + max(wait or timedelta(), timedelta(seconds=self._pause(delivery, 60.0)))
        log.info("later", reason=why, until=until.isoformat())
        await self._stored(lambda: self._parts.outbox.later(delivery, until, why))

    async def _unavailable(self, delivery: Delivery, why: str) -> None:
        """The platform is down: wait, and once it has been down for long enough, go where the person is reached."""
        now, name = self._parts.clock(), delivery.message.to.channel
        since = self._down_since.setdefault(name, now)
        movable = not delivery.message.control and delivery.opening is None
        if movable and now - since >= self._parts.fallback_after and await self._fall_back(delivery, now):
            return
        if now - delivery.created_at > self._parts.max_age:
            await self._bury(delivery, DeliveryState.DEAD, f"given up after {self._parts.max_age}: {why}")
            return
        wait = self._pause(delivery, _UNAVAILABLE_SECONDS)
        if since + self._parts.fallback_after > now:
            wait = min(wait, (since + self._parts.fallback_after - now).total_seconds())
        until = now + timedelta(seconds=wait)
        await self._stored(lambda: self._parts.outbox.later(delivery, until, why))

    async def _fall_back(self, delivery: Delivery, now: datetime) -> bool:
        here = delivery.message.to
        tried = [*delivery.tried, here]
        channel = self._parts.channel(here.channel)
        assert channel is not None
        parts = channel.split(delivery.message)
        rest = (
            delivery.message.text if delivery.part == 0 else "\n\n".join(part.text for part in parts[delivery.part :])
        )
        while (place := await self._parts.routes.next_place(delivery.session, tried)) is not None:
            note = f"*{here.channel.capitalize()} cannot be reached at the moment, so I go on here.*"
            try:
                moving = replace(delivery, tried=tuple(tried))
                await self._stored(lambda: self._parts.outbox.move(moving, place, rest, note, now))  # noqa: B023
            except PlaceTaken:
                tried.append(place)
                continue
            log.warning("fell back", place=place.key)
            self.notify(place.key)
            return True
        return False

    async def _bury(self, delivery: Delivery, state: DeliveryState, why: str) -> None:
        log.error("not delivered", state=state.value, reason=why)
        await self._stored(lambda: self._parts.outbox.bury(delivery, state, why, self._parts.clock()))
        self._parts.ended(delivery, state, why)

    def _pause(self, delivery: Delivery, longest: float) -> float:
        chance = random.random()  # noqa: S311
        return max(0.05, backoff_seconds(delivery.attempt, chance, longest=longest))

    async def _stored(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call of the outbox, again and again while the store fails: a receipt must not be lost."""
        pause = 0.1
        while True:
            try:
                return await call()
            except PlaceTaken:
                raise
            except Exception:
                log.exception("the outbox cannot be written")
                await asyncio.sleep(pause)
                pause = min(10.0, pause * 2)


async def _woken_or(woken: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await woken.wait()
    except TimeoutError:
        pass
