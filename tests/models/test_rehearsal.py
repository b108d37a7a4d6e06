"""The rehearsal model: its grammar, pinned, and its place in a conversation."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.models.base import (
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
from agents.models.rehearsal import RehearsalModel
from agents.models.rehearsal.script import load
from agents.models.rehearsal.steps import VERBS, Call, Fail, Say, Step, Think, Tokens, Wait, parse
from agents.models.settings import ModelSettings

TOOLS = tuple(
    ToolSpec(name=name, description="", schema={"type": "object"})
    for name in ("sessions_spawn", "subagents", "sessions_send", "web_fetch", "ask_human", "clock")
)


def spawn(task: str, **more: str) -> Call:
    return Call(verb="spawn", tool="sessions_spawn", arguments={"task": task, **more})


def subagents(verb: str, **arguments: str) -> Call:
    return Call(verb=verb, tool="subagents", arguments=arguments)


GRAMMAR: list[tuple[str, list[Step]]] = [
    ("say hello", [Say(text="hello")]),
    ("SAY Hello", [Say(text="Hello")]),
    ("think hard", [Think(text="hard")]),
    ("repeat 3 ha ha", [Say(text="ha ha ha ha ha ha")]),
    ("wait 5s", [Wait(seconds=5)]),
    ("wait 500ms", [Wait(seconds=0.5)]),
    ("wait 2m", [Wait(seconds=120)]),
    ("wait 3", [Wait(seconds=3)]),
    ("wait 1.5 seconds", [Wait(seconds=1.5)]),
    ("wait 99999m", [Wait(seconds=3600)]),
    ("tokens 1000", [Tokens(input_tokens=1000)]),
    ("tokens 1000 50", [Tokens(input_tokens=1000, output_tokens=50)]),
    ("fail", [Fail(refused=False)]),
    ("fail refused", [Fail(refused=True)]),
    ("ask", [Call(verb="ask", tool="ask_human", arguments={"question": "Shall I go on?"}, spoken="Shall I go on?")]),
    (
        "ask Blue or red?",
        [Call(verb="ask", tool="ask_human", arguments={"question": "Blue or red?"}, spoken="Blue or red?")],
    ),
    ("spawn researcher: compare X and Y", [spawn("compare X and Y", agent="researcher")]),
    ("spawn researcher as alpha: compare", [spawn("compare", agent="researcher", label="alpha")]),
    ("spawn compare X and Y", [spawn("compare X and Y")]),
    ("spawn read https://example.org/x", [spawn("read https://example.org/x")]),
    ("join", [subagents("join", action="wait", target="all")]),
    ("join alpha", [subagents("join", action="wait", target="alpha")]),
    ("agents", [subagents("agents", action="list")]),
    ("kill alpha", [subagents("kill", action="kill", target="alpha")]),
    ("steer alpha: be brief", [subagents("steer", action="steer", target="alpha", message="be brief")]),
    (
        "send main: hello: you",
        [Call(verb="send", tool="sessions_send", arguments={"session": "main", "message": "hello: you"})],
    ),
    ("fetch https://example.org/", [Call(verb="fetch", tool="web_fetch", arguments={"url": "https://example.org/"})]),
    ('tool clock {"zone": "UTC"}', [Call(verb="tool clock", tool="clock", arguments={"zone": "UTC"})]),
    ("tool clock", [Call(verb="tool clock", tool="clock")]),
    # several steps
    ("wait 1s then say done", [Wait(seconds=1), Say(text="done")]),
    ("say a\nsay b", [Say(text="a"), Say(text="b")]),
    ("say first this then that", [Say(text="first this then that")]),
    ("say :( then wait 1s", [Say(text=":("), Wait(seconds=1)]),
    (
        'tool clock {"a": "x then say y"} then say z',
        [Call(verb="tool clock", tool="clock", arguments={"a": "x then say y"}), Say(text="z")],
    ),
    (
        "spawn a: (wait 5s then say done) then say started",
        [spawn("wait 5s then say done", agent="a"), Say(text="started")],
    ),
    ("spawn a: wait 5s then say done", [spawn("wait 5s then say done", agent="a")]),
    ("say so then spawn a: wait 5s then say x", [Say(text="so"), spawn("wait 5s then say x", agent="a")]),
    ("spawn a: look then say started", [spawn("look", agent="a"), Say(text="started")]),
    (
        "steer a: say x then say y\nsay z",
        [subagents("steer", action="steer", target="a", message="say x then say y"), Say(text="z")],
    ),
    ("spawn a:\n    wait 2s\n    say done\nsay started", [spawn("wait 2s\nsay done", agent="a"), Say(text="started")]),
    (
        "spawn a: look at this\nand at that\nsay started",
        [spawn("look at this\nand at that", agent="a"), Say(text="started")],
    ),
    ("say one\n\ntwo", [Say(text="one\n\ntwo")]),
    ("wait 1s\nAnd now?", [Wait(seconds=1), Say(text="And now?")]),
    # talk, not steps
    ("Hello, who are you?", []),
    ("please say hello", []),
    ("Result of researcher:\nsay hello", []),
    ("wait for it", []),
    ("fail over to the other machine", []),
    ("say", []),
    ("spawn", []),
    ("kill the mood", []),
    ("fetch me a beer", []),
    ("send flowers", []),
    ("tool clock {broken", []),
    ("", []),
    ("\n\n", []),
]


@pytest.mark.parametrize(("message", "steps"), GRAMMAR, ids=[message or "nothing" for message, _ in GRAMMAR])
def test_a_message_is_read_as_exactly_these_steps(message: str, steps: list[Step]) -> None:
    assert list(parse(message)) == steps


@given(st.text(alphabet=st.sampled_from('saywit 5() then\n:{}"x'), max_size=80))
def test_any_message_is_read_without_failing(message: str) -> None:
    assert isinstance(parse(message), tuple)


@given(
    st.lists(st.sampled_from(["say hi", "wait 5s", "think x", "kill a", "fail", "tokens 7"]), min_size=1, max_size=12)
)
def test_steps_mean_the_same_by_lines_and_joined_by_then(steps: list[str]) -> None:
    assert (
        parse("\n".join(steps)) == parse(" then ".join(steps)) == tuple(step for each in steps for step in parse(each))
    )


def model(**settings: object) -> RehearsalModel:
    return RehearsalModel(ModelSettings.model_validate({"kind": "rehearsal", "word_delay_seconds": 0.0, **settings}))


def user(*texts: str) -> Message:
    return Message(role="user", blocks=tuple(Text(text=text) for text in texts))


async def events_of(request: Request, **settings: object) -> list[Event]:
    return [event async for event in model(**settings).stream(request)]


async def answer(*messages: Message, tools: tuple[ToolSpec, ...] = TOOLS, **settings: object) -> Finished:
    events = await events_of(Request(system="", messages=messages, tools=tools), **settings)
    finished = events[-1]
    assert isinstance(finished, Finished)
    streamed = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert streamed == text_of(finished)
    return finished


def text_of(finished: Finished) -> str:
    return "".join(block.text for block in finished.blocks if isinstance(block, Text))


def calls_of(finished: Finished) -> list[ToolCall]:
    return [block for block in finished.blocks if isinstance(block, ToolCall)]


def results(finished: Finished, *texts: str, note: str = "") -> tuple[Message, Message]:
    """The answer and the message that brings its calls' results, as a turn would append them."""
    found = tuple(ToolResult(call_id=call.id, text=text) for call, text in zip(calls_of(finished), texts, strict=True))
    notes = (Text(text=note),) if note else ()
    return Message(role="assistant", blocks=finished.blocks), Message(role="user", blocks=(*found, *notes))


