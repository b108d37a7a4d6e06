"""Slack's pace: about one message a second in a channel, with short bursts, counted for each channel alone.

Pure arithmetic over a clock that is given. One channel's pause never holds up another, and what a person
waits for (a command's reply) may borrow from the seconds to come when other messages have used up the present.
While many wait, they take two thirds of what Slack allows: the rest is for those replies, since a channel that
Slack has closed for some seconds, because of one message too many, is closed to a kill's confirmation too.

Another server than Slack's own may have other limits, or none. There (`known` is False) the pace is kept only for a
while after the server complained.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

PATIENCE_SECONDS = 2.0
"""How long a send may wait here; beyond it the courier is told when to come back."""

COMPLAINT_LASTS_SECONDS = 600.0
ORDINARY_COSTS = 1.5  # of the interval: what is left over is for control replies


@dataclass(slots=True)
class _Room:
    free_at: float  # when the bucket would be full again
    paused_until: float = 0.0


class Pace:
    """A bucket for each room: `burst` intervals at once, and one more each `interval_seconds`."""

    def __init__(
        self, *, interval_seconds: float, burst: int, borrow: int = 6, rooms: int = 10_000, known: bool = True
    ) -> None:
        self._interval = interval_seconds
        self._burst = burst
        self._borrow = borrow
        self._rooms: OrderedDict[str, _Room] = OrderedDict()
        self._most = rooms
        self._kept_until = math.inf if known else -math.inf

    def wait_seconds(self, room: str, now: float, *, control: bool = False) -> float:
        """How long a message to this room must wait. Counted as sent, unless that is over PATIENCE_SECONDS."""
        state = self._room(room, now)
        if now > self._kept_until:
            return 0.0
        free_at = max(state.free_at, now)
        ahead = self._burst - 1 + (self._borrow if control else 0)
        wait = max(free_at - ahead * self._interval, state.paused_until, now) - now
        if wait <= PATIENCE_SECONDS:
            state.free_at = free_at + self._interval * (1.0 if control else ORDINARY_COSTS)
        return wait

    def take_spare(self, room: str, now: float) -> bool:
        """Whether a message that may also be left out can go now and leave room for two others; counted if so."""
        state = self._room(room, now)
        if now > self._kept_until:
            return True
        free_at = max(state.free_at, now)
        if state.paused_until > now or free_at - now > (self._burst - 3) * self._interval:
            return False
        state.free_at = free_at + self._interval
        return True

    def pause(self, room: str, until: float) -> None:
        """Slack said when this room may be written to again."""
        state = self._room(room, 0.0)
        state.paused_until = max(state.paused_until, until)
        self._kept_until = max(self._kept_until, until + COMPLAINT_LASTS_SECONDS)

    def _room(self, room: str, now: float) -> _Room:
        state = self._rooms.pop(room, None) or _Room(free_at=now)
        self._rooms[room] = state
        while len(self._rooms) > self._most:
            self._rooms.popitem(last=False)
        return state


class Budget:
    """So many calls a minute over the whole workspace, a quarter of them at once. For what may also be left out."""

    def __init__(self, *, per_minute: int) -> None:
        self._interval = 60.0 / per_minute
        self._ahead = (per_minute // 4) * self._interval
        self._free_at = 0.0

    def take(self, now: float) -> bool:
        """Whether one more may be made now; counted if so."""
        free_at = max(self._free_at, now)
        if free_at - now > self._ahead:
            return False
        self._free_at = free_at + self._interval
        return True
