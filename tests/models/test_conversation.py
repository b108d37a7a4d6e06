"""A conversation in form: whatever the history, no provider refuses its shape."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.models.anthropic_wire import body
from agents.models.base import Block, Message, Request, Text, Thinking, ToolCall, ToolResult
from agents.models.conversation import INTERRUPTED, in_form, parsed_call
from agents.models.openai_wire import body as openai_body
from tests.fakes.anthropic_answers import mistake, signature
from tests.fakes.openai import mistake as openai_mistake

MODEL = "claude"
IDS = st.sampled_from(["a", "b", "c:1"])
TEXTS = st.sampled_from(["", " ", "hello", "good-bye"])
TOLD = st.builds(lambda text: Text(text=text), TEXTS)
RESULTS = st.builds(lambda call_id, text: ToolResult(call_id=call_id, text=text), IDS, TEXTS)
CALLS = st.builds(lambda call_id: ToolCall(id=call_id, name="clock", arguments={}), IDS)
THOUGHTS = st.builds(lambda text: Thinking(text=text, signature=signature(text, MODEL), model=MODEL), TEXTS)


def _unique_calls(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """No model makes two calls of one id in one answer."""
    seen: set[str] = set()
    kept = []
    for block in blocks:
        if not isinstance(block, ToolCall) or block.id not in seen:
            kept.append(block)
        if isinstance(block, ToolCall):
            seen.add(block.id)
    return tuple(kept)


USER = st.lists(st.one_of(TOLD, RESULTS), max_size=4).map(lambda blocks: Message(role="user", blocks=tuple(blocks)))
ASSISTANT = st.lists(st.one_of(TOLD, CALLS, THOUGHTS), max_size=4).map(
    lambda blocks: Message(role="assistant", blocks=_unique_calls(blocks))
)
LAST = Message(role="user", blocks=(Text(text="and now?"),))


@pytest.mark.slow
@given(st.lists(st.one_of(USER, ASSISTANT), max_size=10))
def test_any_history_becomes_one_that_the_apis_accept(history: list[Message]) -> None:
    request = Request(system="", messages=[*history, LAST])
    asked = body(request, model=MODEL, max_tokens=100, thinking_tokens=0, adaptive=False, output_schema=None)
    assert mistake(asked) is None
    assert openai_mistake(openai_body(request, model=MODEL, max_tokens=100, thinking_tokens=0, hosted=False)) is None


@given(st.lists(st.one_of(USER, ASSISTANT), max_size=10))
def test_nothing_that_was_said_is_lost_and_form_is_final(history: list[Message]) -> None:
    def words(messages: list[Message]) -> list[str]:
        found = [
            block.text
            for message in messages
            for block in message.blocks
            if isinstance(block, Text | ToolResult) and block.text.strip()
        ]
        return sorted(word.removeprefix("(Result of an earlier tool call) ") for word in found)

    formed = in_form([*history, LAST])
    added = {INTERRUPTED, "(The conversation goes on.)", "(nothing)"}
    assert [word for word in words(formed) if word not in added] == words([*history, LAST])
    assert in_form(formed) == formed


def test_a_good_conversation_is_left_as_it_is() -> None:
    call = ToolCall(id="a", name="clock", arguments={})
    good = [
        Message(role="user", blocks=(Text(text="time?"),)),
        Message(role="assistant", blocks=(call,)),
        Message(role="user", blocks=(ToolResult(call_id="a", text="noon"), Text(text="quick"))),
    ]
    assert in_form(good) == good


def test_results_come_first_and_in_the_order_of_their_calls() -> None:
    calls = (ToolCall(id="a", name="x", arguments={}), ToolCall(id="b", name="x", arguments={}))
    given_back = (Text(text="hurry"), ToolResult(call_id="b", text="2"))
    formed = in_form(
        [LAST, Message(role="assistant", blocks=calls), Message(role="user", blocks=given_back)],
    )
    assert formed[-1].blocks == (
        ToolResult(call_id="a", text=INTERRUPTED, is_error=True),
        ToolResult(call_id="b", text="2"),
        Text(text="hurry"),
    )


@given(st.text(max_size=40))
def test_a_call_s_arguments_are_an_object_or_broken(written: str) -> None:
    call = parsed_call("a", "x", written)
    assert isinstance(call.arguments, dict)
    assert call.broken in {"", written}
