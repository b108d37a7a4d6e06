"""The circuit breaker, as a pure machine."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agents.models.breaker import (
    FAILURES_TO_OPEN,
    FIRST_OPEN_SECONDS,
    LONGEST_OPEN_SECONDS,
    Breaker,
    Circuit,
)


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES_TO_OPEN):
        breaker = breaker.failed(now)
    return breaker


def test_it_opens_after_failures_in_a_row_and_not_before() -> None:
    breaker = Breaker()
    for _ in range(FAILURES_TO_OPEN - 1):
        breaker = breaker.failed(0.0)
        assert breaker.allows(0.0)
    assert breaker.succeeded() == Breaker()
    assert breaker.failed(0.0).circuit is Circuit.OPEN


def test_an_open_circuit_lets_one_trial_through_when_its_time_is_over() -> None:
    breaker = opened()
    assert not breaker.allows(FIRST_OPEN_SECONDS - 0.1)
    assert breaker.wait_seconds(5.0) == FIRST_OPEN_SECONDS - 5.0
    assert breaker.allows(FIRST_OPEN_SECONDS)
    trial = breaker.begun(FIRST_OPEN_SECONDS)
    assert trial.circuit is Circuit.HALF_OPEN
    assert not trial.allows(FIRST_OPEN_SECONDS + 1000.0)
    assert trial.succeeded() == Breaker()


def test_a_failed_trial_opens_it_for_longer_up_to_a_limit() -> None:
    breaker, now = opened(), 0.0
    waits = []
    for _ in range(10):
        waits.append(breaker.wait_seconds(now))
        now = breaker.open_until
        breaker = breaker.begun(now).failed(now)
    assert waits[:3] == [FIRST_OPEN_SECONDS, 2 * FIRST_OPEN_SECONDS, 4 * FIRST_OPEN_SECONDS]
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_OPEN_SECONDS


def test_an_abandoned_trial_lets_the_next_call_try() -> None:
    breaker = opened()
    trial = breaker.begun(breaker.open_until)
    assert trial.abandoned(20.0).allows(20.0)
    assert Breaker().abandoned(20.0) == Breaker()


def test_a_server_that_asks_for_a_long_wait_is_left_alone_at_once() -> None:
    breaker = Breaker().failed(100.0, retry_after_seconds=120.0)
    assert not breaker.allows(219.0)
    assert breaker.allows(220.0)
    capped = Breaker().failed(0.0, retry_after_seconds=86_400.0)
    assert capped.allows(LONGEST_OPEN_SECONDS)
    assert Breaker().failed(0.0, retry_after_seconds=2.0).allows(0.0)


@given(st.lists(st.tuples(st.sampled_from(["begin", "succeed", "fail", "abandon"]), st.floats(0, 100)), max_size=60))
def test_whatever_happens_it_lets_a_call_through_again_in_bounded_time(moves: list[tuple[str, float]]) -> None:
    breaker, now, trials = Breaker(), 0.0, 0
    for move, passed in moves:
        now += passed
        if move == "begin" and breaker.allows(now):
            breaker = breaker.begun(now)
            trials += 1
        elif trials and move != "begin":
            trials -= 1
            if move == "succeed":
                breaker = breaker.succeeded()
            else:
                breaker = breaker.failed(now) if move == "fail" else breaker.abandoned(now)
    if breaker.circuit is not Circuit.HALF_OPEN:
        assert breaker.allows(now + LONGEST_OPEN_SECONDS)
        assert breaker.wait_seconds(now) <= LONGEST_OPEN_SECONDS
    else:
        assert trials > 0
