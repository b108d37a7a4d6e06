"""`doctor`: live checks of everything configured, all at once, each with what was seen and what to do."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from bot.cli.failed import Failed
from bot.cli.options import config_option, json_option, loaded
from bot.cli.output import clean, coloured, print_json

if TYPE_CHECKING:
    from channels.checks import Check, CheckResult

_TIMEOUT_SECONDS = 20.0
_AT_ONCE = 16
_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": "bright_black"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A check that has run."""

    id: str
    result: CheckResult
    seconds: float


@click.command()
@config_option
@json_option
@click.option("--offline", is_flag=True, help="Leave out what asks models and platforms.")
def doctor(config_file: Path | None, as_json: bool, offline: bool) -> None:
    """Check live that everything configured works.

    Each line has an id, a result, what was seen and what to do. Ends with 1 when one fails. Models are
    asked for a few tokens, which costs a tiny amount; --offline leaves them and the platforms out.
    """
    from bot.cli import doctor_checks, doctor_machine

    try:
        config = loaded(config_file)
    except Failed as failure:
        checks = [*doctor_machine.without_config(), doctor_checks.config_is_broken(str(failure))]
    else:
        checks = [*doctor_machine.without_config(), *doctor_machine.of(config), *doctor_checks.of(config)]
    with _progress(len(checks)) as advance:
        examined = asyncio.run(run_checks([check for check in checks if not (offline and check.network)], advance))
    if as_json:
        print_json([_as_json(one) for one in examined])
    else:
        for one in examined:
            _print(one)
        counts = {name: sum(one.result.result.value == name for one in examined) for name in _COLOURS}
        click.echo(", ".join(f"{count} {name}" for name, count in counts.items() if count), err=True)
    if any(one.result.result.value == "failed" for one in examined):
        raise SystemExit(1)


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
    from channels.checks import failed

    try:
        async with asyncio.timeout(timeout_seconds):
            return await check.run()
    except TimeoutError:
        return failed(
            f"no answer within {timeout_seconds:g} s", "look whether the network or the disk is slow, and try again"
        )
    except Exception as error:  # noqa: BLE001 - a check that breaks is a finding, not the end of the others
        return failed(f"the check itself broke: {type(error).__name__}: {error}", "report this as a bug of Threadmill")


def _as_json(one: Examined) -> dict[str, object]:
    return {
        "id": one.id,
        "result": one.result.result.value,
        "evidence": one.result.evidence,
        "fix": one.result.fix or None,
        "seconds": round(one.seconds, 3),
    }


def _print(one: Examined) -> None:
    word = one.result.result.value
    mark = click.style(f"{word:<8}", fg=_COLOURS[word], bold=word == "failed") if coloured() else f"{word:<8}"
    click.echo(f"{mark} {one.id:<28} {clean(one.result.evidence)}")
    if one.result.fix:
        click.echo(f"{'':<8} {'':<28} → {clean(one.result.fix)}")


class _progress:  # noqa: N801 - used like a function
    """A bar on the terminal of a person, nothing elsewhere."""

    def __init__(self, total: int) -> None:
        self._total, self._done = total, 0
        self._shown = sys.stderr.isatty()

    def __enter__(self) -> Callable[[], None]:
        return self._advance

    def __exit__(self, *_: object) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")

    def _advance(self) -> None:
        self._done += 1
        if self._shown:
            width = 24 * self._done // self._total
            sys.stderr.write(f"\r\x1b[K{'━' * width}{'╌' * (24 - width)} {self._done}/{self._total} checks")
            sys.stderr.flush()