async def test_what_is_to_be_said_is_said_exactly() -> None:
    finished = await answer(user("say Hello, **world**"))
    assert finished.blocks == (Text(text="Hello, **world**"),)
    assert finished.stop is Stop.END


async def test_ordinary_talk_is_answered_by_what_a_rehearsal_is_and_how_to_get_a_model() -> None:
    text = text_of(await answer(user("Good morning!")))
    assert "rehearsal" in text
    assert "I was told: “Good morning!”" in text
    assert "ANTHROPIC_API_KEY" in text


async def test_pictures_are_mentioned() -> None:
    message = Message(role="user", blocks=(Image(media_type="image/png", data_base64="AA=="),))
    assert "1 picture" in text_of(await answer(message))


async def test_an_answer_about_an_answer_never_becomes_a_script() -> None:
    first = text_of(await answer(user("tell me\nspawn researcher: loop\nsay hi")))
    assert parse(first) == ()
    assert parse(f"{first}\nsay hi") == ()


async def test_the_same_conversation_gives_the_same_answer() -> None:
    request = Request(system="s", messages=[user("spawn a: x then say y")], tools=TOOLS)
    assert await events_of(request) == await events_of(request)


async def test_words_are_streamed_one_by_one() -> None:
    events = await events_of(Request(system="", messages=[user("say one two\nthree")]), word_delay_seconds=0.0001)
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["one", " two", "\nthree"]


