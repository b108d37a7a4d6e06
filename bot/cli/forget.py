"""`forget`: delete a person's data, after showing what that is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from bot.cli.failed import Failed
from bot.cli.options import config_option, json_option, loaded
from bot.cli.output import print_json

if TYPE_CHECKING:
    from bot.config import Config
    from storage.forgetting import Forgotten


@click.command()
@click.argument("who", metavar="PERSON|ACCOUNT…", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Really delete. Without it nothing is changed.")
@config_option
@json_option
def forget(who: tuple[str, ...], yes: bool, config_file: Path | None, as_json: bool) -> None:
    """Delete everything that a person said, sent and is known by.

    Name a person of the configuration, or accounts such as slack:T1/U1. Without --yes it only tells what would go.
    Threadmill must be stopped. What it did stands in the audit log, without names and texts.
    """
    import asyncio

    config = loaded(config_file)
    accounts = _accounts(config, who)
    forgotten = asyncio.run(_forget(config, accounts, dry_run=not yes))
    if as_json:
        print_json({"done": yes, "accounts": accounts, **_plain(forgotten)})
        return
    verb = "Deleted" if yes else "Would delete"
    rows = ", ".join(f"{count} {name}" for name, count in forgotten.removed.rows.items()) or "nothing"
    click.echo(f"{verb} of {', '.join(accounts)}: {rows}, {len(forgotten.removed.files)} files.")
    for title, items in (
        ("Sessions that must be ended first", forgotten.living),
        ("Sessions of others that may quote this person", forgotten.quoted_in),
        ("Monitors that name an account", forgotten.monitors),
        ("Backups that still hold all of it", forgotten.backups),
    ):
        if items:
            click.echo(f"{title}: {', '.join(items)}")
    if not yes:
        click.echo("Nothing was changed: say --yes to do it.")


def _accounts(config: Config, who: tuple[str, ...]) -> list[str]:
    found: list[str] = []
    for name in who:
        person = config.people.get(name)
        if person is None and ":" not in name:
            known = ", ".join(config.people) or "none"
            raise Failed(
                f"{name!r} is neither an account (channel:id) nor a person of the configuration ({known})", code=2
            )
        found.extend(person.accounts if person is not None else (name,))
    return list(dict.fromkeys(found))


async def _forget(config: Config, accounts: list[str], *, dry_run: bool) -> Forgotten:
    from datetime import UTC, datetime

    from channels.base import Account
    from storage.database import StorageError, opened
    from storage.files import FileStore
    from storage.forgetting import StillLiving, forget

    try:
        async with opened(config.bot.data) as database:
            forgotten = await forget(
                database, [Account(account) for account in accounts], by="cli", now=datetime.now(UTC), dry_run=dry_run
            )
            if not dry_run:
                await FileStore(config.bot.data / "files", database).remove(forgotten.removed.files)
            return forgotten
    except (StillLiving, StorageError) as error:
        raise Failed(str(error)) from error


def _plain(forgotten: Forgotten) -> dict[str, Any]:
    return {
        "removed": dict(forgotten.removed.rows),
        "files": list(forgotten.removed.files),
        "living": list(forgotten.living),
        "quoted_in": list(forgotten.quoted_in),
        "monitors": list(forgotten.monitors),
        "backups": list(forgotten.backups),
    }
