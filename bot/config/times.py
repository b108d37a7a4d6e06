"""Durations, dates, times of day and time zones as people write them in a configuration.

Pure: text in, values out, and a ValueError with a sentence when the text is none. Cron expressions have the
usual five fields; they are checked here so that a typo is found at start and not at the hour it should fire.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from agents.monitors.cron import MACROS, Cron

_DURATION = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?")
_SHORTEST = timedelta(seconds=1)
_LONGEST = timedelta(days=366)

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...], int], ...] = (  # name, least, most, words, first word's number
    ("minute", 0, 59, (), 0),
    ("hour", 0, 23, (), 0),
    ("day of the month", 1, 31, (), 0),
    ("month", 1, 12, _MONTHS, 1),
    ("day of the week", 0, 7, _DAYS, 0),
)


def duration(text: str) -> timedelta:
    """`30s`, `5m`, `1h30m`, `7d`. Raises ValueError."""
    match = _DURATION.fullmatch(text.strip().lower().replace(" ", ""))
    if match is None or not any(match.groups()):
        raise ValueError(f"{text!r} is no duration; write it as 30s, 5m, 1h30m or 7d")
    days, hours, minutes, seconds = (int(group or 0) for group in match.groups())
    length = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if not _SHORTEST <= length <= _LONGEST:
        raise ValueError(f"{text!r} must be between 1s and 366d")
    return length


def cron(text: str) -> str:
    """Five fields, checked and with single blanks between them; @daily and its like as five fields. Raises
    ValueError."""
    words = MACROS.get(text.strip().lower(), text).split()
    if len(words) != len(_FIELDS):
        raise ValueError(
            f"{text!r} has {len(words)} fields; cron has five: minute hour day-of-month month day-of-week,"
            ' for example "0 9 * * mon-fri"'
        )
    for word, (name, least, most, names, first) in zip(words, _FIELDS, strict=True):
        for piece in word.lower().split(","):
            _check_piece(piece, name, least, most, {day: first + at for at, day in enumerate(names)})
    Cron.parse(" ".join(words))  # a date that never comes is told here, too
    return " ".join(words)


def _check_piece(piece: str, name: str, least: int, most: int, names: dict[str, int]) -> None:
    span, slash, step = piece.partition("/")
    if slash and (not step.isdecimal() or not 1 <= int(step) <= most):
        raise ValueError(f"{piece!r} is no {name} of a cron expression; the step after / is between 1 and {most}")
    if span == "*":
        return
    begin, dash, end = span.partition("-")
    numbers = []
    for word in (begin, end) if dash else (begin,):
        number = names.get(word, int(word) if word.isdecimal() and len(word) <= 2 else -1)
        if not least <= number <= most:
            allowed = f"{least} to {most}" + (f" or {', '.join(names)}" if names else "")
            raise ValueError(f"{piece!r} is no {name} of a cron expression; write * or {allowed}")
        numbers.append(number)
    if dash and numbers[0] > numbers[1]:
        raise ValueError(f"{piece!r} goes backwards; write the smaller {name} first")


def moment(text: str, zone: ZoneInfo) -> datetime:
    """`2026-12-01T09:00`, in the zone unless it says another one. Raises ValueError."""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is no date with time; write it as 2026-12-01T09:00") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=zone)


def time_zone(name: str) -> ZoneInfo:
    """A zone of the IANA database. Raises ValueError."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone; write one such as Europe/Berlin or UTC") from None
