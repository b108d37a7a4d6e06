"""/retry: try the last request once more."""

from __future__ import annotations

from agents.base import MailKey, MailKind, NewMail
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
        await team.post(mail)
        return f"{session.label} tries again."

    return Command(
        name="retry",
        summary="Try the last request again",
        usage="/retry [session]",
        run=run,
        public=True,
        options=(SESSION,),
    )
