"""`run`, and what one does before it: `check` and `schema`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from bot.cli.options import config_option, json_option, loaded


@click.command()
@config_option
def run(config_file: Path | None) -> None:
    """Start Threadmill and stay until it is stopped.

    Ctrl-C (or SIGTERM) stops it gracefully, a second one at once.
    """
    from bot.cli.process import run_until_stopped

    run_until_stopped(loaded(config_file))


@click.command()
@config_option
@json_option
def check(config_file: Path | None, as_json: bool) -> None:
    """Validate the configuration, and nothing else.

    Prints every problem as `file:line: key: what to do` and ends with 2 when there is one.
    """
    from bot.cli.output import print_json
    from bot.config import ConfigInvalid, load

    try:
        config = load(config_file)
    except ConfigInvalid as error:
        if as_json:
            print_json(
                {
                    "valid": False,
                    "problems": [
                        {
                            "file": str(problem.file),
                            "line": problem.line,
                            "key": problem.key or None,
                            "message": problem.message,
                        }
                        for problem in error.problems
                    ],
                }
            )
        else:
            for problem in error.problems:
                click.echo(str(problem), err=True)
            click.echo(f"{len(error.problems)} to put right", err=True)
        raise SystemExit(2) from error
    counts = {
        "channels": len(config.channels),
        "models": len(config.models),
        "agents": len(config.agents),
        "routes": len(config.routes),
        "people": len(config.people),
        "monitors": len(config.monitors),
    }
    if as_json:
        print_json({"valid": True, "file": str(config.file) if config.file else None, **counts})
        return
    said = ", ".join(f"{number} {noun if number != 1 else noun.removesuffix('s')}" for noun, number in counts.items())
    said = said.replace("1 people", "1 person")
    click.echo(f"{config.file or 'no file, the defaults'}: fine ({said})")


@click.command()
def schema() -> None:
    """Print the JSON Schema of config.toml, for editors."""
    import json

    from bot.config.schema import schema as described

    click.echo(json.dumps(described(), indent=2, ensure_ascii=False))
