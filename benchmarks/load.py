"""The people of the benchmarks: each thread sends a message, waits for its answer, sends the next.

It checks what it measures: every message answered once, and in order.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field

import aiohttp


@dataclass(slots=True)
class Result:
    """One run. Times in milliseconds."""

    messages: int
    seconds: float = 0.0
    to_model: list[float] = field(default_factory=list)
    from_model: list[float] = field(default_factory=list)
    doubled: int = 0

    @property
    def rate(self) -> float:
        return self.messages / self.seconds


async def run(base_url: str, *, threads: int, rounds: int, token: str = "", query: str = "", tag: str = "") -> Result:
    """`rounds` messages in each of `threads` threads, one under way in each at a time."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    result = Result(messages=threads * rounds)
    answers: dict[str, asyncio.Queue[tuple[int, int]]] = {f"{tag}{n}": asyncio.Queue() for n in range(threads)}
    connector = aiohttp.TCPConnector(limit=threads + 5)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(headers=headers, connector=connector, timeout=timeout) as session:
        listening = asyncio.Event()
        listener = asyncio.create_task(_listen(session, f"{base_url}/api/v1/events{query}", answers, listening))
        await listening.wait()
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for name, queue in answers.items():
                group.create_task(_talk(session, base_url, name, rounds, queue, result))
        result.seconds = time.perf_counter() - began
        result.doubled = sum(queue.qsize() for queue in answers.values())
        listener.cancel()
    return result


async def _talk(
    session: aiohttp.ClientSession,
    base_url: str,
    thread: str,
    rounds: int,
    answers: asyncio.Queue[tuple[int, int]],
    result: Result,
) -> None:
    url = f"{base_url}/api/v1/threads/{thread}/messages"
    for number in range(rounds):
        sent = time.time_ns()
        body = {"text": f"{thread} says message number {number}", "id": f"{thread}-{number}"}
        async with session.post(url, json=body) as response:
            assert response.status == 202, await response.text()
        async with asyncio.timeout(60):
            asked, heard = await answers.get()
        result.to_model.append((asked - sent) / 1e6)
        result.from_model.append((heard - asked) / 1e6)


async def _listen(
    session: aiohttp.ClientSession,
    url: str,
    answers: dict[str, asyncio.Queue[tuple[int, int]]],
    listening: asyncio.Event,
) -> None:
    async with session.get(url) as response:
        assert response.status == 200, await response.text()
        listening.set()
        name = ""
        async for line in response.content:
            if line.startswith(b"event:"):
                name = line[6:].strip().decode()
            elif line.startswith(b"data:") and name == "message":
                data = json.loads(line[5:])
                thread = data.get("thread") or str(data.get("place", "")).rpartition("/")[2]
                first = data["text"].split(" ", 1)[0]
                if thread in answers and first.isdigit():
                    answers[thread].put_nowait((int(first), time.time_ns()))
