"""Pieces of the page, as the event stream sends them: drawn by the same macros as the page itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agents.base import SessionId
from bot.events import EventHub
from bot.web.templates import macro, thread_name
from storage.view_rows import MessageRow, PlaceRow, SessionRow


def message(row: MessageRow) -> dict[str, Any]:
    return {
        "n": row.n,
        "place": row.place,
        "side": row.side,
        "author": row.author,
        "session": row.session,
        "id": row.id,
        "html": macro("message", row, False),
    }


def waiting(rows: Sequence[MessageRow]) -> str:
    return "".join(macro("unsaid", row) for row in rows)


def live(hub: EventHub, session: SessionId, label: str) -> str:
    """What is being said and done right now; empty when nothing is."""
    doing = hub.now_in(session)
    if doing is None or doing.state == "waiting":
        return ""
    tools = [
        {
            "name": run.name,
            "arguments": _brief(run.arguments),
            "running": run.seconds is None,
            "seconds": hub.seconds_since(run.started) if run.seconds is None else run.seconds,
            "error": run.error,
        }
        for run in doing.tools[-8:]
    ]
    return macro("live", session, label, doing.text, doing.thinking[-300:], tools, len(doing.tools), doing.taken)


def place(row: PlaceRow) -> dict[str, Any]:
    return {
        "place": row.place,
        "n": row.last_n,
        "name": thread_name(row.place),
        "html": macro("thread_row", row, False),
    }


def outline(row: SessionRow) -> dict[str, Any]:
    return {"id": row.id, "state": row.state, "ended": row.ended, "doing": row.doing, "label": row.label}


def _brief(arguments: Any) -> str:
    """A tool's arguments in one short line."""
    if not isinstance(arguments, dict):
        return ""
    parts = [str(value) if len(arguments) == 1 else f"{name}: {value}" for name, value in arguments.items()]
    line = " ".join(" · ".join(parts)[:400].split())
    return line if len(line) <= 100 else line[:99] + "…"
