"""What the loopback Messages API answers: content blocks, their server-sent events, and the checks that the
real API makes before it answers anything.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

TEXT_CHUNK_CHARACTERS = 24
CONTEXT_TOKENS = 200_000

TextBlock = dict[str, Any]

KNOWN_KEYS = {
    *("model", "messages", "max_tokens", "system", "tools", "tool_choice", "stream", "metadata", "thinking"),
    *("cache_control", "output_config", "stop_sequences", "service_tier"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer of the model. `usage` None: the server tells none, as some local ones do."""

    blocks: tuple[dict[str, Any], ...]
    stop_reason: str | None = "end_turn"
    usage: Mapping[str, int] | None = field(default_factory=lambda: {"input_tokens": 10, "output_tokens": 5})
    stop_details: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)  # fields of the message that nobody knows


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def tool_use(name: str, arguments: Any, call_id: str = "toolu_1") -> dict[str, Any]:
    """`arguments` as text is sent as it is, also when it is no JSON."""
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


def thinking(words: str, model: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": words, "signature": signature(words, model)}


def redacted(data: str) -> dict[str, Any]:
    return {"type": "redacted_thinking", "data": data}


def signature(words: str, model: str) -> str:
    return hashlib.sha256(f"{model}\n{words}".encode()).hexdigest()[:24]


def echo(body: Mapping[str, Any]) -> Answer:
    """The default brain: it says again what it was told last. See `tests.fakes.anthropic` for its commands."""
    told = last_text(body["messages"])
    return Answer(
        blocks=(text(f"echo: {told}"),),
        usage={"input_tokens": max(1, len(told) // 4), "output_tokens": max(1, len(told) // 4 + 2)},
    )


def last_text(messages: list[dict[str, Any]]) -> str:
    content = messages[-1]["content"]
    if isinstance(content, str):
        return content
    return "\n".join(block["text"] for block in content if block["type"] == "text")


def message_json(answer: Answer, model: str) -> dict[str, Any]:
    """The whole answer, as a request without `stream` gets it."""
    usage = {"usage": dict(answer.usage)} if answer.usage is not None else {}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": list(answer.blocks),
        "stop_reason": answer.stop_reason,
        "stop_sequence": None,
        "stop_details": answer.stop_details,
        **usage,
        **answer.extra,
    }


def events(answer: Answer, model: str) -> Iterator[bytes]:
    """The server-sent events of a streamed answer."""
    start = message_json(answer, model) | {"content": [], "stop_reason": None, "stop_details": None}
    if answer.usage is not None:
        start["usage"] = dict(answer.usage) | {"output_tokens": 1}
    yield sse("message_start", {"message": start})
    for index, block in enumerate(answer.blocks):
        yield sse("content_block_start", {"index": index, "content_block": _opening(block)})
        if index == 0:
            yield sse("ping", {})
        for delta in _deltas(block):
            yield sse("content_block_delta", {"index": index, "delta": delta})
        yield sse("content_block_stop", {"index": index})
    if answer.stop_reason is not None:
        usage = {"usage": {"output_tokens": answer.usage.get("output_tokens", 0)}} if answer.usage is not None else {}
        delta = {"stop_reason": answer.stop_reason, "stop_sequence": None, "stop_details": answer.stop_details}
        yield sse("message_delta", {"delta": delta, **usage})
        yield sse("message_stop", {})


def sse(kind: str, data: Mapping[str, Any]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data}, separators=(',', ':'))}\n\n".encode()


def _opening(block: dict[str, Any]) -> dict[str, Any]:
    match block["type"]:
        case "text":
            return {"type": "text", "text": ""}
        case "thinking":
            return {"type": "thinking", "thinking": "", "signature": ""}
        case "tool_use":
            return block | {"input": {}}
        case _:
            return block


