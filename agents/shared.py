"""What agents share beside files: values under keys, each with a version, and the port of who keeps them.

A value is set only by somebody who names the version that he has seen, so of two who race one is told that he was
too late. A version is never given twice: what was deleted and made again is something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NewType, Protocol

from agents.base import Claim, SessionId

Scope = NewType("Scope", str)
"""`tree:<root session>`, `agent:<name>` or `everyone`."""

SCOPES = ("tree", "agent", "everyone")

MOST_KEYS = 1_000  # of one scope
MOST_CHARACTERS = 5_000_000  # of all values of one scope
LONGEST_VALUE = 100_000  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedValue:
    key: str
    value: str
    version: int
    changed_by: SessionId
    changed_at: datetime


class Stale(Exception):
    """The version is not the one that was named. Nothing was written. `current` is None when there is none."""

    def __init__(self, current: SharedValue | None) -> None:
        super().__init__("no value" if current is None else f"version {current.version}")
        self.current = current


class SharedValues(Protocol):
    """Values by scope and key. Writes are one transaction with the check of the claim (they raise
    `agents.base.Fenced`), and idempotent by `call`."""

    async def value(self, scope: Scope, key: str) -> SharedValue | None: ...

    async def values(self, scope: Scope, prefix: str, limit: int) -> Sequence[SharedValue]:
        """Those whose key begins so, in the order of keys."""

    async def set(
        self, claim: Claim, call: str, scope: Scope, key: str, value: str, expected: int, now: datetime
    ) -> int:
        """The new version. `expected` is 0 for a key that is not there yet.

        Raises Stale, and Refused when the scope is full.
        """

    async def delete(self, claim: Claim, call: str, scope: Scope, key: str, expected: int, now: datetime) -> None:
        """Raises Stale."""
