"""`forget`: delete a person's data, after showing what that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from bot.cli.failed import Failed
from bot.cli.options import config_option, json_option, loaded
from bot.cli.output import print_json

if TYPE_CHECKING:
    from bot.config import Config
    from storage.forgetting import Forgotten
    from storage.kept_work import Worked


@click.command()
@click.argument("who", metavar="PERSON|ACCOUNT…", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Really delete. Without it nothing is changed.")
@config_option
@json_option
def forget(who: tuple[str, ...], yes: bool, config_file: Path | None, as_json: bool) -> None:
    """Delete everything that a person said, sent and is known by, and what agents kept for that person alone.

    Name a person of the configuration, or accounts such as slack:T1/U1. Without --yes it only tells what would go.
    Threadmill must be stopped. What it did stands in the audit log, without names and texts.
    """
    import asyncio

    config = loaded(config_file)
    accounts = _accounts(config, who)
    done = asyncio.run(_forget(config, accounts, dry_run=not yes))
    if as_json:
        print_json({"done": yes, "accounts": accounts, **_plain(done)})
        return
    forgotten = done.forgotten
    verb = "Deleted" if yes else "Would delete"
    rows = ", ".join(f"{count} {name}" for name, count in forgotten.removed.rows.items()) or "nothing"
    kept = f"{len(forgotten.removed.files)} files, {done.workspaces} workspaces"
    click.echo(f"{verb} of {', '.join(accounts)}: {rows}, {kept}.")
    for title, items in (
        ("Sessions that must be ended first", forgotten.living),
        ("Sessions of others that may quote this person", forgotten.quoted_in),
        ("Monitors that name an account", forgotten.monitors),
        ("Shared workspaces that may hold something of this person", done.shared),
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """What was forgotten, or would be."""

    forgotten: Forgotten
    workspaces: int
    shared: tuple[str, ...]


async def _forget(config: Config, accounts: list[str], *, dry_run: bool) -> _Done:
    from datetime import UTC, datetime

    from bot.agent_tools import workspaces_of
    from channels.base import Account
    from storage.database import StorageError, opened
    from storage.files import FileStore
    from storage.forgetting import StillLiving, forget
    from storage.kept_work import worked_in

    whose = [Account(account) for account in accounts]
    now = datetime.now(UTC)
    try:
        async with opened(config.bot.data) as database:
            worked = await worked_in(database, whose)
            planned = await forget(database, whose, by="cli", now=now, dry_run=True)
            if dry_run or planned.living:
                removed = sum(session in worked.own for session in workspaces_of(config).own())
            else:  # before the sessions lose their owner: after that nobody would know whose these folders were
                removed = _remove_workspaces(config, worked.own)
            forgotten = planned if dry_run else await forget(database, whose, by="cli", now=now)
            if not dry_run:
                await FileStore(config.bot.data / "files", database).remove(forgotten.removed.files)
            return _Done(forgotten=forgotten, workspaces=removed, shared=_shared(config, worked))
    except (StillLiving, StorageError, OSError) as error:
        raise Failed(str(error)) from error


def _remove_workspaces(config: Config, sessions: Sequence[str]) -> int:
    from bot.agent_tools import workspaces_of

    workspaces = workspaces_of(config)
    return sum(workspaces.remove(session) for session in sessions)


def _shared(config: Config, worked: Worked) -> tuple[str, ...]:
    """Shared workspaces in which this person's sessions may have written: whose a file there is, nobody knows."""
    named = (agent.workspace for name, agent in config.agents.items() if name in worked.agents)
    return tuple(sorted({*worked.shared, *(each.removeprefix("shared:") for each in named if each)}))


def _plain(done: _Done) -> dict[str, Any]:
    forgotten = done.forgotten
    return {
        "workspaces": done.workspaces,
        "shared_workspaces": list(done.shared),
        "removed": dict(forgotten.removed.rows),
        "files": list(forgotten.removed.files),
        "living": list(forgotten.living),
        "quoted_in": list(forgotten.quoted_in),
        "monitors": list(forgotten.monitors),
        "backups": list(forgotten.backups),
    }
