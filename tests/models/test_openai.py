"""Chat completions by the real client library, against a server on loopback."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from agents.models.base import (
    Block,
    ContextTooLong,
    Event,
    Finished,
    Image,
    Message,
    ModelRefused,
    ModelUnavailable,
    Request,
    Stop,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallStarted,
    ToolResult,
    ToolSpec,
)
from agents.models.openai import OpenAIModel
from agents.models.openai_wire import body
from agents.models.settings import ModelSettings
from tests.fakes.loopback_http import Stall
from tests.fakes.openai import Answer, FakeOpenAI, call, half, said

CLOCK = ToolSpec(name="clock", description="The time.", schema={"type": "object", "properties": {}})


def settings(server: FakeOpenAI, **values: Any) -> ModelSettings:
    base = {"kind": "openai", "model": "local-model", "api_key": "good", "base_url": server.address}
    return ModelSettings.model_validate({**base, **values})


@asynccontextmanager
async def serving(**values: Any) -> AsyncIterator[tuple[FakeOpenAI, OpenAIModel]]:
    async with FakeOpenAI() as server:
        model = OpenAIModel(settings(server, **values))
        try:
            yield server, model
        finally:
            await model.close()


def user(*blocks: Block | str) -> Message:
    return Message(role="user", blocks=tuple(Text(text=each) if isinstance(each, str) else each for each in blocks))


def asking(*messages: Message, **more: Any) -> Request:
    return Request(system="You are kind.", messages=messages, **more)


async def events_of(model: OpenAIModel, request: Request) -> list[Event]:
    return [event async for event in model.stream(request)]


async def ask(model: OpenAIModel, *messages: Message, **more: Any) -> Finished:
    finished = (await events_of(model, asking(*messages, **more)))[-1]
    assert isinstance(finished, Finished)
    return finished


@pytest.mark.slow
async def test_text_is_streamed_and_the_end_holds_all_of_it() -> None:
    async with serving() as (server, model):
        *deltas, last = await events_of(model, asking(user("What is the capital of France?")))
        assert len(deltas) > 1
        assert "".join(each.text for each in deltas if isinstance(each, TextDelta)) == (
            "echo: What is the capital of France?"
        )
        assert isinstance(last, Finished)
        assert last.blocks == (Text(text="echo: What is the capital of France?"),)
        assert (last.stop, last.model) == (Stop.END, "local-model")
        assert server.requests[0]["messages"][0] == {"role": "system", "content": "You are kind."}
        assert server.requests[0]["max_tokens"] == 8192


async def test_cached_tokens_are_taken_out_of_the_prompt_s() -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 80}}
    async with serving() as (server, model):
        server.answer_next(said("hi", usage=usage))
        counted = (await ask(model, user("hi"))).usage
        assert (counted.input_tokens, counted.cache_read_tokens, counted.output_tokens) == (20, 80, 7)


async def test_a_server_that_tells_no_usage_is_estimated() -> None:
    async with serving() as (server, model):
        server.answer_next(said("x" * 350, usage=None))
        usage = (await ask(model, user("hi"))).usage
        assert not usage.known
        assert usage.output_tokens >= 100


async def test_a_tool_is_called_and_its_result_goes_back() -> None:
    async with serving() as (server, model):
        question = user('!tool clock {"zone": "Europe/Paris"}')
        events = await events_of(model, asking(question, tools=[CLOCK]))
        assert ToolCallStarted(name="clock") in events
        first = events[-1]
        assert isinstance(first, Finished)
        assert first.stop is Stop.TOOLS
        made = first.blocks[0]
        assert isinstance(made, ToolCall)
        assert made.arguments == {"zone": "Europe/Paris"}
        result = ToolResult(call_id=made.id, text="no clock here", is_error=True)
        last = await ask(model, question, Message(role="assistant", blocks=first.blocks), user(result), tools=[CLOCK])
        assert last.blocks == (Text(text="the tool said: Error: no clock here"),)
        assert server.requests[0]["tools"][0]["function"]["name"] == "clock"


async def test_arguments_that_are_no_json_object_are_kept_as_broken() -> None:
    async with serving() as (server, model):
        server.answer_next(call("clock", '{"zone": '))
        made = (await ask(model, user("x"), tools=[CLOCK])).blocks[0]
        assert isinstance(made, ToolCall)
        assert (made.arguments, made.broken) == ({}, '{"zone": ')


async def test_calls_without_ids_or_all_under_one_index_are_told_apart() -> None:
    async with serving() as (server, model):
        both = (*call("clock", "{}", "a").deltas, *call("clock", '{"b": 1}', "b").deltas)
        server.answer_next(Answer(deltas=both, finish_reason="stop"))
        finished = await ask(model, user("x"), tools=[CLOCK])
        assert finished.stop is Stop.TOOLS
        assert [(each.id, each.arguments) for each in finished.blocks if isinstance(each, ToolCall)] == [
            ("a", {}),
            ("b", {"b": 1}),
        ]
        server.answer_next(call("clock", "{}", None))
        [made] = (await ask(model, user("x"), tools=[CLOCK])).blocks
        assert isinstance(made, ToolCall)
        assert made.id


async def test_reasoning_is_shown_and_not_sent_back() -> None:
    async with serving() as (server, model):
        server.answer_next(Answer(deltas=({"reasoning_content": "hmm"}, {"content": "yes"})))
        events = await events_of(model, asking(user("x")))
        assert ThinkingDelta(text="hmm") in events
        first = events[-1]
        assert isinstance(first, Finished)
        assert first.blocks == (Thinking(text="hmm", signature="", model="local-model"), Text(text="yes"))
        await ask(model, user("x"), Message(role="assistant", blocks=first.blocks), user("go on"))
        assert "hmm" not in json.dumps(server.requests[1])


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("stop", Stop.END),
        ("length", Stop.LENGTH),
        ("content_filter", Stop.REFUSAL),
        ("invented_tomorrow", Stop.OTHER),
    ],
)
async def test_every_finish_reason_is_known_or_other(reason: str, stop: Stop) -> None:
    async with serving() as (server, model):
        server.answer_next(said("so far", finish_reason=reason))
        finished = await ask(model, user("x"))
        assert (finished.stop, finished.detail) == (stop, reason)


async def test_a_refusal_s_words_are_kept() -> None:
    async with serving() as (server, model):
        server.answer_next(Answer(deltas=({"refusal": "not "}, {"refusal": "this"})))
        finished = await ask(model, user("x"))
        assert (finished.stop, finished.detail) == (Stop.REFUSAL, "stop: not this")


async def test_pictures_and_a_schema_are_sent() -> None:
    async with serving() as (server, model):
        picture = Image(media_type="image/png", data_base64="AAAA")
        await ask(model, user(picture, "what is it?"), output_schema={"type": "object"})
        sent = server.requests[0]
        assert sent["messages"][1]["content"][0]["image_url"]["url"] == "data:image/png;base64,AAAA"
        assert sent["response_format"]["json_schema"]["schema"] == {"type": "object"}


def test_the_provider_itself_is_asked_in_its_own_words() -> None:
    request = asking(user("x"), session="s-1")
    hosted = body(request, model="gpt-5", max_tokens=100, thinking_tokens=20_000, hosted=True)
    assert hosted["max_completion_tokens"] == 100
    assert "max_tokens" not in hosted
    assert (hosted["reasoning_effort"], hosted["prompt_cache_key"]) == ("high", "s-1")
    own = body(request, model="llama", max_tokens=100, thinking_tokens=20_000, hosted=False)
    assert not {"max_completion_tokens", "reasoning_effort", "prompt_cache_key"} & set(own)


async def test_a_broken_history_is_brought_into_form() -> None:
    async with serving() as (server, model):
        made = ToolCall(id="c1", name="clock", arguments={})
        thought = Thinking(text="hmm", signature="", model="local-model")
        history = [
            Message(role="assistant", blocks=(Text(text="left over"),)),
            user("a"),
            Message(role="assistant", blocks=(made,)),
            user("never mind"),
            Message(role="assistant", blocks=(thought,)),
            user("and now?"),
        ]
        await ask(model, *history)
        roles = [message["role"] for message in server.requests[0]["messages"]]
        assert roles == ["system", "user", "assistant", "user", "assistant", "tool", "user", "assistant", "user"]


@pytest.mark.parametrize(
    "fault",
    [
        "429",
        "500",
        "503",
        "nonsense json",
        "odd chunk",
        "nonsense html",
        "drop",
        "early end",
        "done too early",
        "error event",
    ],
)
async def test_what_may_pass_is_unavailable(fault: str) -> None:
    async with serving() as (server, model):
        server.answer_next(fault)
        with pytest.raises(ModelUnavailable, match="local-model"):
            await ask(model, user("x"))
        assert (await ask(model, user("still there?"))).stop is Stop.END


@pytest.mark.parametrize("fault", ["400", "404", "no quota"])
async def test_what_will_not_change_is_refused(fault: str) -> None:
    async with serving() as (server, model):
        server.answer_next(fault)
        with pytest.raises(ModelRefused, match="local-model"):
            await ask(model, user("x"))


@pytest.mark.parametrize("fault", ["too long", "llama too long"])
async def test_a_conversation_that_is_too_long_is_told_apart(fault: str) -> None:
    async with serving() as (server, model):
        server.answer_next(fault)
        with pytest.raises(ContextTooLong):
            await ask(model, user("x"))
        assert model.context_tokens == (128_000 if fault == "too long" else None)


@pytest.mark.parametrize(("fault", "seconds"), [("429", 2.0), ("429 milliseconds", 1.5)])
async def test_retry_after_is_read(fault: str, seconds: float) -> None:
    async with serving() as (server, model):
        server.answer_next(fault)
        with pytest.raises(ModelUnavailable) as caught:
            await ask(model, user("x"))
        assert caught.value.retry_after == timedelta(seconds=seconds)
        assert len(server.requests) == 1


@pytest.mark.requirement("P8")
async def test_silence_ends_the_call() -> None:
    async with serving(idle_timeout_seconds=0.1) as (server, model):
        server.answer_next("stall")
        with pytest.raises(ModelUnavailable, match="silence"):
            await ask(model, user("x"))


@pytest.mark.requirement("P4")
async def test_closing_or_cancelling_hangs_up_at_once() -> None:
    async with serving() as (server, model):
        server.answer_next(half(Stall()), half(Stall()))
        stream = model.stream(asking(user("x")))
        assert isinstance(await anext(stream), TextDelta)
        await stream.aclose()
        await server.until(lambda: not server.connections)
        pending = asyncio.ensure_future(ask(model, user("x")))
        await server.until(lambda: len(server.requests) == 2)
        pending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pending
        await server.until(lambda: not server.connections)


async def test_the_key_is_never_told_nor_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(api_key="wrong") as (_, model):
        with pytest.raises(ModelRefused, match="key was refused") as caught:
            await ask(model, user("x"))
        assert "wrong" not in str(caught.value)
        assert "wrong" not in str(caught.value.__cause__)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-from-the-environment")
    async with serving(api_key=None) as (server, model):
        await ask(model, user("x"))
        assert "sk-from-the-environment" not in json.dumps(dict(server.headers[0]))


async def test_without_a_key_the_provider_is_not_even_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    model = OpenAIModel(ModelSettings.model_validate({"kind": "openai", "model": "gpt-5"}))
    with pytest.raises(ModelRefused, match="OPENAI_API_KEY"):
        await ask(model, user("x"))


async def test_without_the_extra_the_refusal_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    async with serving() as (_, model):
        with pytest.raises(ModelRefused, match=r"threadmill\[openai\]"):
            await ask(model, user("x"))
        await model.preload()


async def test_the_context_is_asked_of_a_server_of_ones_own() -> None:
    async with serving() as (server, model):
        await model.preload()
        assert model.context_tokens == 16_384
    async with serving() as (server, model):
        server.model_info = None
        await model.preload()
        assert model.context_tokens is None
        assert (await ask(model, user("x"))).stop is Stop.END


async def test_nobody_at_the_address_is_unavailable() -> None:
    async with FakeOpenAI() as server:
        gone = settings(server)
    model = OpenAIModel(gone)
    with pytest.raises(ModelUnavailable, match="connection"):
        await ask(model, user("x"))
    await model.close()
    with pytest.raises(ModelUnavailable, match="closed"):
        await ask(model, user("x"))
