"""/focus and /unfocus: bind this place to another session, or to none."""

from __future__ import annotations

from agents.ports import Sessions
from bot.access import Action
from bot.commands.base import SESSION, Command, Misused, Request, Targets, allow


def focus(sessions: Sessions, targets: Targets) -> Command:
    async def run(request: Request) -> str:
        name = request.arguments.strip()
        if not name:
            raise Misused("Name a session: /focus session")
        session = await targets.named(request, name, Action.FOCUS)
        await sessions.bind(session.id, request.where, request.now, home=session.home is None)
        return f"This place now talks to **{session.label}**. /unfocus leaves it."

    return Command(
        name="focus",
        summary="Talk to another session from here",
        usage="/focus session",
        run=run,
        public=True,
        options=(SESSION,),
    )


def unfocus(sessions: Sessions) -> Command:
    async def run(request: Request) -> str:
        allow(request, Action.FOCUS)
        if await sessions.unbind(request.where):
            return "This place talks to no session now. The session lives on; /focus comes back to it."
        return "This place talked to no session."

    return Command(name="unfocus", summary="Leave the session of this place", usage="/unfocus", run=run, public=True)
