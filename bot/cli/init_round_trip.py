"""The proof that a platform is connected: a person writes, the bot answers there, the person answers, and it is heard.

The real adapter does it, so that what is proven is what will run. A code on the terminal says who the person is:
whoever writes it to the bot sits at this keyboard, and is asked for no account id. Events are taken in and kept
nowhere, since nothing has been set up yet that could lose them.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from bot.config.kinds import package_of
from bot.config.parts import ConfiguredChannel
from channels.base import (
    Account,
    Attachment,
    Channel,
    ChannelContext,
    ChannelError,
    ChannelState,
    DeliveryKey,
    EventId,
    Inbound,
    Kind,
    OpenPrompt,
    Outbound,
    Rejected,
    ThreadRef,
)

LONGEST_SECONDS = 900.0
_PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0)
_LOOK_SECONDS = 0.1


class NotProven(Exception):
    """The round trip did not come to its end. Its text says why, for the person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """Who wrote, where, and how long the bot's answer took to be accepted."""

    account: Account
    name: str
    where: ThreadRef
    answer_seconds: float


def new_code() -> str:
    """Four digits twice: easy to type on a telephone, and not to be guessed in the minutes that it is good for."""
    digits = f"{secrets.randbelow(10**8):08d}"
    return f"{digits[:4]}-{digits[4:]}"


async def round_trip(
    configured: ConfiguredChannel, code: str, tell: Callable[[str], None], *, skipped: asyncio.Event
) -> Proven:
    """Connect, and wait for both messages. Raises NotProven when it fails, is `skipped`, or takes too long."""
    hearing = _Hearing()
    context = ChannelContext(name=configured.name, files=_NoFiles())
    package = await asyncio.to_thread(package_of, configured.kind)
    assert package is not None, "bot.config.parse knows the kind"
    channel: Channel = package.create(configured.settings, context)
    async with channel:
        talk = asyncio.create_task(_talk(channel, hearing, code, tell))
        beside = [
            asyncio.create_task(_stay_connected(channel, hearing, tell)),
            asyncio.create_task(_skipped(skipped)),
        ]
        try:
            done, _ = await asyncio.wait([talk, *beside], return_when=asyncio.FIRST_COMPLETED, timeout=LONGEST_SECONDS)
        finally:
            for task in (talk, *beside):
                task.cancel()
            await asyncio.gather(talk, *beside, return_exceptions=True)
    if talk in done:
        return talk.result()
    for task in beside:
        if task in done:
            task.result()
    raise NotProven(f"nobody wrote within {LONGEST_SECONDS / 60:.0f} minutes")


async def _talk(channel: Channel, hearing: _Hearing, code: str, tell: Callable[[str], None]) -> Proven:
    wanted = code.replace("-", "")
    first = await hearing.message(lambda event: wanted in event.text.replace("-", "").replace(" ", ""))
    tell(f"heard {first.sender.name} ({first.sender.account}); answering there …")
    began = time.monotonic()
    await _say(channel, first, f"init:{wanted}:1", "I hear you. Answer me here with any word, and we are done.")
    took = time.monotonic() - began
    tell("the bot has answered: answer it there with any word")
    await hearing.message(
        lambda event: event.sender.account == first.sender.account and event.where.in_room == first.where.in_room
    )
    await _say(channel, first, f"init:{wanted}:2", "It works in both directions. `threadmill run` starts me.")
    return Proven(account=first.sender.account, name=first.sender.name, where=first.where, answer_seconds=took)


async def _say(channel: Channel, to: Inbound, key: str, text: str) -> None:
    message = Outbound(
        key=DeliveryKey(key),
        to=to.where,
        text=text,
        reply_to=to.message_id if to.where.thread is None else None,
        answer_with=to.answer_with,
        control=True,
    )
    try:
        for part in channel.split(message):
            await channel.send(part)
    except ChannelError as error:
        raise NotProven(f"the bot could not answer: {error}") from error


async def _stay_connected(channel: Channel, hearing: _Hearing, tell: Callable[[str], None]) -> None:
    """Keep the channel running; say when it is connected and why when it is not. Ends only by an exception."""
    watching = asyncio.create_task(_tell_state(channel, tell))
    try:
        for attempt in range(1_000):
            try:
                await channel.run(hearing)
            except Rejected as error:
                raise NotProven(f"the platform refuses the bot: {error}") from error
            except ChannelError as error:
                tell(f"not connected: {error}; trying again …")
            await asyncio.sleep(_PAUSES[min(attempt, len(_PAUSES) - 1)])
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
    raise NotProven("the platform does not keep the connection")


async def _tell_state(channel: Channel, tell: Callable[[str], None]) -> None:
    while channel.health().state is not ChannelState.CONNECTED:  # noqa: ASYNC110 - a channel's health is asked for
        await asyncio.sleep(_LOOK_SECONDS)
    tell("connected; waiting for your message (Enter leaves this out)")


async def _skipped(event: asyncio.Event) -> None:
    await event.wait()
    raise NotProven("left out")


class _Hearing:
    """`channels.base.Intake` of a bot that is not set up yet: remembers ids and cursors for this one run."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[Inbound] = asyncio.Queue()
        self._known: set[EventId] = set()
        self._cursors: dict[str, str] = {}

    async def accept(self, events: Sequence[Inbound], *, cursors: Mapping[str, str] = {}) -> frozenset[EventId]:
        self._cursors.update(cursors)
        fresh = [event for event in events if event.id not in self._known]
        self._known.update(event.id for event in fresh)
        for event in fresh:
            self._events.put_nowait(event)
        return frozenset(event.id for event in fresh)

    async def cursor(self, name: str) -> str | None:
        return self._cursors.get(name)

    async def bound_threads(self) -> Sequence[ThreadRef]:
        return ()

    async def watched_rooms(self) -> Sequence[ThreadRef]:
        return ()

    async def open_prompts(self) -> Sequence[OpenPrompt]:
        return ()

    async def message(self, fits: Callable[[Inbound], bool]) -> Inbound:
        """The next message of a person that fits."""
        while True:
            event = await self._events.get()
            if event.kind in {Kind.MESSAGE, Kind.COMMAND} and not event.sender.is_bot and fits(event):
                return event


class _NoFiles:
    async def read(self, attachment: Attachment) -> bytes:
        raise FileNotFoundError(attachment.source)
