"""/model: see the models, or choose another one for this session."""

from __future__ import annotations

from agents.models.base import Models
from agents.ports import Profiles, Sessions
from bot.access import Action
from bot.commands.base import Command, Request, Targets
from channels.base import CommandOption, Takes


def command(sessions: Sessions, models: Models, profiles: Profiles, targets: Targets) -> Command:
    async def run(request: Request) -> str:
        session = await targets.here(request, Action.MODEL)
        name = request.arguments.strip()
        infos = {info.name: info for info in models.infos()}
        if not name:
            profile = profiles.profile(session.agent)
            current = session.model or (profile.model if profile else "")
            lines = [
                f"- {'**' + info.name + '**' if info.name == current else info.name}: {info.kind} {info.model}"
                + ("" if info.available else f" (not available: {info.detail})")
                for info in infos.values()
            ]
            return "\n".join([f"{session.label} uses **{current}**. There are:", *lines])
        if name not in infos:
            return f"There is no model {name!r}. There are: {', '.join(infos)}."
        await sessions.change(session.id, model=name)
        return f"{session.label} uses **{name}** from its next model call on."

    return Command(
        name="model",
        summary="See or choose this session's model",
        usage="/model [name]",
        run=run,
        decides=True,
        looks=frozenset({""}),
        public=True,
        options=(CommandOption(name="model", description="A configured model's name", takes=Takes.MODEL),),
        action=Action.MODEL,
    )
