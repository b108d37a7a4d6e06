"""A model that costs nothing, needs no key and no network, and does exactly what it is told.

Everything that Threadmill does can so be tried, shown and tested. It is deterministic: the same conversation
gives the same answer. It takes the steps that the person's message spells out (the grammar is in `steps`,
canned exchanges are in `script`, both are told to people in docs/rehearsal.md). Told nothing in particular it
says that it is a rehearsal, what it was told, and how to get a real model.

It keeps no state: what is done already is read from the conversation. A *run* begins with the texts since the
last answer without tool calls. Each answer takes steps up to tool calls (those of one verb in a row are made
together); the next one, which finds their results, takes those that remain and says at the end what came back.
A text that arrives in the middle of a run (a steering note, a child's result) is acknowledged as "Taken in: …",
and the steps that it spells out are taken last. When several messages wait for one answer, `wait` and `fail`
count in the last script of them only: an interrupted wait is not waited again. A text of one line that ends in a
colon introduces the next one ("Steering note from Ada:"); what comes as the result of a child is never read as
steps, or an echo could begin anew what made it.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from agents.fenced import unfenced
from agents.models.base import (
    Block,
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
    Usage,
)
from agents.models.estimate import message_tokens, request_tokens
from agents.models.rehearsal.script import Script, load
from agents.models.rehearsal.steps import Call, Fail, Say, Step, Think, Tokens, Wait, parse
from agents.models.settings import ModelSettings

CONTEXT_TOKENS = 200_000
QUOTED_CHARACTERS = 400
RESULT_CHARACTERS = 300
MOST_RESULTS = 20

HEARTBEAT_SECONDS = 5.0
"""While it waits it sends an empty piece of reasoning this often, as a model that thinks for long does."""

HOW_TO_GET_A_MODEL = (
    "For a real model set ANTHROPIC_API_KEY, or write a [models.default] table into config.toml, and start again."
)
WHAT_TO_TRY = "Until then, try `say hello`, `wait 5s then say done` or `spawn assistant: say hello`."


class RehearsalModel:
    """Fulfils `Model`."""

    def __init__(self, settings: ModelSettings) -> None:
        """Raises ValueError when the script file is wrong."""
        self._model = settings.model or "rehearsal"
        self._context_tokens = settings.context_tokens or CONTEXT_TOKENS
        self._max_tokens = settings.max_tokens
        self._delay_seconds = settings.word_delay_seconds
        self._script = load(settings.script) if settings.script is not None else Script()

    @property
    def context_tokens(self) -> int:
        return self._context_tokens

    async def preload(self) -> None:
        """Nothing is slow here."""

    async def close(self) -> None:
        """Nothing is open."""

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        """See `Model.stream`. `fail` raises ModelUnavailable, `fail refused` ModelRefused."""
        answer = _Answer()
        offered = {tool.name for tool in request.tools}
        for step in self._plan(request, offered):
            match step:
                case Say():
                    text = step.text if not answer.texts else "\n" + step.text
                    answer.texts.append(text)
                    async for word in self._words(text):
                        yield word
                case Think():
                    answer.thoughts.append(step.text)
                    yield ThinkingDelta(text=step.text)
                case Wait():
                    async for beat in _waited(step.seconds):
                        yield beat
                case Tokens():
                    answer.claimed = step
                case Fail():
                    raise _failure(step)
                case Call():
                    answer.calls.append(step)
                    yield ToolCallStarted(name=step.tool)
        yield self._finished(request, answer)

    async def _words(self, text: str) -> AsyncGenerator[TextDelta, None]:
        if not self._delay_seconds:
            yield TextDelta(text=text)
            return
        for word in re.findall(r"\s*\S+\s*$|\s*\S+|\s+", text):
            yield TextDelta(text=word)
            await asyncio.sleep(self._delay_seconds)

    def _plan(self, request: Request, offered: set[str]) -> Iterator[Step]:
        """The steps of this one answer."""
        run = _Run.of(request.messages)
        for note in run.fresh_notes:
            yield Say(text=f"Taken in: {_short(note.spoken, QUOTED_CHARACTERS)}")
        steps = self._steps_of(run, request)
        if not steps and not run.results:
            yield Say(text=_schema_example_text(request) if request.output_schema else _echo(run))
            return
        remaining = _remaining(steps, run.calls)
        for place, step in enumerate(remaining):
            if not isinstance(step, Call):
                yield step
            elif step.tool not in offered:
                yield Say(text=step.spoken or f"This agent is not offered the tool {step.tool}, so I leave that out.")
            else:
                yield step
                yield from _same_verb(remaining[place + 1 :], step.verb)
                return
        if run.results:
            yield Say(text=_what_came_back(run))
        elif remaining and isinstance(remaining[-1], Wait) and not any(isinstance(step, Say) for step in remaining):
            yield Say(text="(Rehearsal) I have waited, as I was told.")

    def _steps_of(self, run: _Run, request: Request) -> list[Step]:
        scripts = [found for told in run.told if (found := self._steps_in(told, request))]
        steps: list[Step] = [step for found in scripts[:-1] for step in found if not isinstance(step, Wait | Fail)]
        steps.extend(scripts[-1] if scripts else ())
        for note in run.notes:
            steps.extend(self._steps_in(note, request))
        return steps

    def _steps_in(self, told: _Told, request: Request) -> tuple[Step, ...]:
        if told.is_result:
            return ()
        return self._script.steps(told.text, request.system) or parse(told.text)

    def _finished(self, request: Request, answer: _Answer) -> Finished:
        blocks: list[Block] = [
            Thinking(text=thought, signature="rehearsal", model=self._model) for thought in answer.thoughts
        ]
        if answer.texts:
            blocks.append(Text(text="".join(answer.texts)))
        made = sum(isinstance(block, ToolCall) for message in request.messages for block in message.blocks)
        for number, call in enumerate(answer.calls, start=made + 1):
            blocks.append(ToolCall(id=f"rehearsal_{number}", name=call.tool, arguments=dict(call.arguments)))
        counted = Usage(
            input_tokens=request_tokens(request),
            output_tokens=message_tokens(Message(role="assistant", blocks=tuple(blocks))),
        )
        if answer.claimed is not None:
            output_tokens = answer.claimed.output_tokens
            counted = Usage(
                input_tokens=answer.claimed.input_tokens,
                output_tokens=counted.output_tokens if output_tokens is None else output_tokens,
            )
        return Finished(
            blocks=tuple(blocks),
            stop=Stop.TOOLS if answer.calls else Stop.END,
            usage=counted,
            model=self._model,
        )


@dataclass(slots=True, kw_only=True)
class _Answer:
    """What was taken so far of one answer."""

    texts: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    claimed: Tokens | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """One text of a user message, with what introduces it."""

    text: str
    introduction: str = ""

    @property
    def spoken(self) -> str:
        return f"{self.introduction} {self.text}".strip()

    @property
    def is_result(self) -> bool:
        return self.introduction.startswith("Result of ")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What the conversation says about the run that is under way."""

    told: tuple[_Told, ...]  # that began it
    pictures: int
    calls: tuple[ToolCall, ...]  # made in it so far
    results: tuple[ToolResult, ...]
    notes: tuple[_Told, ...]  # what arrived after its first call
    fresh_notes: tuple[_Told, ...]  # those of them that no answer has seen

    @classmethod
    def of(cls, messages: Sequence[Message]) -> _Run:
        began = 0
        for place, message in enumerate(messages):
            if message.role == "assistant" and not any(isinstance(block, ToolCall) for block in message.blocks):
                began = place + 1
        run = messages[began:]
        answers = [place for place, message in enumerate(run) if message.role == "assistant"]
        first, last = (answers[0], answers[-1]) if answers else (len(run), len(run))
        return cls(
            told=tuple(_told(run[:first])),
            pictures=sum(isinstance(block, Image) for message in run[:first] for block in message.blocks),
            calls=tuple(block for message in run for block in message.blocks if isinstance(block, ToolCall)),
            results=tuple(block for message in run for block in message.blocks if isinstance(block, ToolResult)),
            notes=tuple(_told(run[first:])),
            fresh_notes=tuple(_told(run[last:])),
        )


