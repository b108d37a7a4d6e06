"""The table of moves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.base import State
from agents.session import MOVES, IllegalMove, Move, moved, session_id


@given(st.lists(st.sampled_from(Move)))
def test_nothing_leads_out_of_the_end(moves: list[Move]) -> None:
    state = State.IDLE
    was_ended = False
    for move in moves:
        try:
            state = moved(state, move)
        except IllegalMove:
            continue
        assert not was_ended, "a session that ended has moved"
        was_ended = state is State.ENDED


@pytest.mark.parametrize("state", [state for state in State if state is not State.ENDED])
def test_every_living_state_can_end(state: State) -> None:
    assert moved(state, Move.END) is State.ENDED


def test_every_state_can_be_reached_from_idle() -> None:
    reached = {State.IDLE}
    while True:
        more = {after for (before, _), after in MOVES.items() if before in reached} - reached
        if not more:
            break
        reached |= more
    assert reached == set(State)


def test_a_move_that_is_not_in_the_table_says_what_it_was() -> None:
    with pytest.raises(IllegalMove, match="idle cannot park"):
        moved(State.IDLE, Move.PARK)


@given(st.text())
def test_the_same_cause_makes_the_same_short_id(key: str) -> None:
    assert session_id(key) == session_id(key)
    assert len(session_id(key)) == 11
