"""/kill: end a session and everything below it, for good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from agents.base import Session
from agents.ports import Killed, Sessions
from agents.progress import counted
from agents.team import Team
from bot.access import Action, Role
from bot.commands.base import SESSION, Command, Request, Targets, allow, owns


def command(team: Team, sessions: Sessions, targets: Targets) -> Command:
    async def run(request: Request) -> str:
        name = request.arguments.strip()
        if name == "all":
            return await _all(request)
        session = await targets.named_or_here(request, name, Action.KILL)
        return _report([await _kill(request, session)], session.label, request.principal.name)

    async def _all(request: Request) -> str:
        allow(request, Action.KILL)
        everything = request.principal.role >= Role.OPERATOR
        roots = [
            session
            for session in await sessions.living(10_000)
            if session.parent is None and (everything or owns(request, session))
        ]
        return _report([await _kill(request, root) for root in roots], "all", request.principal.name)

    async def _kill(request: Request, session: Session) -> Killed:
        person = request.principal
        return await team.kill(session.id, by=person.name, answered_in=request.where, actor=person.account)

    return Command(
        name="kill",
        summary="End a session and everything below it",
        usage="/kill [session|all]",
        run=run,
        public=True,
        options=(replace(SESSION, choices=("all",)),),
        action=Action.KILL,
    )


def _report(kills: Sequence[Killed], name: str, by: str) -> str:
    killed = [session for kill in kills for session in kill.sessions]
    if not killed:
        return f"Nothing was alive of {name}."
    names = ", ".join(f"**{session.label}**" for session in killed[:10])
    more = f" and {len(killed) - 10} more" if len(killed) > 10 else ""
    turns = sum(session.turns for session in killed)
    cost = sum(session.spent_usd for session in killed)
    calls = sum(kill.tool_calls for kill in kills)
    done = f"{counted(turns, 'turn')}, {counted(calls, 'tool call')}, ${cost:.4f}"
    return f"Killed {names}{more} (by {by}). Until then: {done}. `/history {killed[0].id}` shows each step."
