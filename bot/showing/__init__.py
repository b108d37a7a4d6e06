"""What people on platforms see of sessions beside what is said: previews of answers, boards of children, marks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agents.base import SessionId
from bot.lasting import lasting
from bot.showing.marks import Marks
from bot.showing.presence import Presence
from bot.showing.progress import Progress
from channels.delivery import Delivery, DeliveryState


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing:
    presence: Presence
    progress: Progress
    marks: Marks

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