async def test_a_wait_is_really_waited_and_ends_when_the_call_is_cancelled() -> None:
    stream = model().stream(Request(system="", messages=[user("say before then wait 60m then say after")]))
    assert await anext(stream) == TextDelta(text="before")
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.wait([waiting], timeout=0.05)
    assert not waiting.done()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await stream.aclose()


async def test_a_short_wait_passes() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert text_of(await answer(user("wait 50ms then say done"))) == "done"
    assert loop.time() - began >= 0.05


async def test_fail_makes_the_model_unavailable_and_fail_refused_makes_it_refuse() -> None:
    with pytest.raises(ModelUnavailable, match="rehearsal"):
        await answer(user("say so far then fail"))
    with pytest.raises(ModelRefused, match="rehearsal"):
        await answer(user("fail refused"))


async def test_after_a_failure_the_next_message_is_answered() -> None:
    assert text_of(await answer(user("wait 60m then fail"), user("say better now"))) == "better now"


async def test_claimed_tokens_are_the_usage() -> None:
    usage = (await answer(user("tokens 1234 56 then say x"))).usage
    assert (usage.input_tokens, usage.output_tokens) == (1234, 56)
    estimated = (await answer(user("say " + "x" * 350))).usage
    assert estimated.output_tokens >= 100
    assert estimated.input_tokens >= 100


async def test_thinking_is_a_block_of_its_own() -> None:
    events = await events_of(Request(system="", messages=[user("think deep then say done")]))
    assert ThinkingDelta(text="deep") in events
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.blocks == (Thinking(text="deep", signature="rehearsal", model="rehearsal"), Text(text="done"))


async def test_calls_of_one_verb_in_a_row_are_made_together_and_the_rest_follows_their_results() -> None:
    asked = user("say starting\nspawn a: x\nspawn b: y\njoin\nsay all done")
    first = await answer(asked)
    assert text_of(first) == "starting"
    assert first.stop is Stop.TOOLS
    assert [call.arguments for call in calls_of(first)] == [{"agent": "a", "task": "x"}, {"agent": "b", "task": "y"}]
    assert len({call.id for call in calls_of(first)}) == 2

    history = [asked, *results(first, "session s1", "session s2")]
    second = await answer(*history)
    assert [call.name for call in calls_of(second)] == ["subagents"]
    assert {call.id for call in calls_of(second)}.isdisjoint(call.id for call in calls_of(first))

    third = await answer(*history, *results(second, "both done"))
    assert third.stop is Stop.END
    assert text_of(third).startswith("all done\n")
    for came_back in ("sessions_spawn: session s1", "sessions_spawn: session s2", "subagents: both done"):
        assert came_back in text_of(third)


