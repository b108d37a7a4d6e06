"""Live checks: is it really connected, allowed, and set up as it should be? And what to do where it is not.

A platform's module `channels/<kind>/connect.py` may export

    def checks(settings: Settings, name: ChannelName, rooms: Sequence[ThreadRef]) -> Sequence[Check]
    async def prove(settings: Settings) -> CheckResult
    async def where_to_write(settings: Settings) -> str
    GUIDE: str

`checks` are what `threadmill doctor` runs (`rooms` are the places that routes and monitors name), `prove` is what
`threadmill init` tries a pasted token with, and `GUIDE` tells a person, in Markdown, how to get the tokens;
`where_to_write`, once they work, how to meet the bot. A check's id is `channel.<name>.<what>`. Whoever runs a check
gives it a time-out and takes what it raises for a failure; a check never changes anything that a person would notice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any, TypeVar

T = TypeVar("T")

CLOCK_SECONDS = 30.0
"""By how much this machine's clock may differ from a platform's."""


class Result(Enum):
    OK = "ok"
    WARNING = "warning"  # works, but should be looked at
    FAILED = "failed"
    SKIPPED = "skipped"  # cannot be told now, or does not apply


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """`evidence` says what was seen, without any token; `fix` the exact thing to do, empty when all is well."""

    result: Result
    evidence: str
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question with a stable id."""

    id: str
    run: Callable[[], Awaitable[CheckResult]]
    network: bool = True  # it asks somebody outside of this machine
    disturbs: bool = False  # a Threadmill that runs with these settings: left out while one does


def ok(evidence: str) -> CheckResult:
    return CheckResult(result=Result.OK, evidence=evidence)


def warning(evidence: str, fix: str) -> CheckResult:
    return CheckResult(result=Result.WARNING, evidence=evidence, fix=fix)


def failed(evidence: str, fix: str) -> CheckResult:
    return CheckResult(result=Result.FAILED, evidence=evidence, fix=fix)


def skipped(evidence: str) -> CheckResult:
    return CheckResult(result=Result.SKIPPED, evidence=evidence)


def clock_check(date: str, platform: str) -> CheckResult:
    """This machine's clock against a platform's, which its answers carry in the header Date."""
    try:
        ahead = time.time() - parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError):
        return skipped(f"{platform} did not tell the time")
    if abs(ahead) > CLOCK_SECONDS:
        return warning(
            f"this machine's clock is {ahead:+.0f} s off {platform}'s",
            "let it be set from the network: `timedatectl set-ntp true`",
        )
    return ok(f"this machine's clock is within {max(abs(ahead), 1):.0f} s of {platform}'s")


def once(ask: Callable[[], Coroutine[Any, Any, T]]) -> Callable[[], Awaitable[T]]:
    """`ask`, asked once for all who want to know. Whoever is cut off takes the answer from no other."""
    asked: list[asyncio.Task[T]] = []

    async def answer() -> T:
        if not asked:
            asked.append(asyncio.ensure_future(ask()))
        return await asyncio.shield(asked[0])

    return answer
