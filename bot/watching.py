"""What happens in sessions and with deliveries, told to whoever shows or counts it: page, typing signs, metrics."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import structlog

from agents.base import SessionId
from agents.monitors.base import FiringState
from bot.events import EventHub
from bot.metrics import Metrics
from bot.people.operators import Operators
from bot.routing.decisions import Decision
from bot.showing import Showing
from channels.delivery import Delivery, DeliveryState
from storage.inbox import Stored

log = structlog.get_logger("watching")


class Watching:
    """Fulfils `agents.ports.Live`, and is told by dispatcher and courier."""

    def __init__(
        self,
        hub: EventHub,
        showing: Showing,
        metrics: Metrics,
        operators: Operators,
        clock: Callable[[], datetime],
    ) -> None:
        self._operators = operators
        self._hub = hub
        self._showing = showing
        self._metrics = metrics
        self._clock = clock
        self._began: dict[SessionId, tuple[float, str]] = {}

    def publish(self, session: SessionId, kind: str, data: Mapping[str, Any]) -> None:
        match kind:
            case "turn":
                self._began.setdefault(session, (time.monotonic(), str(data.get("agent", ""))))
            case "turn_done" | "ended":
                began, agent = self._began.pop(session, (None, ""))
                if began is not None:
                    outcome = str(data.get("outcome", "killed"))
                    self._metrics.turn_ended(agent, outcome, time.monotonic() - began)
            case "cost":
                self._metrics.model_called(str(data["model"]), int(data["tokens"]), float(data["cost_usd"]))
            case _:
                pass
        self._hub.publish(session, kind, data)
        self._showing.publish(session, kind, data)

    def ended(self, session: SessionId) -> None:
        self.publish(session, "ended", {})

    def decided(self, stored: Stored, decision: Decision) -> None:
        channel = str(stored.event.where.channel)
        self._metrics.accepted(channel, stored.event.kind.value)
        self._metrics.routed(channel, type(decision).__name__)
        self._hub.changed(stored.event.where.key)

    def fired(self, state: FiringState) -> None:
        self._metrics.monitor_fired(state.value)

    def delivered(self, delivery: Delivery, state: DeliveryState, why: str) -> None:
        where = delivery.message.to
        seconds = (self._clock() - delivery.created_at).total_seconds() if state is DeliveryState.SENT else None
        self._metrics.delivered(str(where.channel), state.value, seconds)
        if why:
            log.error("not delivered", place=where.key, state=state.value, reason=why, delivery=delivery.n)
            self._operators.undelivered(delivery, state, why, self._clock())
        self._showing.delivered(delivery, state)
        self._hub.changed(where.key)
