"""The Messages API in words of our own, both ways. Pure: no library, no network.

`body` writes a request. `Answer` reads the events of a stream, as plain JSON objects: building the client
library's models for each event costs more processor time than everything else in a short call. It reads
with care, since servers that speak this API leave out usage, send fields that nobody knows, or stop in the
middle: an event that makes no sense raises ValueError, and an answer without a `stop_reason` is none.
"""

from __future__ import annotations

import re
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

LEAST_THINKING_TOKENS = 1024

STOPS = {
    "end_turn": Stop.END,
    "stop_sequence": Stop.END,
    "tool_use": Stop.TOOLS,
    "max_tokens": Stop.LENGTH,
    "pause_turn": Stop.PAUSED,
    "refusal": Stop.REFUSAL,
    "model_context_window_exceeded": Stop.CONTEXT_FULL,
}


def body(
    request: Request,
    *,
    model: str,
    max_tokens: int,
    thinking_tokens: int,
    adaptive: bool,
    caching: bool = True,
    output_schema: dict[str, Any] | None,
) -> dict[str, Any]:
    """The JSON of a streamed request. With `caching` the provider keeps the conversation so far. With `adaptive` the
    model decides itself how long it thinks (newer models take no budget)."""
    written: dict[str, Any] = {
        "model": model,
        "max_tokens": max_tokens,
        "messages": [_message(message) for message in in_form(request.messages)],
        "stream": True,
    }
    if caching:
        written["cache_control"] = {"type": "ephemeral"}
    if request.system.strip():
        written["system"] = request.system
    if request.tools:
        written["tools"] = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.schema} for tool in request.tools
        ]
    if thinking_tokens:
        written["thinking"] = {"type": "adaptive"} if adaptive else _thinking_budget(thinking_tokens, max_tokens)
    if output_schema is not None:
        written["output_config"] = {"format": {"type": "json_schema", "schema": output_schema}}
    if request.session:
        written["metadata"] = {"user_id": request.session}
    return written


def _thinking_budget(tokens: int, max_tokens: int) -> dict[str, Any]:
    budget = min(max(tokens, LEAST_THINKING_TOKENS), max_tokens - 1)
    if budget < LEAST_THINKING_TOKENS:
        return {"type": "disabled"}
    return {"type": "enabled", "budget_tokens": budget}


def _message(message: Message) -> dict[str, Any]:
    return {"role": message.role, "content": [_block(block) for block in message.blocks]}


def _block(block: Block) -> dict[str, Any]:
    match block:
        case Text():
            return {"type": "text", "text": block.text}
        case Thinking() if block.redacted:
            return {"type": "redacted_thinking", "data": block.signature}
        case Thinking():
            return {"type": "thinking", "thinking": block.text, "signature": block.signature}
        case ToolCall():
            return {"type": "tool_use", "id": _call_id(block.id), "name": block.name, "input": block.arguments}
        case ToolResult():
            written: dict[str, Any] = {"type": "tool_result", "tool_use_id": _call_id(block.call_id)}
            if block.text.strip():
                written["content"] = block.text
            if block.is_error:
                written["is_error"] = True
            return written
        case Image():
            source = {"type": "base64", "media_type": block.media_type, "data": block.data_base64}
            return {"type": "image", "source": source}