async def test_every_call_is_announced_before_the_answer_is_finished() -> None:
    events = await events_of(Request(system="", messages=[user("spawn a: x")], tools=TOOLS))
    assert events[0] == ToolCallStarted(name="sessions_spawn")


async def test_a_note_between_results_is_acknowledged_and_its_steps_are_taken_last() -> None:
    asked = user("spawn a: x\nsay finished")
    first = await answer(asked)
    history = [asked, *results(first, "ok", note="say something else too")]
    second = text_of(await answer(*history))
    assert second.startswith("Taken in: say something else too\nfinished\nsomething else too\n")


async def test_a_note_is_acknowledged_once() -> None:
    asked = user("spawn a: x\njoin\nsay finished")
    first = await answer(asked)
    history = [asked, *results(first, "ok", note="hurry up")]
    second = await answer(*history)
    assert text_of(second) == "Taken in: hurry up"
    third = await answer(*history, *results(second, "joined"))
    assert "Taken in" not in text_of(third)
    assert text_of(third).startswith("finished")


async def test_an_introduction_is_told_with_what_it_introduces() -> None:
    asked = user("spawn a: x\nsay finished")
    first = await answer(asked)
    assistant, came_back = results(first, "ok")
    note = user("Steering note from Ada, to be followed from now on:", "say something else too")
    told = text_of(await answer(asked, assistant, Message(role="user", blocks=(*came_back.blocks, *note.blocks))))
    assert told.startswith(
        "Taken in: Steering note from Ada, to be followed from now on: say something else too\n"
        "finished\nsomething else too\n"
    )
    assert text_of(await answer(user("Message from main (session s1):", "say hi"))) == "hi"


async def test_the_result_of_a_child_is_never_read_as_steps() -> None:
    text = text_of(await answer(user("Result of researcher (session s1):", "spawn researcher: again")))
    assert text == "(Rehearsal) Back from my team:\n- researcher (session s1): spawn researcher: again"


async def test_a_file_beside_a_script_changes_nothing_about_it() -> None:
    assert text_of(await answer(user("wait 10ms then say seen", "[attached file: a.txt, text/plain]"))) == "seen"


async def test_a_long_wait_shows_that_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.models.rehearsal.HEARTBEAT_SECONDS", 0.01)
    events = await events_of(Request(system="", messages=[user("wait 35ms then say done")]))
    assert events.count(ThinkingDelta(text="")) == 3
    assert isinstance(events[-1], Finished)
    assert events[-1].blocks == (Text(text="done"),)


async def test_a_failed_call_is_told_as_failed() -> None:
    asked = user("fetch https://example.org/")
    first = await answer(asked)
    call = calls_of(first)[0]
    failed = Message(role="user", blocks=(ToolResult(call_id=call.id, text="no route", is_error=True),))
    text = text_of(await answer(asked, Message(role="assistant", blocks=first.blocks), failed))
    assert "web_fetch failed: no route" in text


async def test_an_earlier_exchange_is_not_taken_again() -> None:
    first = await answer(user("spawn a: x"))
    history = [user("spawn a: x"), *results(first, "ok")]
    history.append(Message(role="assistant", blocks=(await answer(*history)).blocks))
    again = await answer(*history, user("spawn a: x"))
    assert [call.name for call in calls_of(again)] == ["sessions_spawn"]
    assert calls_of(again)[0].id != calls_of(first)[0].id


async def test_several_waiting_messages_are_answered_together() -> None:
    assert text_of(await answer(user("say one"), user("say two", "say three"))) == "one\ntwo\nthree"


async def test_a_tool_that_is_not_offered_is_named_and_a_question_is_said() -> None:
    finished = await answer(user("spawn a: x\nask Shall I?\nsay end"), tools=())
    assert calls_of(finished) == []
    assert "not offered the tool sessions_spawn" in text_of(finished)
    assert text_of(finished).endswith("Shall I?\nend")


