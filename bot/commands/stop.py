"""/stop: end the running turn and keep the session."""

from __future__ import annotations

from agents.team import Team
from bot.access import Action
from bot.commands.base import SESSION, Command, Request, Targets


def command(team: Team, targets: Targets) -> Command:
    async def run(request: Request) -> str:
        session = await targets.named_or_here(request, request.arguments.strip(), Action.STOP)
        if await team.stop(session.id):
            return f"Stopped the turn of {session.label}. The session is kept: write to go on."
        return f"{session.label} runs no turn at the moment."

    return Command(
        name="stop",
        soon=True,
        summary="End this turn, keep the session",
        usage="/stop [session]",
        run=run,
        decides=True,
        public=True,
        options=(SESSION,),
        action=Action.STOP,
    )
