"""Run checks: all at once, each with its own time-out, and none of them able to spoil the others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from channels.checks import Check, CheckResult, failed

_TIMEOUT_SECONDS = 20.0
_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A check that has run."""

    id: str
    result: CheckResult
    seconds: float


async def run_checks(
    checks: Sequence[Check], done: Callable[[], None] = lambda: None, timeout_seconds: float = _TIMEOUT_SECONDS
) -> list[Examined]:
    """Run them at once, each with its own time-out; the results in the order of the checks."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(check: Check) -> Examined:
        async with room:
            began = time.monotonic()
            result = await _result(check, timeout_seconds)
            done()
            return Examined(id=check.id, result=result, seconds=time.monotonic() - began)

    return list(await asyncio.gather(*(one(check) for check in checks)))


async def _result(check: Check, timeout_seconds: float) -> CheckResult:
    try:
        async with asyncio.timeout(timeout_seconds):
            return await check.run()
    except TimeoutError:
        return failed(
            f"no answer within {timeout_seconds:g} s", "look whether the network or the disk is slow, and try again"
        )
    except Exception as error:  # noqa: BLE001 - a check that breaks is a finding, not the end of the others
        return failed(f"the check itself broke: {type(error).__name__}: {error}", "report this as a bug of Threadmill")
