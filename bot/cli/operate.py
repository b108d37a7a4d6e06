"""Verbs for whoever looks after a running Threadmill: dead letters and the audit log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import rich_click as click

from bot.cli.failed import Failed
from bot.cli.options import config_option, json_option, limit_option, loaded, read_database, read_views
from bot.cli.output import Column, print_json, print_rows

if TYPE_CHECKING:
    from storage.audit import Verified
    from storage.database import Database


@click.group(invoke_without_command=True)
@config_option
@json_option
@limit_option(100)
@click.pass_context
def deadletters(context: click.Context, config_file: Path | None, as_json: bool, limit: int) -> None:
    """List what could not be done; retry or drop it.

    Without a verb of its own it lists, like `list`.
    """
    if context.invoked_subcommand is None:
        _list(config_file, as_json, limit)


@deadletters.command("list")
@config_option
@json_option
@limit_option(100)
def list_(config_file: Path | None, as_json: bool, limit: int) -> None:
    """List them, the newest first."""
    _list(config_file, as_json, limit)


@deadletters.command()
@click.argument("letter", metavar="ID")
@config_option
@json_option
def retry(letter: str, config_file: Path | None, as_json: bool) -> None:
    """Try dead letter ID again. Needs a running Threadmill."""
    _decide(letter, "retry", "is tried again", config_file, as_json)


@deadletters.command()
@click.argument("letter", metavar="ID")
@config_option
@json_option
def drop(letter: str, config_file: Path | None, as_json: bool) -> None:
    """Give up dead letter ID for good. Needs a running Threadmill."""
    _decide(letter, "drop", "is dropped", config_file, as_json)


def _list(config_file: Path | None, as_json: bool, limit: int) -> None:
    rows = read_views(loaded(config_file), lambda views: views.dead_letters(limit=limit))
    print_rows(
        rows,
        as_json,
        [
            Column(title="id", value=lambda row: row.id),
            Column(title="way", value=lambda row: row.direction),
            Column(title="at", value=lambda row: row.at),
            Column(title="place", value=lambda row: row.place),
            Column(title="who", value=lambda row: row.who),
            Column(title="reason", value=lambda row: row.reason, wide=True),
        ],
        nothing="No dead letters: everything could be done.",
    )


def _decide(letter: str, verb: str, done: str, config_file: Path | None, as_json: bool) -> None:
    from bot.cli.client import running

    _, answer = running(loaded(config_file)).ask("POST", f"/api/v1/deadletters/{quote(letter, safe='')}/{verb}")
    if as_json:
        print_json(answer if answer is not None else {"id": letter, "done": verb})
    else:
        click.echo(f"dead letter {letter} {done}")


@click.group(invoke_without_command=True)
@config_option
@json_option
@limit_option(100)
@click.option("--session", help="Only what concerns a session, by its id.")
@click.pass_context
def audit(context: click.Context, config_file: Path | None, as_json: bool, limit: int, session: str | None) -> None:
    """Show who did what, the newest first; `audit verify` checks that nothing was changed."""
    if context.invoked_subcommand is not None:
        return
    rows = read_views(loaded(config_file), lambda views: views.audit(session=session, limit=limit))
    print_rows(
        rows,
        as_json,
        [
            Column(title="n", value=lambda row: row.n, right=True),
            Column(title="at", value=lambda row: row.at),
            Column(title="who", value=lambda row: row.actor),
            Column(title="did", value=lambda row: row.action),
            Column(title="to", value=lambda row: row.resource),
            Column(title="session", value=lambda row: row.session),
            Column(
                title="detail", value=lambda row: ", ".join(f"{key}={row.detail[key]}" for key in row.detail), wide=True
            ),
        ],
        nothing="The audit log is empty.",
    )


@audit.command()
@config_option
@json_option
def verify(config_file: Path | None, as_json: bool) -> None:
    """Check the whole chain; ends with 1 and names the first broken row when something was changed."""
    from storage.audit import AuditLog, read_head

    config = loaded(config_file)

    async def check(database: Database) -> Verified:
        return await AuditLog(database).verify(read_head(config.bot.data / "audit.head"))

    verified = read_database(config, check)
    broken = verified.broken
    if as_json:
        print_json(
            {
                "valid": broken is None,
                "rows": verified.rows,
                "hash": verified.head.hash,
                "broken": {"n": broken.n, "why": broken.why} if broken is not None else None,
            }
        )
        if broken is not None:
            raise SystemExit(1)
        return
    if broken is not None:
        raise Failed(f"row {broken.n} {broken.why} ({verified.rows} rows before it hold)")
    click.echo(f"{verified.rows} rows, unbroken; the last hash is {verified.head.hash or 'none'}")
