"""/help: every command in one line each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bot.commands.base import Command, Request
from channels.base import ChannelName, CommandSpec


def command(
    commands: Callable[[], Sequence[Command]], routed: Callable[[ChannelName], Sequence[CommandSpec]]
) -> Command:
    """`routed`: what the routes of a channel add to the commands that are everywhere."""

    async def run(request: Request) -> str:
        name = request.arguments.strip().lstrip("/!")
        listed = {each.name: each for each in commands()}
        if name in listed:
            return f"`{listed[name].usage}` — {listed[name].summary}."
        lines = [f"- `{each.usage}` — {each.summary}" for each in listed.values()]
        lines += [f"- `/{each.name} text` — {each.description}" for each in routed(request.where.channel)]
        return "\n".join(["Write to talk to the agent of this place. Commands:", *lines])

    return Command(name="help", summary="What can be said here", usage="/help [command]", run=run)
