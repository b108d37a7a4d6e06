"""What a model or a tool may put out that cannot be stored: it costs a character, never a turn."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

from agents import wellformed
from agents.models.base import Finished, ModelName, Stop, Text, Thinking, ToolCall, Usage
from agents.models.chain import build
from agents.models.settings import ModelSettings
from agents.tools.base import Call
from tests.agents.world import profiles, world
from tests.fakes.anthropic import GOOD_KEY, FakeAnthropic
from tests.fakes.anthropic_answers import Answer, text, tool_use

ODD = "half \ud83d, zero \0, bell \a"
EVEN = "half \ufffd, zero \ufffd, bell \a"


class Nothing(BaseModel):
    pass


class OddTool:
    name: ClassVar[str] = "odd"
    description: ClassVar[str] = "Odd."
    arguments: ClassVar[type[BaseModel]] = Nothing
    repeatable: ClassVar[bool] = True
    timeout_seconds: ClassVar[float] = 5.0

    async def run(self, call: Call, arguments: Nothing) -> str:
        return ODD


def brain(asked: Mapping[str, Any]) -> Answer:
    told = json.dumps(asked["messages"], ensure_ascii=False)
    if "You were spawned by" in json.dumps(asked["system"]):
        return Answer(blocks=(text(ODD),))
    match sum(message["role"] == "assistant" for message in asked["messages"]):
        case 0:
            spawn = {"agent": "researcher", "task": ODD}
            return Answer(blocks=(text(ODD), tool_use("sessions_spawn", spawn)), stop_reason="tool_use")
        case 1:
            return Answer(blocks=(tool_use("odd", {}, "toolu_2"),), stop_reason="tool_use")
        case 2:
            return Answer(blocks=(tool_use("subagents", {"action": "wait"}, "toolu_3"),), stop_reason="tool_use")
        case _:
            return Answer(blocks=(text(f"All told: {told.count('half')}"),))


@pytest.mark.requirement("P6")
@pytest.mark.slow
async def test_a_task_a_tool_and_a_childs_result_with_half_a_character_cost_no_turn(tmp_path: Path) -> None:
    async with FakeAnthropic() as server:
        server.brain = brain
        settings = {"kind": "anthropic", "model": "claude-sonnet-5-5", "api_key": GOOD_KEY, "base_url": server.address}
        models = build({ModelName("default"): ModelSettings.model_validate(settings)})
        agents = profiles(tools=("sessions_spawn", "subagents", "odd"))
        async with world(tmp_path, agents=agents, models=models, tools=[OddTool()]) as here:
            parent = await here.says("begin")
            await here.until(lambda: here.said_any("All told"), 15.0)
            await here.at_rest()
            (child,) = await here.sessions.children(parent.id)
            assert (child.task, child.result) == (EVEN, EVEN)
            assert (await here.said())[0] == EVEN
            assert len(await here.query("select 1 from turns")) in (2, 3), "none was tried again"
            assert not await here.query("select 1 from turns where outcome <> 'done'")
        await models.close()


def test_only_what_is_odd_is_changed() -> None:
    call = ToolCall(id="1", name="x", arguments={"a": [ODD, 1, None, {"b\ud83d": True}], "c": "\ud83d\ude00"})
    odd, fine = (Thinking(text=thought, signature="s", model="m") for thought in (ODD, "fine"))
    blocks = (Text(text=ODD), Text(text="fine 😀"), odd, fine, call)
    finished = Finished(blocks=blocks, stop=Stop.END, usage=Usage(), model="m")
    after = wellformed.answer(finished).blocks
    assert after[:3] == (Text(text=EVEN), Text(text="fine 😀"), fine), "reasoning is signed"
    assert isinstance(after[3], ToolCall)
    assert after[3].arguments == {"a": [EVEN, 1, None, {"b\ufffd": True}], "c": "😀"}
    json.dumps(after[3].arguments, ensure_ascii=False).encode()


async def test_a_child_that_leaves_no_text_is_reported_as_done_with_none(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.says("spawn researcher: think about it\njoin\nsay back")
        await here.until(lambda: here.said_any("back"))
        told = (await here.query("select text from mail where kind = 'result'"))[0]["text"]
        assert "is done" in told
        assert "It left no text" in told