def _told(messages: Sequence[Message]) -> Iterator[_Told]:
    for message in messages:
        if message.role != "user":
            continue
        introduction = ""
        for block in message.blocks:
            if not isinstance(block, Text) or not block.text.strip():
                continue
            if not introduction and block is not message.blocks[-1] and _INTRODUCTION.fullmatch(block.text):
                introduction = block.text
                continue
            yield _Told(text=unfenced(block.text), introduction=introduction)
            introduction = ""


_INTRODUCTION = re.compile(r"[^\n]{1,300}:")


async def _waited(seconds: float) -> AsyncGenerator[ThinkingDelta, None]:
    while seconds > HEARTBEAT_SECONDS:
        await asyncio.sleep(HEARTBEAT_SECONDS)
        seconds -= HEARTBEAT_SECONDS
        yield ThinkingDelta(text="")
    await asyncio.sleep(seconds)


def _remaining(steps: Sequence[Step], calls: Sequence[ToolCall]) -> Sequence[Step]:
    """The steps after those that the calls in the conversation show as taken."""
    position = 0
    for call in calls:
        for place in range(position, len(steps)):
            step = steps[place]
            if isinstance(step, Call) and step.tool == call.name and step.arguments == call.arguments:
                position = place + 1
                break
    return steps[position:]


