"""The moves of a session: one table, no I/O. Whoever writes a state asks this table first."""

from __future__ import annotations

import base64
import hashlib
from enum import Enum

from agents.base import SessionId, State, TurnId


class Move(Enum):
    BEGIN = "begin"  # a turn begins, or one that was begun is taken up
    FINISH = "finish"  # the turn ended, the session stays
    PARK = "park"  # the turn waits for mail, holding nothing
    STOP = "stop"  # somebody asked for the turn to end
    END = "end"  # done, failed, killed, timed out or expired


MOVES: dict[tuple[State, Move], State] = {
    (State.IDLE, Move.BEGIN): State.RUNNING,
    (State.IDLE, Move.END): State.ENDED,
    (State.RUNNING, Move.BEGIN): State.RUNNING,
    (State.RUNNING, Move.FINISH): State.IDLE,
    (State.RUNNING, Move.PARK): State.WAITING,
    (State.RUNNING, Move.STOP): State.STOPPING,
    (State.RUNNING, Move.END): State.ENDED,
    (State.WAITING, Move.BEGIN): State.RUNNING,
    (State.WAITING, Move.STOP): State.STOPPING,
    (State.WAITING, Move.END): State.ENDED,
    (State.STOPPING, Move.BEGIN): State.STOPPING,
    (State.STOPPING, Move.FINISH): State.IDLE,
    (State.STOPPING, Move.STOP): State.STOPPING,
    (State.STOPPING, Move.END): State.ENDED,
}


class IllegalMove(Exception):
    """The table has no such move."""


def moved(state: State, move: Move) -> State:
    """The state after a move. Raises IllegalMove."""
    try:
        return MOVES[state, move]
    except KeyError:
        raise IllegalMove(f"a session that is {state.value} cannot {move.value}") from None


def session_id(key: str) -> SessionId:
    """The id of the session that `key` makes: the same cause makes the same session."""
    return SessionId("s" + short_hash(key, 10))


def turn_id(session: SessionId, number: int) -> TurnId:
    return TurnId(f"{session}.t{number}")


def short_hash(text: str, length: int) -> str:
    """A short name that the same text always gives."""
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode().lower()[:length]
