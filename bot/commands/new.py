"""/new: leave this thread's session and begin a new one with the next message."""

from __future__ import annotations

from agents.base import Ended, State
from agents.ports import Sessions
from bot.access import Action
from bot.commands.base import Command, Request, Targets, allow


def command(sessions: Sessions, targets: Targets) -> Command:
    async def run(request: Request) -> str:
        allow(request, Action.NEW)
        if request.bound is None:
            return "This place has no session: your next message begins one."
        session = await targets.here(request, Action.NEW)
        if session.state is not State.IDLE:
            return f"{session.label} is {session.state.value}: /stop its turn or /kill it first."
        await sessions.end(session.id, Ended.DONE, "closed by /new", request.now)
        return f"Closed {session.label}. Your next message begins a new conversation."

    return Command(
        name="new",
        soon=True,
        summary="Close this conversation and begin a new one",
        usage="/new",
        run=run,
        decides=True,
        public=True,
    )
