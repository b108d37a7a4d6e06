"""Turns that need a summary on the way, and models that say that there is no room."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import BaseModel

from agents.base import State, StepKind
from agents.models.base import (
    Block,
    Event,
    Finished,
    ModelInfo,
    ModelName,
    Request,
    Stop,
    Text,
    ToolCall,
    Usage,
)
from agents.tools.base import Call
from tests.agents.world import profiles, world


class ScriptedModels:
    """Gives these answers one after the other; a summary is always the same. 10,000 tokens have room."""

    def __init__(self, answers: Sequence[Finished]) -> None:
        self.answers = list(answers)
        self.calls = 0

    async def stream(self, name: ModelName, request: Request) -> AsyncGenerator[Event, None]:
        del name
        self.calls += 1
        if not request.tools:
            yield answer("All of it, summed up.")
        else:
            yield self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def info(self, name: ModelName) -> ModelInfo:
        return ModelInfo(name=name, kind="scripted", model="scripted", max_tokens=1_000)

    def infos(self) -> Sequence[ModelInfo]:
        return [self.info(ModelName("default"))]

    def context_tokens(self, name: ModelName) -> int:
        del name
        return 10_000

    def estimate_usd(self, name: ModelName, request: Request) -> float:
        del name, request
        return 0.0

    async def preload(self) -> None: ...
    async def close(self) -> None: ...


def answer(text: str, *calls: ToolCall, stop: Stop = Stop.END, tokens: int = 10) -> Finished:
    blocks: tuple[Block, ...] = (Text(text=text), *calls) if text else calls
    return Finished(
        blocks=blocks,
        stop=Stop.TOOLS if calls else stop,
        usage=Usage(input_tokens=tokens, output_tokens=10),
        model="scripted",
        cost_usd=0.01,
    )


class FailingModels(ScriptedModels):
    """Has a bug behind every call that it makes."""

    async def stream(self, name: ModelName, request: Request) -> AsyncGenerator[Event, None]:
        async for event in super().stream(name, request):
            del event
            raise KeyError("a bug")
        yield answer("")


class Nothing(BaseModel):
    pass


class ReadTool:
    name: ClassVar[str] = "read"
    description: ClassVar[str] = "Read something long."
    arguments: ClassVar[type[BaseModel]] = Nothing
    repeatable: ClassVar[bool] = True
    timeout_seconds: ClassVar[float] = 5.0

    async def run(self, call: Call, arguments: Nothing) -> str:
        del call, arguments
        return "word " * 2_000


READ = ToolCall(id="one", name="read", arguments={})


@pytest.mark.requirement("P1")
async def test_what_is_said_after_a_summary_in_the_middle_of_a_turn_is_not_taken_for_what_was_said_before(
    tmp_path: Path,
) -> None:
    models = ScriptedModels([answer("I read it.", READ, tokens=9_000), answer("It says word.")])
    agents = profiles(tools=("read",), max_tokens=1_000)
    async with world(tmp_path, agents=agents, tools=[ReadTool()], models=models) as here:
        session = await here.says("what does it say?")
        await here.at_rest()
        kinds = [step.step.kind for step in await here.journal.history(session.id)]
        assert StepKind.SUMMARY in kinds, "the turn was summed up on its way"
        assert await here.said() == ["I read it.", "It says word."]


@pytest.mark.requirement("P8")
async def test_a_conversation_that_can_not_be_made_shorter_ends_the_turn_and_every_call_is_paid_for(
    tmp_path: Path,
) -> None:
    models = ScriptedModels([answer("", stop=Stop.CONTEXT_FULL)])
    async with world(tmp_path, agents=profiles(tools=("read",)), tools=[ReadTool()], models=models) as here:
        session = await here.says("hello")
        await here.at_rest()
        after = await here.get(session)
        assert models.calls == 1
        assert after.spent_usd == pytest.approx(0.01)
        assert after.state is State.IDLE
        assert "nothing can be left out" in (await here.said())[-1]


@pytest.mark.requirement("P8")
async def test_a_turn_that_fails_by_itself_is_not_tried_and_paid_for_without_end(tmp_path: Path) -> None:
    models = FailingModels([answer("never")])
    agents = profiles(tools=("read",))
    async with world(tmp_path, agents=agents, tools=[ReadTool()], models=models, runs=False) as here:
        session = await here.says("hello")
        for _ in range(2):
            with pytest.raises(KeyError):
                await here.runner.activate(session.id)
        await here.runner.activate(session.id)
        assert models.calls == 3
        assert (await here.get(session)).state is State.IDLE
        assert "failed 3 times in a row (KeyError)" in (await here.said())[-1]