def _deltas(block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    match block["type"]:
        case "text":
            for piece in _pieces(block["text"]):
                yield {"type": "text_delta", "text": piece}
        case "thinking":
            for piece in _pieces(block["thinking"]):
                yield {"type": "thinking_delta", "thinking": piece}
            yield {"type": "signature_delta", "signature": block["signature"]}
        case "tool_use":
            written = block["input"] if isinstance(block["input"], str) else json.dumps(block["input"])
            for piece in _pieces("" if written == "{}" else written):
                yield {"type": "input_json_delta", "partial_json": piece}


def _pieces(words: str) -> Iterator[str]:
    for start in range(0, len(words), TEXT_CHUNK_CHARACTERS):
        yield words[start : start + TEXT_CHUNK_CHARACTERS]


# --- what the real API refuses -------------------------------------------------------------------


def mistake(body: Any) -> str | None:
    """What the real API would call an invalid_request_error, None when all is well."""
    if not isinstance(body, dict):
        return "the body must be an object"
    for key in ("model", "messages", "max_tokens"):
        if key not in body:
            return f"{key}: Field required"
    if unknown := set(body) - KNOWN_KEYS:
        return f"{min(unknown)}: Extra inputs are not permitted"
    return _tools_mistake(body) or _thinking_mistake(body) or _messages_mistake(body)


def _tools_mistake(body: Mapping[str, Any]) -> str | None:
    for place, tool in enumerate(body.get("tools", ())):
        if not re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", tool.get("name", "")):
            return f"tools.{place}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
        if tool.get("input_schema", {}).get("type") != "object":
            return f"tools.{place}.custom.input_schema.type: Field required"
    if "system" in body and not body["system"]:
        return "system: text content blocks must be non-empty"
    return None


def _thinking_mistake(body: Mapping[str, Any]) -> str | None:
    asked = body.get("thinking")
    if asked is None or asked["type"] != "enabled":
        return None
    if asked["budget_tokens"] < 1024:
        return "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"
    if asked["budget_tokens"] >= body["max_tokens"]:
        return "`max_tokens` must be greater than `thinking.budget_tokens`"
    return None


def _messages_mistake(body: Mapping[str, Any]) -> str | None:
    messages = body["messages"]
    if not messages:
        return "messages: at least one message is required"
    if messages[0]["role"] != "user":
        return 'messages: first message must use the "user" role'
    if messages[-1]["role"] != "user":
        return "This model does not support assistant message prefill. The conversation must end with a user message."
    open_calls: set[str] = set()
    previous = ""
    for place, message in enumerate(messages):
        content = message["content"]
        blocks = [text(content)] if isinstance(content, str) else content
        if not blocks:
            return f"messages.{place}: all messages must have non-empty content"
        for number, block in enumerate(blocks):
            if wrong := _block_mistake(block, message["role"], body["model"]):
                return f"messages.{place}.content.{number}: {wrong}"
        if previous == message["role"]:
            return f"messages.{place}: roles must alternate (this server is stricter than the real one)"
        previous = message["role"]
        if wrong := _pairing_mistake(blocks, open_calls):
            return f"messages.{place}: {wrong}"
        open_calls = {block["id"] for block in blocks if block["type"] == "tool_use"}
    return None


def _block_mistake(block: Mapping[str, Any], role: str, model: str) -> str | None:
    match block["type"]:
        case "text" if not block["text"].strip():
            return "text content blocks must be non-empty"
        case "tool_use" if not isinstance(block["input"], dict):
            return "tool_use.input: Input should be a valid dictionary"
        case "tool_use" if role != "assistant":
            return "`tool_use` blocks can only be in `assistant` messages"
        case "tool_use" if not re.fullmatch(r"[a-zA-Z0-9_-]+", block["id"]):
            return "tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
        case "tool_result" if role != "user":
            return "`tool_result` blocks can only be in `user` messages"
        case "thinking" if block["signature"] != signature(block["thinking"], model):
            return "Invalid `signature` in `thinking` block"
    return None


def _pairing_mistake(blocks: list[dict[str, Any]], open_calls: set[str]) -> str | None:
    results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
    if missing := open_calls - set(results):
        return f"`tool_use` ids were found without `tool_result` blocks immediately after: {min(missing)}"
    if unexpected := set(results) - open_calls:
        return f"unexpected `tool_use_id` found in `tool_result` blocks: {min(unexpected)}"
    if len(results) != len(set(results)):
        return "each `tool_use` must have a single result"
    if any(block["type"] != "tool_result" for block in blocks[: len(results)]):
        return "`tool_result` blocks must come first in the content"
    return None
