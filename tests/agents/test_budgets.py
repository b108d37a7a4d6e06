"""Budgets stop a session before a call that it cannot pay, so one is overspent by one call at the most."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agents.base import Ended, Session, StepKind
from agents.models.base import ModelName
from agents.models.chain import build
from agents.models.settings import ModelSettings, Price
from tests.agents.world import World, profiles, world

# A rehearsal counts some thousand tokens a call: at this price about a tenth of a cent.
PRICED = ModelSettings(kind="rehearsal", word_delay_seconds=0.0, price_usd_per_million=Price(input=1.0, output=0.0))


async def calls(here: World, session: Session) -> int:
    return sum(
        step.step.kind is StepKind.MODEL and bool(step.step.model) for step in await here.journal.history(session.id)
    )


def priced(here: World) -> None:
    models = build({ModelName("default"): PRICED})
    here.runner._parts = replace(here.runner._parts, models=models)


@pytest.mark.requirement("P8")
@pytest.mark.parametrize("bound", ["budget_usd", "budget_usd_per_day"])
async def test_no_call_is_made_once_the_money_is_used_up(tmp_path: Path, bound: str) -> None:
    async with world(tmp_path, agents=profiles(**{bound: 0.001})) as here:
        priced(here)
        session = await here.says("say first")
        await here.at_rest()
        assert (await here.get(session)).spent_usd > 0.001, "the one call that overspends"
        assert await calls(here, session) == 1
        await here.says("say second")
        await here.at_rest()
        assert await calls(here, session) == 1, "the second call was not made"
        assert bound in (await here.said())[-1]
        audited = await here.query("select json_extract(detail, '$.outcome') from audit where action = 'turn'")
        assert [row[0] for row in audited] == ["over_budget"]


@pytest.mark.slow
@pytest.mark.requirement("P9")
async def test_a_tree_spends_together_and_is_overspent_by_the_calls_under_way_at_the_most(tmp_path: Path) -> None:
    async with world(tmp_path, agents=profiles(max_children=20)) as here:
        priced(here)
        here.agents["assistant"] = replace(here.agents["assistant"], budget_usd=0.02)
        many = "agents then " * 30
        root = await here.says("\n".join([*[f"spawn researcher: ({many}say x)"] * 10, "join", "say still paid"]))
        await here.at_rest(20.0)
        tree = await here.sessions.tree(root.id)
        each = max(float(row[0]) for row in await here.query("select max(cost_nano) / 1e9 from steps"))
        after = await here.get(root)
        assert 0.02 <= after.tree_usd <= 0.02 + each * len(tree)
        assert after.tree_usd == pytest.approx(sum(session.spent_usd for session in tree), abs=1e-6)
        assert all(child.ended is Ended.FAILED for child in tree if child.id != root.id)
        assert "spent" in (await here.said())[-1]
        assert not await here.said_any("still paid"), "the root's own money is the tree's"
