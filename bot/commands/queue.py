"""/queue: see or choose what happens with messages that come while a turn runs."""

from __future__ import annotations

from agents.base import QueueMode
from agents.ports import Profiles, Sessions
from bot.access import Action
from bot.commands.base import Command, Request, Targets
from channels.base import CommandOption

_MEANS = {
    QueueMode.STEER: "join the running turn at its next step",
    QueueMode.FOLLOWUP: "wait, and get a turn each, in order",
    QueueMode.COLLECT: "wait, and are taken together in the next turn",
    QueueMode.INTERRUPT: "end the running turn and begin the next",
}


def command(sessions: Sessions, profiles: Profiles, targets: Targets) -> Command:
    async def run(request: Request) -> str:
        session = await targets.here(request, Action.QUEUE)
        word = request.arguments.strip().lower()
        if not word:
            profile = profiles.profile(session.agent)
            mode = session.queue or (profile.queue if profile else QueueMode.STEER)
            others = ", ".join(other.value for other in QueueMode if other is not mode)
            return f"Messages that come while a turn runs {_MEANS[mode]} (**{mode.value}**). Others: {others}."
        try:
            mode = QueueMode(word)
        except ValueError:
            return f"{word!r} is no queue mode. There are: {', '.join(other.value for other in QueueMode)}."
        await sessions.change(session.id, queue=mode)
        return f"**{mode.value}**: messages that come while a turn runs {_MEANS[mode]}."

    return Command(
        name="queue",
        summary="What happens with messages while a turn runs",
        usage="/queue [steer|followup|collect|interrupt]",
        run=run,
        decides=True,
        looks=frozenset({""}),
        public=True,
        options=(CommandOption(name="mode", description="The mode", choices=tuple(mode.value for mode in QueueMode)),),
    )
