"""The connected channels: made, opened, supervised, asked for their health.

A channel that cannot connect is tried again with backoff and disturbs nobody; one whose token is refused waits
longer, and says in its health what a person must do. Platforms' libraries take a second or two to import, so that
is done in a thread of its own, while the page already serves.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from agents.base import SessionId
from agents.team import Opening
from channels.base import (
    Capability,
    Channel,
    ChannelError,
    ChannelName,
    ChannelState,
    DeliveryKey,
    Health,
    Intake,
    OpenThread,
    Rejected,
    TemporaryFailure,
    ThreadRef,
    Unavailable,
)

log = structlog.get_logger("channels")

_FIRST_BACKOFF_SECONDS = 0.5
_LONGEST_BACKOFF_SECONDS = 60.0
_STARTING = timedelta(milliseconds=200)  # between two looks
_REJECTED_BACKOFF_SECONDS = 300.0  # only a person can help; look again now and then
_TOLD_AFTER_SECONDS = 60.0  # of being unavailable: most outages are over by then

Disconnected = Callable[[ChannelName, str], None]
"""Told once an outage, with a sentence, when a person may have to do something."""


class Connections:
    """All configured channels by name. `makers` make them; the ones that are cheap are given ready."""

    def __init__(
        self,
        ready: Mapping[ChannelName, Channel],
        makers: Mapping[ChannelName, Callable[[], Channel]],
        disconnected: Disconnected = lambda *_: None,
    ) -> None:
        self._channels: dict[ChannelName, Channel] = dict(ready)
        self._makers = makers
        self._disconnected = disconnected
        self._began = datetime.now(UTC)
        self._failed: dict[ChannelName, str] = {}

    def find(self, name: ChannelName) -> Channel | None:
        """The channel, if it is made already."""
        return self._channels.get(name)

    def channel(self, name: ChannelName) -> Channel | None:
        """The channel; None when it is not configured. Raises TemporaryFailure while it is being made, which is no
        outage, and Unavailable when it could not be made."""
        found = self._channels.get(name)
        if found is None and name in self._failed:
            raise Unavailable(self._failed[name])
        if found is None and name in self._makers:
            raise TemporaryFailure(f"{name} is starting", retry_after=_STARTING)
        return found

    def health(self) -> dict[str, Health]:
        known: dict[str, Health] = {name: channel.health() for name, channel in self._channels.items()}
        for name in self._makers:
            if name not in known:
                state = ChannelState.DOWN if name in self._failed else ChannelState.CONNECTING
                known[name] = Health(state=state, since=self._began, detail=self._failed.get(name, ""))
        return known

    def opening(
        self, session: SessionId, near: ThreadRef, title: str, first_text: str, apart_text: str, anchor: str | None
    ) -> Opening | None:
        """See `agents.team.Threads`."""
        channel = self._channels.get(near.channel)
        if channel is None or Capability.THREADS not in channel.capabilities or channel.confined(near):
            return None
        room = near.in_room
        home = ThreadRef(channel=room.channel, space=room.space, room=room.room, thread=f"+{session}")
        anchor = anchor if near.thread is None else None
        request = OpenThread(
            key=DeliveryKey(f"open:{session}"),
            room=room,
            title=title,
            first_text=first_text if anchor is not None else first_text or apart_text,
            apart_text=apart_text,
            anchor=anchor,
        )
        return Opening(home=home, request=request)

    async def run(self, intake: Callable[[ChannelName], Intake]) -> None:
        """Make what is not made yet, and keep every channel connected until cancelled."""
        async with asyncio.TaskGroup() as group:
            for name, channel in self._channels.items():
                group.create_task(self._serve(channel, intake(name)), name=f"channel-{name}")
            for name, make in self._makers.items():
                try:
                    made = await asyncio.to_thread(make)
                except Exception as error:
                    log.exception("channel cannot be made", channel=name)
                    self._failed[name] = f"it cannot be made: {error}"
                    self._disconnected(name, self._failed[name])
                    continue
                self._channels[name] = made
                group.create_task(self._serve(made, intake(name)), name=f"channel-{name}")

    async def _serve(self, channel: Channel, intake: Intake) -> None:
        with structlog.contextvars.bound_contextvars(channel=channel.name):
            while True:
                try:
                    async with channel:
                        await self._supervise(channel, intake)
                except Exception:
                    log.exception("channel cannot be opened or closed")
                    if _stopping():
                        return
                    await asyncio.sleep(_REJECTED_BACKOFF_SECONDS)

    async def _supervise(self, channel: Channel, intake: Intake) -> None:
        loop = asyncio.get_running_loop()
        pause = _FIRST_BACKOFF_SECONDS
        failing = _Failing()
        while True:
            began = loop.time()
            try:
                await channel.run(intake)
                log.warning("channel returned; connecting again")
            except Unavailable as error:
                log.warning("channel unavailable", reason=str(error))
                if failing.is_news(error, began, loop.time()):
                    self._disconnected(channel.name, str(error))
            except Rejected as error:
                log.error("channel refused us", reason=str(error))  # noqa: TRY400 - the sentence is enough
                pause = _REJECTED_BACKOFF_SECONDS
                if failing.is_news(error, began, loop.time()):
                    self._disconnected(channel.name, str(error))
            except asyncio.CancelledError:
                if _stopping():
                    raise
                log.exception("channel cut itself off")
            except Exception:
                log.exception("channel failed")
            if loop.time() - began > _LONGEST_BACKOFF_SECONDS and pause < _REJECTED_BACKOFF_SECONDS:
                pause = _FIRST_BACKOFF_SECONDS
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
            pause = min(_LONGEST_BACKOFF_SECONDS, pause * 2)


@dataclass(slots=True)
class _Failing:
    """Since when a channel does not stay connected, and whether that was told."""

    since: float | None = None
    told: type[ChannelError] | None = None

    def is_news(self, error: ChannelError, began: float, ended: float) -> bool:
        """A run from `began` to `ended` has failed: is it time to tell it?"""
        if self.since is None or ended - began > _LONGEST_BACKOFF_SECONDS:
            self.since, self.told = ended, None
        patience = 0.0 if isinstance(error, Rejected) else _TOLD_AFTER_SECONDS
        if self.told is type(error) or ended - self.since < patience:
            return False
        self.told = type(error)
        return True


def _stopping() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
