"""/retry: try the last request once more."""

from __future__ import annotations

from agents.base import MailKey, MailKind, NewMail, Posted
from agents.team import Team
from bot.access import Action
from bot.commands.base import SESSION, Command, Request, Targets


def command(team: Team, targets: Targets) -> Command:
    async def run(request: Request) -> str:
        session = await targets.named_or_here(request, request.arguments.strip(), Action.RETRY)
        mail = NewMail(
            key=MailKey(f"retry:{request.key}"),
            session=session.id,
            kind=MailKind.RETRY,
            text="",
            sender=request.principal.account,
            sender_name=request.principal.name,
            where=request.where if request.bound is not None and session.id == request.bound.id else None,
        )
        match await team.post(mail):
            case Posted.FULL:
                return f"The queue of {session.label} is full, and what waits there comes first: /stop ends its turn."
            case Posted.ENDED:
                return f"{session.label} has ended and cannot try again: write, or /spawn an agent with the request."
            case _:
                return f"{session.label} tries again."

    return Command(
        name="retry",
        soon=True,
        summary="Try the last request again",
        usage="/retry [session]",
        run=run,
        decides=True,
        public=True,
        options=(SESSION,),
        action=Action.RETRY,
    )
