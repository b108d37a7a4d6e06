"""Lets people see when what they wrote was taken in.

A message that joins a running turn, or waits behind one, is marked as waiting when it is not read within a second, and
as taken in once it is; a message that nobody will read any more is marked as that. A note that was given with /steer
has our reply instead: that says the same. What is to be shown is read from the store, so a restart loses nothing.
Marks are worth less than anything that is said: each is tried a few times, and never holds anything up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog

from agents.base import SessionId
from bot.showing.following import Says, changed_or
from bot.showing.rewording import Rewording
from channels.base import (
    Capability,
    Channel,
    ChannelError,
    ChannelName,
    DeliveryKey,
    Mark,
    Outbound,
    Rejected,
    TemporaryFailure,
    ThreadRef,
)
from storage.database import StorageError
from storage.marks import Marked

log = structlog.get_logger("marks")

PATIENCE = timedelta(seconds=1)  # what is taken in by then need not be said to wait
_TRIES = 4
_PAUSE_SECONDS = 2.0
_CALL_SECONDS = 30.0
_REFUSALS = 10  # that are marked at once
_TOLD = frozenset({"turn", "taken", "turn_done", "ended"})


class Store(Protocol):
    """`storage.marks` fulfils it."""

    async def sessions(self) -> Sequence[SessionId]: ...
    async def of(self, session: SessionId) -> Sequence[Marked]: ...
    async def shown(self, mail: int, mark: Mark) -> None: ...
    async def done(self, mail: int) -> None: ...


class Marks:
    """One task for each session whose messages' marks change; none for what rests."""

    def __init__(
        self,
        store: Store,
        rewording: Rewording,
        speaker: Says,
        channel: Callable[[ChannelName], Channel | None],
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._rewording = rewording
        self._speaker = speaker
        self._channel = channel
        self._clock = clock
        self._open: set[SessionId] = set()  # with messages whose mark is not final
        self._changed: dict[SessionId, asyncio.Event] = {}
        self._group: asyncio.TaskGroup | None = None
        self._refusals = 0  # that are being marked

    async def run(self) -> None:
        """Take up what a former run left, then serve until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                for session in await self._store.sessions():
                    self.look(session)
                await asyncio.Event().wait()
            finally:
                self._group = None

    def marks(self, name: ChannelName) -> bool:
        """Whether people's messages can be marked there."""
        channel = self._channel(name)
        return channel is not None and Capability.REACT in channel.capabilities

    def look(self, session: SessionId) -> None:
        """The session was posted something that is to be acknowledged. Never blocks."""
        self._open.add(session)
        changed = self._changed.get(session)
        if changed is not None:
            changed.set()
        elif self._group is not None:
            self._changed[session] = asyncio.Event()
            self._group.create_task(self._follow_safely(session), name=f"marks-{session}")

    def publish(self, session: SessionId, kind: str, data: Mapping[str, Any]) -> None:  # noqa: ARG002
        """What `agents.ports.Live` tells. Never blocks."""
        if session in self._open and kind in _TOLD:
            self.look(session)

    def accepted(self, where: ThreadRef, message_id: str | None) -> None:
        """The answers to this message come in a thread of their own: it is marked as taken in."""
        if message_id is not None and self._group is not None and self.marks(where.channel):
            self._group.create_task(self._mark(where, message_id, Mark.TAKEN_IN, None), name="mark")

    def refused(self, where: ThreadRef, message_id: str | None) -> None:
        """Nobody will read this message. In a burst only some are marked: what was replied to the first speaks for
        all."""
        if message_id is None or self._group is None or self._refusals >= _REFUSALS or not self.marks(where.channel):
            return
        self._refusals += 1
        self._group.create_task(self._mark_refused(where, message_id), name="mark")

    async def _mark_refused(self, where: ThreadRef, message_id: str) -> None:
        try:
            await self._mark(where, message_id, Mark.REFUSED, None)
        finally:
            self._refusals -= 1

    async def _follow_safely(self, session: SessionId) -> None:
        """What goes wrong with one session's marks, however, costs those."""
        try:
            await self._follow(session)
        except StorageError as error:
            log.warning("messages are not marked", session=session, reason=str(error))
        except Exception:
            log.exception("messages are not marked", session=session)
        finally:
            del self._changed[session]

    async def _follow(self, session: SessionId) -> None:
        """Until every mark is as it should be."""
        changed = self._changed[session]
        while True:
            changed.clear()
            marked = await self._store.of(session)
            if not marked:
                self._open.discard(session)
                return
            early: list[float] = []
            for each in marked:
                left = (each.posted_at + PATIENCE - self._clock()).total_seconds()
                if left > 0 and (each.wanted is Mark.WAITING or each.reply is not None):
                    early.append(left)
                elif each.wanted is not each.shown or each.wanted is None:
                    await self._show(each)
            if early:
                await changed_or(changed, min(early))
            elif not changed.is_set() and all(each.wanted is each.shown for each in marked):
                return  # until something is told

    async def _show(self, each: Marked) -> None:
        if each.reply is not None:
            await self._say(each, each.reply)
        elif each.message_id is not None and each.wanted is not None and self.marks(each.where.channel):
            await self._mark(each.where, each.message_id, each.wanted, each.shown)
        if each.wanted is Mark.WAITING:
            await self._store.shown(each.mail, Mark.WAITING)
        else:
            await self._store.done(each.mail)

    async def _say(self, each: Marked, reply: DeliveryKey) -> None:
        """Put what came of a note in the place of our reply to it."""
        match each.wanted:
            case Mark.TAKEN_IN:
                text = f"{each.label} has taken in your note."
            case Mark.REFUSED:
                text = f"{each.label} ended before it took in your note: it came too late."
            case _:
                return
        for _ in range(_TRIES):
            try:
                await self._rewording.reword(reply, text)
            except Rejected:
                key = DeliveryKey(f"{reply}/taken")
                await self._speaker.say(Outbound(key=key, to=each.where, text=text, control=True, private=True))
                return
            except ChannelError as error:
                log.info("a reply is not changed yet", place=each.where.key, reason=str(error))
                await asyncio.sleep(_pause(error))
            else:
                return

    async def _mark(self, where: ThreadRef, message_id: str, mark: Mark, shown: Mark | None) -> None:
        """Never raises for the platform's sake."""
        for _ in range(_TRIES):
            channel = self._channel(where.channel)
            if channel is None:
                return
            try:
                async with asyncio.timeout(_CALL_SECONDS):
                    await channel.react(where, message_id, mark, shown)
            except Rejected as error:
                log.info("a message cannot be marked", place=where.key, reason=str(error))
                return
            except (ChannelError, TimeoutError) as error:
                log.info("a message is not marked yet", place=where.key, reason=str(error))
                await asyncio.sleep(_pause(error))
            except Exception:
                log.exception("a message is not marked", place=where.key)
                return
            else:
                return


def _pause(error: Exception) -> float:
    wait = error.retry_after.total_seconds() if isinstance(error, TemporaryFailure) and error.retry_after else 0.0
    return min(60.0, max(_PAUSE_SECONDS, wait))