def _call_id(call_id: str) -> str:
    """Ids that another provider made may hold characters that this one refuses."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", call_id)


@dataclass(slots=True)
class _Open:
    """A content block that is being written."""

    kind: str
    opening: dict[str, Any]
    texts: list[str] = field(default_factory=list)
    signature: str = ""


class Answer:
    """The events of one streamed answer, taken in one by one."""

    def __init__(self, model: str) -> None:
        self._asked_model = model
        self._model = model
        self._blocks: dict[int, _Open] = {}
        self._counted: dict[str, int] = {}
        self._stop_reason: str | None = None
        self._stop_details: Any = None

    def take(self, event: Any) -> Iterator[Event]:
        """What this event shows. Raises ValueError when it makes no sense."""
        try:
            yield from self._take(event)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"an event that makes no sense: {error!r}") from error

    def _take(self, event: dict[str, Any]) -> Iterator[Event]:
        match event["type"]:
            case "content_block_delta":
                yield from self._delta(self._blocks[event["index"]], event["delta"])
            case "content_block_start":
                yield from self._opened(event["index"], event["content_block"])
            case "message_start":
                self._model = str(event["message"].get("model") or self._asked_model)
                self._count(event["message"].get("usage"))
            case "message_delta":
                self._stop_reason = event["delta"].get("stop_reason") or self._stop_reason
                self._stop_details = event["delta"].get("stop_details") or self._stop_details
                self._count(event.get("usage"))
            case _:  # message_stop, content_block_stop, and kinds that did not exist when this was written
                return

    def _opened(self, index: int, block: dict[str, Any]) -> Iterator[Event]:
        opened = self._blocks[index] = _Open(kind=block["type"], opening=block)
        match opened.kind:
            case "text" if block.get("text"):
                opened.texts.append(block["text"])
                yield TextDelta(text=block["text"])
            case "thinking" if block.get("thinking"):
                opened.texts.append(block["thinking"])
                yield ThinkingDelta(text=block["thinking"])
            case "tool_use":
                yield ToolCallStarted(name=str(block["name"]))

    def _delta(self, opened: _Open, delta: dict[str, Any]) -> Iterator[Event]:
        match delta["type"]:
            case "text_delta":
                opened.texts.append(delta["text"])
                yield TextDelta(text=delta["text"])
            case "input_json_delta":
                opened.texts.append(delta["partial_json"])
            case "thinking_delta":
                opened.texts.append(delta["thinking"])
                yield ThinkingDelta(text=delta["thinking"])
            case "signature_delta":
                opened.signature += delta["signature"]

    def _count(self, usage: dict[str, Any] | None) -> None:
        """Counts are cumulative: a later one replaces an earlier one."""
        for name, count in (usage or {}).items():
            if isinstance(count, int):
                self._counted[name] = count

    def finished(self, request: Request) -> Finished | None:
        """The whole answer, None when it broke off before the model said why it stopped."""
        if not self._stop_reason:
            return None
        blocks = tuple(block for opened in self._blocks.values() for block in self._block(opened))
        stop = STOPS.get(self._stop_reason, Stop.OTHER)
        if stop in {Stop.END, Stop.OTHER} and any(isinstance(block, ToolCall) for block in blocks):
            stop = Stop.TOOLS  # servers of one's own say end_turn here; the calls are what counts
        return Finished(
            blocks=blocks, stop=stop, usage=self._usage(request, blocks), model=self._model, detail=self._detail()
        )

    def _block(self, opened: _Open) -> Iterator[Block]:
        text = "".join(opened.texts)
        match opened.kind:
            case "text" if text:
                yield Text(text=text)
            case "thinking":
                yield Thinking(
                    text=text,
                    signature=opened.signature or str(opened.opening.get("signature") or ""),
                    model=self._asked_model,
                )
            case "redacted_thinking":
                data = str(opened.opening.get("data", ""))
                yield Thinking(text="", signature=data, model=self._asked_model, redacted=True)
            case "tool_use":
                yield _tool_call(str(opened.opening["id"]), str(opened.opening["name"]), text, opened.opening)

    def _usage(self, request: Request, blocks: tuple[Block, ...]) -> Usage:
        counted = self._counted
        if not counted.get("input_tokens") and not counted.get("output_tokens"):
            answer = Message(role="assistant", blocks=blocks)
            return Usage(input_tokens=request_tokens(request), output_tokens=message_tokens(answer), known=False)
        return Usage(
            input_tokens=counted.get("input_tokens", 0),
            output_tokens=counted.get("output_tokens", 0),
            cache_read_tokens=counted.get("cache_read_input_tokens", 0),
            cache_write_tokens=counted.get("cache_creation_input_tokens", 0),
        )

    def _detail(self) -> str:
        reason = self._stop_reason or ""
        if isinstance(self._stop_details, dict):
            told = [str(self._stop_details.get(key) or "") for key in ("category", "explanation")]
            return ": ".join([reason, *(each for each in told if each)])
        return reason


def _tool_call(call_id: str, name: str, written: str, opening: dict[str, Any]) -> ToolCall:
    """The arguments come in pieces, or (from some servers) whole in the opening."""
    if not written.strip():
        given = opening.get("input")
        return ToolCall(id=call_id, name=name, arguments=given if isinstance(given, dict) else {})
    return parsed_call(call_id, name, written)
