"""When a monitor is due: every so often, by cron, or once. Pure: the clock is an argument.

Times are computed from a stored anchor and never from when something last ran, so that an interval does not
drift and every process computes the same moments. What was missed while nothing ran is one moment, the last of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from agents.monitors.cron import Cron, after_gap

GRACE = timedelta(seconds=60)
"""A firing that comes later than this was missed."""

_FIRST_STEP = timedelta(minutes=1)


class Missed(StrEnum):
    ONCE = "once"  # one firing makes up for all that was missed
    SKIP = "skip"  # what was missed is left out


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Exactly one of `every`, `cron` and `at` is set. All moments that it gives are UTC."""

    anchor: datetime  # intervals count from here, and nothing is due up to it
    zone: ZoneInfo
    every: timedelta | None = None
    cron: Cron | None = None
    at: datetime | None = None

    def next_after(self, moment: datetime) -> datetime | None:
        """The first firing later than `moment`. None: there is none (any more)."""
        after = max(moment, self.anchor).astimezone(UTC)
        if self.every is not None:
            return self.anchor.astimezone(UTC) + ((after - self.anchor) // self.every + 1) * self.every
        if self.cron is not None:
            return self.cron.next_after(after, self.zone)
        assert self.at is not None
        once = after_gap(self.at)
        return once if once > after else None

    def last_due(self, after: datetime, until: datetime) -> datetime | None:
        """The last firing later than `after` and not later than `until`: what one firing makes up for."""
        after = max(after, self.anchor)
        if self.every is not None:
            last = self.anchor.astimezone(UTC) + (until - self.anchor) // self.every * self.every
            return last if after < last <= until else None
        first = self.next_after(after)
        if first is None or first > until:
            return None
        begin, end = first, until  # a firing is due at `begin`, and perhaps others up to `end`
        while end - begin > _FIRST_STEP:
            middle = begin + (end - begin) / 2
            later = self.next_after(middle)
            if later is not None and later <= until:
                begin = later
            else:
                end = middle
        later = self.next_after(begin)
        return later if later is not None and later <= until else begin


def to_fire(schedule: Schedule, missed: Missed, settled: datetime, now: datetime) -> tuple[datetime | None, bool]:
    """What to do with everything due since `settled`: the moment that is due (None: nothing is), and whether it
    is to be fired (else it is to be noted as skipped).

    `settled` in the future means that the clock was set back: then the future is as unsettled as it looks,
    and the key of a firing that was made already keeps it from being made twice.
    """
    due = schedule.last_due(settled, now) if settled <= now else None
    if due is None:
        return None, False
    return due, missed is Missed.ONCE or now - due <= GRACE
