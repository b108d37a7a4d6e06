"""/spawn: a new session for a task, in a thread of its own where there are threads."""

from __future__ import annotations

from agents.base import AgentName
from agents.ports import Profiles
from agents.team import Task, Team
from bot.access import Action
from bot.commands.base import Command, Misused, Request, allow
from channels.base import CommandOption, Takes


def command(team: Team, profiles: Profiles) -> Command:
    async def run(request: Request) -> str:
        allow(request, Action.SPAWN)
        first, rest = request.word()
        named = first in profiles.names()
        text = rest if named else request.arguments.strip()
        if not text:
            raise Misused(f"Say what is to be done: /spawn [{'|'.join(profiles.names())}] task")
        spawned = await team.spawn(
            Task(
                key=request.key,
                agent=AgentName(first) if named else profiles.names()[0],
                text=text,
                owner=request.principal.account,
                owner_name=request.principal.name,
                parent=None,
                near=request.where,
                anchor=request.message_id if request.where.thread is None else None,
                inbox=request.inbox,
            )
        )
        session = spawned.session
        where = "in a thread of its own" if session.home else "without a thread: /history shows what it does"
        return f"Spawned **{session.label}** (`{session.id}`, agent {session.agent}) {where}."

    return Command(
        name="spawn",
        summary="Start an agent on a task, in a thread of its own",
        usage="/spawn [agent] task",
        run=run,
        public=True,
        options=(
            CommandOption(name="agent", description="Who does it; nothing for the first agent", takes=Takes.AGENT),
            CommandOption(name="task", description="What is to be done", required=True),
        ),
        action=Action.SPAWN,
    )