def _same_verb(steps: Sequence[Step], verb: str) -> Iterator[Step]:
    for step in steps:
        if not isinstance(step, Call) or step.verb != verb:
            return
        yield step


def _failure(step: Fail) -> ModelRefused | ModelUnavailable:
    if step.refused:
        return ModelRefused("the rehearsal model refuses, as it was told to")
    return ModelUnavailable("the rehearsal model cannot be reached, as it was told")


def _echo(run: _Run) -> str:
    if run.told and all(each.is_result for each in run.told):
        return "(Rehearsal) Back from my team:\n" + "\n".join(
            f"- {_short(each.spoken.removeprefix('Result of '), QUOTED_CHARACTERS)}" for each in run.told
        )
    told = _short(" / ".join(each.spoken for each in run.told), QUOTED_CHARACTERS)
    what = f"I was told: “{told}”" if told else "I was told nothing"
    if run.pictures:
        what += f", and sent {run.pictures} picture{'s' if run.pictures > 1 else ''}"
    return f"This is a rehearsal: no model is thinking here. {what}.\n\n{HOW_TO_GET_A_MODEL} {WHAT_TO_TRY}"


def _what_came_back(run: _Run) -> str:
    names = {call.id: call.name for call in run.calls}
    lines = [
        f"- {names.get(result.call_id, 'a tool')}{' failed' if result.is_error else ''}: "
        f"{_short(result.text, RESULT_CHARACTERS) or '(nothing)'}"
        for result in run.results[:MOST_RESULTS]
    ]
    if len(run.results) > MOST_RESULTS:
        lines.append(f"- and {len(run.results) - MOST_RESULTS} more")
    return "(Rehearsal) What came back:\n" + "\n".join(lines)


def _short(text: str, characters: int) -> str:
    """On one line, so that no quoted text can be taken for a step when it is read again."""
    line = " ".join(text.split())
    return line if len(line) <= characters else line[: characters - 1].rstrip() + "…"


def _schema_example_text(request: Request) -> str:
    return json.dumps(_example(request.output_schema or {}, depth=0))


def _example(schema: dict[str, Any], depth: int) -> Any:
    """The smallest value that a plain JSON Schema takes."""
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return _example(schema[key][0], depth + 1)
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object" and depth < 10:
        required = schema.get("required", [])
        properties = schema.get("properties", {})
        return {name: _example(properties.get(name, {"type": "string"}), depth + 1) for name in required}
    if kind == "array":
        least = min(int(schema.get("minItems", 0)), 10)
        return [_example(schema.get("items", {"type": "string"}), depth + 1) for _ in range(least)]
    simple = {"string": "rehearsal", "integer": 0, "number": 0, "boolean": False, "null": None}
    if kind in {"integer", "number"} and "minimum" in schema:
        return schema["minimum"]
    return simple.get(kind, {})
