"""Keeps the message in a thread that shows what the thread's agents have spawned: one message, edited as they go on.

A person who looks at the parent's thread sees who works for it, where, at what, for how long and for how much, and in
the end how each ended. What is shown is read from the store each time, so nothing is lost by a restart, and there is
never a second message. An edit is worth less than any answer: it is made every few seconds at the most, takes no turn
that a message needs, and is left out for the newest when the platform is slow. A platform that cannot edit gets one
message at the beginning and one at the end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import structlog

from agents import progress
from agents.base import Session, SessionId
from bot.showing.following import Says, changed_or
from bot.showing.rewording import Rewording
from channels.base import (
    Channel,
    ChannelError,
    ChannelName,
    DeliveryKey,
    Outbound,
    Rejected,
    TemporaryFailure,
    ThreadRef,
)
from channels.delivery import Delivery, DeliveryState
from storage.boards import Board
from storage.database import StorageError

log = structlog.get_logger("progress")

PACE_SECONDS = 4.0  # between two edits of one message
_TICK_SECONDS = 20.0  # while somebody works and nothing else changes: ages grow
_AGAIN_SECONDS = 15.0  # after a failure
_LINK_SECONDS = 60.0
_LINKS = 1_000  # that are remembered
_TOLD = frozenset({"turn", "tool", "tool_done", "cost", "state", "turn_done", "ended"})


class Boards(Protocol):
    """`storage.boards` fulfils it."""

    async def open(self) -> Sequence[DeliveryKey]: ...
    async def board(self, key: DeliveryKey) -> Board | None: ...
    async def close(self, key: DeliveryKey) -> bool: ...


class Progress:
    """One task for each board that changes; none for what rests."""

    def __init__(
        self,
        boards: Boards,
        rewording: Rewording,
        channel: Callable[[ChannelName], Channel | None],
        speaker: Says,
        doing: Callable[[SessionId], str],
        clock: Callable[[], datetime],
    ) -> None:
        self._boards = boards
        self._rewording = rewording
        self._channel = channel
        self._speaker = speaker
        self._doing = doing
        self._clock = clock
        self._shown_on: dict[SessionId, frozenset[DeliveryKey]] = {}  # living sessions
        self._members: dict[DeliveryKey, set[SessionId]] = {}
        self._changed: dict[DeliveryKey, asyncio.Event] = {}  # boards that a task looks after
        self._edited: dict[DeliveryKey, float] = {}  # when, by the monotonic clock
        self._fixed: set[DeliveryKey] = set()  # cannot be changed
        self._links: dict[str, tuple[str | None, float | None]] = {}  # and when it was asked for
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Take up what a former run left, then serve until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                for key in await self._boards.open():
                    self._touch(key)
                await asyncio.Event().wait()
            finally:
                self._group = None

    def spawned(self, session: Session) -> None:
        """A session has a new child."""
        above = self._shown_on.get(session.parent, frozenset()) if session.parent else frozenset()
        boards = above | ({DeliveryKey(session.board)} if session.board else frozenset())
        for key in boards:
            self._remember(session.id, key)
            self._touch(key)

    def publish(self, session: SessionId, kind: str, data: Mapping[str, Any]) -> None:  # noqa: ARG002
        """What `agents.ports.Live` tells. Never blocks."""
        if kind in _TOLD:
            for key in self._shown_on.get(session, ()):
                self._touch(key)

    def delivered(self, delivery: Delivery, state: DeliveryState) -> None:
        """A thread was opened, which has an address now; or a board's own message stands there."""
        if state is not DeliveryState.SENT:
            return
        if delivery.opening is not None and delivery.session is not None:
            self.publish(SessionId(delivery.session), "state", {})
        elif delivery.message.key.startswith("progress:"):
            self._touch(delivery.message.key)

    def _remember(self, session: SessionId, key: DeliveryKey) -> None:
        self._shown_on[session] = self._shown_on.get(session, frozenset()) | {key}
        self._members.setdefault(key, set()).add(session)

    def _forget(self, key: DeliveryKey) -> None:
        self._edited.pop(key, None)
        self._fixed.discard(key)
        for session in self._members.pop(key, ()):
            left = self._shown_on.pop(session, frozenset()) - {key}
            if left:
                self._shown_on[session] = left

    def _touch(self, key: DeliveryKey) -> None:
        changed = self._changed.get(key)
        if changed is not None:
            changed.set()
        elif self._group is not None:
            self._changed[key] = asyncio.Event()
            self._group.create_task(self._keep_safely(key), name=key)

    async def _keep_safely(self, key: DeliveryKey) -> None:
        """What goes wrong with one board, however, costs that board."""
        try:
            await self._keep(key)
        except StorageError as error:
            log.warning("a board is not kept", board=key, reason=str(error))
        except Exception:
            log.exception("a board failed", board=key)
        finally:
            del self._changed[key]

    async def _keep(self, key: DeliveryKey) -> None:
        """Until nothing of it changes by itself."""
        changed = self._changed[key]
        await asyncio.sleep(self._soonest(key))
        while True:
            changed.clear()
            found = await self._boards.board(key)
            if found is None:
                await self._boards.close(key)
                self._forget(key)
                return
            for session in found.sessions:
                self._remember(session.id, key)
            pause = await self._show(found, await self._text(found))
            if pause is None:
                if progress.over(found.sessions):
                    if await self._boards.close(key) and not changed.is_set():
                        self._forget(key)
                        return
                    continue  # one more was spawned in this instant
                if not any(map(progress.at_work, found.sessions)) and not changed.is_set():
                    return  # until something is told
                await changed_or(changed, _TICK_SECONDS)
                pause = 0.0
            await asyncio.sleep(max(pause, self._soonest(key)))

    def _soonest(self, key: DeliveryKey) -> float:
        """Seconds until the next edit."""
        edited = self._edited.get(key)
        return 0.0 if edited is None else max(0.0, edited + PACE_SECONDS - time.monotonic())

    async def _show(self, found: Board, text: str) -> float | None:
        """Make people see this text. None: they do, as far as that is possible; else when to try again."""
        over = progress.over(found.sessions)
        if text == found.text or (found.key in self._fixed and not over):
            return None
        try:
            await self._rewording.reword(found.key, text, spare=True)
        except TemporaryFailure as error:
            return error.retry_after.total_seconds() if error.retry_after else PACE_SECONDS
        except Rejected as error:
            log.info("a board cannot be changed", place=found.place.key, reason=str(error))
            self._fixed.add(found.key)
            if over:
                key = DeliveryKey(f"{found.key}/end")
                await self._speaker.say(Outbound(key=key, to=found.place, text=text))
            return None
        except ChannelError as error:
            log.info("a board is not changed yet", place=found.place.key, reason=str(error))
            return _AGAIN_SECONDS
        self._edited[found.key] = time.monotonic()
        return None

    async def _text(self, found: Board) -> str:
        links = {session.id: await self._link(session.home) for session in found.sessions}
        return progress.board(found.sessions, self._clock(), doing=self._doing, link=links.get)

    async def _link(self, home: ThreadRef | None) -> str | None:
        """The address of a child's thread. Where there is none now, it is asked for again a minute later."""
        if home is None or home.thread is None or home.thread.startswith("+"):
            return None
        now = time.monotonic()
        link, asked = self._links.get(home.key, (None, None))
        if asked is not None and (link is not None or now - asked < _LINK_SECONDS):
            return link
        channel = self._channel(home.channel)
        if channel is None:
            return None
        if len(self._links) >= _LINKS:
            self._links.clear()
        link = await channel.link(home)
        self._links[home.key] = (link, now)
        return link
