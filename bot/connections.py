"""The connected channels: opened, supervised, asked for their health.

A channel that cannot connect is tried again with backoff and disturbs nobody; one whose token is refused waits
longer, and says in its health what a person must do.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog

from agents.base import SessionId
from agents.team import Opening
from channels.base import (
    Capability,
    Channel,
    ChannelName,
    DeliveryKey,
    Health,
    Intake,
    OpenThread,
    Rejected,
    ThreadRef,
    Unavailable,
)

log = structlog.get_logger("channels")

_FIRST_BACKOFF_SECONDS = 0.5
_LONGEST_BACKOFF_SECONDS = 60.0
_REJECTED_BACKOFF_SECONDS = 300.0  # only a person can help; look again now and then


@dataclass(frozen=True, slots=True, kw_only=True)
class Connections:
    """All channels by name, opened."""

    channels: Mapping[ChannelName, Channel]

    def channel(self, name: ChannelName) -> Channel | None:
        return self.channels.get(name)

    def health(self) -> dict[ChannelName, Health]:
        return {name: channel.health() for name, channel in self.channels.items()}

    def opening(
        self, session: SessionId, near: ThreadRef, title: str, first_text: str, anchor: str | None
    ) -> Opening | None:
        """See `agents.team.Threads`."""
        channel = self.channels.get(near.channel)
        if channel is None or Capability.THREADS not in channel.capabilities:
            return None
        room = near.in_room
        home = ThreadRef(channel=room.channel, space=room.space, room=room.room, thread=f"+{session}")
        request = OpenThread(
            key=DeliveryKey(f"open:{session}"),
            room=room,
            title=title,
            first_text=first_text,
            anchor=anchor if near.thread is None else None,
        )
        return Opening(home=home, request=request)

    async def run(self, intake: Callable[[ChannelName], Intake]) -> None:
        """Keep every channel connected until cancelled."""
        async with asyncio.TaskGroup() as group:
            for name, channel in self.channels.items():
                group.create_task(_supervise(channel, intake(name)), name=f"channel-{name}")


@asynccontextmanager
async def opened(channels: Iterable[Channel]) -> AsyncIterator[Connections]:
    """Open the channels (no network call yet), and close them at the end."""
    async with AsyncExitStack() as stack:
        entered = {channel.name: await stack.enter_async_context(channel) for channel in channels}
        yield Connections(channels=entered)


async def _supervise(channel: Channel, intake: Intake) -> None:
    loop = asyncio.get_running_loop()
    pause = _FIRST_BACKOFF_SECONDS
    with structlog.contextvars.bound_contextvars(channel=channel.name):
        while True:
            began = loop.time()
            try:
                await channel.run(intake)
                log.warning("channel returned; connecting again")
            except Unavailable as error:
                log.warning("channel unavailable", reason=str(error))
            except Rejected as error:
                log.exception("channel refused us", reason=str(error))
                pause = max(pause, _REJECTED_BACKOFF_SECONDS)
            except Exception:
                log.exception("channel failed")
            if loop.time() - began > _LONGEST_BACKOFF_SECONDS:
                pause = _FIRST_BACKOFF_SECONDS
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
            pause = min(_LONGEST_BACKOFF_SECONDS, pause * 2)
