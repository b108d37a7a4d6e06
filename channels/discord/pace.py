"""Discord's rate limits, kept by asking first.

Discord tells a bucket's state with each answer (`X-RateLimit-*`), and one bot may make 50 requests a second over all,
of which no header tells: that is kept from the start where we are told so, else from the first refusal on.
`wait_for` says how long a request must wait, and takes its slot when that is nothing. Requests of the urgent lane may
use the last slots, of a bucket and over all, which the others leave to them: what waits in a room is no reason for a
control reply there to wait. Pure: it takes the time as an argument and never sleeps; who
waits, and who gives up and comes later, is decided in `rest`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

OVERALL_PER_SECOND = 50
_KEPT_FOR_URGENT = 0.1  # of the overall limit
_WORTH_A_RESERVE = 4  # requests in a window: one of them is then kept for what is urgent
_MOST_BUCKETS = 4_096
_INVALID_LIMIT = 9_000  # Discord bans an address after 10,000 answers of 401, 403 or 429 in ten minutes
_INVALID_WINDOW_SECONDS = 600.0


@dataclass(slots=True)
class _Bucket:
    remaining: int
    resets_at: float
    limit: int
    in_flight: int = 0
    urgent_waiting: int = 0


class Pace:
    """What is known of the limits. Keys are a route with its channel, guild or webhook."""

    def __init__(self, overall_per_second: int | None = None) -> None:
        self._overall_per_second = overall_per_second
        self._names: dict[str, str] = {}  # route key -> Discord's bucket name
        self._limits: dict[str, int] = {}  # route key -> requests in its window; 0 when it told of none
        self._buckets: dict[str, _Bucket] = {}
        self._recent: deque[float] = deque()
        self._all_wait_until = 0.0
        self._invalid: deque[float] = deque()

    def wait_for(self, route: str, major: str, now: float, *, urgent: bool = False, counted: bool = True) -> float:
        """Seconds until this request may go; 0 means that it goes now, and its slot is taken."""
        waits = [self._all_wait_until - now, self._ban_guard(now)]
        bucket = self._bucket(route, major, now)
        if bucket is not None:
            if now >= bucket.resets_at:
                bucket.remaining = max(bucket.remaining, bucket.limit - bucket.in_flight)
            free = bucket.remaining - (0 if urgent else max(bucket.urgent_waiting, bucket.limit >= _WORTH_A_RESERVE))
            if free <= 0:
                waits.append(max(bucket.resets_at - now, 0.01))
        if counted:
            waits.append(self._overall(now, urgent=urgent))
        longest = max(waits)
        if longest > 0:
            return longest
        if bucket is not None:
            bucket.remaining -= 1
            bucket.in_flight += 1
        if counted and self._overall_per_second is not None:
            self._recent.append(now)
        return 0.0

    def waits_urgently(self, route: str, major: str, change: int) -> None:
        """An urgent request has begun (+1) or ceased (-1) to wait for this bucket."""
        bucket = self._buckets.get(self._key(route, major))
        if bucket is not None:
            bucket.urgent_waiting = max(0, bucket.urgent_waiting + change)

    def answered(self, route: str, major: str, headers: Mapping[str, str], now: float) -> None:
        """Learn from an answer's headers, whatever its status. Headers that are missing or broken teach nothing."""
        taken = self._buckets.get(self._key(route, major))
        if taken is not None:
            taken.in_flight = max(0, taken.in_flight - 1)
        name = headers.get("X-RateLimit-Bucket")
        if name:
            self._names[route] = name
        limit, remaining = _number(headers, "X-RateLimit-Limit"), _number(headers, "X-RateLimit-Remaining")
        reset_after = _number(headers, "X-RateLimit-Reset-After")
        if limit is None or remaining is None or reset_after is None:
            if self._limits.setdefault(route, 0) == 0:
                self._buckets.pop(self._key(route, major), None)
            return
        key = self._key(route, major)
        bucket = self._buckets.get(key)
        if bucket is None:
            # Until now the bucket had no name: what was taken under the route's is taken from it.
            bucket = self._buckets[key] = taken or _Bucket(0, 0.0, 1)
        self._limits[route] = bucket.limit = max(1, int(limit))
        bucket.remaining = int(remaining) - bucket.in_flight
        bucket.resets_at = now + reset_after

    def lost(self, route: str, major: str) -> None:
        """A request that took its slot ended without an answer."""
        taken = self._buckets.get(self._key(route, major))
        if taken is not None:
            taken.in_flight = max(0, taken.in_flight - 1)

    def refused(self, route: str, major: str, retry_after: float, now: float, *, everything: bool) -> None:
        """Discord answered 429: nothing more into this bucket (or none at all) before `retry_after` seconds."""
        if everything:
            self._all_wait_until = max(self._all_wait_until, now + retry_after)
            self._overall_per_second = self._overall_per_second or OVERALL_PER_SECOND
            return
        key = self._key(route, major)
        bucket = self._buckets.setdefault(key, _Bucket(0, 0.0, 1))
        bucket.remaining = 0
        bucket.resets_at = max(bucket.resets_at, now + retry_after)

    def invalid(self, now: float) -> None:
        """Count an answer that Discord holds against the address."""
        self._invalid.append(now)

    def _bucket(self, route: str, major: str, now: float) -> _Bucket | None:
        """The bucket of a request. A route that is new lets one request go, and learns from its answer."""
        key = self._key(route, major)
        limit = self._limits.get(route, 1)
        if key not in self._buckets and limit:
            self._drop_idle(now)
            self._buckets[key] = _Bucket(limit, now, limit)
        return self._buckets.get(key)

    def _key(self, route: str, major: str) -> str:
        return f"{self._names.get(route, route)} {major}"

    def _overall(self, now: float, *, urgent: bool) -> float:
        if self._overall_per_second is None:
            return 0.0
        while self._recent and self._recent[0] <= now - 1.0:
            self._recent.popleft()
        kept = 0 if urgent else int(self._overall_per_second * _KEPT_FOR_URGENT)
        allowed = max(1, self._overall_per_second - kept)
        return self._recent[-allowed] + 1.0 - now if len(self._recent) >= allowed else 0.0

    def _ban_guard(self, now: float) -> float:
        while self._invalid and self._invalid[0] <= now - _INVALID_WINDOW_SECONDS:
            self._invalid.popleft()
        return self._invalid[0] + _INVALID_WINDOW_SECONDS - now if len(self._invalid) >= _INVALID_LIMIT else 0.0

    def _drop_idle(self, now: float) -> None:
        if len(self._buckets) >= _MOST_BUCKETS:
            idle = [key for key, bucket in self._buckets.items() if bucket.resets_at < now and not bucket.in_flight]
            for key in idle:
                del self._buckets[key]


def _number(headers: Mapping[str, str], name: str) -> float | None:
    try:
        return float(headers[name])
    except (KeyError, ValueError):
        return None
