"""Verbs that show: the same facts as the page, read from the database, also while Threadmill runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from bot.cli.failed import Failed
from bot.cli.options import config_option, json_option, limit_option, loaded, read_views
from bot.cli.output import Column, clean_lines, coloured, print_json, print_rows, shown, usd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.view_rows import Overview, SessionDetail, StepRow
    from storage.views import Views


@click.command()
@config_option
@json_option
def status(config_file: Path | None, as_json: bool) -> None:
    """Show whether Threadmill runs, its channels, and how much is going on."""
    from bot.cli.client import running
    from storage.view_rows import as_json as outside_form

    config = loaded(config_file)
    try:
        _, health = running(config).ask("GET", "/healthz", timeout_seconds=5.0)
    except Failed as failure:
        health, why = None, str(failure)
    else:
        why = ""
    overview: Overview | None = None
    if (config.bot.data / "threadmill.db").exists():
        overview = read_views(config, lambda views: views.overview())
    if as_json:
        print_json(
            {
                "running": health is not None,
                "data": str(config.bot.data),
                "health": health,
                "overview": outside_form(overview),
            }
        )
        return
    click.echo(f"running    {'yes' if health is not None else f'no ({why})'}")
    for line in _channel_lines(health):
        click.echo(line)
    if overview is not None:
        click.echo(f"sessions   {overview.running} running, {overview.waiting} waiting, {overview.idle} idle")
        click.echo(f"messages   {overview.on_their_way} on their way, {overview.dead_letters} dead letters")
    click.echo(f"data       {config.bot.data}")


def _channel_lines(health: object) -> list[str]:
    channels = health.get("channels") if isinstance(health, dict) else None
    if isinstance(channels, dict):
        channels = [{"name": name, **facts} for name, facts in channels.items() if isinstance(facts, dict)]
    if not isinstance(channels, list):
        return []
    return [
        f"channel    {clean_lines(str(one.get('name')))}: {one.get('state')}"
        + (f" ({clean_lines(str(one['detail']))})" if one.get("detail") else "")
        for one in channels
        if isinstance(one, dict)
    ]


@click.command()
@config_option
@json_option
@limit_option(100)
@click.option(
    "--state",
    type=click.Choice(["living", "all", "running", "waiting", "stopping", "idle", "ended"]),
    default="living",
    show_default=True,
    help="Which ones.",
)
def sessions(config_file: Path | None, as_json: bool, limit: int, state: str) -> None:
    """List sessions, the most recently active first."""
    rows = read_views(loaded(config_file), lambda views: views.sessions(state=state, limit=limit))
    print_rows(
        rows,
        as_json,
        [
            Column(title="id", value=lambda row: row.id),
            Column(title="label", value=lambda row: row.label),
            Column(title="agent", value=lambda row: row.agent),
            Column(title="state", value=lambda row: row.ended or row.state),
            Column(title="cost", value=lambda row: usd(row.tree_usd), right=True),
            Column(title="active", value=lambda row: row.active_at),
            Column(title="where", value=lambda row: row.home),
            Column(title="task", value=lambda row: row.doing or row.task, wide=True),
        ],
        nothing="No sessions. Say something on the page or with `threadmill chat`, and one begins."
        if state in {"living", "all"}
        else f"No {state} sessions.",
    )


@click.command()
@click.argument("session")
@config_option
@json_option
@limit_option(200)
def history(session: str, config_file: Path | None, as_json: bool, limit: int) -> None:
    """Show every step of SESSION (its label, or the beginning of its id) with its time, model, tokens and cost."""

    async def look(views: Views) -> tuple[SessionDetail | None, Sequence[StepRow]]:
        detail = await views.session(session)
        return detail, await views.history(detail.session.id, limit=limit) if detail else ()

    detail, steps = read_views(loaded(config_file), look)
    if detail is None:
        raise Failed(f"there is no session {session!r}, or several begin like that; `threadmill sessions` lists them")
    if as_json:
        from storage.view_rows import as_json as outside_form

        print_json(outside_form({"session": detail.session, "steps": steps}))
        return
    row = detail.session
    click.echo(
        clean_lines(f"{row.label} ({row.id}), agent {row.agent}, {row.ended or row.state}, {usd(row.spent_usd)}")
    )
    for step in steps:
        _print_step(step)


def _print_step(step: StepRow) -> None:
    faint = {"dim": True} if coloured() else {}
    facts = [shown(step.started_at), step.kind]
    if step.model:
        tokens = step.input_tokens + step.cache_read_tokens + step.cache_write_tokens
        facts += [step.model, f"{tokens} in, {step.output_tokens} out", usd(step.cost_usd)]
    if step.seconds >= 0.1:
        facts.append(f"{step.seconds:.1f} s")
    click.echo(click.style(f"\n{step.n}  {clean_lines('  '.join(facts))}", **faint))
    for line in _step_lines(step.kind, step.body):
        click.echo("  " + clean_lines(line).replace("\n", "\n  "))


def _step_lines(kind: str, body: dict[str, Any]) -> list[str]:
    """What a step says, by its kind (see `agents.base.StepKind`)."""
    import json

    if kind == "input":
        return [f"{mail.get('name') or mail.get('kind')}: {mail.get('text', '')}" for mail in body.get("mail", [])]
    if kind == "model":
        lines = []
        for block in body.get("blocks", []):
            if block.get("text"):
                lines.append(str(block["text"]))
            elif "arguments" in block:
                lines.append(f"→ {block.get('name')} {json.dumps(block['arguments'], ensure_ascii=False)}")
        return lines or [f"({body.get('stop', 'nothing')})"]
    if kind == "call":
        return [f"{body.get('name')} {json.dumps(body.get('arguments', {}), ensure_ascii=False)}"]
    if kind == "result":
        failed = "failed: " if body.get("error") else "skipped: " if body.get("skipped") else ""
        return [f"{body.get('name')}: {failed}{body.get('text', '')}"]
    return [str(body["text"])] if "text" in body else []


@click.command()
@config_option
@json_option
@limit_option(100)
@click.option(
    "--state", type=click.Choice(["all", "open", "dead"]), default="all", show_default=True, help="Which ones."
)
@click.option("--session", help="Only those of a session, by its id.")
def deliveries(config_file: Path | None, as_json: bool, limit: int, state: str, session: str | None) -> None:
    """List outgoing messages, the newest first."""
    rows = read_views(loaded(config_file), lambda views: views.deliveries(state=state, session=session, limit=limit))
    print_rows(
        rows,
        as_json,
        [
            Column(title="n", value=lambda row: row.n, right=True),
            Column(title="state", value=lambda row: row.state),
            Column(title="tries", value=lambda row: row.attempt, right=True),
            Column(title="made", value=lambda row: row.created_at),
            Column(title="sent", value=lambda row: row.sent_at),
            Column(title="place", value=lambda row: row.place),
            Column(title="session", value=lambda row: row.label),
            Column(title="text", value=lambda row: row.error or row.text, wide=True),
        ],
        nothing="No deliveries." if state == "all" else f"No {state} deliveries.",
    )


@click.command()
@config_option
@json_option
@limit_option(100)
def monitors(config_file: Path | None, as_json: bool, limit: int) -> None:
    """List monitors with when they fired last, and when they fire next."""
    from datetime import UTC, datetime

    rows = read_views(loaded(config_file), lambda views: views.monitors(datetime.now(UTC), limit=limit))
    print_rows(
        rows,
        as_json,
        [
            Column(title="name", value=lambda row: row.name),
            Column(title="from", value=lambda row: row.source),
            Column(title="paused", value=lambda row: row.paused),
            Column(title="when", value=lambda row: row.when),
            Column(title="next", value=lambda row: row.next_at),
            Column(title="last fired", value=lambda row: row.last_fired),
            Column(title="result", value=lambda row: row.last_state),
            Column(title="session", value=lambda row: row.label),
            Column(title="what", value=lambda row: row.last_error or row.last_outcome, wide=True),
        ],
        nothing="No monitors. Add [[monitors]] to the configuration, or /monitor add in a thread.",
    )


@click.command()
@config_option
@json_option
@click.option(
    "--days", type=click.IntRange(1, 3660), default=30, show_default=True, help="How many days back, today included."
)
def cost(config_file: Path | None, as_json: bool, days: int) -> None:
    """Show what was spent, by day, agent and model."""
    from datetime import datetime, timedelta

    config = loaded(config_file)
    since = (datetime.now(config.bot.timezone) - timedelta(days=days - 1)).date()
    rows = read_views(config, lambda views: views.cost(since=since))
    print_rows(
        rows,
        as_json,
        [
            Column(title="day", value=lambda row: row.day),
            Column(title="agent", value=lambda row: row.agent),
            Column(title="model", value=lambda row: row.model),
            Column(title="calls", value=lambda row: row.calls, right=True),
            Column(title="tokens", value=lambda row: row.tokens, right=True),
            Column(title="cost", value=lambda row: usd(row.cost_usd), right=True),
        ],
        nothing=f"Nothing was spent since {since}.",
    )
    if rows and not as_json:
        click.echo(f"total {usd(sum(row.cost_usd for row in rows))} since {since}", err=True)
