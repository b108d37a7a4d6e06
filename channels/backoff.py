"""How long to wait before something is tried again. Pure."""

from __future__ import annotations


def backoff_seconds(attempt: int, chance: float, *, first: float = 0.5, longest: float = 60.0) -> float:
    """Exponential backoff with full jitter: between nothing and `first` doubled with each attempt after the first,
    at most `longest`. `chance` is a random number from 0 to 1."""
    return min(longest, first * 2.0 ** min(max(attempt - 1, 0), 32)) * chance
