"""/send: a message to a session by its name, from anywhere."""

from __future__ import annotations

from agents.base import MailKey, MailKind, NewMail, Posted
from agents.team import Team
from bot.access import Action
from bot.commands.base import Command, Misused, Request, Targets
from channels.base import CommandOption, Takes


def command(team: Team, targets: Targets) -> Command:
    async def run(request: Request) -> str:
        name, text = request.word()
        if not name or not text:
            raise Misused("Write /send session text")
        session = await targets.named(request, name, Action.SEND)
        mail = NewMail(
            key=MailKey(f"send:{request.key}"),
            session=session.id,
            kind=MailKind.PERSON,
            text=text,
            sender=request.principal.account,
            sender_name=request.principal.name,
        )
        match await team.post(mail):
            case Posted.FULL:
                return f"The queue of {session.label} is full: nothing was sent. Try again when it has worked some off."
            case Posted.ENDED:
                return f"{session.label} has ended: nothing was sent."
            case _:
                return f"Sent to {session.label}. It answers in its own thread."

    return Command(
        name="send",
        summary="Send a message to a session by its name",
        usage="/send session text",
        run=run,
        decides=True,
        options=(
            CommandOption(name="session", description="Its label or id", required=True, takes=Takes.SESSION),
            CommandOption(name="text", description="The message", required=True),
        ),
        action=Action.SEND,
    )
