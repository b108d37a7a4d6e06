"""What holds without a file, and where a file is silent.

A newcomer types `make run` and talks to an agent: the page on this machine, the rehearsal model or Claude, and two
agents that show what Threadmill is for. A file replaces tables as wholes: with one model in it there is
no `default` model from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.config.lines import Path

DEFAULT_MODEL = "claude-sonnet-5-5"

_ASSISTANT = """\
You are the assistant of a small team, in a thread that several people may read. Answer in the language of the \
person who wrote, in a few clear sentences or a short list, and say so when you do not know something.

For work that can be done side by side, or that would fill this thread with detail, spawn a researcher for each \
part with a task that can be understood without this conversation. It works in a session of its own; its result \
comes back to you by itself. Tell people what you have begun, then go on or end your turn; do not ask it for \
its state over and over. When results are in, bring them together into one answer and say which parts failed."""

_RESEARCHER = """\
You are a researcher. You get one task, work on it alone and give back the result. Look things up with web_fetch \
where that helps and name the addresses that you used. Keep what you know apart from what you assume. End with a \
result that can be used as it stands: the answer first, then what it rests on, then what is still open."""


FROM_ENVIRONMENT: Mapping[Path, str] = {
    ("bot", "data"): "THREADMILL_DATA",
    ("web", "port"): "THREADMILL_PORT",
    ("web", "token"): "THREADMILL_TOKEN",
}


def filled(values: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """The values with everything that they leave out. What the environment says holds where they are silent."""
    full = dict(values)
    for path, variable in FROM_ENVIRONMENT.items():
        name, key = str(path[0]), str(path[1])
        text = environ.get(variable)
        table = full.get(name, {})
        if text and isinstance(table, dict) and key not in table:
            value = int(text) if key == "port" and text.isdecimal() and len(text) < 6 else text
            full[name] = {**table, key: value}
    if full.get("models", {}) == {}:
        full["models"] = {"default": _model(environ)}
    if full.get("agents", {}) == {}:
        models = full["models"]
        named = isinstance(models, dict) and "default" not in models
        full["agents"] = _agents(next(iter(models)) if named else "default")
    return full


def _model(environ: Mapping[str, str]) -> dict[str, Any]:
    key = environ.get("ANTHROPIC_API_KEY", "").strip()
    if not key:
        return {"kind": "rehearsal"}
    model = {"kind": "anthropic", "model": DEFAULT_MODEL, "api_key": key}
    if environ.get("ANTHROPIC_BASE_URL"):
        model["base_url"] = environ["ANTHROPIC_BASE_URL"]
    return model


def _agents(model: str) -> dict[str, Any]:
    return {
        "assistant": {
            "model": model,
            "prompt": _ASSISTANT,
            "description": "Talks with people, and hands work to researchers.",
            "tools": ["spawn", "send", "web_fetch"],
            "spawns": ["researcher"],
            "may_message": ["researcher"],
        },
        "researcher": {
            "model": model,
            "prompt": _RESEARCHER,
            "description": "Works on one question alone and gives back the result.",
            "tools": ["web_fetch"],
        },
    }
