"""What people on platforms see of sessions beside what is said: previews of answers, boards of children, marks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from agents.base import SessionId
from bot.current import LOCAL_CHANNELS
from bot.events import EventHub
from bot.lasting import lasting
from bot.showing.following import Says
from bot.showing.marks import Marks
from bot.showing.presence import Presence
from bot.showing.progress import Progress
from bot.showing.rewording import Rewording
from bot.stores import Stores
from channels.base import Channel, ChannelName
from channels.delivery import Delivery, DeliveryState


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing:
    presence: Presence
    progress: Progress
    marks: Marks

    @classmethod
    def on(
        cls,
        stores: Stores,
        channel: Callable[[ChannelName], Channel | None],
        speaker: Says,
        hub: EventHub,
        clock: Callable[[], datetime],
    ) -> Self:
        """Made from what is remembered. The page shows what runs by itself (`hub`), so nothing is shown there twice."""
        rewording = Rewording(stores.outbox, channel, hub.reworded)
        return cls(
            presence=Presence(channel, stores.sessions, LOCAL_CHANNELS),
            progress=Progress(stores.boards, rewording, channel, speaker, hub.words, clock),
            marks=Marks(stores.marks, rewording, speaker, channel, clock),
        )

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.presence.run(), name="presence")
            group.create_task(lasting("progress", self.progress.run), name="progress")
            group.create_task(lasting("marks", self.marks.run), name="marks")

    def publish(self, session: SessionId, kind: str, data: Mapping[str, Any]) -> None:
        """What `agents.ports.Live` tells. Never blocks."""
        self.presence.publish(session, kind, data)
        self.progress.publish(session, kind, data)
        self.marks.publish(session, kind, data)

    def delivered(self, delivery: Delivery, state: DeliveryState) -> None:
        self.progress.delivered(delivery, state)
