"""The questions of `init`, for a person at a terminal. Each has an answer that Enter takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rich.console import Console
from rich.prompt import Confirm, Prompt

from bot.cli.doctor_checks import models
from bot.cli.init_connect import LeftOut, connect, secrets_until, tried
from bot.cli.init_files import DEFAULT_IDS, LOCAL_SERVER, Answers, local_zone
from bot.config import Config
from bot.config.kinds import kinds
from bot.config.times import time_zone
from channels.checks import CheckResult

_MODELS = {
    "anthropic": "Claude, with a key of Anthropic",
    "openai": "a server that speaks OpenAI's chat completions",
    "local": "a server of yours that speaks Anthropic's Messages API: Ollama, LM Studio, llama.cpp, vLLM",
    "rehearsal": "none: a script that takes the steps you name, to try everything out without paying",
}


def ask(answers: Answers, environ: Mapping[str, str]) -> Answers:
    """Ask for what the options do not say. What the environment holds already is not asked for."""
    console = Console(stderr=True)
    console.print("[bold]Threadmill[/bold] · a few questions; Enter takes what stands in parentheses\n")
    answers = _model(console, answers, environ)
    answers = _channels(console, answers, environ)
    return replace(answers, timezone=answers.timezone or _zone(console))


def _model(console: Console, answers: Answers, environ: Mapping[str, str]) -> Answers:
    kind = answers.model_kind
    if kind is None:
        for name, said in _MODELS.items():
            console.print(f"  [cyan]{name:<10}[/cyan] {said}")
        usual = "anthropic" if environ.get("ANTHROPIC_API_KEY") else "rehearsal"
        kind = Prompt.ask("Which model answers?", console=console, choices=list(_MODELS), default=usual)
    if kind == "rehearsal":
        return replace(answers, model_kind=kind)
    base_url = answers.base_url
    if base_url is None and kind == "local":
        base_url = Prompt.ask("Its address", console=console, default=LOCAL_SERVER)
    model_id = answers.model_id or Prompt.ask("The model's name", console=console, default=DEFAULT_IDS[kind])
    found = replace(answers, model_kind=kind, model_id=model_id, base_url=base_url)
    alone = replace(found, channels=(), owners=())
    try:
        working, _ = secrets_until(console, alone, list(alone.secret_names()), environ, _model_answers)
    except LeftOut:
        console.print("The rehearsal model answers until config.toml names one that works.")
        return replace(answers, model_kind="rehearsal", model_id=None, base_url=None)
    return replace(found, secrets=working.secrets, model_proven=True)


def _model_answers(config: Config) -> CheckResult:
    return tried(next(iter(models(config))))


def _channels(console: Console, answers: Answers, environ: Mapping[str, str]) -> Answers:
    chosen = answers.channels
    if not chosen:
        console.print("\nThe page and the terminal are always there. Platforms can be added at any time.")
        chosen = tuple(kind for kind in kinds() if Confirm.ask(f"Connect {kind}?", console=console, default=False))
    for channel in chosen:
        answers = connect(console, answers, channel, environ)
        if channel in answers.channels and not any(account.startswith(f"{channel}:") for account in answers.owners):
            asked = f"Your account id on {channel} (Enter: later, /whoami tells it)"
            account = Prompt.ask(asked, console=console, default="", show_default=False).strip()
            if account:
                whole = account if account.startswith(f"{channel}:") else f"{channel}:{account}"
                answers = replace(answers, owners=(*answers.owners, whole))
    return answers


def _zone(console: Console) -> str:
    while True:
        name = Prompt.ask("Your time zone", console=console, default=local_zone())
        try:
            return time_zone(name).key
        except ValueError as error:
            console.print(str(error))
