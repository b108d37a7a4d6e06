"""Templates, loaded at the first page that is asked for: a Threadmill that nobody looks at does not pay for them."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from starlette.responses import HTMLResponse

from channels.base import ChannelName, ThreadRef

_LINK = re.compile(r"\[([^\]\[]{1,100})\]\([^)\s]{1,300}\)")
_MARKS = re.compile(r"[*_`|~]{2,}|[*`|]|(?<!\S)[#>]+(?=\s)")  # of Markdown, in a preview of one line
_WEB_ROOM = ThreadRef(channel=ChannelName("web"), room="main")


def render(
    template: str, values: Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] = {}
) -> HTMLResponse:
    return HTMLResponse(_environment().get_template(template).render(values), status, headers=dict(headers))


def macro(name: str, *arguments: Any) -> str:
    """One piece of a page: the same macro that the whole page is made of."""
    return str(getattr(_environment().get_template("pieces.html").module, name)(*arguments))


@cache
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
    from markupsafe import Markup

    from bot.web import markdown

    environment = Environment(
        loader=PackageLoader("bot.web", "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        markdown=lambda text: Markup(markdown.html(text)),  # noqa: S704 - escaped piece by piece in `markdown`
        growing=lambda text: Markup(markdown.render(text)),  # noqa: S704
        clock=clock,
        ago=ago,
        money=money,
        count=count,
        seconds=seconds,
        path=path_of,
        thread_name=thread_name,
        iso=lambda moment: moment.isoformat(timespec="seconds"),
        short=short,
        plain=lambda line: _MARKS.sub("", _LINK.sub(r"\1", line)),
        tint=tint,
        initial=initial,
        pretty=lambda value: json.dumps(value, indent=1, ensure_ascii=False),
        compact=lambda value: json.dumps(value, ensure_ascii=False),
    )
    environment.globals.update(asset=asset, now=lambda: datetime.now(UTC))
    return environment


@cache
def static_files() -> Mapping[str, bytes]:
    """Everything under /static: a handful of small files, read once."""
    folder = files("bot.web").joinpath("static")
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


@cache
def asset(name: str) -> str:
    """A static file's address, with its content's hash, so that it can be kept for ever."""
    return f"/static/{name}?v={hashlib.sha256(static_files()[name]).hexdigest()[:12]}"


def path_of(place: str) -> str:
    """The page of a place: short for a thread of the page."""
    where = ThreadRef.parse(place)
    name = where.thread or ""
    if where.in_room == _WEB_ROOM and name.strip(".") and ":" not in name:
        return f"/t/{quote(name, safe='')}"
    return f"/t/{quote(place, safe=':@')}"


def thread_name(place: str) -> str:
    """What a person calls a place."""
    where = ThreadRef.parse(place)
    if where.thread is not None:
        return where.thread if where.room == "main" and not where.space else f"{where.room} › {where.thread}"
    return where.room


def clock(moment: datetime) -> str:
    """The time of day; the page's script makes it local."""
    return moment.astimezone(UTC).strftime("%H:%M")


def ago(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return "never"
    past = max(0.0, (now - moment).total_seconds())
    for limit, unit, name in ((60, 1, "s"), (3600, 60, "m"), (86_400, 3600, "h"), (math.inf, 86_400, "d")):
        if past < limit:
            return f"{int(past // unit)}{name}" if past >= 5 else "now"
    return ""


def money(usd: float) -> str:
    if usd == 0:
        return "$0"
    return f"${usd:.4f}" if usd < 0.1 else f"${usd:,.2f}"


def count(value: int) -> str:
    if value < 10_000:
        return f"{value:,}"
    return f"{value / 1000:.0f}k" if value < 1_000_000 else f"{value / 1_000_000:.1f}M"


def seconds(value: float) -> str:
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if value < 60 else f"{int(value // 60)} min {int(value % 60)} s"


def short(text: str, length: int = 120) -> str:
    line = " ".join(text[: length * 3].split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def tint(name: str) -> str:
    """One of eight colours, always the same for a name."""
    return f"tint-{int(hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest(), 16) % 8}"


def initial(name: str) -> str:
    return next((character.upper() for character in name if character.isalnum()), "·")
