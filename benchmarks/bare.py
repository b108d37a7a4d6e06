"""The floor to stay near: a bot of bare libraries, with no durability, no routing and no page.

HTTP in (Starlette on uvicorn), one streamed call of the anthropic SDK, server-sent events out. It keeps each thread's
conversation in memory and answers its messages in order, as anybody would write it in an afternoon. `--lean` calls the
model as Threadmill does: on the SDK's aiohttp transport, and with raw events in place of its typed ones.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route


async def asked(client: anthropic.AsyncAnthropic, conversation: list[dict[str, str]], *, lean: bool) -> str:
    """One streamed call; the answer's text."""
    question: Any = {
        "model": "claude-sonnet-5-5",
        "max_tokens": 1024,
        "messages": conversation,
        "system": "You answer.",
    }
    answer = ""
    if lean:
        raw: Any = await client.post(
            "/v1/messages",
            body=question | {"stream": True},
            cast_to=object,
            stream=True,
            stream_cls=anthropic.AsyncStream[object],
        )
        async for event in raw:
            if event["type"] == "content_block_delta" and event["delta"]["type"] == "text_delta":
                answer += event["delta"]["text"]
        return answer
    stream: Any = await client.messages.create(**question, stream=True)
    async for event in stream:
        if event.type == "content_block_delta" and event.delta.type == "text_delta":
            answer += event.delta.text
    return answer


class Bare:
    def __init__(self, model_url: str, *, lean: bool) -> None:
        transport = anthropic.DefaultAioHttpClient() if lean else None
        self.lean = lean
        self.client = anthropic.AsyncAnthropic(base_url=model_url, api_key="key", max_retries=0, http_client=transport)
        self.conversations: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
        self.locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.listeners: set[asyncio.Queue[str]] = set()
        self.group: asyncio.TaskGroup | None = None

    async def post(self, request: Request) -> JSONResponse:
        body = await request.json()
        thread = request.path_params["thread"]
        assert self.group is not None
        self.group.create_task(self.answer(thread, body["text"]))
        return JSONResponse({"id": body["id"], "thread": thread}, status_code=202)

    async def answer(self, thread: str, text: str) -> None:
        async with self.locks[thread]:
            conversation = self.conversations[thread]
            conversation.append({"role": "user", "content": text})
            answer = await asked(self.client, conversation, lean=self.lean)
            conversation.append({"role": "assistant", "content": answer})
            data = json.dumps({"thread": thread, "text": answer})
            for listener in self.listeners:
                listener.put_nowait(f"event: message\ndata: {data}\n\n")

    async def events(self, _: Request) -> StreamingResponse:
        queue: asyncio.Queue[str] = asyncio.Queue()
        self.listeners.add(queue)

        async def lines() -> AsyncIterator[str]:
            yield ": hello\n\n"
            while True:
                yield await queue.get()

        return StreamingResponse(lines(), media_type="text/event-stream")

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            self.group = group
            yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model-url", required=True)
    parser.add_argument("--lean", action="store_true")
    options = parser.parse_args()
    bare = Bare(options.model_url, lean=options.lean)
    routes = [
        Route("/api/v1/threads/{thread}/messages", bare.post, methods=["POST"]),
        Route("/api/v1/events", bare.events),
    ]
    app = Starlette(routes=routes, lifespan=bare.lifespan)
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
