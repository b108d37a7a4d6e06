"""How often a place is told that its session's queue is full.

A burst of thousands of messages would else be answered with as many replies, ahead of everything that is worth more;
so the first refusal says that what follows is not taken in either, and is said again after a minute at the earliest.

Pure state: no I/O, the time is an argument. A restart forgets it, which costs one reply more.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta

from agents.base import SessionId

QUIET = timedelta(minutes=1)
_SESSIONS = 1_000  # remembered; the one told longest ago is forgotten


class FullQueues:
    """One for the whole bot."""

    def __init__(self) -> None:
        self._told: OrderedDict[SessionId, datetime] = OrderedDict()

    def tells(self, session: SessionId, now: datetime) -> bool:
        """Whether this refusal is to be said; it counts as said then."""
        last = self._told.get(session)
        if last is not None and timedelta() <= now - last < QUIET:
            return False
        self._told[session] = now
        self._told.move_to_end(session)
        while len(self._told) > _SESSIONS:
            self._told.popitem(last=False)
        return True
