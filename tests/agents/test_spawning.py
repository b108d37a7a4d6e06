"""What a spawn may ask for: taken as given, or refused with the limit and what is allowed; never more than above."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.base import Refused, Session, StepKind
from agents.models.base import ModelName
from agents.models.chain import build
from agents.models.settings import ModelSettings
from agents.rights import Rights
from agents.team import Task
from tests.agents.world import ADA, World, profiles, world

REHEARSAL = ModelSettings(kind="rehearsal", word_delay_seconds=0.0)


def team_of_three() -> dict[str, Any]:
    """assistant spawns researcher, who spawns reader."""
    agents: dict[str, Any] = profiles(max_children=50)
    agents["reader"] = replace(agents["researcher"], name="reader")
    agents["assistant"] = replace(agents["assistant"], spawns=("researcher", "reader"))
    agents["researcher"] = replace(agents["researcher"], spawns=("reader",))
    return agents


async def child_of(here: World, parent: Session, agent: str, key: str, **more: Any) -> Session:
    task = Task(key=key, agent=agent, text="say x", owner=ADA, owner_name="Ada", parent=parent, **more)  # type: ignore[arg-type]
    return (await here.team.spawn(task)).session


async def refused(here: World, parent: Session | None, agent: str, **more: Any) -> Refused:
    task = Task(key=f"r{more}", agent=agent, text="x", owner=ADA, owner_name="Ada", parent=parent, **more)  # type: ignore[arg-type]
    with pytest.raises(Refused) as raised:
        await here.team.spawn(task)
    return raised.value


@pytest.mark.requirement("P9")
async def test_a_child_spawns_only_whom_everybody_above_it_may_spawn_too(tmp_path: Path) -> None:
    async with world(tmp_path, agents=team_of_three(), runs=False) as here:
        root = await here.says("say hello")
        child = await child_of(here, root, "researcher", "c")
        assert (await child_of(here, child, "reader", "g")).depth == 2
        here.agents["assistant"] = replace(here.agents["assistant"], spawns=("researcher",))  # type: ignore[arg-type]
        no = await refused(here, child, "reader")
        assert (no.limit, "it may spawn: none" in str(no)) == ("spawns", True)
        alone = Task(key="alone", agent="researcher", text="x", owner=ADA, owner_name="Ada")  # type: ignore[arg-type]
        free = (await here.team.spawn(alone)).session
        assert (await child_of(here, free, "reader", "f")).parent == free.id, "nobody is above it"


@pytest.mark.requirement("P9")
async def test_generations_are_counted_for_every_agent_above(tmp_path: Path) -> None:
    async with world(tmp_path, agents=team_of_three(), runs=False) as here:
        here.agents["assistant"] = replace(here.agents["assistant"], max_depth=1)
        root = await here.says("say hello")
        child = await child_of(here, root, "researcher", "c")
        assert (await refused(here, child, "reader")).limit == "max_depth"
        here.agents["assistant"] = replace(here.agents["assistant"], max_depth=9)
        here.agents["researcher"] = replace(here.agents["researcher"], max_depth=1)
        grandchild = await child_of(here, child, "reader", "g")
        assert grandchild.depth == 2, "one generation below the researcher"
        rights = await Rights(here, here.sessions).profile_of(grandchild)
        assert rights is not None
        assert (rights.max_depth, rights.spawns) == (0, ())


@pytest.mark.requirement("P9")
async def test_another_model_must_be_allowed_to_the_child_and_to_all_above_it(tmp_path: Path) -> None:
    models = build({ModelName(name): REHEARSAL for name in ("default", "dear", "cheap")})
    async with world(tmp_path, agents=team_of_three(), runs=False, models=models) as here:
        root = await here.says("say hello")
        no = await refused(here, root, "researcher", model="dear")
        assert (no.limit, "allowed: default." in str(no)) == ("models", True)
        here.agents["researcher"] = replace(here.agents["researcher"], models=(ModelName("dear"), ModelName("cheap")))
        assert (await refused(here, root, "researcher", model="dear")).limit == "models", "the assistant may not"
        here.agents["assistant"] = replace(here.agents["assistant"], models=(ModelName("cheap"),))
        assert (await child_of(here, root, "researcher", "cheap", model="cheap")).model == "cheap"
        assert "allowed: default, cheap." in str(await refused(here, root, "researcher", model="dear"))
        assert (await refused(here, root, "researcher", model="invented")).limit == "models"
        here.agents["researcher"] = replace(here.agents["researcher"], model=ModelName("dear"))
        assert (await child_of(here, root, "researcher", "own", model="dear")).model == "dear", "its own comes with it"


@pytest.mark.requirement("P9")
async def test_timeout_money_and_workspace_are_bounded_by_the_profile_and_by_what_is_left_above(tmp_path: Path) -> None:
    async with world(tmp_path, agents=team_of_three(), runs=False) as here:
        here.agents["researcher"] = replace(
            here.agents["researcher"], turn_timeout_seconds=60.0, budget_usd=0.5, workspace="shared:lab"
        )
        root = await here.says("say hello")
        assert (await refused(here, root, "researcher", timeout_seconds=61)).limit == "turn_timeout_seconds"
        assert "give 60 at most" in str(await refused(here, None, "researcher", timeout_seconds=61))
        assert "budget_usd of researcher: give 0.5" in str(await refused(here, root, "researcher", budget_usd=0.6))
        here.agents["assistant"] = replace(here.agents["assistant"], budget_usd=0.3)
        assert "the sessions above it have left: give 0.3" in str(
            await refused(here, root, "researcher", budget_usd=0.4)
        )
        child = await child_of(here, root, "researcher", "c", timeout_seconds=60, budget_usd=0.3)
        assert (child.timeout_seconds, child.budget_usd, child.workspace) == (60, 0.3, None)
        no = await refused(here, child, "reader", workspace="shared:lab")
        assert no.limit == "workspace", "its profile names it, but here it works in its own"
        assert (await refused(here, None, "researcher", workspace="shared:other")).limit == "workspace"


async def test_a_label_that_imitates_another_or_something_else_is_refused(tmp_path: Path) -> None:
    imitations = ("Prices", "pri ces", " prices", "prices\n", "préces", "prісes", "prices\u200b", "ｐrices")
    others = ("", "-x", "x" * 41, "a/b", "all", "any", "parent", "reader", "sabcdefghij")
    async with world(tmp_path, agents=team_of_three(), runs=False) as here:
        root = await here.says("say hello")
        await child_of(here, root, "researcher", "c", label="prices")
        for label in (*imitations, *others):
            assert "cannot be a label" in str(await refused(here, root, "researcher", label=label)), label


async def test_labels_clash_only_among_the_living_and_ids_that_a_model_invents_name_nobody(tmp_path: Path) -> None:
    async with world(tmp_path, agents=team_of_three()) as here:
        root = await here.says(
            "\n".join(
                [
                    'tool sessions_spawn {"agent": "researcher", "task": "say x", "label": "a", "mode": "session"}',
                    'tool sessions_spawn {"agent": "researcher", "task": "say y", "label": "a", "mode": "session"}',
                    *(
                        f"tool {name} {json.dumps(arguments)}"
                        for name, arguments in (
                            ("sessions_send", {"session": "s2222222222", "message": "x"}),
                            ("sessions_history", {"session": "' or 1=1 --"}),
                            ("subagents", {"action": "kill", "target": "szzzzzzzzzz"}),
                            ("subagents", {"action": "steer", "target": "%", "message": "x"}),
                            ("sessions_send", {"session": "", "message": "x"}),
                        )
                    ),
                    "say over",
                ]
            )
        )
        await here.until(lambda: here.said_any("over"))
        steps = [s.step.body for s in await here.journal.history(root.id) if s.step.kind is StepKind.RESULT]
        assert [body["error"] for body in steps] == [False, *[True] * 6]
        assert "already called 'a'" in steps[1]["text"]
        assert all("is called" in body["text"] or "none of yours" in body["text"] for body in steps[2:])
        first = await here.sessions.find("a")
        await here.team.kill(first.id, by="Ada")
        assert (await child_of(here, root, "researcher", "again", label="a")).id != first.id
        assert (await here.sessions.find("a")).id != first.id, "the living one"
        assert (await here.sessions.find(first.id)).id == first.id


@pytest.mark.requirement("P10")
async def test_the_audit_log_names_the_limit_that_refused(tmp_path: Path) -> None:
    async with world(tmp_path, agents=profiles(max_children=1)) as here:
        await here.says("spawn researcher: wait 5s\nspawn researcher: say x\nsay over")
        await here.until(lambda: here.said_any("over"))
        rows = await here.query("select detail from audit where action = 'tool' order by n")
        assert [json.loads(row["detail"]).get("limit") for row in rows] == [None, "max_children"]
