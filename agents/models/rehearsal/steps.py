"""The rehearsal's grammar: a message becomes steps. Pure.

A message is a script when its first line is a step; any other message is ordinary talk and has no steps.
One step a line, or several in a line joined by ` then ` (where a step follows; inside round brackets it
does not count). A line that is indented, or that is no step, belongs to the text of the step above it; under
a step that takes no text it is said.

    say TEXT                 the text, exactly
    think TEXT               the text as reasoning
    repeat N TEXT            the text N times
    wait 5s                  waits inside the answer; also 500ms, 2m, or a number of seconds
    tokens N [M]             claims N tokens of input and M of output
    fail                     the model cannot be reached; `fail refused`: it refuses the request
    ask [QUESTION]           ask_human
    spawn AGENT: TASK        sessions_spawn; `spawn TASK` for the default agent, `spawn AGENT as LABEL: TASK`
    join [TARGET]            subagents, wait for one child or (without a target) for all
    agents                   subagents, list
    kill TARGET              subagents, kill
    steer TARGET: TEXT       subagents, steer
    send SESSION: TEXT       sessions_send
    fetch URL                web_fetch
    tool NAME {json}         any tool call

`spawn researcher: wait 5s then say done` gives the child both steps, since its text begins with one.
`spawn researcher: (wait 5s then say done) then say started` gives it two and keeps one: brackets around a
whole text are taken off. Verbs are read in lower or upper case.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

LONGEST_WAIT_SECONDS = 3600.0
MOST_REPEATS = 10_000
MOST_STEPS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Say:
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Think:
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    input_tokens: int
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fail:
    refused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A tool call. `verb` is the word in the script: calls of one verb in a row are made together.
    `spoken` is said instead when the tool is not offered (None: that it is not is said)."""

    verb: str
    tool: str
    arguments: dict[str, Any] = field(default_factory=dict)
    spoken: str | None = None


Step = Say | Think | Wait | Tokens | Fail | Call


def parse(message: str) -> tuple[Step, ...]:
    """The steps of a message; none when it is no script."""
    steps: list[Step] = []
    pieces: list[str] = []
    for line in message.strip("\n").splitlines():
        if not line.strip():
            if pieces:
                pieces[-1] += "\n"
        elif line[0].isspace() and pieces:
            pieces[-1] += "\n" + line
        else:
            found = _split(line.strip())
            if found:
                pieces.extend(found)
            elif pieces:
                pieces[-1] += "\n" + line.strip()
            else:
                return ()
    for piece in pieces[:MOST_STEPS]:
        steps.extend(_with_text_below(piece))
    return tuple(steps)


def _with_text_below(piece: str) -> list[Step]:
    """A step and the lines below it. What a step takes no text from is said after it."""
    head, newline, below = piece.rstrip().partition("\n")
    if newline and _takes_text(head):
        step = _read(head + newline + _dedented(below))
        return [step] if step is not None else []
    step = _read(head)
    found = [step] if step is not None else []
    if below.strip():
        found.append(Say(text=_dedented(below).strip()))
    return found


def _dedented(text: str) -> str:
    lines = text.splitlines()
    indents = [len(line) - len(line.lstrip()) for line in lines if line.strip()]
    cut = min(indents, default=0)
    return "\n".join(line[cut:] for line in lines)


def _split(line: str) -> list[str]:
    """The steps of one line, as text; none when it does not begin with a step."""
    for position in _joints(line):
        head = line[:position].strip()
        step = _read(head)
        if step is None or _hands_over_a_script(step, head):
            continue
        if tail := _split(line[position + len(_THEN) :].strip()):
            return [head, *tail]
    return [line] if _read(line) is not None else []


def _hands_over_a_script(step: Step, head: str) -> bool:
    """Whether the text for another session begins with a step: then what follows in the line is its steps too."""
    if not isinstance(step, Call) or head.endswith(")"):
        return False
    text = step.arguments.get("task") or step.arguments.get("message")
    return isinstance(text, str) and bool(_split(text))


_THEN = " then "


def _joints(line: str) -> Iterator[int]:
    """Where ` then ` stands outside of brackets. A bracket without its partner (`:(`) counts for nothing."""
    balanced = line.count("(") == line.count(")")
    depth = 0
    for position, character in enumerate(line):
        if balanced:
            depth += (character == "(") - (character == ")")
        if depth <= 0 and line.startswith(_THEN, position):
            yield position


def _takes_text(head: str) -> bool:
    return head.split(None, 1)[0].lower() not in {
        *("wait", "tokens", "fail", "join", "agents", "kill", "fetch", "tool")
    }


def _read(piece: str) -> Step | None:
    """One step, None when the text is none."""
    verb, _, rest = piece.partition(" ")
    if "\n" in verb:  # `spawn:` forms have no blank before the line's end
        verb, _, rest = piece.partition("\n")
    reader = _READERS.get(verb.lower())
    return reader(rest.strip()) if reader is not None else None


