"""Telegram's limits, on a clock of our own."""

from __future__ import annotations

import pytest

from channels.telegram.pace import Bucket, Lane, Pace, Window

FOREVER = 1e9
GROUP, PERSON = "-100200", "42"


def times(pace: Pace, chats: list[str], lane: Lane = Lane.MESSAGE, now: float = 0.0) -> list[float]:
    """When messages to these chats go that are all asked for at `now`: each waits for its chat, then for its turn."""
    taken = sorted(now + pace.in_chat(chat, now, lane, FOREVER) for chat in chats)
    return [at + pace.over_all(at, lane, FOREVER) for at in taken]


def at_once(pace: Pace, chat: str, lane: Lane, now: float = 0.0) -> float:
    """The wait of one message, as the adapter asks."""
    wait = pace.in_chat(chat, now, lane, 2.0)
    return wait if wait > 2.0 else wait + pace.over_all(now + wait, lane, 2.0)


def most_within(going: list[float], seconds: float) -> int:
    return max(sum(1 for other in going if at <= other < at + seconds) for at in going)


def test_no_second_sees_more_than_thirty_messages_over_all_chats():
    pace = Pace(30.0)
    messages = times(pace, [str(chat) for chat in range(300)])
    control = times(pace, [str(chat) for chat in range(300, 330)], Lane.CONTROL)
    assert most_within(messages + control, 0.999) <= 30
    assert max(messages) < 300 / 20  # and the limit is used, not feared


def test_no_minute_sees_more_than_twenty_messages_in_a_group():
    pace = Pace(30.0)
    going = times(pace, [GROUP] * 60) + times(pace, [GROUP] * 6, Lane.CONTROL)
    assert most_within(going, 59.99) <= 20


def test_a_person_gets_a_burst_and_then_one_message_a_second():
    going = times(Pace(30.0), [PERSON] * 10)
    assert going[:5] == [0.0] * 5
    assert going[5:] == pytest.approx([1.0, 2.0, 3.0, 4.0, 5.0])


def test_one_chat_does_not_wait_for_another():
    pace = Pace(30.0)
    for _ in range(100):
        at_once(pace, GROUP, Lane.MESSAGE)
    assert at_once(pace, PERSON, Lane.MESSAGE) < 1.0


@pytest.mark.requirement("P4")
def test_a_control_reply_goes_at_once_behind_ten_thousand_messages():
    pace = Pace(30.0)
    for chat in range(10_000):
        at_once(pace, str(chat % 400), Lane.MESSAGE)
    assert at_once(pace, "3", Lane.CONTROL) <= 0.5
    assert at_once(pace, GROUP, Lane.CONTROL) <= 1.5


def test_who_waits_too_long_is_not_booked():
    pace = Pace(30.0)
    times(pace, [GROUP] * 17)
    assert all(at_once(pace, GROUP, Lane.MESSAGE) >= 60.0 for _ in range(50))
    assert at_once(pace, GROUP, Lane.MESSAGE, 61.0) == 0.0


def test_previews_leave_half_of_the_burst_to_messages():
    pace = Pace(30.0)
    shown = sum(pace.in_chat(GROUP, 0.0, Lane.LIVE, 0.0) == 0.0 for _ in range(20))
    assert shown == 17 - 7
    assert [pace.in_chat(GROUP, 0.0, Lane.MESSAGE, 2.0) for _ in range(7)] == [0.0] * 7


@pytest.mark.requirement("P6")
def test_a_chats_long_pause_holds_up_only_this_chat():
    pace = Pace(30.0)
    pace.refused(GROUP, 0.0, 300.0, Lane.MESSAGE)
    assert at_once(pace, GROUP, Lane.CONTROL, 1.0) == 299.0
    assert at_once(pace, PERSON, Lane.MESSAGE, 1.0) == 0.0
    assert at_once(pace, GROUP, Lane.MESSAGE, 301.0) == 0.0


def test_a_preview_that_is_refused_silences_only_previews():
    pace = Pace(None)
    pace.refused(GROUP, 0.0, 300.0, Lane.LIVE)
    assert pace.in_chat(GROUP, 1.0, Lane.LIVE, 0.0) == 299.0
    assert at_once(pace, GROUP, Lane.MESSAGE, 1.0) == 0.0


def test_an_unknown_server_is_held_to_the_rules_only_after_it_complained():
    pace = Pace(None)
    assert times(pace, [PERSON] * 500) == [0.0] * 500
    pace.refused(PERSON, 0.0, 1.0, Lane.MESSAGE)
    assert max(times(pace, [PERSON] * 20, now=1.0)) > 10.0
    assert times(pace, [PERSON] * 20, now=700.0) == [700.0] * 20


def test_ten_thousand_quiet_chats_are_forgotten():
    pace = Pace(1e6)
    for chat in range(30_000):
        pace.in_chat(str(chat), float(chat), Lane.MESSAGE, 0.0)
    assert len(pace._chats) <= 10_001


@pytest.mark.parametrize("limit", [Bucket(2.0, 3), Window(3, 1.0)])
def test_a_limit_counts_what_it_let_go(limit):
    assert limit.spare(10.0) == 3
    for _ in range(3):
        assert limit.delay(10.0) == 0.0
        limit.book(10.0)
    assert limit.spare(10.0) == 0
    assert limit.delay(10.0) > 0.0
    assert limit.delay(20.0) == 0.0
