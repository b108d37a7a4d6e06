"""Discord's rate limits, enforced on whoever asks, with the headers that Discord sends."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(slots=True)
class _Window:
    used: int = 0
    ends: float = 0.0


class RateLimits:
    """Fixed windows for each bucket, and one of 50 requests a second over all. `rules`: bucket -> (count, seconds)."""

    def __init__(self) -> None:
        self.rules: dict[str, tuple[int, float]] = {
            "post": (1000, 1.0),
            "edit": (1000, 1.0),
            "delete": (1000, 1.0),
        }
        self.overall_per_second = 1_000_000
        self.refused = 0
        self._windows: dict[tuple[str, str], _Window] = {}
        self._all = _Window()

    def as_documented(self) -> None:
        """The limits that bots meet on Discord."""
        self.rules = {"post": (5, 5.0), "edit": (5, 5.0), "delete": (5, 1.0), "react": (1, 0.25)}
        self.overall_per_second = 50

    def take(self, bucket: str, major: str) -> tuple[dict[str, str], float, bool]:
        """Headers of the answer, seconds to wait when it must be refused (0: fine), and whether the limit is global."""
        now = time.monotonic()
        if now >= self._all.ends:
            self._all = _Window(0, now + 1.0)
        self._all.used += 1
        if self._all.used > self.overall_per_second:
            self.refused += 1
            return {"X-RateLimit-Global": "true", "X-RateLimit-Scope": "global"}, self._all.ends - now, True
        rule = self.rules.get(bucket)
        if rule is None:
            return {}, 0.0, False
        limit, seconds = rule
        window = self._windows.setdefault((bucket, major), _Window())
        if now >= window.ends:
            window.used, window.ends = 0, now + seconds
        wait = 0.0
        if window.used >= limit:
            wait = window.ends - now
            self.refused += 1
        else:
            window.used += 1
        headers = {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(limit - window.used),
            "X-RateLimit-Reset": f"{time.time() + window.ends - now:.3f}",
            "X-RateLimit-Reset-After": f"{window.ends - now:.3f}",
            "X-RateLimit-Bucket": f"loopback-{bucket}",
        }
        if wait:
            headers["X-RateLimit-Scope"] = "user"
        return headers, wait, False
