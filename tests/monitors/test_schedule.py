"""When a monitor is due: intervals that do not drift, cron as on Unix, days on which the clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.monitors.cron import MACROS, Cron, after_gap
from agents.monitors.schedule import GRACE, Missed, Schedule, to_fire

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Havana"]
START = datetime(2026, 1, 1, tzinfo=UTC)

moments = st.integers(0, 4 * 365 * 86_400).map(
    lambda seconds: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
zones = st.sampled_from(ZONES).map(ZoneInfo)


def firings(text: str, after: str, count: int, zone: ZoneInfo = BERLIN) -> list[str]:
    cron, moment = Cron.parse(text), datetime.fromisoformat(after)
    found = []
    for _ in range(count):
        following = cron.next_after(moment, zone)
        assert following is not None
        moment = following
        found.append(moment.astimezone(zone).isoformat(timespec="minutes"))
    return found


def test_with_both_kinds_of_day_restricted_one_that_fits_is_enough() -> None:
    days = firings("0 0 13 * fri", "2026-01-01T12:00+01:00", 4)
    assert [day[:10] for day in days] == ["2026-01-02", "2026-01-09", "2026-01-13", "2026-01-16"]


def test_a_day_field_that_begins_with_a_star_restricts_nothing_by_itself() -> None:
    days = firings("0 0 */2 * mon", "2026-01-01T12:00+01:00", 3)  # odd days that are Mondays
    assert [day[:10] for day in days] == ["2026-01-05", "2026-01-19", "2026-02-09"]


def test_names_steps_ranges_lists_and_both_sundays_are_understood() -> None:
    assert firings("*/20 9-17/8 * jan,MAR mon-fri", "2026-01-30T18:00+01:00", 2) == [
        "2026-03-02T09:00+01:00",
        "2026-03-02T09:20+01:00",
    ]
    assert Cron.parse("0 0 * * 7").weekdays == Cron.parse("0 0 * * sun").weekdays == {0}
    assert Cron.parse("0 0 * * 5-7").weekdays == {5, 6, 0}
    assert Cron.parse("10/20 * * * *").minutes == (10, 30, 50)
    assert {Cron.parse(macro).text for macro in MACROS} == set(MACROS.values())


def test_the_29th_of_february_is_waited_for() -> None:
    assert firings("0 0 29 2 *", "2026-01-01T00:00+01:00", 1) == ["2028-02-29T00:00+01:00"]


@pytest.mark.parametrize(
    "text",
    ["", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "a * * * *", "5-1 * * * *", "*/0 * * * *", "@never"],
)
def test_what_is_no_expression_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"no |backwards"):
        Cron.parse(text)


def test_a_date_that_never_comes_is_told() -> None:
    with pytest.raises(ValueError, match="never comes"):
        Cron.parse("0 0 31 2,4,6 *")


def test_a_time_that_does_not_exist_fires_once_at_the_first_moment_after_the_gap() -> None:
    assert firings("30 2 * * *", "2026-03-28T12:00+01:00", 2) == ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]
    assert firings("*/10 2 * * *", "2026-03-28T12:00+01:00", 2) == ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00"]


def test_a_time_that_exists_twice_fires_once() -> None:
    assert firings("30 2 * * *", "2026-10-24T12:00+02:00", 2) == ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]


def test_every_hour_means_hours_that_really_pass() -> None:
    assert firings("30 * * * *", "2026-10-25T01:00+02:00", 4) == [
        "2026-10-25T01:30+02:00",
        "2026-10-25T02:30+02:00",
        "2026-10-25T02:30+01:00",
        "2026-10-25T03:30+01:00",
    ]
    assert firings("30 * * * *", "2026-03-29T01:00+01:00", 2) == ["2026-03-29T01:30+01:00", "2026-03-29T03:30+02:00"]


def test_a_gap_at_midnight_and_a_day_that_was_left_out_are_got_over() -> None:
    havana = ZoneInfo("America/Havana")  # 2026-03-08 begins at 01:00
    assert firings("0 0 * * *", "2026-03-07T12:00-05:00", 2, havana) == [
        "2026-03-08T01:00-04:00",
        "2026-03-09T00:00-04:00",
    ]
    apia = ZoneInfo("Pacific/Apia")  # there was no 2011-12-30
    days = firings("0 9 * * *", "2011-12-29T12:00-10:00", 2, apia)
    assert days == ["2011-12-31T00:00+14:00", "2011-12-31T09:00+14:00"]


@given(
    moments,
    zones,
    st.sampled_from(
        ["*/7 * * * *", "30 2 * * *", "0 0 13 * fri", "15 */5 1-7 * *", "59 23 * * 1", "*/30 1-3 * 3,10 *"]
    ),
)
def test_a_firing_is_later_than_asked_fits_its_fields_and_none_is_left_out(
    moment: datetime, zone: ZoneInfo, text: str
) -> None:
    cron = Cron.parse(text)
    first = cron.next_after(moment, zone)
    assert first is not None
    assert first > moment
    # Asking from anywhere before it gives the same one: no firing lies between.
    for share in (0.25, 0.5, 0.99):
        assert cron.next_after(moment + (first - moment) * share, zone) == first
    second = cron.next_after(first, zone)
    assert second is not None
    assert second > first
    local = first.astimezone(zone)
    wall = local.replace(tzinfo=None)
    after_the_gap = (first - timedelta(seconds=1)).astimezone(zone).replace(tzinfo=None) + timedelta(seconds=1) != wall
    if not after_the_gap:
        assert local.minute in cron.minutes
        assert local.hour in cron.hours
        assert cron.fits(local.date())


@given(moments, st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=40)), moments)
def test_an_interval_counts_from_its_anchor_and_never_drifts(
    anchor: datetime, every: timedelta, moment: datetime
) -> None:
    schedule = Schedule(anchor=anchor, zone=BERLIN, every=every)
    following = schedule.next_after(moment)
    assert following is not None
    assert following > max(moment, anchor)
    assert (following - anchor) % every == timedelta(0)
    assert following - max(moment, anchor) <= every


@pytest.mark.slow
@given(
    moments,
    st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=3)),
    st.sampled_from([{"every": timedelta(minutes=7)}, {"cron": "*/13 2,3 * * *"}, {"cron": "* * * * *"}, {"at": True}]),
)
def test_the_last_one_due_is_the_last_of_those_that_come_one_by_one(
    moment: datetime, away: timedelta, what: dict[str, object]
) -> None:
    cron = Cron.parse(str(what["cron"])) if "cron" in what else None
    every = what.get("every")
    assert every is None or isinstance(every, timedelta)
    at = moment + timedelta(hours=5) if "at" in what else None
    schedule = Schedule(anchor=moment - timedelta(days=1), zone=BERLIN, every=every, cron=cron, at=at)
    last, following = None, schedule.next_after(moment)
    while following is not None and following <= moment + away:
        last, following = following, schedule.next_after(following)
    assert schedule.last_due(moment, moment + away) == last


def test_once_is_once_and_a_time_that_was_past_when_it_was_made_never_comes() -> None:
    at = datetime(2026, 3, 29, 2, 30, tzinfo=BERLIN)  # does not exist
    schedule = Schedule(anchor=START, zone=BERLIN, at=at)
    moment = datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert schedule.next_after(START) == after_gap(at) == moment
    assert schedule.next_after(moment) is None
    assert Schedule(anchor=moment, zone=BERLIN, at=at).next_after(START) is None


def test_all_that_was_missed_is_one_firing_or_none() -> None:
    schedule = Schedule(anchor=START, zone=BERLIN, every=timedelta(minutes=5))
    now = START + timedelta(hours=8, minutes=2)
    last = START + timedelta(hours=8)
    assert to_fire(schedule, Missed.ONCE, START, now) == (last, True)
    assert to_fire(schedule, Missed.SKIP, START, now) == (last, False)
    assert to_fire(schedule, Missed.SKIP, START, last + GRACE) == (last, True)  # only late
    assert to_fire(schedule, Missed.ONCE, last, now) == (None, False)


def test_a_clock_that_is_set_back_makes_nothing_due_and_does_not_stop_what_comes() -> None:
    schedule = Schedule(anchor=START, zone=BERLIN, every=timedelta(minutes=5))
    settled, now = START + timedelta(days=3650), START + timedelta(hours=1)
    assert to_fire(schedule, Missed.ONCE, settled, now) == (None, False)
    assert schedule.next_after(now) == now + timedelta(minutes=5)


def test_a_schedule_over_ten_years_is_settled_in_no_time() -> None:
    schedule = Schedule(anchor=START, zone=BERLIN, every=timedelta(seconds=1))
    late = START + timedelta(days=3650, microseconds=1)
    assert schedule.last_due(START, late) == late - timedelta(microseconds=1)
