"""The Messages API by the real client library, against a server on loopback that checks what the real one checks."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from agents.models.anthropic import AnthropicModel
from agents.models.base import (
    Block,
    ContextTooLong,
    Event,
    Finished,
    Image,
    Message,
    ModelName,
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
from agents.models.chain import ModelChain
from agents.models.settings import ModelSettings
from tests.fakes.anthropic import GOOD_KEY, FakeAnthropic, error, half
from tests.fakes.anthropic_answers import Answer, redacted, text, thinking, tool_use
from tests.fakes.loopback_http import Stall

CLAUDE = "claude-sonnet-5-5"


def settings(server: FakeAnthropic, **values: Any) -> ModelSettings:
    base = {"kind": "anthropic", "model": CLAUDE, "api_key": GOOD_KEY, "base_url": server.address}
    return ModelSettings.model_validate({**base, **values})


@asynccontextmanager
async def serving(**values: Any) -> AsyncIterator[tuple[FakeAnthropic, AnthropicModel]]:
    async with FakeAnthropic() as server:
        model = AnthropicModel(settings(server, **values))
        try:
            yield server, model
        finally:
            await model.close()


def user(*blocks: Block | str) -> Message:
    return Message(role="user", blocks=tuple(Text(text=each) if isinstance(each, str) else each for each in blocks))


def assistant(*blocks: Block | str) -> Message:
    return Message(
        role="assistant", blocks=tuple(Text(text=each) if isinstance(each, str) else each for each in blocks)
    )


def asking(*messages: Message, **more: Any) -> Request:
    return Request(system="You are kind.", messages=messages, **more)


async def events_of(model: AnthropicModel, request: Request) -> list[Event]:
    return [event async for event in model.stream(request)]


async def ask(model: AnthropicModel, *messages: Message, **more: Any) -> Finished:
    finished = (await events_of(model, asking(*messages, **more)))[-1]
    assert isinstance(finished, Finished)
    return finished


@pytest.mark.slow
async def test_text_is_streamed_and_the_end_holds_all_of_it() -> None:
    async with serving() as (server, model):
        told = "What is the capital of France, and why is it not Lyon?"
        *deltas, last = await events_of(model, asking(user(told)))
        assert len(deltas) > 2
        assert "".join(event.text for event in deltas if isinstance(event, TextDelta)) == f"echo: {told}"
        assert isinstance(last, Finished)
        assert last.blocks == (Text(text=f"echo: {told}"),)
        assert (last.stop, last.model, last.detail) == (Stop.END, CLAUDE, "end_turn")
        assert last.usage.known
        assert last.usage.input_tokens == len(told) // 4
        [sent] = server.requests
        assert sent["cache_control"] == {"type": "ephemeral"}
        assert sent["system"] == "You are kind."
        assert sent["max_tokens"] == 8192
        assert not {"temperature", "top_p", "top_k"} & set(sent)


async def test_cached_tokens_are_counted_apart() -> None:
    async with serving() as (server, model):
        usage = {
            "input_tokens": 7,
            "output_tokens": 3,
            "cache_read_input_tokens": 1000,
            "cache_creation_input_tokens": 200,
        }
        server.answer_next(Answer(blocks=(text("hi"),), usage=usage))
        counted = (await ask(model, user("hi"))).usage
        assert (counted.input_tokens, counted.output_tokens) == (7, 3)
        assert (counted.cache_read_tokens, counted.cache_write_tokens) == (1000, 200)


async def test_a_server_that_tells_no_usage_is_estimated() -> None:
    async with serving() as (server, model):
        server.answer_next(Answer(blocks=(text("x" * 350),), usage=None))
        usage = (await ask(model, user("y" * 700))).usage
        assert not usage.known
        assert usage.output_tokens >= 100
        assert usage.input_tokens >= 200


CLOCK = ToolSpec(
    name="clock",
    description="The time.",
    schema={"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]},
)


async def test_a_tool_is_called_and_its_result_goes_back() -> None:
    async with serving() as (server, model):
        question = user('!tool clock {"zone": "Europe/Paris"}')
        events = await events_of(model, asking(question, tools=[CLOCK]))
        assert ToolCallStarted(name="clock") in events
        first = events[-1]
        assert isinstance(first, Finished)
        assert first.stop is Stop.TOOLS
        call = first.blocks[-1]
        assert isinstance(call, ToolCall)
        assert (call.name, call.arguments, call.broken) == ("clock", {"zone": "Europe/Paris"}, "")
        result = ToolResult(call_id=call.id, text="noon")
        last = await ask(model, question, assistant(*first.blocks), user(result, "and be quick"), tools=[CLOCK])
        assert last.blocks == (Text(text="the tools said: noon"),)
        assert server.requests[0]["tools"][0]["input_schema"] == CLOCK.schema


@pytest.mark.parametrize("written", ['{"zone": ', "[1, 2]", "gibberish"])
async def test_arguments_that_are_no_json_object_are_kept_as_broken_and_go_back_empty(written: str) -> None:
    async with serving() as (server, model):
        server.answer_next(Answer(blocks=(tool_use("clock", written),), stop_reason="tool_use"))
        first = await ask(model, user("what time is it?"), tools=[CLOCK])
        call = first.blocks[0]
        assert isinstance(call, ToolCall)
        assert (call.arguments, call.broken) == ({}, written)
        failed = ToolResult(call_id=call.id, text="no JSON", is_error=True)
        await ask(model, user("what time is it?"), assistant(call), user(failed), tools=[CLOCK])
        sent = server.requests[1]["messages"]
        assert sent[1]["content"][0]["input"] == {}
        assert sent[2]["content"][0]["is_error"] is True


async def test_a_tool_without_arguments_gets_none() -> None:
    async with serving() as (server, model):
        server.answer_next(Answer(blocks=(tool_use("clock", {}),), stop_reason="tool_use"))
        call = (await ask(model, user("x"), tools=[CLOCK])).blocks[0]
        assert isinstance(call, ToolCall)
        assert (call.arguments, call.broken) == ({}, "")


async def test_calls_under_another_stop_reason_are_calls_all_the_same() -> None:
    async with serving() as (server, model):
        server.answer_next(Answer(blocks=(tool_use("clock", {"zone": "UTC"}),), stop_reason="end_turn"))
        assert (await ask(model, user("x"), tools=[CLOCK])).stop is Stop.TOOLS


async def test_thinking_comes_back_with_its_signature() -> None:
    async with serving(thinking_tokens=2048) as (server, model):
        question = user("!think hard about this one")
        events = await events_of(model, asking(question))
        assert "".join(event.text for event in events if isinstance(event, ThinkingDelta)) == "hard about this one"
        first = events[-1]
        assert isinstance(first, Finished)
        reasoning = first.blocks[0]
        assert isinstance(reasoning, Thinking)
        assert reasoning.model == CLAUDE
        await ask(model, question, assistant(*first.blocks), user("go on"))
        assert server.requests[1]["messages"][1]["content"][0] == thinking("hard about this one", CLAUDE)


async def test_redacted_thinking_comes_back_as_it_was() -> None:
    async with serving() as (server, model):
        server.answer_next(Answer(blocks=(redacted("opaque=="), text("done"))))
        first = await ask(model, user("x"))
        assert first.blocks[0] == Thinking(text="", signature="opaque==", model=CLAUDE, redacted=True)
        await ask(model, user("x"), assistant(*first.blocks), user("go on"))
        assert server.requests[1]["messages"][1]["content"][0] == redacted("opaque==")


def with_thinking(**types: bool) -> dict[str, Any]:
    told = {name: {"supported": supported} for name, supported in types.items()}
    return {"max_input_tokens": 300_000, "capabilities": {"thinking": {"supported": True, "types": told}}}


async def test_a_model_that_thinks_adaptively_is_asked_so_and_an_older_one_by_budget() -> None:
    async with serving(thinking_tokens=2048) as (server, model):
        server.model_info = with_thinking(adaptive=True, enabled=False)
        await ask(model, user("x"))
        assert server.requests[-1]["thinking"] == {"type": "adaptive"}
    async with serving(thinking_tokens=2048) as (server, model):
        server.model_info = with_thinking(adaptive=False, enabled=True)
        await ask(model, user("x"))
        assert server.requests[-1]["thinking"] == {"type": "enabled", "budget_tokens": 2048}
        await ask(model, user("x"), thinking_tokens=0)
        assert "thinking" not in server.requests[-1]
        await ask(model, user("x"), thinking_tokens=10)
        assert server.requests[-1]["thinking"]["budget_tokens"] == 1024


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("end_turn", Stop.END),
        ("stop_sequence", Stop.END),
        ("max_tokens", Stop.LENGTH),
        ("pause_turn", Stop.PAUSED),
        ("refusal", Stop.REFUSAL),
        ("model_context_window_exceeded", Stop.CONTEXT_FULL),
        ("invented_tomorrow", Stop.OTHER),
    ],
)
async def test_every_stop_reason_is_known_or_other(reason: str, stop: Stop) -> None:
    async with serving() as (server, model):
        server.answer_next(Answer(blocks=(text("so far"),), stop_reason=reason))
        finished = await ask(model, user("x"))
        assert finished.stop is stop
        assert finished.detail == reason


async def test_a_refusal_s_words_are_kept() -> None:
    async with serving() as (server, model):
        details = {"type": "refusal", "category": "bio", "explanation": "not this"}
        server.answer_next(Answer(blocks=(), stop_reason="refusal", stop_details=details))
        finished = await ask(model, user("x"))
        assert finished.blocks == ()
        assert finished.detail == "refusal: bio: not this"


async def test_a_structured_answer_is_asked_for_by_its_schema() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    async with serving() as (server, model):
        server.answer_next(Answer(blocks=(text('{"n": 1}'),)))
        finished = await ask(model, user("x"), output_schema=schema)
        assert finished.blocks == (Text(text='{"n": 1}'),)
        asked = server.requests[0]["output_config"]["format"]
        assert asked["type"] == "json_schema"
        assert asked["schema"]["additionalProperties"] is False
        assert asked["schema"]["required"] == ["n"]


async def test_pictures_and_the_session_s_opaque_id_are_sent() -> None:
    async with serving() as (server, model):
        picture = Image(media_type="image/png", data_base64="AAAA")
        await ask(model, user(picture, "what is it?"), session="s-1")
        assert server.requests[0]["messages"][0]["content"][0]["source"]["data"] == "AAAA"
        assert server.requests[0]["metadata"] == {"user_id": "s-1"}


async def test_a_broken_history_is_brought_into_form() -> None:
    async with serving() as (server, model):
        call = ToolCall(id="weird.id:1", name="clock", arguments={})
        history = [
            assistant("left over from before"),
            user("a"),
            user("b", ""),
            assistant(call, "I look"),
            user("never mind"),  # the process died before the result
            user(ToolResult(call_id="unknown", text="a result that nobody asked for")),
            assistant("  "),
        ]
        await ask(model, *history)
        sent = server.requests[0]["messages"]
        assert [message["role"] for message in sent] == ["user", "assistant", "user", "assistant", "user"]
        assert sent[3]["content"][0]["id"] == sent[4]["content"][0]["tool_use_id"] == "weird_id_1"
        assert sent[4]["content"][0]["is_error"] is True


LATER = ["429", "500", "502", "529", "408", "409", "nonsense json", "nonsense html", "nonsense sse", "odd sse", "empty"]
BROKEN_OFF = ["drop", "close", "early end", "error event", "refuse connection"]


@pytest.mark.parametrize("fault", [*LATER, *BROKEN_OFF])
async def test_what_may_pass_is_unavailable(fault: str) -> None:
    async with serving() as (server, model):
        server.answer_next(fault)
        with pytest.raises(ModelUnavailable, match=CLAUDE):
            await ask(model, user("x"))
        assert (await ask(model, user("still there?"))).stop is Stop.END


@pytest.mark.parametrize("fault", ["400", "401", "403", "404"])
async def test_what_will_not_change_is_refused(fault: str) -> None:
    async with serving() as (server, model):
        server.answer_next(fault)
        with pytest.raises(ModelRefused, match=CLAUDE):
            await ask(model, user("x"))


@pytest.mark.parametrize("fault", ["too long", "413"])
async def test_a_conversation_that_is_too_long_is_told_apart(fault: str) -> None:
    async with serving() as (server, model):
        server.answer_next(fault)
        with pytest.raises(ContextTooLong):
            await ask(model, user("x"))


async def test_the_limit_that_a_refusal_names_is_learned() -> None:
    async with serving() as (server, model):
        server.answer_next("too long")
        with pytest.raises(ContextTooLong):
            await ask(model, user("x"))
        assert model.context_tokens == 200_000


@pytest.mark.parametrize(
    ("fault", "least", "most"),
    [
        ("429", timedelta(seconds=1), timedelta(seconds=1)),
        ("429 hour", timedelta(hours=1), timedelta(hours=1)),
        ("429 date", timedelta(days=3650), timedelta(days=36500)),
    ],
)
async def test_retry_after_is_read_as_seconds_or_a_date(fault: str, least: timedelta, most: timedelta) -> None:
    async with serving() as (server, model):
        server.answer_next(fault)
        with pytest.raises(ModelUnavailable) as caught:
            await ask(model, user("x"))
        assert caught.value.retry_after is not None
        assert least <= caught.value.retry_after <= most


async def test_a_nonsense_retry_after_is_none() -> None:
    async with serving() as (server, model):
        server.answer_next("429 nonsense")
        with pytest.raises(ModelUnavailable) as caught:
            await ask(model, user("x"))
        assert caught.value.retry_after is None


@pytest.mark.requirement("P8")
@pytest.mark.parametrize("fault", ["stall", "silent"])
async def test_silence_ends_the_call(fault: str) -> None:
    async with serving(idle_timeout_seconds=0.1) as (server, model):
        server.answer_next(fault)
        with pytest.raises(ModelUnavailable, match="silence"):
            await ask(model, user("x"))
        await server.until(lambda: not server.connections)


async def test_a_slow_but_steady_answer_is_no_silence() -> None:
    async with serving(idle_timeout_seconds=0.5) as (server, model):
        server.delay_seconds = 0.03
        assert (await ask(model, user("slowly, please, and with some more words"))).stop is Stop.END


@pytest.mark.requirement("P4")
async def test_closing_the_stream_hangs_up_at_once() -> None:
    async with serving() as (server, model):
        server.answer_next(half(Stall()))
        stream = model.stream(asking(user("x")))
        assert isinstance(await anext(stream), TextDelta)
        assert server.connections
        await stream.aclose()
        await server.until(lambda: not server.connections)


@pytest.mark.requirement("P4")
async def test_cancelling_the_task_hangs_up_at_once() -> None:
    async with serving() as (server, model):
        server.answer_next("silent")
        call = asyncio.ensure_future(ask(model, user("x")))
        await server.until(lambda: len(server.requests) == 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await server.until(lambda: not server.connections)


async def test_closing_the_model_ends_calls_and_refuses_new_ones() -> None:
    async with serving() as (server, model):
        server.answer_next("silent")
        call = asyncio.ensure_future(ask(model, user("x")))
        await server.until(lambda: len(server.requests) == 1)
        await model.close()
        with pytest.raises(ModelUnavailable):
            await call
        with pytest.raises(ModelUnavailable, match="closed"):
            await ask(model, user("x"))


async def test_nobody_at_the_address_is_unavailable() -> None:
    async with FakeAnthropic() as server:
        gone = settings(server)
    model = AnthropicModel(gone)
    with pytest.raises(ModelUnavailable, match="connection"):
        await ask(model, user("x"))
    await model.close()


async def test_one_connection_serves_one_call_after_the_other() -> None:
    async with serving() as (server, model):
        for _ in range(5):
            await ask(model, user("x"))
        assert server.connected == 1


async def test_a_call_is_never_made_twice_by_the_library_itself() -> None:
    async with serving() as (server, model):
        server.answer_next("429 hour")
        with pytest.raises(ModelUnavailable):
            await ask(model, user("x"))
        assert len(server.requests) == 1


async def test_the_key_is_sent_and_never_told() -> None:
    async with serving(api_key="wrong") as (_, model):
        with pytest.raises(ModelRefused, match="key was refused") as caught:
            await ask(model, user("x"))
        assert "wrong" not in str(caught.value)
        assert "wrong" not in str(caught.value.__cause__)
    async with serving() as (server, model):
        await ask(model, user("x"))
        assert GOOD_KEY in server.headers[0].get("authorization", "") + server.headers[0].get("x-api-key", "")


async def test_without_a_key_the_provider_is_not_even_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for key in (None, "", " "):
        model = AnthropicModel(ModelSettings.model_validate({"kind": "anthropic", "model": CLAUDE, "api_key": key}))
        with pytest.raises(ModelRefused, match="ANTHROPIC_API_KEY"):
            await ask(model, user("x"))


async def test_a_local_server_never_sees_the_key_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-from-the-environment")
    async with serving(api_key=None) as (server, model):
        await ask(model, user("x"))
        assert "sk-from-the-environment" not in json.dumps(dict(server.headers[0]))


async def test_an_address_with_the_version_is_understood() -> None:
    async with FakeAnthropic() as server:
        model = AnthropicModel(settings(server, base_url=f"{server.address}/v1/"))
        assert (await ask(model, user("x"))).stop is Stop.END
        await model.close()


async def test_limits_are_asked_once_and_a_server_without_them_is_no_failure() -> None:
    async with serving() as (server, model):
        before = model.context_tokens
        await model.preload()
        assert (before, model.context_tokens) == (None, 1_000_000)
    async with serving(thinking_tokens=2048) as (server, model):
        server.model_info = None
        await model.preload()
        assert model.context_tokens is None
        await ask(model, user("x"))
        await ask(model, user("x"))
        assert server.paths.count(f"/v1/models/{CLAUDE}") == 1


async def test_a_server_of_ones_own_with_odd_extras_is_understood() -> None:
    async with serving(model="llama3:8b") as (server, model):
        server.model_info = {"max_model_len": 8192}
        await model.preload()
        assert model.context_tokens == 8192
        odd = {"timings": {"ms": 3}, "content_extra": None}
        server.answer_next(Answer(blocks=({"type": "mystery", "payload": 1}, text("fine")), usage=None, extra=odd))
        finished = await ask(model, user("x"))
        assert finished.blocks == (Text(text="fine"),)


async def test_a_server_that_knows_no_caching_is_asked_without_it_from_then_on() -> None:
    async with serving() as (server, model):
        server.answer_next(error(400, "invalid_request_error", "cache_control: Extra inputs are not permitted"))
        with pytest.raises(ModelUnavailable, match="without"):
            await ask(model, user("x"))
        assert (await ask(model, user("x"))).stop is Stop.END
        assert ["cache_control" in sent for sent in server.requests] == [True, False]


async def test_a_server_that_does_not_tell_limits_now_still_answers() -> None:
    async with serving(thinking_tokens=2048) as (server, model):
        server.model_info = None
        server.limits_fault = "500"
        await ask(model, user("x"))
        await ask(model, user("x"))
        assert server.paths.count(f"/v1/models/{CLAUDE}") == 1
        assert server.requests[0]["thinking"]["type"] == "enabled"


@pytest.mark.slow
async def test_the_chain_survives_a_broken_stream_by_asking_again() -> None:
    async with FakeAnthropic() as server:
        configured = {ModelName("main"): settings(server, price_usd_per_million={"input": 1.0, "output": 1.0})}
        chain = ModelChain(
            configured,
            {name: AnthropicModel(each) for name, each in configured.items()},
            jitter=lambda: 0.0,
        )
        server.answer_next("drop", "529")
        events = [event async for event in chain.stream(ModelName("main"), asking(user("hello")))]
        last = events[-1]
        assert isinstance(last, Finished)
        assert last.blocks == (Text(text="echo: hello"),)
        assert len(server.requests) == 3
        await chain.close()


async def test_lone_surrogates_in_a_conversation_do_not_break_the_call() -> None:
    async with serving() as (_, model):
        assert (await ask(model, user("half an emoji: \ud83d"))).stop is Stop.END


@pytest.mark.slow
async def test_many_calls_at_once_are_all_answered_each_by_its_own_words() -> None:
    async with serving() as (_, model):
        answers = await asyncio.gather(*(ask(model, user(f"number {number}")) for number in range(200)))
        assert [answer.blocks for answer in answers] == [
            (Text(text=f"echo: number {number}"),) for number in range(200)
        ]


@pytest.mark.slow
async def test_the_loopback_server_runs_as_a_program() -> None:
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.fakes.anthropic", "--port", "0", stdout=asyncio.subprocess.PIPE
    )
    assert program.stdout is not None
    try:
        address = (await program.stdout.readline()).decode().strip()
        base = {"kind": "anthropic", "model": CLAUDE, "base_url": address}
        model = AnthropicModel(ModelSettings.model_validate(base))
        assert (await ask(model, user("over there?"))).blocks == (Text(text="echo: over there?"),)
        await model.close()
    finally:
        program.terminate()
        await program.wait()


@pytest.mark.slow
def test_the_library_is_not_imported_before_it_is_needed_and_not_on_the_loop() -> None:
    program = """
import asyncio, sys, time
from agents.models.chain import build
from agents.models.settings import ModelSettings
assert "anthropic" not in sys.modules and "genai_prices" not in sys.modules

async def main():
    models = build({"m": ModelSettings(kind="anthropic", model="claude-x", base_url="http://127.0.0.1:1")})
    longest, last, done = 0.0, time.perf_counter(), False
    async def watch():
        nonlocal longest, last
        while not done:
            await asyncio.sleep(0.005)
            longest, last = max(longest, time.perf_counter() - last), time.perf_counter()
    watching = asyncio.create_task(watch())
    await models.preload()
    done = True
    await watching
    await models.close()
    assert "anthropic" in sys.modules
    print(longest)
asyncio.run(main())
"""
    environment = {**os.environ, "PYTHONPATH": "."}
    began = time.perf_counter()
    told = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert float(told.stdout) < max(0.5, 0.3 * (time.perf_counter() - began))
