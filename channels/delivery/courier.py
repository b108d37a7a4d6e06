"""The courier: one worker for each lane that has something due.

A lane that waits (for a platform to come back, for a rate limit) is a worker asleep that `notify` wakes; it holds up no
other. A control reply waits for nothing in its own lane either: while an ordinary message is on its way there, which
may take as long as the platform pleases, the reply passes it. A channel has a number of places for tries at once, with
some kept for control replies, so one that hangs holds up no other channel, and a row is marked *sending* only when its
turn has come.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum

import structlog

from channels.base import (
    Capability,
    Channel,
    ChannelError,
    ChannelName,
    NoThreads,
    Rejected,
    TemporaryFailure,
    ThreadRef,
    Unavailable,
)
from channels.delivery.attempt import Attempt, bury, stored, tell
from channels.delivery.base import CourierParts, Delivery, DeliveryState, Head, NotYet, PlaceTaken
from channels.delivery.decide import AfterTheRoom, Elsewhere, GiveUp, Later, Situation, WithoutThread, decide
from channels.delivery.outages import Outages

log = structlog.get_logger("courier")

_TRIES_AT_ONCE = 64  # a channel
_CONTROL_TRIES_AT_ONCE = 8  # beside those
_ROUTE_SECONDS = 30.0  # finding another place may ask its platform
_AFTER_A_BUG_SECONDS = 1.0
_OTHERS = 20  # sessions behind a head that are looked at in one go
_LONGEST_SLEEP_SECONDS = 60.0  # then the clock is read again: it may have been set


class _Look(Enum):
    AGAIN = "look into the store again"


class Courier:
    """Takes what is due and says it. `run` must be running for `notify` to have an effect."""

    def __init__(self, parts: CourierParts) -> None:
        self._parts = parts
        self._group: asyncio.TaskGroup | None = None
        self._lanes: dict[str, asyncio.Event] = {}
        self._early: set[str] = set()
        self._ordinary: set[str] = set()  # lanes whose worker is busy with what a control reply may pass
        self._passing: dict[str, asyncio.Task[None]] = {}
        self._slots = defaultdict[ChannelName, asyncio.Semaphore](lambda: asyncio.Semaphore(_TRIES_AT_ONCE))
        self._control = defaultdict[ChannelName, asyncio.Semaphore](lambda: asyncio.Semaphore(_CONTROL_TRIES_AT_ONCE))
        self._bugs: dict[int, int] = {}
        self._outages = Outages()
        self._stopping = False
        self._one_left = asyncio.Event()

    @property
    def busy_lanes(self) -> int:
        return len(self._lanes)

    def notify(self, lane: str) -> None:
        """Something changed in this lane: there is more to say, or something that it waited for is gone."""
        woken = self._lanes.get(lane)
        if woken is not None:
            woken.set()
            self._let_replies_pass(lane)
        elif self._group is None:
            self._early.add(lane)
        elif not self._stopping:
            self._lanes[lane] = asyncio.Event()
            self._group.create_task(self._serve(lane), name=f"lane-{lane}")

    async def run(self) -> None:
        """Take up what a former run left, then serve until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                early, self._early = self._early, set()
                for lane in {*await stored(self._parts.outbox.lanes), *early}:
                    self.notify(lane)
                await asyncio.Event().wait()
            finally:
                self._group = None

    async def stop(self, within: timedelta) -> bool:
        """Begin nothing new, and let what is on its way come to its end. False when something had to be left in
        doubt. Then cancel `run`."""
        self._stopping = True
        for woken in self._lanes.values():
            woken.set()
        try:
            async with asyncio.timeout(within.total_seconds()):
                while self._lanes:
                    self._one_left.clear()
                    await self._one_left.wait()
        except TimeoutError:
            return False
        return True

    async def _serve(self, lane: str) -> None:
        woken = self._lanes[lane]
        found: Head | _Look = _Look.AGAIN
        try:
            while not self._stopping:
                try:
                    found = await self._step(lane, woken, found)
                except Exception:
                    log.exception("a lane failed", lane=lane)
                    await asyncio.sleep(_AFTER_A_BUG_SECONDS)
                    found = _Look.AGAIN
                if (passing := self._passing.get(lane)) is not None:
                    await asyncio.wait([passing])  # else both would say what comes next
                    del self._passing[lane]
                    found = _Look.AGAIN
                if found is None and not woken.is_set():
                    return
        finally:
            del self._lanes[lane]
            self._one_left.set()

    async def _step(self, lane: str, woken: asyncio.Event, found: Head | _Look) -> Head | _Look:
        match found:
            case Delivery(message=message) if message.control:
                return await self._try(found)
            case Delivery():
                self._ordinary.add(lane)
                try:
                    return await self._try(found)
                finally:
                    self._ordinary.discard(lane)
            case NotYet():
                await _woken_or(woken, (found.until - self._parts.clock()).total_seconds())
                return _Look.AGAIN
        woken.clear()
        head = await stored(lambda: self._parts.outbox.head(lane, self._parts.clock()))
        if head is None:
            await self._follow(lane)
        return head

    def _let_replies_pass(self, lane: str) -> None:
        if lane not in self._ordinary or self._group is None:
            return
        before = self._passing.get(lane)
        self._passing[lane] = self._group.create_task(self._pass(lane, before), name=f"replies-{lane}")

    async def _pass(self, lane: str, before: asyncio.Task[None] | None) -> None:
        """Say the control replies of a lane whose worker is busy with an ordinary message, one after the other."""
        try:
            if before is not None:
                await asyncio.wait([before])
            while not self._stopping:
                head = await stored(lambda: self._parts.outbox.head(lane, self._parts.clock()))
                if not isinstance(head, Delivery) or not head.message.control:
                    return
                await self._try(head)
        except Exception:
            log.exception("control replies failed", lane=lane)

    async def _follow(self, lane: str) -> None:
        """What was addressed to a placeholder whose thread is open by now waits in the thread's lane."""
        if (ThreadRef.parse(lane).thread or "").startswith("+"):
            successor = await stored(lambda: self._parts.outbox.place_of(lane))
            if successor is not None and successor != lane:
                self.notify(successor)

    async def _try(self, delivery: Delivery) -> Head | _Look:
        name = delivery.channel
        slots = self._control if delivery.message.control else self._slots
        with structlog.contextvars.bound_contextvars(delivery=delivery.n, channel=name, session=delivery.session):
            async with slots[name]:
                if self._stopping:
                    return _Look.AGAIN
                try:
                    channel = self._parts.channel(name)
                except ChannelError as error:
                    return await self._failed(delivery, None, None, error)
                if channel is None:
                    why = f"the channel {name} is not configured any more: configure it, then retry"
                    await bury(self._parts, delivery, DeliveryState.DEAD, why)
                    return _Look.AGAIN
                attempt = Attempt(self._parts, channel, delivery)
                try:
                    said = await attempt.run()
                except Exception as error:  # noqa: BLE001 - what is no ChannelError is logged there
                    return await self._failed(attempt.delivery, attempt, channel, error)
                self._bugs.pop(delivery.n, None)
                if said is None:
                    return _Look.AGAIN
                self._met_well(name, channel)
                tell(self._parts, said.delivery, said.delivery.state, "")
                if delivery.opening is not None:
                    self.notify(said.delivery.lane)
                    return _Look.AGAIN
                return said.head

    async def _failed(
        self, delivery: Delivery, attempt: Attempt | None, channel: Channel | None, error: Exception
    ) -> _Look:
        now, name = self._parts.clock(), delivery.channel
        down_for = self._outages.met(name, channel, now) if isinstance(error, Unavailable) else timedelta()
        if isinstance(error, (Rejected, TemporaryFailure)):
            self._met_well(name, channel)
        bugs = self._count_bugs(delivery, error)
        move = decide(
            error,
            Situation(
                attempt=delivery.attempt + 1,
                bugs=bugs,
                age=now - delivery.created_at,
                max_age=self._parts.max_age,
                down_for=down_for,
                fallback_after=self._parts.fallback_after,
                settle=self._parts.settle,
                can=channel.capabilities if channel is not None else Capability.NONE,
                opening=delivery.opening is not None,
                doubt=attempt.doubt if attempt is not None else delivery.state is DeliveryState.SENDING,
                handed_over=attempt is not None and attempt.handed_over,
                chance=self._parts.chance(),
            ),
        )
        why = str(error) if bugs == 0 else f"{type(error).__name__}: {error}"
        if isinstance(move, Elsewhere):
            if await self._elsewhere(delivery, now):
                return _Look.AGAIN
            await self._others_elsewhere(delivery, now)
            move = move.otherwise
        match move:
            case Later():
                log.info("later", reason=why, seconds=move.after.total_seconds(), doubt=move.doubt)
                await stored(lambda: self._parts.outbox.later(delivery, now + move.after, why, doubt=move.doubt))
            case GiveUp():
                self._bugs.pop(delivery.n, None)
                await bury(self._parts, delivery, move.state, why)
            case AfterTheRoom(later=later):
                await stored(lambda: self._parts.outbox.later(delivery, now + later.after, why, doubt=later.doubt))
                await stored(lambda: self._parts.follow_room(delivery.message.to.in_room, move.to))
            case WithoutThread():
                if not isinstance(error, NoThreads):  # it should have worked: a missing permission, most likely
                    log.error("no thread, so the room itself", reason=why)
                    tell(self._parts, delivery, DeliveryState.CANCELLED, why)
                for lane in await stored(lambda: self._parts.outbox.not_opened(delivery, now)):
                    self.notify(lane)
        return _Look.AGAIN

    def _count_bugs(self, delivery: Delivery, error: Exception) -> int:
        if isinstance(error, ChannelError):
            return 0
        log.error("an adapter failed in a way that it should not", exc_info=error)
        self._bugs[delivery.n] = self._bugs.get(delivery.n, 0) + 1
        return self._bugs[delivery.n]

    async def _elsewhere(self, delivery: Delivery, now: datetime) -> bool:
        """To the next place of the person's reach. False: there is none now."""
        if delivery.message.stays:
            return False
        here, name = delivery.message.to, delivery.channel
        if not delivery.parts:
            rest = delivery.message.text
        else:
            rest = "\n\n".join(part.text for part in delivery.parts[delivery.part :])
        tried = [*delivery.tried, here]
        while (place := await self._next_place(delivery, tried)) is not None:
            to, who = place, delivery.session or delivery.lane
            first = self._outages.note(name, who, to.key)
            note = f"*{name.capitalize()} cannot be reached at the moment, so I go on here.*" if first else ""
            moving = replace(delivery, tried=tuple(tried))
            try:
                await stored(lambda: self._parts.outbox.move(moving, to, rest, note, now))  # noqa: B023
            except PlaceTaken:
                tried.append(to)
                continue
            self._outages.noted(name, who, to.key)
            log.warning("fell back", place=to.key)
            self.notify(to.key)
            return True
        return False

    async def _others_elsewhere(self, head: Delivery, now: datetime) -> None:
        """What cannot go elsewhere itself does not keep others' conversations from it."""
        passed = [head.session] if head.session is not None else []
        for _ in range(_OTHERS):
            behind = await stored(lambda: self._parts.outbox.behind(head.lane, passed))
            if behind is None or behind.session is None:
                return
            await self._elsewhere(behind, now)
            passed.append(behind.session)

    async def _next_place(self, delivery: Delivery, tried: list[ThreadRef]) -> ThreadRef | None:
        try:
            async with asyncio.timeout(_ROUTE_SECONDS):
                return await self._parts.routes.next_place(delivery.session, tuple(tried))
        except Exception:
            log.exception("no other place could be found")
            return None

    def _met_well(self, name: ChannelName, channel: Channel | None) -> None:
        """The platform answered. What could not be looked up while it was away is looked up now."""
        if not self._outages.over(name) or channel is None or self._group is None or self._stopping:
            return
        if Capability.RECONCILE in channel.capabilities:
            self._group.create_task(self._look_up_again(name), name=f"look-up-{name}")

    async def _look_up_again(self, name: ChannelName) -> None:
        since = self._parts.clock() - self._parts.max_age
        for lane in await stored(lambda: self._parts.outbox.in_doubt_again(name, since)):
            self.notify(lane)


async def _woken_or(woken: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(min(max(0.0, seconds), _LONGEST_SLEEP_SECONDS)):
            await woken.wait()
    except TimeoutError:
        pass
