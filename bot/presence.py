"""Shows in a thread that an answer is on its way, for as long as a turn runs there.

One task keeps all typing signs alive: it repeats each of them before the platform lets it fade.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agents.base import SessionId
from channels.base import Capability, Channel, ChannelName, ThreadRef

_REPEAT_SECONDS = 4.0  # Telegram's sign lasts 5 s, Discord's 10


class Presence:
    """Which threads have a turn running now."""

    def __init__(self, channel: Callable[[ChannelName], Channel | None]) -> None:
        self._channel = channel
        self._typing: dict[SessionId, ThreadRef] = {}
        self._changed = asyncio.Event()

    def began(self, session: SessionId, where: ThreadRef | None) -> None:
        if where is not None and not (where.thread or "").startswith("+"):
            self._typing[session] = where
            self._changed.set()

    def ended(self, session: SessionId) -> None:
        self._typing.pop(session, None)

    async def run(self) -> None:
        """Serve until cancelled."""
        shown: dict[ThreadRef, float] = {}
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            while True:
                if not self._typing:
                    shown.clear()
                    await self._changed.wait()
                self._changed.clear()
                now = loop.time()
                for where in set(self._typing.values()):
                    channel = self._channel(where.channel)
                    due = now - shown.get(where, -_REPEAT_SECONDS) >= _REPEAT_SECONDS
                    if due and channel is not None and Capability.TYPING in channel.capabilities:
                        shown[where] = now
                        group.create_task(channel.typing(where))
                try:
                    async with asyncio.timeout(_REPEAT_SECONDS / 2):
                        await self._changed.wait()
                except TimeoutError:
                    pass
