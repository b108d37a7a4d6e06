"""One try at a delivery: hand over, save the receipt, part by part; or find out about one that is in doubt.

What the store says is always true of the platform or on the safe side of it: a part is committed as *sending* before
it is handed over, and its receipt is saved before the next. So the process may end between any two lines here, and
the next one knows whether the part was certainly not said, certainly said, or is to be looked up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

import structlog

from channels.base import (
    Capability,
    Channel,
    OpenThread,
    Outbound,
    Receipt,
    TemporaryFailure,
    UnknownOutcome,
)
from channels.delivery.base import CourierParts, Delivery, DeliveryState, PlaceTaken, Said

T = TypeVar("T")
log = structlog.get_logger("courier")

CALL_SECONDS = 30.0  # the longest one call of a channel may take
LONG_TEXT = 20_000  # characters from which a text is divided off the event loop
_SAME_KEY = timedelta(minutes=2)  # how long a platform recognises the key of a message that is sent again
_SKEW = timedelta(minutes=1)  # by which the platform's clock may be ahead or behind


class Attempt:
    """A try at one delivery. How far it came can be read from it when it fails."""

    def __init__(self, parts: CourierParts, channel: Channel, delivery: Delivery) -> None:
        self._parts = parts
        self._channel = channel
        self.delivery = delivery
        self.doubt = delivery.state is DeliveryState.SENDING
        self.handed_over = False

    async def run(self) -> Said | None:
        """Say it. None: look at the lane again. Raises what the channel raises."""
        if self.delivery.opening is not None:
            return await self._open(self.delivery.opening)
        if self.doubt:
            return await self._settle()
        return await self._begin()

    async def _begin(self) -> Said | None:
        divided = self.delivery.parts or await self._divide()
        taken = await stored(lambda: self._parts.outbox.take(self.delivery, divided, self._parts.clock()))
        if taken is None:
            return None
        self.delivery = taken
        if taken.part == 0 and not taken.message.control and self._parts.finish_live is not None:
            await _finished(self._parts.finish_live(taken.message.to))
        return await self._say()

    async def _divide(self) -> Sequence[Outbound]:
        message = self.delivery.message
        if len(message.text) < LONG_TEXT:
            return self._channel.split(message)
        return await asyncio.to_thread(self._channel.split, message)

    async def _say(self, receipt: Receipt | None = None) -> Said:
        """The part that is next and those behind it; with `receipt`, the next one is said already."""
        while True:
            if receipt is None:
                self.handed_over = True
                receipt = await _answered(self._channel.send(self.delivery.parts[self.delivery.part]))
            said = await self._save(receipt)
            if said.delivery.state is not DeliveryState.SENDING:
                return said
            receipt = None

    async def _save(self, receipt: Receipt) -> Said:
        said = await stored(lambda: self._parts.outbox.said(self.delivery, receipt, self._parts.clock()))
        self.delivery, self.handed_over, self.doubt = said.delivery, False, False
        return said

    async def _settle(self) -> Said | None:
        """It may have been said: find out, and say it when it was not."""
        delivery, can = self.delivery, self._channel.capabilities
        since = delivery.sending_at or delivery.created_at
        age = self._parts.clock() - since
        if Capability.IDEMPOTENT_SEND in can and age < _SAME_KEY and not delivery.killed:
            return await self._say()
        if Capability.RECONCILE in can:
            part = delivery.parts[delivery.part]
            receipt = await _looked_up(self._channel.find(part, since - _SKEW))
            if receipt is not None:
                return await self._say(receipt)
            self.doubt = False
            return await self._begin()
        why = f"Threadmill cannot tell whether {delivery.channel} showed this message: the answer to it was lost"
        await bury(self._parts, delivery, DeliveryState.UNKNOWN, why)
        return None

    async def _open(self, opening: OpenThread) -> Said | None:
        if self.doubt:
            log.info("opening a thread again", reason="the answer was lost")
            opening = replace(opening, tried_at=self.delivery.sending_at or self.delivery.created_at)
        else:
            taken = await stored(lambda: self._parts.outbox.take(self.delivery, (), self._parts.clock()))
            if taken is None:
                return None
            self.delivery = taken
        self.handed_over = True
        thread = await _answered(self._channel.open_thread(opening))
        await stored(lambda: self._parts.outbox.opened(self.delivery, thread, self._parts.clock()))
        self.handed_over = self.doubt = False
        message = replace(self.delivery.message, to=thread)
        self.delivery = replace(self.delivery, message=message, lane=thread.key, state=DeliveryState.SENT)
        return Said(delivery=self.delivery, head=None)


async def bury(parts: CourierParts, delivery: Delivery, state: DeliveryState, why: str) -> None:
    log.error("not delivered", state=state.value, reason=why)
    await stored(lambda: parts.outbox.bury(delivery, state, why))
    tell(parts, delivery, state, why)


def tell(parts: CourierParts, delivery: Delivery, state: DeliveryState, why: str) -> None:
    """Whoever listens cannot change what was committed."""
    try:
        parts.ended(replace(delivery, state=state), state, why)
    except Exception:
        log.exception("a listener failed")


async def stored(call: Callable[[], Awaitable[T]]) -> T:
    """Make a call of the outbox again and again while the store fails: a receipt must not be lost."""
    pause = 0.1
    while True:
        try:
            return await call()
        except PlaceTaken:
            raise
        except Exception as error:
            log.exception("the outbox fails", reason=str(error))
            await asyncio.sleep(pause)
            pause = min(10.0, pause * 2)


async def _answered(call: Awaitable[T]) -> T:
    """What the channel answers in time to something that changes the world."""
    try:
        async with asyncio.timeout(CALL_SECONDS):
            return await call
    except TimeoutError as error:
        raise UnknownOutcome(f"no answer within {CALL_SECONDS:.0f} s") from error


async def _looked_up(call: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(CALL_SECONDS):
            return await call
    except TimeoutError as error:
        raise TemporaryFailure(f"no answer within {CALL_SECONDS:.0f} s") from error


async def _finished(call: Awaitable[None]) -> None:
    """A preview that does not end must not hold the text back."""
    try:
        async with asyncio.timeout(5.0):
            await call
    except Exception:
        log.exception("the preview could not be ended")
