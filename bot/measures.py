"""What is read at each scrape of `/metrics`, from those who keep it anyway."""

from __future__ import annotations

import asyncio

from agents.engine import EmbeddedEngine
from agents.room import Room
from bot.connections import Connections
from bot.dispatcher import Dispatcher
from bot.metrics import Metrics
from channels.delivery import Courier
from storage.database import Database


def measure(
    metrics: Metrics,
    database: Database,
    engine: EmbeddedEngine,
    room: Room,
    courier: Courier,
    dispatcher: Dispatcher,
    connections: Connections,
) -> None:
    metrics.counter("storage_commits", "Commits of the database", lambda: database.commits)
    metrics.counter("storage_writes", "Writes that shared these commits", lambda: database.writes)
    metrics.gauge("sessions_awake", "Sessions whose turn runs", lambda: engine.awake)
    metrics.gauge("sessions_queued", "Sessions that wait for room to run", lambda: engine.queued)
    metrics.gauge(
        "sessions_without_room", "Sessions that wait because of their agent's max_running", lambda: room.waiting
    )
    metrics.gauge("tasks", "Tasks of the event loop", lambda: len(asyncio.all_tasks()))
    metrics.gauge("lanes_busy", "Places with something on its way", lambda: courier.busy_lanes)
    metrics.gauge("events_undecided", "Events that are not routed yet", lambda: dispatcher.waiting)
    metrics.channels(lambda: {name: state.state.value == "connected" for name, state in connections.health().items()})
