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

_NAMED = 60  # a tree of fifty is named whole


def command(team: Team, sessions: Sessions, targets: Targets) -> Command:
    async def run(request: Request) -> str:
        name = request.arguments.strip()
        if name == "all":
            return await _all(request)
        session = await targets.named_or_here(request, name, Action.KILL)
        return _report([await _kill(request, session)], session.label, request.principal.byline)

    async def _all(request: Request) -> str:
        allow(request, Action.KILL)
        everything = request.principal.role >= Role.OPERATOR
        roots = [
            session
            for session in await sessions.living(10_000)
            if session.parent is None and (everything or owns(request, session))
        ]
        return _report([await _kill(request, root) for root in roots], "all", request.principal.byline)

    async def _kill(request: Request, session: Session) -> Killed:
        person = request.principal
        return await team.kill(session.id, by=person.byline, answered_in=request.where, actor=person.account)

    return Command(
        name="kill",
        soon=True,
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
    names = ", ".join(f"**{session.label}**" for session in killed[:_NAMED])
    more = f" and {len(killed) - _NAMED} more" if len(killed) > _NAMED else ""
    turns = sum(session.turns for session in killed)
    cost = sum(session.spent_usd for session in killed)
    calls = sum(kill.tool_calls for kill in kills)
    done = f"{counted(turns, 'turn')}, {counted(calls, 'tool call')}, ${cost:.4f}"
    return f"Killed {names}{more} (by {by}). Until then: {done}. `/history {killed[0].id}` shows each step."
