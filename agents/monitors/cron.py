"""Five-field cron expressions in a time zone, as people know them from Unix. Pure.

Three things that libraries differ in are settled here. With both the day of the month and the day of the week
restricted, a day that fits *either* counts (a field that begins with `*` is not restricted). A time of day that
does not exist, because the clocks went forward, fires once, at the first moment after the gap. One that exists
twice fires once, the first time. An expression for every hour (`*` or `*/1`) goes by hours that really pass
instead: nothing is made up for in a gap, and the repeated hour fires again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import product
from zoneinfo import ZoneInfo

MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, {name: at for at, name in enumerate(_MONTHS, 1)}),
    ("day of the week", 0, 7, {name: at for at, name in enumerate(_DAYS)}),
)

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_FAR_DAYS = 366 * 9  # 29 February comes within 8 years, also around a year such as 2100


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """A parsed expression."""

    text: str
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # 0 is Sunday
    either_day: bool  # both kinds of day are restricted: one that fits is enough
    hourly: bool

    @classmethod
    def parse(cls, text: str) -> Cron:
        """Raises ValueError with a sentence for a person."""
        words = MACROS.get(text.strip().lower(), text).lower().split()
        if len(words) != len(_FIELDS):
            raise ValueError(
                f"{text!r} is no cron expression: write five fields (minute hour day-of-month month day-of-week),"
                f' such as "0 9 * * mon-fri", or one of {", ".join(MACROS)}'
            )
        fields = [
            frozenset(number for piece in word.split(",") for number in _numbers(piece, *field))
            for word, field in zip(words, _FIELDS, strict=True)
        ]
        cron = cls(
            text=" ".join(words),
            minutes=tuple(sorted(fields[0])),
            hours=tuple(sorted(fields[1])),
            days=fields[2],
            months=fields[3],
            weekdays=frozenset(number % 7 for number in fields[4]),
            either_day=not (words[2].startswith("*") or words[4].startswith("*")),
            hourly=len(fields[1]) == 24,
        )
        if cron.next_after(datetime(2000, 1, 1, tzinfo=UTC), ZoneInfo("UTC")) is None:
            raise ValueError(f"{text!r} names a date that never comes")
        return cron

    def next_after(self, moment: datetime, zone: ZoneInfo) -> datetime | None:
        """The first firing later than `moment`, in UTC. None: there is none within nine years."""
        today = moment.astimezone(zone).date()
        # Where clocks are changed around midnight, days overlap: the neighbours are asked together.
        near = [self._first_on(today + offset * _DAY, moment, zone) for offset in (-1, 0, 1)]
        found = [firing for firing in near if firing is not None]
        if found:
            return min(found)
        for offset in range(2, _FAR_DAYS):
            firing = self._first_on(today + offset * _DAY, moment, zone)
            if firing is not None:
                return firing
        return None

    def fits(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        of_month, of_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return of_month or of_week if self.either_day else of_month and of_week

    def _first_on(self, day: date, moment: datetime, zone: ZoneInfo) -> datetime | None:
        if not self.fits(day):
            return None
        start, end = _midnight(day, zone), _midnight(day + _DAY, zone)
        if start.utcoffset() != end.utcoffset():
            return min((each for each in self._on_uneven(day, zone) if each > moment), default=None)
        local = moment.astimezone(zone)
        if local.date() > day:
            return None
        least = (local.hour, local.minute + 1) if local.date() == day else (0, 0)
        for hour in self.hours:
            for minute in self.minutes if hour >= least[0] else ():
                if (hour, minute) >= least:
                    return datetime.combine(day, time(hour, minute), zone).astimezone(UTC)
        return None

    def _on_uneven(self, day: date, zone: ZoneInfo) -> Iterator[datetime]:
        """Every firing on a day on which the clocks are changed."""
        for hour, minute in product(self.hours, self.minutes):
            wall = datetime.combine(day, time(hour, minute), zone)
            if not _exists(wall):
                if not self.hourly:
                    yield after_gap(wall)
                continue
            yield wall.astimezone(UTC)
            if self.hourly:
                yield wall.replace(fold=1).astimezone(UTC)


def after_gap(wall: datetime) -> datetime:
    """The moment in UTC that a time on the wall means; the first one after the gap when it does not exist."""
    before, after = wall.replace(fold=0).astimezone(UTC), wall.replace(fold=1).astimezone(UTC)
    if _exists(wall):
        return before
    late, early = before, after  # in a gap, the offset from before it gives the later moment
    zone = wall.tzinfo
    new = late.astimezone(zone).utcoffset()
    while late - early > _SECOND:
        middle = early + (late - early) / 2
        if middle.astimezone(zone).utcoffset() == new:
            late = middle
        else:
            early = middle
    return late.replace(microsecond=0)  # zones change on whole seconds, and `late` is less than one after it


def _exists(wall: datetime) -> bool:
    back = wall.astimezone(UTC).astimezone(wall.tzinfo)
    return back.replace(tzinfo=None, fold=0) == wall.replace(tzinfo=None, fold=0)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone)


def _numbers(piece: str, name: str, least: int, most: int, names: dict[str, int]) -> range:
    span, slash, step = piece.partition("/")
    first, dash, last = span.partition("-")
    if slash and not (step.isdecimal() and 1 <= int(step) <= most):
        raise ValueError(f"{piece!r} is no {name} of a cron expression: the step after / is between 1 and {most}")
    whole = min(most, 6) if names and least == 0 else most  # Sunday is 0; it is 7 too, but only when said
    if span == "*":
        begin, end = least, whole
    else:
        begin = _number(first, piece, name, least, most, names)
        end = _number(last, piece, name, least, most, names) if dash else (whole if slash else begin)
    if end < begin:
        raise ValueError(f"{piece!r} goes backwards: write the smaller {name} first")
    return range(begin, end + 1, int(step) if slash else 1)


def _number(word: str, piece: str, name: str, least: int, most: int, names: dict[str, int]) -> int:
    number = names.get(word, int(word) if word.isdecimal() and len(word) <= 2 else -1)
    if not least <= number <= most:
        allowed = f"{least} to {most}" + (f" or {', '.join(names)}" if names else "")
        raise ValueError(f"{piece!r} is no {name} of a cron expression: write * or {allowed}")
    return number
