"""The command `threadmill` and its verbs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import rich_click as click

from bot.cli import chat, doctor, forget, init, listings, operate, route, start
from bot.cli.failed import Failed


def _print_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from importlib.metadata import PackageNotFoundError, version

        try:
            click.echo(f"threadmill {version('threadmill')}")
        except PackageNotFoundError:
            click.echo("threadmill, not installed")
        context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show the version."
)
def threadmill() -> None:
    """A team of agents in the threads where people already talk.

    `threadmill run` starts it; without a configuration there is a page to talk on, and agents to talk to.
    """


for _verb in (
    start.run,
    init.init,
    start.check,
    start.schema,
    doctor.doctor,
    chat.chat,
    listings.status,
    listings.sessions,
    listings.history,
    listings.deliveries,
    operate.deadletters,
    listings.monitors,
    listings.cost,
    operate.audit,
    forget.forget,
    route.route,
):
    threadmill.add_command(_verb)


def run(arguments: Sequence[str]) -> int:
    """Run one verb; the exit code."""
    try:
        _main(arguments)
    except Failed as failure:
        for line in str(failure).splitlines():
            click.echo(line if failure.code == 2 else f"threadmill: {line}", err=True)
        return failure.code
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BrokenPipeError:  # `threadmill sessions | head`
        sys.stderr.close()
        return 1


def _main(arguments: Sequence[str]) -> NoReturn:
    main: Any = threadmill.main
    main(list(arguments), prog_name="threadmill")
    raise AssertionError("click ends with SystemExit")
