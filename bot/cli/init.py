"""`init`: a few questions, then a configuration that works, proven before it is called done.

Secrets go into `.env` (readable by its owner alone) and the configuration names them as `${NAME}`, so that it can
be shown and versioned. Without a terminal everything comes from options and the environment, and nothing is asked.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from bot.cli.failed import Failed
from bot.cli.output import clean

if TYPE_CHECKING:
    from bot.cli.init_files import Answers

MODELS = ("anthropic", "openai", "local", "rehearsal")


@click.command()
@click.option(
    "--config", "file", type=click.Path(path_type=Path), default=Path("config.toml"), show_default=True, metavar="FILE",
    help="Where to write it; .env goes beside it.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite a configuration that is there; the old one is kept as .bak.")
@click.option("--model", "model_kind", type=click.Choice(MODELS), help="Which kind of model answers.")
@click.option("--model-id", help="The provider's name of the model.")
@click.option("--base-url", help="The model server's address, for --model local.")
@click.option("--channel", "channels", multiple=True, help="Connect this platform; may be given several times.")
@click.option(
    "--channel-url", "addresses", multiple=True, metavar="CHANNEL=URL",
    help="Another server for a platform: telegram=http://127.0.0.1:8081/bot for a Bot API server of your own.",
)  # fmt: skip
@click.option("--owner", "owners", multiple=True, metavar="ACCOUNT", help="Your account: telegram:42, slack:T1/U1.")
@click.option("--timezone", help="Such as Europe/Berlin.")
@click.option("--slack-manifest", is_flag=True, help="Only print the manifest of the Slack app, to paste it there.")
@click.option(
    "--public-url", metavar="URL", help="With --slack-manifest: Slack calls this address, without Socket Mode."
)
@click.option("--no-prove", is_flag=True, help="Do not try the connections.")
def init(
    file: Path,
    force: bool,
    model_kind: str | None,
    model_id: str | None,
    base_url: str | None,
    channels: tuple[str, ...],
    addresses: tuple[str, ...],
    owners: tuple[str, ...],
    timezone: str | None,
    slack_manifest: bool,
    public_url: str | None,
    no_prove: bool,
) -> None:
    """Ask a few questions, write config.toml and .env, and prove each connection.

    Without a terminal nothing is asked: options say what to write, and secrets are taken from the
    environment (ANTHROPIC_API_KEY, TELEGRAM_TOKEN, DISCORD_TOKEN, SLACK_BOT_TOKEN, SLACK_APP_TOKEN …).
    """
    if slack_manifest:
        from channels.slack.manifest import manifest

        click.echo(json.dumps(manifest(address=public_url), indent=2))
        return
    from bot.cli.init_files import Answers, write
    from bot.config.kinds import kinds

    if file.exists() and not force:
        raise Failed(f"{file} is there already; --force overwrites it and keeps the old one as {file.name}.bak", code=2)
    for channel in (*channels, *_by_channel(addresses)):
        if channel not in kinds():
            raise Failed(f"{channel!r} is no kind of channel; known: {', '.join(kinds())}", code=2)
    answers = Answers(
        model_kind=model_kind,
        model_id=model_id,
        base_url=base_url,
        channels=channels,
        owners=owners,
        timezone=timezone,
        addresses=_by_channel(addresses),
    )
    if sys.stdin.isatty() and sys.stderr.isatty():
        from bot.cli.init_questions import ask

        try:
            answers = ask(answers, os.environ)
        except (KeyboardInterrupt, EOFError) as error:
            raise Failed("stopped; nothing was written") from error
    else:
        answers = answers.settled(os.environ)
    files = write(file, answers)
    for written in files:
        click.echo(f"wrote {written}", err=True)
    _check(file, answers)
    if not no_prove:
        prove(file, known=answers)
    click.echo(f"\nstart it: threadmill run{'' if file == Path('config.toml') else f' --config {file}'}", err=True)


def _by_channel(addresses: tuple[str, ...]) -> dict[str, str]:
    """What `--channel-url` says."""
    pairs = [address.partition("=") for address in addresses]
    for channel, _, url in pairs:
        if not channel or not url.startswith(("https://", "http://")):
            raise Failed(
                f"--channel-url {channel}: write CHANNEL=URL, such as telegram=http://127.0.0.1:8081/bot", code=2
            )
    return {channel: url for channel, _, url in pairs}


def _check(file: Path, answers: Answers) -> None:
    """What was written must load; a secret that is not there yet is the usual reason when it does not."""
    from bot.config import ConfigInvalid, load

    environ: Mapping[str, str] = os.environ
    try:
        load(file, environ=environ)
    except ConfigInvalid as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        missing = [name for name in answers.secret_names() if name not in answers.secrets and name not in environ]
        hint = f"put {', '.join(missing)} into {file.parent / '.env'}" if missing else f"edit {file}"
        raise Failed(f"not ready yet: {hint}, then run `threadmill doctor`") from error


def prove(file: Path, known: Answers | None = None) -> None:
    """Try each model and platform, but not what is `known` to work from the questions. Raises Failed when one does
    not answer as it should."""
    import asyncio

    from bot.cli import doctor_channels, doctor_checks
    from bot.cli.examine import run_checks
    from bot.config import load
    from channels.checks import Result

    config = load(file)
    seen = {f"channel.{name}" for name in known.proven} if known is not None else set()
    models = [] if known is not None and known.model_proven else doctor_checks.models(config)
    checks = [*models, *(check for check in doctor_channels.proofs(config) if check.id not in seen)]
    if not checks:
        return
    click.echo("trying the connections …", err=True)
    broken = []
    for one in asyncio.run(run_checks(checks)):
        click.echo(f"  {one.result.result.value:<8} {one.id}: {clean(one.result.evidence)}", err=True)
        if one.result.result is Result.FAILED:
            click.echo(f"           → {clean(one.result.fix)}", err=True)
            broken.append(one.id)
    if broken:
        raise Failed(
            f"{', '.join(broken)} did not work. The files are written: put that right in them, and `threadmill doctor`"
            " tries again"
        )
