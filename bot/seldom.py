"""How often the same refusal is said.

A burst of thousands of messages that nobody can take in would else be answered with as many replies, ahead of
everything that is worth more; so the first refusal speaks for those that follow, and is said again after a minute at
the earliest.

Pure state: no I/O, the time is an argument. A restart forgets it, which costs one reply more.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta

QUIET = timedelta(minutes=1)
_MOST = 1_000  # remembered; the one said longest ago is forgotten


class Seldom:
    """One for the whole bot."""

    def __init__(self) -> None:
        self._said: OrderedDict[str, datetime] = OrderedDict()

    def says(self, what: str, now: datetime) -> bool:
        """Whether this is to be said now; it counts as said then."""
        last = self._said.get(what)
        if last is not None and timedelta() <= now - last < QUIET:
            return False
        self._said[what] = now
        self._said.move_to_end(what)
        while len(self._said) > _MOST:
            self._said.popitem(last=False)
        return True
