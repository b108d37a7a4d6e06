"""A server on loopback that speaks chat completions to the unmodified client library.

By default it says `echo: ` and the last text; `!tool NAME {json}` makes it call a tool. A script
(`answer_next`) goes before that. Faults: see `FAULTS`.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.loopback_http import (
    LAST_CHUNK,
    STREAM_HEAD,
    Cut,
    HttpRequest,
    LoopbackServer,
    Pause,
    Plan,
    Stall,
    chunk,
    whole,
    whole_json,
)

CONTEXT_TOKENS = 128_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`deltas` as they are streamed. `usage` None: the server tells none."""

    deltas: tuple[Mapping[str, Any], ...]
    finish_reason: str | None = "stop"
    usage: Mapping[str, Any] | None = field(default_factory=lambda: {"prompt_tokens": 10, "completion_tokens": 5})


def said(words: str, **more: Any) -> Answer:
    return Answer(deltas=tuple({"content": piece} for piece in _pieces(words)), **more)


def call(name: str, arguments: str, call_id: str | None = "call_1", index: int = 0) -> Answer:
    """`arguments` is sent as it is, also when it is no JSON, in pieces."""
    first = {"index": index, "id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}
    rest = [{"index": index, "function": {"arguments": piece}} for piece in _pieces(arguments)]
    return Answer(deltas=tuple({"tool_calls": [each]} for each in (first, *rest)), finish_reason="tool_calls")


def error(status: int, kind: str, words: str, code: str | None = None, **headers: str) -> Plan:
    body = {"error": {"message": words, "type": kind, "code": code, "param": None}}
    return [whole_json(status, body, {name.replace("_", "-"): value for name, value in headers.items()})]


def half(*then: bytes | Pause | Stall | Cut) -> Plan:
    """The first chunks of an answer, then something else."""
    return [STREAM_HEAD, *(chunk(event) for event in list(_events(said("half an answer"), "gpt"))[:1]), *then]


def _event(data: Any) -> bytes:
    return f"data: {data if isinstance(data, str) else json.dumps(data)}\n\n".encode()


def _events(answer: Answer, model: str) -> Iterator[bytes]:
    frame = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model}
    for delta in answer.deltas:
        yield _event(frame | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    if answer.finish_reason is not None:
        yield _event(frame | {"choices": [{"index": 0, "delta": {}, "finish_reason": answer.finish_reason}]})
    if answer.usage is not None:
        yield _event(frame | {"choices": [], "usage": answer.usage})


def _pieces(words: str) -> list[str]:
    return [words[start : start + 16] for start in range(0, len(words), 16)]


_IN_THE_MIDDLE = chunk(_event({"error": {"message": "the engine died", "type": "server_error", "code": None}}))

FAULTS: dict[str, Plan] = {
    "429": error(429, "requests", "slow down", "rate_limit_exceeded", retry_after="2"),
    "429 milliseconds": error(429, "requests", "slow down", "rate_limit_exceeded", retry_after_ms="1500"),
    "no quota": error(429, "insufficient_quota", "You exceeded your current quota", "insufficient_quota"),
    "500": error(500, "server_error", "boom"),
    "503": [whole(503, b"<html>overloaded</html>")],
    "400": error(400, "invalid_request_error", "bad parameter"),
    "404": error(404, "invalid_request_error", "The model does not exist", "model_not_found"),
    "too long": error(
        400,
        "invalid_request_error",
        f"This model's maximum context length is {CONTEXT_TOKENS} tokens, you asked for more",
        "context_length_exceeded",
    ),
    "llama too long": error(400, "exceed_context_size_error", "the request exceeds the available context size"),
    "nonsense json": [STREAM_HEAD, chunk(b"data: {broken\n\n"), LAST_CHUNK],
    "odd chunk": [STREAM_HEAD, chunk(_event({"choices": [{"delta": 7}]})), LAST_CHUNK],
    "nonsense html": [whole(200, b"<html>hello</html>")],
    "stall": half(Stall()),
    "drop": half(Cut()),
    "early end": half(LAST_CHUNK),
    "done too early": half(chunk(_event("[DONE]")), LAST_CHUNK),
    "error event": half(_IN_THE_MIDDLE, LAST_CHUNK),
}


class FakeOpenAI(LoopbackServer):
    """`requests` holds the bodies of the calls to /v1/chat/completions, `headers` their headers."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(self._respond, port)
        self.model_info: dict[str, Any] | None = {"max_model_len": 16_384}
        self.requests: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self._script: deque[Answer | Plan] = deque()

    def answer_next(self, *answers: Answer | Plan | str) -> None:
        """What the next calls get, in order. A string names a fault."""
        self._script.extend(FAULTS[each] if isinstance(each, str) else each for each in answers)

    def _respond(self, request: HttpRequest) -> Plan:
        path = request.path.partition("?")[0]
        if path.startswith("/v1/models/") and self.model_info is not None:
            return [whole_json(200, {"id": path.removeprefix("/v1/models/"), "object": "model", **self.model_info})]
        if path != "/v1/chat/completions":
            return error(404, "invalid_request_error", f"there is nothing at {path}")
        body = request.json()
        self.requests.append(body)
        self.headers.append(request.headers)
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not key or key == "wrong":
            return error(401, "invalid_request_error", f"Incorrect API key provided: {key}", "invalid_api_key")
        if wrong := mistake(body):
            return error(400, "invalid_request_error", wrong)
        answer = self._script.popleft() if self._script else obedient(body)
        if not isinstance(answer, Answer):
            return answer
        told = [chunk(event) for event in _events(answer, body["model"])]
        return [b"".join([STREAM_HEAD, *told, chunk(_event("[DONE]")), LAST_CHUNK])]


def obedient(body: Mapping[str, Any]) -> Answer:
    """The default brain."""
    last = body["messages"][-1]
    content = last["content"]
    told = content if isinstance(content, str) else "".join(each.get("text", "") for each in content)
    if last["role"] == "tool":
        return said(f"the tool said: {told}")
    if told.startswith("!tool "):
        name, _, arguments = told.removeprefix("!tool ").partition(" ")
        return call(name, arguments or "{}")
    return said(f"echo: {told}")


def mistake(body: Mapping[str, Any]) -> str | None:
    """What the real API refuses: calls without results, results without calls, empty conversations."""
    if not body.get("messages") or not body.get("stream"):
        return "messages and stream are required"
    open_calls: set[str] = set()
    for place, message in enumerate(body["messages"]):
        role = message["role"]
        if role == "tool":
            if message["tool_call_id"] not in open_calls:
                return f"messages.{place}: a tool message must follow its tool_calls"
            open_calls.discard(message["tool_call_id"])
            continue
        if open_calls:
            return f"messages.{place}: tool_calls must be followed by tool messages: {min(open_calls)}"
        if not message.get("content") and not message.get("tool_calls"):
            return f"messages.{place}: content is required"
        open_calls = {each["id"] for each in message.get("tool_calls", ())}
    return "the last tool_calls have no results" if open_calls else None
