"""/status: what a session is doing, with which model, and what it has cost."""

from __future__ import annotations

from collections.abc import Callable

from agents.base import SessionId
from agents.ports import Profiles, Sessions
from agents.progress import age
from agents.team import first_line
from bot.access import Action
from bot.commands.base import SESSION, Command, Request, Targets


def command(
    sessions: Sessions, profiles: Profiles, targets: Targets, waits_for_room: Callable[[SessionId], bool]
) -> Command:
    async def run(request: Request) -> str:
        session = await targets.named_or_here(request, request.arguments.strip(), Action.READ)
        profile = profiles.profile(session.agent)
        state = session.ended.value if session.ended else session.state.value
        doing = f" ({session.doing})" if session.doing else ""
        if profile is not None and waits_for_room(session.id):
            doing = f" (waits for room: max_running of {session.agent} is {profile.max_running})"
        budget = session.budget_usd if session.budget_usd is not None else (profile.budget_usd if profile else None)
        children = await sessions.children(session.id)
        places = await sessions.places(session.id)
        lines = [
            f"**{session.label}** (`{session.id}`): {state}{doing}",
            f"agent {session.agent} · model {session.model or (profile.model if profile else 'unknown')}"
            f" · queue {(session.queue or (profile.queue if profile else None) or 'steer')!s}".replace(
                "QueueMode.", ""
            ).lower(),
            f"{session.turns} turns · {age(request.now - session.created_at)} old · last active"
            f" {age(request.now - session.active_at)} ago",
            f"${session.spent_usd:.4f} itself, ${session.tree_usd:.4f} with all below"
            + (f", of ${budget:g}" if budget is not None else ""),
            f"task: {first_line(session.task, 200)}",
        ]
        if children:
            lines.append("children: " + ", ".join(f"{child.label} ({child.state.value})" for child in children))
        if len(places) > 1:
            lines.append("bound to: " + ", ".join(place.key for place in places))
        return "\n".join(f"- {line}" if index else line for index, line in enumerate(lines))

    return Command(
        name="status",
        summary="What a session is doing and costs",
        usage="/status [session]",
        run=run,
        options=(SESSION,),
        action=Action.READ,
    )