async def test_a_structured_answer_fits_its_schema() -> None:
    schema = {
        "type": "object",
        "properties": {
            "changed": {"type": "boolean"},
            "count": {"type": "integer", "minimum": 1},
            "level": {"enum": ["low", "high"]},
            "lines": {"type": "array", "items": {"type": "string"}, "minItems": 2},
            "more": {"anyOf": [{"type": "null"}, {"type": "string"}]},
        },
        "required": ["changed", "count", "level", "lines", "more"],
    }
    [*_, finished] = await events_of(Request(system="", messages=[user("what changed?")], output_schema=schema))
    assert isinstance(finished, Finished)
    jsonschema.validate(json.loads(text_of(finished)), schema)


SCRIPT_TOML = """
default = ["say I do not know."]

[[exchange]]
match = "status of (?P<what>[a-z]+)"
agent = "helper"
steps = ["spawn researcher: look at {what}", "say All is well with {what}. {unknown}"]
"""


async def test_a_script_file_answers_what_it_matches(tmp_path: Path) -> None:
    path = tmp_path / "script.toml"
    path.write_text(SCRIPT_TOML)
    request = Request(system="You are a helper.", messages=[user("the STATUS of servers?")], tools=TOOLS)
    [*_, first] = await events_of(request, script=str(path))
    assert isinstance(first, Finished)
    assert calls_of(first)[0].arguments == {"agent": "researcher", "task": "look at servers"}
    messages = [*request.messages, *results(first, "ok")]
    [*_, second] = await events_of(Request(system="helper", messages=messages, tools=TOOLS), script=str(path))
    assert isinstance(second, Finished)
    assert text_of(second).startswith("All is well with servers. {unknown}\n")
    assert text_of(await answer(user("status of servers"), script=str(path))) == "I do not know."


async def test_a_json_script_is_read_too_and_the_grammar_holds_where_it_is_silent(tmp_path: Path) -> None:
    path = tmp_path / "script.json"
    path.write_text(json.dumps({"exchange": [{"match": "^hi$", "steps": ["say ho"]}]}))
    assert text_of(await answer(user("Hi"), script=str(path))) == "ho"
    assert text_of(await answer(user("say hi"), script=str(path))) == "hi"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[[exchange]]\nmatch = '('\nsteps = ['say x']", "exchange.0.match"),
        ("[[exchange]]\nmatch = 'x'\nsteps = ['dance']", "'dance' is no step"),
        ("[[exchange]]\nmatch = 'x'\nsteps = []", "exchange.0.steps"),
        ("exchanges = []", "exchanges"),
        ("not toml", "script.toml"),
        ("default = ['x']\x00", "script.toml"),
    ],
)
def test_a_wrong_script_is_refused_with_its_place(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "script.toml"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"script\.toml") as caught:
        model(script=str(path))
    assert told in str(caught.value)


def test_a_script_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        model(script=str(tmp_path / "none.toml"))


DOCUMENT = Path(__file__).parents[2] / "docs" / "rehearsal.md"


def test_the_document_tells_every_step_and_no_other() -> None:
    told = {row.split("`")[1].split()[0] for row in DOCUMENT.read_text().splitlines() if row.startswith("| `")}
    assert told == set(VERBS)


def test_what_the_document_shows_is_true(tmp_path: Path) -> None:
    text = DOCUMENT.read_text()
    for block in text.split("\n\n"):
        lines = block.splitlines()
        if lines and all(line.startswith("    ") for line in lines):
            assert parse("\n".join(line[4:] for line in lines))
    [*_, script] = [part.split("```")[0] for part in text.split("```toml\n")[1:]]
    (tmp_path / "demo.toml").write_text(script)
    steps = load(tmp_path / "demo.toml").steps("The status of mail?", "You are a helper.")
    assert steps[0] == spawn("wait 2s then say mail is up", agent="researcher")
    assert steps[-1] == Say(text="All is well with mail. You asked: The status of mail?")


async def test_a_wait_alone_is_no_empty_answer() -> None:
    assert text_of(await answer(user("wait 1ms"))) == "(Rehearsal) I have waited, as I was told."
    assert text_of(await answer(user("say x then wait 1ms"))) == "x"
