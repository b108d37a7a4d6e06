"""/agents: the living sessions as a tree, with what each is doing now, its age and its cost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from agents.base import Session, SessionId
from agents.ports import Sessions
from agents.progress import age, as_tree, what
from agents.team import first_line
from bot.access import Action, Role
from bot.commands.base import Command, Request, allow, owns

_SHOWN = 60


def command(sessions: Sessions, doing: Callable[[SessionId], str]) -> Command:
    """`doing`: what a session's running turn is at."""

    async def run(request: Request) -> str:
        allow(request, Action.AGENTS)
        living = await sessions.living()
        mine = {session.root for session in living if owns(request, session)}
        shown = [session for session in living if request.principal.role >= Role.OPERATOR or session.root in mine]
        if not shown:
            return "No session is alive. Write something to begin one, or /spawn an agent."
        lines = [_line(level, each, request.now, doing(each.id)) for level, each in as_tree(shown)[:_SHOWN]]
        if len(shown) > _SHOWN:
            lines.append(f"\n{len(shown) - _SHOWN} more are alive: the page shows them all.")
        return "\n".join(lines)

    return Command(name="agents", summary="The living sessions: state, age, cost", usage="/agents", run=run)


def _line(level: int, session: Session, now: datetime, doing: str) -> str:
    facts = f"{age(now - session.created_at)} · ${session.spent_usd:.4f} · {first_line(session.task, 70)}"
    return f"{'    ' * level}- **{session.label}** (`{session.id}`) {what(session, doing)} · {facts}"
