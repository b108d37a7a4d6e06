"""A thread that one agent gives to another: bound anew, with what was said, a visible note, and no more rights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agents.base import Ended, Session, State, StepKind
from agents.conversation import messages
from agents.models.base import ModelName
from agents.models.chain import build
from agents.models.settings import ModelSettings
from tests.agents.world import HOME, World, profiles, world


def hand(agent: str = "researcher", note: str = "say I take over") -> str:
    return f"tool handoff {json.dumps({'agent': agent, 'note': note})}\nsay bye"


async def results(here: World, session: Session) -> list[str]:
    steps = await here.journal.history(session.id)
    return [step.step.body["text"] for step in steps if step.step.kind is StepKind.RESULT]


@pytest.mark.requirement("P3")
async def test_a_thread_goes_to_the_other_agent_with_its_conversation_and_a_note_that_people_see(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as here:
        first = await here.says("say the colour is blue")
        await here.at_rest()
        await here.says(hand())
        await here.at_rest()
        taker = await here.sessions.bound(HOME)
        assert taker is not None
        assert (taker.agent, taker.parent, taker.home) == ("researcher", first.id, HOME)
        notes = [text for text in await here.said() if "hands this thread to" in text]
        assert len(notes) == 1
        assert f"**{taker.label}**" in notes[0]
        known = str(messages(await here.journal.history(taker.id)))
        assert "the colour is blue" in known
        await here.says("say I am the other one")
        await here.at_rest()
        assert (await here.said())[-1] == "I am the other one"
        assert (await here.get(taker)).turns == 2
        assert (await here.get(first)).state is State.IDLE


@pytest.mark.requirement("P9")
async def test_a_thread_is_handed_only_to_agents_that_spawns_names(tmp_path: Path) -> None:
    agents = profiles()
    agents["assistant"] = replace(agents["assistant"], spawns=())
    async with world(tmp_path, agents=agents) as here:
        session = await here.says(hand())
        await here.at_rest()
        assert "may not spawn researcher" in (await results(here, session))[0]
        bound = await here.sessions.bound(HOME)
        assert bound is not None
        assert bound.id == session.id


@pytest.mark.requirement("P4")
async def test_a_kill_of_the_one_that_handed_over_ends_the_other_too(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        first = await here.says(hand())
        await here.at_rest()
        killed = await here.team.kill(first.id, by="Ada")
        assert len(killed.sessions) == 2
        assert {(await here.get(session)).ended for session in killed.sessions} == {Ended.KILLED}


@pytest.mark.requirement("P8")
async def test_a_thread_goes_back_and_forth_while_people_write_and_no_longer(tmp_path: Path) -> None:
    agents = profiles(max_depth=1, max_hops=2)
    agents["assistant"] = replace(agents["assistant"], spawns=(agents["researcher"].name,))
    agents["researcher"] = replace(agents["researcher"], spawns=(agents["assistant"].name,))
    exchanges = [
        {"match": "back at once", "agent": f"of the agent {one}.", "steps": [hand(other, "back at once")]}
        for one, other in (("assistant", "researcher"), ("researcher", "assistant"))
    ]
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"exchange": exchanges}))
    settings = ModelSettings(kind="rehearsal", word_delay_seconds=0.0, script=script)
    async with world(tmp_path, agents=agents, models=build({ModelName("default"): settings})) as here:
        for number in range(4):
            await here.says(hand("assistant" if number % 2 else "researcher", "say taken"))
            await here.at_rest()
        taker = await here.sessions.bound(HOME)
        assert taker is not None
        assert (taker.agent, taker.depth) == ("assistant", 0)
        assert len(await here.sessions.tree(taker.root)) == 5
        await here.says(hand("researcher", "back at once"))
        await here.at_rest()
        last = await here.sessions.bound(HOME)
        assert last is not None
        assert last.agent == "assistant", "two messages in a row, and not a third"
        assert any("max_hops is 2" in text for text in await results(here, last))
