"""Connecting one platform at a terminal: the steps to its tokens, the tokens tried at once, then the round trip.

A token that is refused is asked for again, with the reason; nothing is written before all of it works or the person
decides to go on without.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from rich.console import Console
from rich.prompt import Confirm, Prompt
from rich.text import Text

from bot.cli import doctor_channels
from bot.cli.examine import run_checks
from bot.cli.init_files import Answers, channel_secrets, config_text
from bot.cli.init_round_trip import NotProven, Proven, new_code, round_trip
from bot.cli.output import clean
from bot.config import Config, ConfigInvalid, load
from bot.config.parts import ConfiguredChannel
from channels.checks import Check, CheckResult, Result, failed, ok, warning

_MARKS = {
    Result.OK: ("✓", "green"),
    Result.WARNING: ("!", "yellow"),
    Result.FAILED: ("✗", "red"),
    Result.SKIPPED: ("·", "dim"),
}
_STYLED = re.compile(
    r"\*\*(?P<bold>[^*]+)\*\*|\*(?P<plain>[^*]+)\*|`(?P<code>[^`]+)`|\[(?P<text>[^]]+)\]\((?P<url>[^)]+)\)"
)


class LeftOut(Exception):
    """The person goes on without it."""


def connect(console: Console, answers: Answers, channel: str, environ: Mapping[str, str]) -> Answers:
    """Ask for a platform's secrets until they work, and prove it. Returns the answers with what was learnt; without
    the platform when the person leaves it out."""
    module = doctor_channels.connect_module(channel)
    console.print(f"\n[bold]{channel.capitalize()}[/bold]")
    show_guide(console, str(getattr(module, "GUIDE", "")))
    joined = answers if channel in answers.channels else replace(answers, channels=(*answers.channels, channel))
    try:
        joined, configured = _with_working_secrets(console, joined, channel, environ)
    except LeftOut:
        console.print(f"{channel} is left out; `threadmill init --force --channel {channel}` adds it later.")
        return replace(answers, channels=tuple(kind for kind in answers.channels if kind != channel))
    if configured is None or module is None:
        return joined
    proven = _round_trip(console, module, configured)
    if proven is None:
        return joined
    owners = dict.fromkeys((*joined.owners, proven.account))
    return replace(joined, owners=tuple(owners), proven=(*joined.proven, channel))


def show_guide(console: Console, guide: str) -> None:
    """Its Markdown for a terminal. Addresses stand in full, on unbroken lines: they are to be opened or copied."""
    for line in re.sub(r"\n +", " ", guide).splitlines():
        text, end, urls = Text(), 0, []
        for found in _STYLED.finditer(line):
            text.append(line[end : found.start()])
            name = found.lastgroup if found["url"] is None else "text"
            text.append(str(found[name or 0]), style={"bold": "bold", "code": "cyan"}.get(name or "", ""))
            urls += [found["url"]] if found["url"] else []
            end = found.end()
        text.append(line[end:])
        console.print(text, soft_wrap=True)
        for url in urls:
            console.print(Text(f"   {url}", style="cyan"), soft_wrap=True)


def ask_secret(console: Console, name: str, *, again: bool = False) -> str:
    """Asked for until something is typed; `again`, Enter stands for what was typed before, and gives an empty text."""
    hint = "Enter: the same as before" if again else "it is not shown"
    while True:
        value = Prompt.ask(f"{name} ({hint})", console=console, password=True, default="", show_default=False).strip()
        if value or again:
            return value


def drafted(answers: Answers, environ: Mapping[str, str]) -> Config:
    """The configuration that these answers make, without leaving anything on the disk. Raises ConfigInvalid."""
    with tempfile.TemporaryDirectory(prefix="threadmill-init-") as folder:
        file = Path(folder) / "config.toml"
        file.write_text(config_text(answers), "utf-8")
        return load(file, environ={**environ, **answers.secrets})


def tried(check: Check) -> CheckResult:
    """Run one check."""
    return asyncio.run(run_checks([check]))[0].result


def show(console: Console, result: CheckResult) -> None:
    mark, style = _MARKS[result.result]
    console.print(Text(f"  {mark} ", style=style) + Text(clean(result.evidence)), soft_wrap=True)
    if result.fix:
        console.print(Text(f"    → {clean(result.fix)}"), soft_wrap=True)


def secrets_until(
    console: Console,
    answers: Answers,
    names: list[str],
    environ: Mapping[str, str],
    attempt: Callable[[Config], CheckResult],
) -> tuple[Answers, Config]:
    """Ask for these secrets until `attempt` does not fail with them. Raises LeftOut when the person gives up."""
    secrets, again = dict(answers.secrets), False
    while True:
        for name in names:
            if environ.get(name):
                console.print(f"{name} is taken from the environment.")
            else:
                secrets[name] = ask_secret(console, name, again=again) or secrets[name]
        answers = replace(answers, secrets=secrets)
        try:
            config = drafted(answers, environ)
        except ConfigInvalid as error:
            show(console, failed(error.problems[0].message, "copy it again, whole"))
        else:
            result = attempt(config)
            show(console, result)
            if result.result is not Result.FAILED:
                return answers, config
        if not Confirm.ask("Try again? (No leaves it out)", console=console, default=True):
            raise LeftOut
        again = True


def _with_working_secrets(
    console: Console, answers: Answers, channel: str, environ: Mapping[str, str]
) -> tuple[Answers, ConfiguredChannel | None]:
    names = [variable for _, variable in channel_secrets(channel)]
    others = tuple(kind for kind in answers.channels if kind != channel)

    def attempt(config: Config) -> CheckResult:
        check = next(iter(doctor_channels.proofs(config)), None)
        return tried(check) if check is not None else ok("its token is not tried here")

    alone = replace(answers, channels=(channel,), owners=())
    found, config = secrets_until(console, alone, names, environ, attempt)
    configured = next(iter(config.channels.values()), None)
    return replace(answers, channels=(*others, channel), secrets=found.secrets), configured


def _round_trip(console: Console, module: ModuleType, configured: ConfiguredChannel) -> Proven | None:
    """Prove it both ways; None when the person leaves that out, or it fails and is not tried again."""
    logging.getLogger().addHandler(logging.NullHandler())  # what matters is told in sentences
    meet = getattr(module, "where_to_write", None)
    while True:
        code = new_code()
        try:
            if meet is not None:
                show_guide(console, asyncio.run(meet(configured.settings)))
            console.print(Text("\nNow write this to the bot: ") + Text(code, style="bold cyan"))
            proven = asyncio.run(_listened(console, configured, code))
        except NotProven as error:
            show(console, warning(f"no round trip: {error}", ""))
            if str(error) == "left out" or not Confirm.ask("Try again?", console=console, default=True):
                return None
            continue
        show(
            console,
            ok(f"round trip: {proven.name} and the bot hear each other ({proven.answer_seconds:.1f} s to answer)"),
        )
        show(console, ok(f"you are {proven.account}: the owner"))
        return proven


async def _listened(console: Console, configured: ConfiguredChannel, code: str) -> Proven:
    """Wait for the round trip; Enter at the keyboard leaves it out."""
    skipped, loop = asyncio.Event(), asyncio.get_running_loop()

    def key() -> None:
        os.read(sys.stdin.fileno(), 1024)
        skipped.set()

    def tell(sentence: str) -> None:
        console.print(Text("  · ", style="dim") + Text(clean(sentence)), soft_wrap=True)

    loop.add_reader(sys.stdin.fileno(), key)
    try:
        return await round_trip(configured, code, tell, skipped=skipped)
    finally:
        loop.remove_reader(sys.stdin.fileno())
