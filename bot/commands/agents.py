"""/agents: the living sessions as a tree, with state, age and cost."""

from __future__ import annotations

from agents.ports import Sessions
from agents.progress import age
from agents.team import first_line
from bot.access import Action, Role
from bot.commands.base import Command, Request, allow, owns


def command(sessions: Sessions) -> Command:
    async def run(request: Request) -> str:
        allow(request, Action.AGENTS)
        living = await sessions.living()
        mine = {session.root for session in living if owns(request, session)}
        shown = [session for session in living if request.principal.role >= Role.OPERATOR or session.root in mine]
        if not shown:
            return "No session is alive. Write something to begin one, or /spawn an agent."
        shown.sort(key=lambda session: (session.root, session.depth, session.created_at))
        lines = []
        for session in shown:
            doing = f", {session.doing}" if session.doing else ""
            facts = (
                f"{age(request.now - session.created_at)} · ${session.spent_usd:.4f} · {first_line(session.task, 70)}"
            )
            indent = "    " * session.depth
            lines.append(f"{indent}- **{session.label}** (`{session.id}`) {session.state.value}{doing} · {facts}")
        return "\n".join(lines)

    return Command(name="agents", summary="The living sessions: state, age, cost", usage="/agents", run=run)
