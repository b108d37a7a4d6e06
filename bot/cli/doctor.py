"""`doctor`: live checks of everything configured, all at once, each with what was seen and what to do."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from bot.cli.failed import Failed
from bot.cli.options import config_option, json_option, loaded
from bot.cli.output import clean, coloured, print_json

if TYPE_CHECKING:
    from bot.cli.examine import Examined
    from channels.checks import CheckResult

_LABEL = 16
_INDENT = " " * (_LABEL + 5)
_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red"), "skipped": ("·", "bright_black")}


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
        _print_sections(examined) if sys.stdout.isatty() else _print_plain(examined)
        counts = {name: sum(one.result.result.value == name for one in examined) for name in _MARKS}
        click.echo(
            f"{len(examined)} checks: " + ", ".join(f"{count} {name}" for name, count in counts.items() if count),
            err=True,
        )
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


def _print_plain(found: Sequence[Examined]) -> None:
    """A line for each check, for programs that read lines."""
    for one in found:
        click.echo(f"{one.result.result.value:<8} {one.id:<28} {clean(one.result.evidence)}")
        if one.result.fix:
            click.echo(f"{'':<8} {'':<28} → {clean(one.result.fix)}")


def _print_sections(found: Sequence[Examined]) -> None:
    """For a person: by what was looked at, wrapped to the terminal."""
    width = min(max(60, shutil.get_terminal_size().columns), 140)
    sections: dict[str, list[tuple[str, Examined]]] = {}
    for one in found:
        section, name = _place(one.id)
        sections.setdefault(section, []).append((name, one))
    for section, members in sections.items():
        click.echo(_styled(section, bold=True))
        for name, one in members:
            _print_one(name, one.result, width)
        click.echo()


def _print_one(name: str, result: CheckResult, width: int) -> None:
    mark, colour = _MARKS[result.result.value]
    label = f"{name:<{_LABEL}} " if len(name) <= _LABEL else f"{name}\n{_INDENT}"
    lines = textwrap.wrap(clean(result.evidence), width - len(_INDENT), break_long_words=False, break_on_hyphens=False)
    click.echo(f"  {_styled(mark, fg=colour)} {label}" + f"\n{_INDENT}".join(lines or [""]))
    for at, line in enumerate(textwrap.wrap(clean(result.fix), width - len(_INDENT) - 2, break_long_words=False)):
        click.echo(f"{_INDENT}{_styled('→ ' if at == 0 else '  ', fg=colour)}{line}")


def _place(id: str) -> tuple[str, str]:
    """The heading that a check stands under, and what it is called there."""
    first, _, rest = id.partition(".")
    if first != "channel":
        return first, rest
    channel, _, what = rest.partition(".")
    return f"channel {channel}", what or "any"


def _styled(text: str, **style: Any) -> str:
    return click.style(text, **style) if coloured() else text


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
