"""/help: every command in one line each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bot.commands.base import Command, Request


def command(commands: Callable[[], Sequence[Command]]) -> Command:
    async def run(request: Request) -> str:
        name = request.arguments.strip().lstrip("/!")
        listed = {each.name: each for each in commands()}
        if name in listed:
            return f"`{listed[name].usage}` — {listed[name].summary}."
        lines = [f"- `{each.usage}` — {each.summary}" for each in listed.values()]
        return "\n".join(["Write to talk to the agent of this place. Commands:", *lines])

    return Command(name="help", summary="What can be said here", usage="/help [command]", run=run)
