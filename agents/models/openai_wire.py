"""Chat completions in words of our own, both ways. Pure: no library, no network.

`body` writes a request, `Answer` reads the chunks of a stream as plain JSON objects. Very many servers speak
this API, each a little differently: usage may be missing, tool calls may come without an id or all under the
index 0, reasoning comes in one of two fields. An answer without a `finish_reason` is none.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from agents.models.base import (
    Block,
    Event,
    Finished,
    Image,
    Message,
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
from agents.models.conversation import in_form, parsed_call
from agents.models.estimate import message_tokens, request_tokens

STOPS = {
    "stop": Stop.END,
    "tool_calls": Stop.TOOLS,
    "function_call": Stop.TOOLS,
    "length": Stop.LENGTH,
    "content_filter": Stop.REFUSAL,
}


def body(request: Request, *, model: str, max_tokens: int, thinking_tokens: int, hosted: bool) -> dict[str, Any]:
    """The JSON of a streamed request. The provider itself takes `max_completion_tokens` and an effort of thinking;
    servers of one's own know `max_tokens` only."""
    written: dict[str, Any] = {
        "model": model,
        "messages": list(_messages(request)),
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_completion_tokens" if hosted else "max_tokens": max_tokens,
    }
    if request.tools:
        written["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.schema},
            }
            for tool in request.tools
        ]
    if request.output_schema is not None:
        written["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": request.output_schema},
        }
    if thinking_tokens and hosted:
        written["reasoning_effort"] = _effort(thinking_tokens)
    if request.session and hosted:
        written["prompt_cache_key"] = request.session
    return written


def _effort(thinking_tokens: int) -> str:
    if thinking_tokens <= 2_048:
        return "low"
    return "medium" if thinking_tokens <= 16_384 else "high"


def _messages(request: Request) -> Iterator[dict[str, Any]]:
    if request.system.strip():
        yield {"role": "system", "content": request.system}
    for message in in_form(request.messages):
        if message.role == "assistant":
            yield _assistant(message)
        else:
            yield from _user(message)


def _assistant(message: Message) -> dict[str, Any]:
    text = "".join(block.text for block in message.blocks if isinstance(block, Text))
    written: dict[str, Any] = {"role": "assistant", "content": text or None}
    calls = [block for block in message.blocks if isinstance(block, ToolCall)]
    if calls:
        written["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
            }
            for call in calls
        ]
    elif not text:
        written["content"] = "(nothing)"  # reasoning alone is not sent back
    return written


def _user(message: Message) -> Iterator[dict[str, Any]]:
    """Each tool result is a message of its own; what else was said follows."""
    parts: list[dict[str, Any]] = []
    for block in message.blocks:
        match block:
            case ToolResult():
                text = f"Error: {block.text}" if block.is_error else block.text
                yield {"role": "tool", "tool_call_id": block.call_id, "content": text}
            case Image():
                source = f"data:{block.media_type};base64,{block.data_base64}"
                parts.append({"type": "image_url", "image_url": {"url": source}})
            case Text():
                parts.append({"type": "text", "text": block.text})
            case _:
                continue
    if parts and all(part["type"] == "text" for part in parts):
        yield {"role": "user", "content": "\n\n".join(part["text"] for part in parts)}
    elif parts:
        yield {"role": "user", "content": parts}


@dataclass(slots=True)
class _OpenCall:
    """A tool call that is being written."""

    id: str
    name: str
    written: list[str] = field(default_factory=list)


class Answer:
    """The chunks of one streamed answer, taken in one by one."""

    def __init__(self, model: str) -> None:
        self._asked_model = model
        self._model = model
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._refusal: list[str] = []
        self._calls: list[_OpenCall] = []
        self._call_at: dict[int, _OpenCall] = {}
        self._usage: dict[str, Any] | None = None
        self._finish_reason: str | None = None

    def take(self, chunk: Any) -> Iterator[Event]:
        """What this chunk shows. Raises ValueError when it makes no sense."""
        try:
            yield from self._take(chunk)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"a chunk that makes no sense: {error!r}") from error

    def _take(self, chunk: dict[str, Any]) -> Iterator[Event]:
        self._model = str(chunk.get("model") or self._model)
        self._usage = chunk.get("usage") or self._usage
        for choice in chunk.get("choices") or ():
            if choice.get("index", 0) == 0:
                self._finish_reason = choice.get("finish_reason") or self._finish_reason
                yield from self._delta(choice.get("delta") or {})

    def _delta(self, delta: dict[str, Any]) -> Iterator[Event]:
        if thought := delta.get("reasoning_content") or delta.get("reasoning"):
            self._thoughts.append(str(thought))
            yield ThinkingDelta(text=str(thought))
        if text := delta.get("content"):
            self._texts.append(text)
            yield TextDelta(text=text)
        if refusal := delta.get("refusal"):
            self._refusal.append(refusal)
        for call in delta.get("tool_calls") or ():
            yield from self._call(call)

    def _call(self, piece: dict[str, Any]) -> Iterator[Event]:
        index, call_id, function = piece.get("index", 0), piece.get("id"), piece.get("function") or {}
        call = self._call_at.get(index)
        # Some servers send every call under the index 0: another id begins another call.
        if call is None or (call_id and call.id != call_id and function.get("name")):
            call = _OpenCall(id=call_id or f"call_{uuid.uuid4().hex[:16]}", name=str(function["name"]))
            self._call_at[index] = call
            self._calls.append(call)
            yield ToolCallStarted(name=call.name)
        if arguments := function.get("arguments"):
            call.written.append(arguments if isinstance(arguments, str) else json.dumps(arguments))

    def finished(self, request: Request) -> Finished | None:
        """The whole answer, None when it broke off before the model said why it stopped."""
        if not self._finish_reason:
            return None
        stop = STOPS.get(self._finish_reason, Stop.OTHER)
        if self._calls and stop in {Stop.END, Stop.OTHER}:
            stop = Stop.TOOLS
        refusal = "".join(self._refusal)
        blocks = tuple(self._blocks())
        return Finished(
            blocks=blocks,
            stop=Stop.REFUSAL if refusal else stop,
            usage=self._counted(request, blocks),
            model=self._model,
            detail=": ".join(each for each in (self._finish_reason, refusal) if each),
        )

    def _blocks(self) -> Iterator[Block]:
        if self._thoughts:
            yield Thinking(text="".join(self._thoughts), signature="", model=self._asked_model)
        if self._texts:
            yield Text(text="".join(self._texts))
        for call in self._calls:
            yield parsed_call(call.id, call.name, "".join(call.written) or "{}")

    def _counted(self, request: Request, blocks: tuple[Block, ...]) -> Usage:
        """The provider's prompt tokens include those that came from the cache; ours do not."""
        counted = self._usage if isinstance(self._usage, dict) else {}
        prompt, answer = _count(counted, "prompt_tokens"), _count(counted, "completion_tokens")
        if not prompt and not answer:
            estimated = message_tokens(Message(role="assistant", blocks=blocks))
            return Usage(input_tokens=request_tokens(request), output_tokens=estimated, known=False)
        details = counted.get("prompt_tokens_details")
        cached = min(_count(details, "cached_tokens"), prompt) if isinstance(details, dict) else 0
        return Usage(input_tokens=prompt - cached, output_tokens=answer, cache_read_tokens=cached)


def _count(counted: dict[str, Any], name: str) -> int:
    count = counted.get(name)
    return count if isinstance(count, int) and count > 0 else 0
