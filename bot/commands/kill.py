"""/kill: end a session and everything below it, for good."""

from __future__ import annotations

from dataclasses import replace

from agents.base import Session
from agents.ports import Sessions
from agents.team import Team
from bot.access import Action, Role
from bot.commands.base import SESSION, Command, Request, Targets, allow, owns


def command(team: Team, sessions: Sessions, targets: Targets) -> Command:
    async def run(request: Request) -> str:
        name = request.arguments.strip()
        if name == "all":
            return await _all(request)
        session = await targets.named_or_here(request, name, Action.KILL)
        return _report(await _kill(request, session), session.label)

    async def _all(request: Request) -> str:
        allow(request, Action.KILL)
        everything = request.principal.role >= Role.OPERATOR
        roots = [
            session
            for session in await sessions.living(10_000)
            if session.parent is None and (everything or owns(request, session))
        ]
        killed = [ended for root in roots for ended in await _kill(request, root)]
        return _report(killed, "all")

    async def _kill(request: Request, session: Session) -> tuple[Session, ...]:
        return (await team.kill(session.id, by=request.principal.name)).sessions

    return Command(
        name="kill",
        summary="End a session and everything below it",
        usage="/kill [session|all]",
        run=run,
        public=True,
        options=(replace(SESSION, choices=("all",)),),
        action=Action.KILL,
    )


def _report(killed: list[Session] | tuple[Session, ...], name: str) -> str:
    if not killed:
        return f"Nothing was alive of {name}."
    names = ", ".join(f"**{session.label}**" for session in killed[:10])
    more = f" and {len(killed) - 10} more" if len(killed) > 10 else ""
    turns = sum(session.turns for session in killed)
    cost = sum(session.spent_usd for session in killed)
    return f"Killed {names}{more}. Until then: {turns} turns, ${cost:.4f}. /history shows what was done."
