"""A circuit breaker: a model that keeps failing is left alone for a while, then tried with one call.

Without it each message would wait through every retry of a provider that is down before its fallback is
asked. Pure: a state is a value, each move returns the next one, and `now` (seconds of any monotonic
clock) is passed in.

    CLOSED ──failures in a row──▶ OPEN ──its time is over, one call is let through──▶ HALF_OPEN
       ▲                           ▲                                                     │
       └──────── success ──────────┴────────────────────── failure (longer) ─────────────┘

A trial call that is neither answered nor failed (its session was killed) gives the trial back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

FAILURES_TO_OPEN = 5
FIRST_OPEN_SECONDS = 15.0
LONGEST_OPEN_SECONDS = 300.0


class Circuit(Enum):
    CLOSED = "closed"  # calls go through
    OPEN = "open"  # calls are refused until `open_until`
    HALF_OPEN = "half_open"  # one trial call is under way, others are refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """One model's circuit."""

    circuit: Circuit = Circuit.CLOSED
    failures: int = 0  # in a row
    openings: int = 0  # in a row: each doubles the time
    open_until: float = 0.0

    def allows(self, now: float) -> bool:
        """Whether a call may go through now."""
        match self.circuit:
            case Circuit.CLOSED:
                return True
            case Circuit.OPEN:
                return now >= self.open_until
            case Circuit.HALF_OPEN:
                return False

    def wait_seconds(self, now: float) -> float:
        """How long until a call may go through; 0 when it may now or when a trial call decides."""
        return max(0.0, self.open_until - now) if self.circuit is Circuit.OPEN else 0.0

    def begun(self, now: float) -> Breaker:
        """A call goes through. In an open circuit whose time is over it is the trial."""
        if self.circuit is Circuit.OPEN and now >= self.open_until:
            return replace(self, circuit=Circuit.HALF_OPEN)
        return self

    def succeeded(self) -> Breaker:
        """A call was answered (also with a refusal: the provider works)."""
        return Breaker()

    def failed(self, now: float, *, retry_after_seconds: float = 0.0) -> Breaker:
        """A call failed. A server that asks for more than a short wait opens the circuit at once, for that long."""
        failures = self.failures + 1
        asked = min(retry_after_seconds, LONGEST_OPEN_SECONDS)
        trial_failed = self.circuit is Circuit.HALF_OPEN
        if not trial_failed and failures < FAILURES_TO_OPEN and asked < FIRST_OPEN_SECONDS:
            return replace(self, failures=failures)
        if self.circuit is Circuit.OPEN:  # calls that began before it opened: they prolong nothing
            return replace(self, failures=failures, open_until=max(self.open_until, now + asked))
        seconds = min(FIRST_OPEN_SECONDS * 2.0 ** min(self.openings, 10), LONGEST_OPEN_SECONDS)
        return Breaker(
            circuit=Circuit.OPEN,
            failures=failures,
            openings=self.openings + 1,
            open_until=now + max(seconds, asked),
        )

    def abandoned(self, now: float) -> Breaker:
        """A call ended without telling anything. The next one is the trial."""
        if self.circuit is Circuit.HALF_OPEN:
            return replace(self, circuit=Circuit.OPEN, open_until=now)
        return self
