"""The floor to stay near: a bot of bare libraries, with no durability, no routing and no page.

HTTP in (Starlette on uvicorn), one streamed call of the anthropic SDK, server-sent events out. It keeps each thread's
conversation in memory and answers its messages in order, as anybody would write it in an afternoon.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anthropic
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route


class Bare:
    def __init__(self, model_url: str) -> None:
        self.client = anthropic.AsyncAnthropic(base_url=model_url, api_key="key", max_retries=0)
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
            answer = ""
            stream = await self.client.messages.create(
                model="claude-sonnet-5-5", max_tokens=1024, messages=conversation, system="You answer.", stream=True
            )
            async for event in stream:
                if event.type == "content_block_delta" and event.delta.type == "text_delta":
                    answer += event.delta.text
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
    options = parser.parse_args()
    bare = Bare(options.model_url)
    routes = [
        Route("/api/v1/threads/{thread}/messages", bare.post, methods=["POST"]),
        Route("/api/v1/events", bare.events),
    ]
    app = Starlette(routes=routes, lifespan=bare.lifespan)
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
