"""What becomes of a delivery that was not said: one table, a pure function.

    what the channel says    what becomes of the delivery
    TemporaryFailure         later, in the same lane, whose order is kept; control replies pass
    Unavailable              later; and after `fallback_after` the next place of the person's reach
    Rejected                 dead letter; for a thread to be opened the room, or the parent's home
    RoomMoved                now, in the room's new lane; later, when it moves on and on
    UnknownOutcome           in doubt: sent again under the same key where the platform forgives that, looked up where
                             it can be, and else *unknown*: never doubled silently
    anything else            a bug in an adapter: tried a few times; in doubt when it was handed over already

What is in doubt already stays so whatever happens, until somebody finds out or nobody can: a failure of the second
call says nothing about the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from channels.backoff import backoff_seconds
from channels.base import Capability, Rejected, RoomMoved, TemporaryFailure, Unavailable, UnknownOutcome
from channels.delivery.base import DeliveryState

BUGS = 5  # tries of something that fails in a way no adapter should
_MOVES = 5  # tries from which a room that moves is followed at a slower pace
_LONGEST_SECONDS = 60.0
_LONGEST_UNAVAILABLE_SECONDS = 5.0
_SHORTEST_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """How far a try came, and what is known beside it."""

    attempt: int  # of this try, from 1
    bugs: int  # tries that ended in a bug, this one included
    age: timedelta
    max_age: timedelta
    down_for: timedelta  # how long the channel has been away
    fallback_after: timedelta
    settle: timedelta
    can: Capability
    opening: bool
    doubt: bool  # an earlier try of this part may have been said
    handed_over: bool  # the channel had been called this time
    chance: float  # a random number from 0 to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    after: timedelta
    doubt: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    state: DeliveryState


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """Another place, or, where there is none, later."""

    otherwise: Later | GiveUp


@dataclass(frozen=True, slots=True, kw_only=True)
class WithoutThread:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterTheRoom:
    """In the room by its new id."""

    to: str
    later: Later


Move = Later | GiveUp | Elsewhere | WithoutThread | AfterTheRoom


def decide(error: Exception, at: Situation) -> Move:
    match error:
        case RoomMoved():
            later = _later(at, _pause(at, _LONGEST_SECONDS) if at.attempt > _MOVES else timedelta())
            return AfterTheRoom(to=error.to, later=later) if isinstance(later, Later) else later
        case Rejected() if at.opening:
            return WithoutThread()  # what the session has to say can still be said
        case Rejected():
            return GiveUp(state=_lost(at))
        case Unavailable():
            return _unavailable(at)
        case TemporaryFailure():
            return _later(at, _pause(at, _LONGEST_SECONDS), wait=error.retry_after or timedelta())
        case UnknownOutcome() | TimeoutError():
            return _unknown(at)
    if at.bugs >= BUGS:
        return GiveUp(state=DeliveryState.UNKNOWN if at.handed_over else _lost(at))
    return _unknown(at) if at.handed_over else _later(at, _pause(at, _LONGEST_SECONDS))


def _unavailable(at: Situation) -> Move:
    pause = _pause(at, _LONGEST_UNAVAILABLE_SECONDS)
    if at.down_for < at.fallback_after:
        return _later(at, min(pause, at.fallback_after - at.down_for))
    if at.doubt:
        # Whoever comes behind it need not wait for that platform; it is looked up when the platform is back.
        return GiveUp(state=DeliveryState.UNKNOWN)
    return Elsewhere(otherwise=_later(at, pause))


def _unknown(at: Situation) -> Later | GiveUp:
    if at.opening:  # a second thread does less harm than none
        return _later(at, _pause(at, _LONGEST_SECONDS), wait=at.settle, doubt=True)
    if at.can & (Capability.IDEMPOTENT_SEND | Capability.RECONCILE):
        return _later(at, _pause(at, _LONGEST_SECONDS), wait=at.settle, doubt=True)
    return GiveUp(state=DeliveryState.UNKNOWN)


def _later(
    at: Situation, pause: timedelta, *, wait: timedelta = timedelta(), doubt: bool | None = None
) -> Later | GiveUp:
    doubt = at.doubt if doubt is None else doubt
    if at.age > at.max_age:
        return GiveUp(state=DeliveryState.UNKNOWN if doubt else DeliveryState.DEAD)
    return Later(after=max(pause, wait), doubt=doubt)


def _lost(at: Situation) -> DeliveryState:
    return DeliveryState.UNKNOWN if at.doubt else DeliveryState.DEAD


def _pause(at: Situation, longest: float) -> timedelta:
    return timedelta(seconds=max(_SHORTEST_SECONDS, backoff_seconds(at.attempt, at.chance, longest=longest)))
