"""Shows in a platform's thread what a turn is doing: that it types, its text as it grows, the tools that it runs.

All of it is transient: the answer itself is a delivery. One task for each turn that runs on a platform keeps the
typing sign alive and hands the newest picture to the adapter's live message, which keeps the platform's
pace. Before the delivery that says the text for good goes out, the live message gives way (`finish`).

The page needs none of this: it looks at the sessions themselves.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from agents.base import SessionId
from agents.ports import Sessions
from channels.base import Capability, Channel, ChannelError, ChannelName, LiveText, ThreadRef

log = structlog.get_logger("presence")

TYPING_SECONDS = 4.0  # Telegram's sign lasts 5 s, Discord's 10
TYPING_AFTER_SECONDS = 0.6  # an answer that is there by then needs no sign, and a sign is a request like any other
_QUIET_SECONDS = 1.0  # an answer that is there by then needs no preview
_GRACE_SECONDS = 3.0  # for the delivery that takes the preview's place
_STATUS_SECONDS = 8.0  # how often a long tool's time is told


@dataclass(slots=True)
class _Picture:
    """What is to be seen of one running turn."""

    where: ThreadRef
    reply_to: str | None = None
    text: str = ""
    tools: dict[str, tuple[str, float]] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    live: LiveText | None = None
    gave_way: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def status(self) -> str:
        names = []
        for name, since in self.tools.values():
            seconds = int(time.monotonic() - since)
            names.append(f"{name} ({seconds} s)" if seconds >= _STATUS_SECONDS else name)
        return f"running {', '.join(names)} …" if names else ""


class Presence:
    """The running turns that people on platforms look at."""

    def __init__(
        self, channel: Callable[[ChannelName], Channel | None], sessions: Sessions, unseen: frozenset[ChannelName]
    ) -> None:
        self._channel = channel
        self._sessions = sessions
        self._unseen = unseen  # channels that show sessions by themselves
        self._pictures: dict[SessionId, _Picture] = {}
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                await asyncio.Event().wait()
            finally:
                self._group = None

    def publish(self, session: SessionId, kind: str, data: Mapping[str, Any]) -> None:
        """What `agents.ports.Live` tells. Never blocks."""
        if kind == "turn":
            self._began(session, data.get("place"))
            return
        picture = self._pictures.get(session)
        if picture is None:
            return
        match kind:
            case "text":
                picture.text += str(data["text"])
            case "restarted" | "cost":
                picture.text = ""  # void, or about to be said for good
            case "tool":
                picture.tools[str(data["call_id"])] = (str(data["name"]), time.monotonic())
            case "tool_done":
                picture.tools.pop(str(data["call_id"]), None)
            case "turn_done" | "ended" | "state":
                picture.ended.set()
            case _:
                return
        if kind != "cost":
            picture.changed.set()

    async def finish(self, where: ThreadRef) -> None:
        """The text is about to be said for good here: take its preview away. Never raises."""
        for picture in list(self._pictures.values()):
            if picture.where == where and picture.live is not None:
                live, picture.live, picture.text = picture.live, None, ""
                picture.gave_way.set()
                await live.close()

    def _began(self, session: SessionId, place: str | None) -> None:
        running = self._pictures.get(session)
        if place is None or self._group is None or (running is not None and not running.ended.is_set()):
            return
        where = ThreadRef.parse(place)
        if where.channel not in self._unseen:
            picture = self._pictures[session] = _Picture(where=where)
            self._group.create_task(self._paint_safely(session, picture), name=f"presence-{session}")

    async def _paint_safely(self, session: SessionId, picture: _Picture) -> None:
        """What goes wrong in one picture, however, costs that picture."""
        try:
            await self._paint(session, picture)
        except Exception:
            log.exception("no picture of a turn", session=session, channel=picture.where.channel)

    async def _paint(self, session: SessionId, picture: _Picture) -> None:
        typed = -TYPING_SECONDS
        try:
            await _happened_or(picture.ended, TYPING_AFTER_SECONDS)
            while not picture.ended.is_set():
                picture.changed.clear()
                channel = await self._there(session, picture)
                now = time.monotonic()
                if channel is not None and now - typed >= TYPING_SECONDS:
                    typed = now
                    if Capability.TYPING in channel.capabilities:
                        await channel.typing(picture.where)
                if channel is not None and now - picture.began >= _QUIET_SECONDS:
                    await self._show(channel, picture)
                await _happened_or(picture.changed, 0.3 if now - picture.began < _QUIET_SECONDS else TYPING_SECONDS)
        finally:
            await self._give_way(picture)
            if self._pictures.get(session) is picture:
                del self._pictures[session]

    async def _there(self, session: SessionId, picture: _Picture) -> Channel | None:
        """The channel, once the thread is there: a new session's thread is being opened while its turn runs."""
        if (picture.where.thread or "").startswith("+"):
            found = await self._sessions.session(session)
            if found is None or found.home is None or (found.home.thread or "").startswith("+"):
                return None
            picture.where = found.home
        return self._channel(picture.where.channel)

    async def _show(self, channel: Channel, picture: _Picture) -> None:
        status = picture.status()
        if not (picture.text.strip() or status) or Capability.STREAM not in channel.capabilities:
            return
        try:
            if picture.live is None:
                picture.live = await channel.live(picture.where, picture.reply_to)
            await picture.live.update(picture.text, status)
        except ChannelError as error:
            log.info("no preview", channel=picture.where.channel, reason=str(error))

    async def _give_way(self, picture: _Picture) -> None:
        """The turn is over: its last delivery is on its way, and takes the place of the preview."""
        if picture.live is not None:
            await _happened_or(picture.gave_way, _GRACE_SECONDS)
        if picture.live is not None:
            live, picture.live = picture.live, None
            await live.close()


async def _happened_or(happened: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await happened.wait()
    except TimeoutError:
        pass
