"""The questions of `init`, for a person at a terminal. Each has an answer that Enter takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec

from rich.console import Console
from rich.markdown import Markdown
from rich.prompt import Confirm, Prompt

from bot.cli.init_files import DEFAULT_IDS, LOCAL_SERVER, Answers, channel_secrets, local_zone
from bot.config.kinds import kinds
from bot.config.times import time_zone

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
    secrets: dict[str, str] = {}
    answers = _model(console, answers, environ, secrets)
    answers = _channels(console, answers, environ, secrets)
    return replace(answers, timezone=answers.timezone or _zone(console), secrets=secrets)


def _model(console: Console, answers: Answers, environ: Mapping[str, str], secrets: dict[str, str]) -> Answers:
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
    for name in replace(found, channels=()).secret_names():
        _secret(console, name, environ, secrets)
    return found


def _channels(console: Console, answers: Answers, environ: Mapping[str, str], secrets: dict[str, str]) -> Answers:
    chosen = list(answers.channels)
    if not chosen:
        console.print("\nThe page and the terminal are always there. Platforms can be added at any time.")
        chosen = [kind for kind in kinds() if Confirm.ask(f"Connect {kind}?", console=console, default=False)]
    owners = list(answers.owners)
    for channel in chosen:
        guide = _guide(channel)
        if guide:
            console.print(Markdown(guide))
        for _, variable in channel_secrets(channel):
            _secret(console, variable, environ, secrets)
        if not any(account.startswith(f"{channel}:") for account in owners):
            account = Prompt.ask(
                f"Your account id on {channel} (Enter: later, /whoami tells it)", console=console, default=""
            ).strip()
            if account:
                owners.append(account if account.startswith(f"{channel}:") else f"{channel}:{account}")
    return replace(answers, channels=tuple(chosen), owners=tuple(owners))


def _guide(channel: str) -> str:
    """How to get this platform's tokens, in the platform's own words."""
    module = f"channels.{channel}.connect"
    if find_spec(f"channels.{channel}") is None or find_spec(module) is None:
        return ""
    return str(getattr(import_module(module), "GUIDE", ""))


def _secret(console: Console, name: str, environ: Mapping[str, str], secrets: dict[str, str]) -> None:
    if environ.get(name):
        console.print(f"{name} is in the environment already.")
        return
    value = ""
    while not value:
        value = Prompt.ask(f"{name} (it is not shown)", console=console, password=True).strip()
    secrets[name] = value


def _zone(console: Console) -> str:
    while True:
        name = Prompt.ask("Your time zone", console=console, default=local_zone())
        try:
            return time_zone(name).key
        except ValueError as error:
            console.print(str(error))
