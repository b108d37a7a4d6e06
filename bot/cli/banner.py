"""What a person sees when Threadmill is ready: where the page is, who answers, and how to stop.

Pure text. The page's address carries the token only when a person is looking, or when the token was made just now
and has to be seen once; in a log that others collect it is named by its file.
"""

from __future__ import annotations

import os
from urllib.parse import quote

from bot.config import Config
from bot.config.token import WebToken


def page_address(config: Config) -> str:
    """The address to type into a browser on this machine."""
    host = config.web.host
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - every address
    return f"http://[{host}]:{config.web.port}/" if ":" in host else f"http://{host}:{config.web.port}/"


def banner(config: Config, token: WebToken, *, on_terminal: bool) -> str:
    address = page_address(config)
    if on_terminal or token.new:
        address += f"?token={quote(token.value, safe='')}"
    strong, faint, off = (
        ("\x1b[1m", "\x1b[2m", "\x1b[0m") if on_terminal and not os.environ.get("NO_COLOR") else ("",) * 3
    )
    lines = [
        ("page", f"{strong}{address}{off}"),
        ("token", _token(token, on_terminal)),
        ("model", _model(config)),
        ("agents", ", ".join(config.agents)),
        ("channels", _channels(config)),
        ("data", str(config.bot.data)),
        ("config", str(config.file) if config.file else "none, these are the defaults; `threadmill init` writes one"),
    ]
    shown = "".join(f"  {faint}{name:<9}{off} {text}\n" for name, text in lines if text)
    return f"\n  {strong}Threadmill is ready.{off}\n\n{shown}\n  Ctrl-C stops it.\n\n"


def _token(token: WebToken, on_terminal: bool) -> str:
    if token.file is not None:
        return f"kept in {token.file}"
    return "" if on_terminal else "as configured"


def _model(config: Config) -> str:
    name = config.agents[next(iter(config.agents))].model if config.agents else next(iter(config.models))
    model = config.models[name]
    if model.kind == "rehearsal":
        return f"{name}: a rehearsal, no language model: it follows a script. Set ANTHROPIC_API_KEY for a real one"
    return f"{name}: {model.model} ({model.kind}{'' if model.hosted else f', {model.base_url}'})"


def _channels(config: Config) -> str:
    connecting = ", ".join(config.channels)
    return f"web, console, api; connecting {connecting}" if connecting else "web, console, api"
