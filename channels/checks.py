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

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum


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
    """One question with a stable id. `network`: asks somebody outside of this machine."""

    id: str
    run: Callable[[], Awaitable[CheckResult]]
    network: bool = True


def ok(evidence: str) -> CheckResult:
    return CheckResult(result=Result.OK, evidence=evidence)


def warning(evidence: str, fix: str) -> CheckResult:
    return CheckResult(result=Result.WARNING, evidence=evidence, fix=fix)


def failed(evidence: str, fix: str) -> CheckResult:
    return CheckResult(result=Result.FAILED, evidence=evidence, fix=fix)


def skipped(evidence: str) -> CheckResult:
    return CheckResult(result=Result.SKIPPED, evidence=evidence)
