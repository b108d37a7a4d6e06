"""A server on loopback that speaks the Messages API to the unmodified client library.

It checks what the real API checks, records every request, and answers by its brain: by default it says
`echo: ` and the last text, or does what that text commands:

    !tool NAME {json}     calls a tool; when the results are there, says them
    !think TEXT           thinks, then says `done`
    !fault NAME           one of the faults below
    !long N               a text of N words

A script (`answer_next`) goes before the brain. Faults: see `FAULTS`. As a program, for benchmarks:

    python -m tests.fakes.anthropic --port 9000 [--delay 0.02]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from tests.fakes.anthropic_answers import (
    CONTEXT_TOKENS,
    Answer,
    echo,
    events,
    last_text,
    message_json,
    mistake,
    sse,
    text,
    thinking,
    tool_use,
)
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

Brain = Callable[[dict[str, Any]], Answer | Plan]
GOOD_KEY = "sk-ant-good"


def error(status: int, kind: str, words: str, headers: Mapping[str, str] | None = None) -> Plan:
    return [whole_json(status, {"type": "error", "error": {"type": kind, "message": words}}, headers)]


def half(*then: bytes | Pause | Stall | Cut) -> Plan:
    """The first events of an answer, then something else."""
    begun = [chunk(event) for event in events(Answer(blocks=(text("half an answer"),)), "claude")][:4]
    return [STREAM_HEAD, *begun, *then]


_OVERLOADED = chunk(sse("error", {"error": {"type": "overloaded_error", "message": "Overloaded"}}))

FAULTS: dict[str, Plan] = {
    "429": error(429, "rate_limit_error", "slow down", {"retry-after": "1"}),
    "429 hour": error(429, "rate_limit_error", "come back later", {"retry-after": "3600"}),
    "429 date": error(429, "rate_limit_error", "slow down", {"retry-after": "Fri, 31 Dec 2060 23:59:59 GMT"}),
    "429 nonsense": error(429, "rate_limit_error", "slow down", {"retry-after": "soon"}),
    "500": error(500, "api_error", "Internal server error"),
    "502": [whole(502, b"<html>bad gateway</html>")],
    "529": error(529, "overloaded_error", "Overloaded"),
    "408": error(408, "timeout_error", "too slow"),
    "409": error(409, "conflict_error", "again"),
    "400": error(400, "invalid_request_error", "tools: something is wrong"),
    "401": error(401, "authentication_error", "invalid bearer token"),
    "403": error(403, "permission_error", "not for you"),
    "404": error(404, "not_found_error", "model: claude-nonexistent"),
    "413": error(413, "request_too_large", "Request exceeds the maximum size"),
    "too long": error(
        400, "invalid_request_error", f"prompt is too long: {CONTEXT_TOKENS + 1} tokens > {CONTEXT_TOKENS} maximum"
    ),
    "nonsense json": [whole(200, b'{"hello": ')],
    "nonsense html": [whole(200, b"<html>hello</html>")],
    "nonsense sse": [STREAM_HEAD, chunk(b"event: message_start\ndata: {broken\n\n"), LAST_CHUNK],
    "odd sse": [STREAM_HEAD, chunk(sse("message_start", {"message": 7})), LAST_CHUNK],
    "empty": [STREAM_HEAD, LAST_CHUNK],
    "stall": half(Stall()),
    "silent": [Stall()],
    "drop": half(Cut()),
    "close": half(Cut(reset=False)),
    "early end": half(LAST_CHUNK),
    "error event": half(_OVERLOADED, LAST_CHUNK),
    "refuse connection": [Cut()],
}


class FakeAnthropic(LoopbackServer):
    """`requests` holds the bodies of the calls to /v1/messages, `headers` their headers."""

    def __init__(self, port: int = 0, *, delay_seconds: float = 0.0, record: bool = True) -> None:
        super().__init__(self._respond, port)
        self.brain: Brain = obedient
        self.delay_seconds = delay_seconds
        self.model_info: dict[str, Any] | None = {"max_input_tokens": 1_000_000, "max_tokens": 64_000}
        self.limits_fault: str | None = None  # what /v1/models answers instead
        self.requests: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.paths: list[str] = []
        self._record = record
        self._script: deque[Answer | Plan] = deque()

    def answer_next(self, *answers: Answer | Plan | str) -> None:
        """What the next calls get, in order. A string names a fault."""
        self._script.extend(FAULTS[each] if isinstance(each, str) else each for each in answers)

    def _respond(self, request: HttpRequest) -> Plan:
        path = request.path.partition("?")[0]
        if self._record:
            self.paths.append(path)
        if path == "/v1/messages" and request.method == "POST":
            return self._messages(request)
        if path.startswith("/v1/models/") and self.limits_fault is not None:
            return FAULTS[self.limits_fault]
        if path.startswith("/v1/models/") and self.model_info is not None:
            return [whole_json(200, _described(path.removeprefix("/v1/models/"), self.model_info))]
        return error(404, "not_found_error", "Not found")

    def _messages(self, request: HttpRequest) -> Plan:
        try:
            body = request.json()
        except ValueError:
            return error(400, "invalid_request_error", "The request body is not valid JSON")
        if self._record:
            self.requests.append(body)
            self.headers.append(request.headers)
        key = request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")
        if not key or key == "wrong":
            return error(401, "authentication_error", f"invalid bearer token {key}")
        if wrong := mistake(body):
            return error(400, "invalid_request_error", wrong)
        answer = self._script.popleft() if self._script else self.brain(body)
        return answer if not isinstance(answer, Answer) else self._told(answer, body)

    def _told(self, answer: Answer, body: Mapping[str, Any]) -> Plan:
        if not body.get("stream"):
            return [whole_json(200, message_json(answer, body["model"]))]
        told = [chunk(event) for event in events(answer, body["model"])]
        if not self.delay_seconds:
            return [b"".join([STREAM_HEAD, *told, LAST_CHUNK])]
        paced = [step for event in told for step in (Pause(self.delay_seconds), event)]
        return [STREAM_HEAD, *paced, LAST_CHUNK]


def _described(model: str, info: Mapping[str, Any]) -> dict[str, Any]:
    dates = {"created_at": "2026-01-01T00:00:00Z", "lifecycle": "active"}
    return {"type": "model", "id": model, "display_name": model, **dates, **info}


def obedient(body: dict[str, Any]) -> Answer | Plan:
    """The default brain."""
    messages = body["messages"]
    content = messages[-1]["content"]
    results = [block for block in content if block["type"] == "tool_result"] if isinstance(content, list) else []
    if results:
        return Answer(blocks=(text("the tools said: " + "; ".join(_result_text(each) for each in results)),))
    told = last_text(messages)
    if not told.startswith("!"):
        return echo(body)
    command, _, rest = told[1:].partition(" ")
    match command:
        case "tool":
            name, _, arguments = rest.partition(" ")
            call = tool_use(name, json.loads(arguments or "{}"), f"toolu_{len(messages)}")
            return Answer(blocks=(text("I use a tool."), call), stop_reason="tool_use")
        case "think":
            return Answer(blocks=(thinking(rest, body["model"]), text("done")))
        case "long":
            return Answer(
                blocks=(text(" ".join(["word"] * int(rest))),), usage={"input_tokens": 5, "output_tokens": int(rest)}
            )
        case "fault":
            return FAULTS[rest]
    return echo(body)


def _result_text(block: Mapping[str, Any]) -> str:
    content = block.get("content", "")
    return content if isinstance(content, str) else "".join(each.get("text", "") for each in content)


async def _serve(port: int, delay_seconds: float) -> None:
    async with FakeAnthropic(port, delay_seconds=delay_seconds, record=False) as server:
        print(server.address, flush=True)
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each event")
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(arguments.port, arguments.delay))


if __name__ == "__main__":
    main()