def _bare(text: str) -> str:
    """The text without round brackets that stand around the whole of it."""
    text = text.strip()
    if not (text.startswith("(") and text.endswith(")")):
        return text
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0 and position < len(text) - 1:
            return text
    return text[1:-1].strip() if depth == 0 else text


def _say(rest: str) -> Step | None:
    return Say(text=rest) if rest else None


def _think(rest: str) -> Step | None:
    return Think(text=rest) if rest else None


def _repeat(rest: str) -> Step | None:
    count, _, text = rest.partition(" ")
    if not count.isascii() or not count.isdigit() or not text.strip():
        return None
    return Say(text=" ".join([text.strip()] * min(int(count), MOST_REPEATS)))


_DURATION = re.compile(r"(\d{1,6}(?:\.\d{1,3})?) ?(ms|s|sec|seconds?|m|min|minutes?)?", re.IGNORECASE | re.ASCII)


def _wait(rest: str) -> Step | None:
    match = _DURATION.fullmatch(rest)
    if match is None:
        return None
    unit = (match[2] or "s").lower()
    factor = 0.001 if unit == "ms" else 60.0 if unit.startswith("m") else 1.0
    return Wait(seconds=min(float(match[1]) * factor, LONGEST_WAIT_SECONDS))


def _tokens(rest: str) -> Step | None:
    match = re.fullmatch(r"(\d{1,9})(?: (\d{1,9}))?", rest, re.ASCII)
    if match is None:
        return None
    return Tokens(input_tokens=int(match[1]), output_tokens=int(match[2]) if match[2] else None)


def _fail(rest: str) -> Step | None:
    return Fail(refused=bool(rest)) if rest.lower() in {"", "refused"} else None


def _ask(rest: str) -> Step | None:
    question = rest or "Shall I go on?"
    return Call(verb="ask", tool="ask_human", arguments={"question": question}, spoken=question)


_AGENT_AND_TASK = re.compile(r"(?P<agent>[\w-]+)(?: as (?P<label>[\w.-]+))?\s*:(?P<task>(?!//).+)", re.DOTALL)


def _spawn(rest: str) -> Step | None:
    if not rest:
        return None
    match = _AGENT_AND_TASK.fullmatch(rest)
    if match is None:
        task = _bare(rest.rstrip(":"))
        return Call(verb="spawn", tool="sessions_spawn", arguments={"task": task}) if task else None
    arguments = {"agent": match["agent"], "task": _bare(_dedented(match["task"].strip("\n")))}
    if match["label"]:
        arguments["label"] = match["label"]
    return Call(verb="spawn", tool="sessions_spawn", arguments=arguments)


def _join(rest: str) -> Step | None:
    return _subagents("join", {"action": "wait", "target": rest or "all"}) if " " not in rest else None


def _agents(rest: str) -> Step | None:
    return _subagents("agents", {"action": "list"}) if not rest else None


def _kill(rest: str) -> Step | None:
    return _subagents("kill", {"action": "kill", "target": rest}) if rest and " " not in rest else None


def _steer(rest: str) -> Step | None:
    target, colon, text = rest.partition(":")
    if not colon or not text.strip() or not target.strip() or " " in target.strip():
        return None
    return _subagents("steer", {"action": "steer", "target": target.strip(), "message": _bare(text)})


def _subagents(verb: str, arguments: dict[str, Any]) -> Call:
    return Call(verb=verb, tool="subagents", arguments=arguments)


def _send(rest: str) -> Step | None:
    session, colon, text = rest.partition(":")
    if not colon or not text.strip() or not session.strip() or " " in session.strip():
        return None
    return Call(verb="send", tool="sessions_send", arguments={"session": session.strip(), "message": _bare(text)})


def _fetch(rest: str) -> Step | None:
    if not rest.lower().startswith(("http://", "https://")) or " " in rest:
        return None
    return Call(verb="fetch", tool="web_fetch", arguments={"url": rest})


def _tool(rest: str) -> Step | None:
    name, _, given = rest.partition(" ")
    if not name:
        return None
    try:
        arguments = json.loads(given) if given.strip() else {}
    except ValueError:
        return None
    return Call(verb=f"tool {name}", tool=name, arguments=arguments) if isinstance(arguments, dict) else None


_READERS: Mapping[str, Callable[[str], Step | None]] = {
    "say": _say,
    "think": _think,
    "repeat": _repeat,
    "wait": _wait,
    "tokens": _tokens,
    "fail": _fail,
    "ask": _ask,
    "spawn": _spawn,
    "join": _join,
    "agents": _agents,
    "kill": _kill,
    "steer": _steer,
    "send": _send,
    "fetch": _fetch,
    "tool": _tool,
}

VERBS = tuple(_READERS)
