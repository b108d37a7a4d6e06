"""Options that several verbs share, and what they lead to: the configuration, the database, the running Threadmill."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import rich_click as click

from bot.cli.failed import Failed

if TYPE_CHECKING:
    from bot.config import Config
    from storage.database import Database
    from storage.views import Views

T = TypeVar("T")

config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The configuration; config.toml of this folder when left out, and without one the defaults.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")


def limit_option(default: int) -> Callable[[Callable[..., T]], Callable[..., T]]:
    return click.option(
        "--limit", type=click.IntRange(1, 1000), default=default, show_default=True, help="How many rows at most."
    )


def loaded(config_file: Path | None) -> Config:
    """The configuration, or every problem with it and exit code 2."""
    from bot.config import ConfigInvalid, load

    try:
        return load(config_file)
    except ConfigInvalid as error:
        raise Failed(str(error), code=2) from error


def read_views(config: Config, work: Callable[[Views], Awaitable[T]]) -> T:
    """Look into the database, also while Threadmill runs."""
    from storage.views import Views

    return read_database(config, lambda database: work(Views(database)))


def read_database(config: Config, work: Callable[[Database], Awaitable[T]]) -> T:
    import asyncio

    from storage.database import StorageError, opened_for_reading

    async def look() -> T:
        async with opened_for_reading(config.bot.data) as database:
            return await work(database)

    try:
        return asyncio.run(look())
    except StorageError as error:
        raise Failed(str(error)) from error
    except ValueError as error:
        raise Failed(str(error), code=2) from error
