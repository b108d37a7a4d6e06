"""/health: how the channels, models and tool servers are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from agents.models.base import Models
from agents.progress import age
from agents.tool_servers import ServerState
from bot.access import Action
from bot.commands.base import Command, Request, allow
from channels.base import Health


def command(
    health: Callable[[], Mapping[str, Health]],
    models: Models,
    tool_servers: Callable[[], Sequence[ServerState]],
    awake: Callable[[], int],
) -> Command:
    async def run(request: Request) -> str:
        allow(request, Action.HEALTH)
        lines = [
            f"**{name}**: {state.state.value} for {age(request.now - state.since)}"
            + (f" — {state.detail}" if state.detail else "")
            for name, state in health().items()
        ]
        lines += [
            f"model **{info.name}** ({info.model}): {'fine' if info.available else f'not available, {info.detail}'}"
            for info in models.infos()
        ]
        lines += [f"tool server **{server.name}**: {server.state}" for server in tool_servers()]
        lines.append(f"{awake()} sessions at work")
        return "\n".join(f"- {line}" for line in lines)

    return Command(name="health", summary="How the channels, models and tool servers are", usage="/health", run=run)
