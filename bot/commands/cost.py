"""/cost: what today's and this month's calls cost, by agent and model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Protocol

from bot.access import Action, Role
from bot.commands.base import Command, Request, allow, owns


class Spent(Protocol):
    @property
    def day(self) -> str: ...
    @property
    def agent(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def calls(self) -> int: ...
    @property
    def tokens(self) -> int: ...
    @property
    def cost_usd(self) -> float: ...


class Costs(Protocol):
    """`storage.views` fulfils it."""

    async def cost(self, *, since: date, limit: int = 1000) -> Sequence[Spent]: ...


def command(costs: Costs) -> Command:
    async def run(request: Request) -> str:
        allow(request, Action.COST)
        lines = []
        session = request.bound
        if session is not None and (owns(request, session) or request.principal.role >= Role.OPERATOR):
            lines.append(f"**{session.label}**: ${session.spent_usd:.4f}, with all below ${session.tree_usd:.4f}")
        if request.principal.role >= Role.OPERATOR:
            rows = await costs.cost(since=request.now.date() - timedelta(days=30))
            today = max((row.day for row in rows), default="")
            totals: defaultdict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
            for row in rows:
                total = totals[row.agent, row.model]
                total[0] += row.cost_usd if row.day == today else 0.0
                total[1] += row.cost_usd
                total[2] += row.calls
            for (agent, model), (day, month, calls) in sorted(totals.items()):
                lines.append(f"{agent} on {model}: ${day:.4f} on {today}, ${month:.4f} in 30 days ({int(calls)} calls)")
        return "\n".join(f"- {line}" for line in lines) or "Nothing has been spent yet."

    return Command(name="cost", summary="What sessions, agents and models cost", usage="/cost", run=run)
