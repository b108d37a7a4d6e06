"""`doctor`: live checks of everything configured, all at once, each with what was seen and what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from bot.cli.failed import Failed
from bot.cli.options import config_option, json_option, loaded
from bot.cli.output import clean, coloured, print_json

if TYPE_CHECKING:
    from bot.cli.examine import Examined

_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": "bright_black"}


@click.command()
@config_option
@json_option
@click.option("--offline", is_flag=True, help="Leave out what asks models and platforms.")
def doctor(config_file: Path | None, as_json: bool, offline: bool) -> None:
    """Check live that everything configured works.

    Each line has an id, a result, what was seen and what to do. Ends with 1 when one fails. Models are
    asked for a few tokens, which costs a tiny amount; --offline leaves them and the platforms out.
    """
    import asyncio

    from bot.cli import doctor_checks, doctor_machine
    from bot.cli.examine import run_checks

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
