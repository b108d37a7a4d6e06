"""/steer: a note that joins a running turn at its next step."""

from __future__ import annotations

from typing import Protocol

from agents.base import Acknowledge, Posted, SessionId, State
from agents.team import Team
from bot.access import Action
from bot.commands.base import SESSION, Command, Misused, Request, Targets
from channels.base import CommandOption


class Acknowledges(Protocol):
    """`bot.showing.marks` fulfils it."""

    def look(self, session: SessionId) -> None:
        """Something of a person waits for this session; he shall see when it is taken in."""


def command(team: Team, targets: Targets, marks: Acknowledges) -> Command:
    async def run(request: Request) -> str:
        session, text = await targets.leading_or_here(request, Action.STEER)
        if not text:
            raise Misused("Say in which direction: /steer [session] text")
        acknowledge = Acknowledge(where=request.where, reply=request.reply_key)
        posted = await team.steer(
            session,
            text,
            by=request.principal.name,
            key=request.key,
            account=request.principal.account,
            acknowledge=acknowledge if session.state is not State.IDLE else None,
        )
        if posted is Posted.ENDED:
            return f"{session.label} has ended: the note was not taken in. /agents lists who is alive."
        if posted is Posted.FULL:
            return f"The queue of {session.label} is full: the note was not taken in. /stop ends its turn."
        if session.state is State.IDLE:
            return f"{session.label} was idle and begins with your note."
        marks.look(session.id)
        return f"{session.label} gets your note at its next step."

    return Command(
        name="steer",
        summary="Give a running agent new direction",
        usage="/steer [session] text",
        run=run,
        public=True,
        options=(SESSION, CommandOption(name="text", description="The note", required=True)),
        action=Action.STEER,
    )
