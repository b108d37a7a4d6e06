"""/focus and /unfocus: bind this place to another session, or to none."""

from __future__ import annotations

from agents.base import State
from agents.ports import Sessions
from bot.access import Action
from bot.commands.base import SESSION, Command, Misused, Request, Targets, allow


def focus(sessions: Sessions, targets: Targets) -> Command:
    async def run(request: Request) -> str:
        name = request.arguments.strip()
        if not name:
            raise Misused("Name a session: /focus session")
        session = await targets.named(request, name, Action.FOCUS)
        await _may_leave(request, targets)
        if session.state is State.ENDED:
            return f"**{session.label}** has ended, so this place stays as it was. `/agents` lists who is alive."
        await sessions.bind(session.id, request.where, request.now, home=session.home is None)
        return f"This place now talks to **{session.label}**. /unfocus leaves it."

    return Command(
        name="focus",
        summary="Talk to another session from here",
        usage="/focus session",
        run=run,
        decides=True,
        public=True,
        options=(SESSION,),
        action=Action.FOCUS,
    )


def unfocus(sessions: Sessions) -> Command:
    targets = Targets(sessions)

    async def run(request: Request) -> str:
        await _may_leave(request, targets)
        if await sessions.unbind(request.where):
            return "This place talks to no session now. The session lives on; /focus comes back to it."
        return "This place talked to no session."

    return Command(
        name="unfocus", summary="Leave the session of this place", usage="/unfocus", run=run, decides=True, public=True
    )


async def _may_leave(request: Request, targets: Targets) -> None:
    """To take a place away from the session that is bound there needs a right to that one as well. Raises Denied."""
    if request.bound is None:
        allow(request, Action.FOCUS)
    else:
        await targets.here(request, Action.FOCUS)
