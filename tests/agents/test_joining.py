"""How results come back: pushed, once, in order, with the runtime's word for how it ended, to whoever is there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agents.base import Ended, Mode, Session, StepKind
from agents.team import Task
from tests.agents.world import ADA, HOME, World, profiles, world


def spawn(label: str, task: str, **more: object) -> str:
    return "tool sessions_spawn " + json.dumps({"agent": "researcher", "task": task, "label": label, **more})


def wait(target: str, seconds: int = 60) -> str:
    return "tool subagents " + json.dumps({"action": "wait", "target": target, "timeout_seconds": seconds})


async def results(here: World, session: Session, tool: str) -> list[str]:
    steps = [step.step for step in await here.journal.history(session.id)]
    return [step.body["text"] for step in steps if step.kind is StepKind.RESULT and step.body["name"] == tool]


async def read(here: World, session: Session) -> list[str]:
    """The children's results that the session has taken in, in its order."""
    steps = [step.step.body for step in await here.journal.history(session.id) if step.step.kind is StepKind.INPUT]
    return [item["text"] for body in steps for item in body["mail"] if item["kind"] == "result"]


@pytest.mark.requirement("P3")
@pytest.mark.slow
async def test_a_parent_sees_which_children_failed_and_why_and_goes_on(tmp_path: Path) -> None:
    async with world(tmp_path, agents=profiles(max_children=10)) as here:
        team = [
            spawn("well", "say I was killed"),
            spawn("ill", "fail refused"),
            spawn("slow", "wait 30s", timeout_seconds=1),
            spawn("doomed", "wait 30s"),
        ]
        parent = await here.says("\n".join([*team, wait("any"), wait("well"), wait("all"), "say I go on"]))
        await here.until(lambda: here.query("select 1 from sessions where label = 'doomed'"))
        doomed = await here.sessions.find("doomed")
        await here.until(lambda: any(kind == "turn" and id == doomed.id for id, kind, _ in here.events))
        await here.team.kill(doomed.id, by="Ada")
        await here.until(lambda: here.said_any("I go on"))
        await here.at_rest()
        any_one, one, everyone = await results(here, parent, "subagents")
        assert "done" in any_one or "failed" in any_one
        assert one == "well: done", "the runtime's word, not the child's"
        assert sorted(everyone.splitlines()) == ["doomed: killed", "ill: failed", "slow: timed out", "well: done"]
        told = "\n".join(await read(here, parent))
        for line in (
            "well (researcher",
            "is done",
            "was killed by Ada.",
            "failed",
            "refuses",
            "longer than 1 s",
        ):
            assert line in told
        assert len(await read(here, parent)) == 4


@pytest.mark.slow
@pytest.mark.requirement("P3")
async def test_children_that_end_at_the_same_moment_are_all_told_once_to_a_parent_that_is_busy(tmp_path: Path) -> None:
    async with world(tmp_path, agents=profiles(max_children=50)) as here:
        team = [spawn(f"c{number}", f"say Number {number}") for number in range(20)]
        parent = await here.says("\n".join([*team, "wait 200ms then agents", wait("all"), "say I have all"]))
        await here.until(lambda: here.said_any("I have all"))
        await here.at_rest()
        told = await read(here, parent)
        assert len(told) == 20
        rows = await here.query("select text from mail where kind = 'result' order by n")
        assert told == [row["text"] for row in rows], "in the order in which they ended"
        assert {text.split()[0] for text in told} == {f"c{number}" for number in range(20)}


@pytest.mark.slow
@pytest.mark.requirement("P3")
async def test_a_result_goes_to_the_nearest_one_alive_and_at_last_to_the_person(tmp_path: Path) -> None:
    agents = profiles(max_children=10)
    agents["researcher"] = replace(agents["researcher"], spawns=agents["assistant"].spawns)
    async with world(tmp_path, agents=agents) as here:
        leaf = spawn("leaf", "wait 150ms then say From the leaf")
        root = await here.says(f"{spawn('middle', f'{leaf}{chr(10)}say I end first')}\nsay begun")
        await here.until(lambda: here.query("select 1 from sessions where label = 'leaf' and state = 'ended'"))
        await here.at_rest()
        assert (await here.get((await here.sessions.find("middle")).id)).ended is Ended.DONE
        assert [text.split()[0] for text in await read(here, root)] == ["middle", "leaf"], "its parent had ended"
        await here.team.kill(root.id, by="Ada")
        task = Task(
            key="run",
            agent=agents["assistant"].name,
            text=f"{spawn('last', 'wait 150ms then say From the last')}\nsay I end",
            owner=ADA,
            owner_name="Ada",
            mode=Mode.RUN,
        )
        alone = (await here.team.begin(task, HOME)).session
        await here.until(lambda: here.said_any("From the last"))
        await here.at_rest()
        assert (await here.get(alone)).ended is Ended.DONE
        said = [text for text in await here.said() if "From the last" in text]
        assert len(said) == 1, "nobody is left above: the person is told, in the thread"
        assert said[0].startswith("last (researcher")
