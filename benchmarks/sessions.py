"""Many sessions that live at once: how soon a message reaches the model, and what a session costs that is idle.

Messages arrive as people write, at random moments and without waiting for each other's answers, spread over all
sessions. What is measured is the whole way from the sender's first byte to the model's first: HTTP, the commit to the
inbox, the routing, the activation, the request. Then all sessions are written to in the same instant, which no
machine answers within the target; it shows how a crowd is worked off.
"""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from benchmarks.processes import TOKEN, Running
from benchmarks.servers import model, threadmill
from benchmarks.teams import told

LIVE, SECONDS, RATES = 500, 20, (25, 50, 100)
MORE = 1500  # sessions that are made only to be idle


@dataclass(slots=True)
class Crowd:
    """The people of all sessions. Each answer tells when the model was asked for it."""

    server: Running
    http: aiohttp.ClientSession
    waiting: dict[str, asyncio.Future[int]]
    count: int = 0

    async def write(self, thread: str) -> float:
        """Write, and wait for the answer; milliseconds until the model was asked."""
        self.count += 1
        answered = self.waiting[thread] = asyncio.get_running_loop().create_future()
        url = f"{self.server.url}/api/v1/threads/{thread}/messages"
        sent = time.time_ns()
        async with self.http.post(url, json={"text": f"This is message number {self.count}"}) as response:
            assert response.status == 202, await response.text()
        async with asyncio.timeout(60):
            asked = await answered
        return (asked - sent) / 1e6

    async def write_all(self, threads: list[str], at_once: int) -> list[float]:
        """One message in each thread, so many under way at a time."""
        room = asyncio.Semaphore(at_once)

        async def one(thread: str) -> float:
            async with room:
                return await self.write(thread)

        return await asyncio.gather(*(one(thread) for thread in threads))

    async def write_at(self, threads: list[str], rate: float, seconds: float) -> list[float]:
        """So many messages a second, at random moments, each in a session that has none under way."""
        chance = random.Random(17)
        free = list(threads)
        loop = asyncio.get_running_loop()
        due, end = loop.time(), loop.time() + seconds
        tasks: list[asyncio.Task[float]] = []

        async def one(thread: str) -> float:
            took = await self.write(thread)
            free.append(thread)
            return took

        async with asyncio.TaskGroup() as group:
            while (due := due + chance.expovariate(rate)) < end:
                await asyncio.sleep(max(0.0, due - loop.time()))
                thread = free.pop(chance.randrange(len(free)))
                tasks.append(group.create_task(one(thread)))
        return [task.result() for task in tasks]

    async def measured(self, name: str) -> float:
        """A value of /metrics."""
        async with self.http.get(f"{self.server.url}/metrics") as response:
            lines = (await response.text()).splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith(f"threadmill_{name} ")))

    async def listen(self) -> None:
        async with self.http.get(f"{self.server.url}/api/v1/events?kinds=message") as response:
            kind = ""
            async for line in response.content:
                if line.startswith(b"event:"):
                    kind = line[6:].strip().decode()
                elif line.startswith(b"data:") and kind == "message":
                    data = json.loads(line[5:])
                    first = data["text"].split(" ", 1)[0]
                    thread = str(data["place"]).rpartition("/")[2]
                    if first.isdigit() and thread in self.waiting:
                        self.waiting.pop(thread).set_result(int(first))


@asynccontextmanager
async def _crowd(server: Running) -> AsyncIterator[Crowd]:
    headers = {"authorization": f"Bearer {TOKEN}"}
    timeout = aiohttp.ClientTimeout(total=None)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout, connector=connector) as http:
        crowd = Crowd(server, http, {})
        listening = asyncio.create_task(crowd.listen())
        try:
            yield crowd
        finally:
            listening.cancel()


async def sessions() -> None:
    async with model() as brain:
        with tempfile.TemporaryDirectory() as folder:
            async with threadmill(brain.url, Path(folder)) as server, _crowd(server) as crowd:
                await crowd.write_all([f"warm{number}" for number in range(20)], 10)
                tasks = await crowd.measured("tasks")
                live = [f"live{number}" for number in range(LIVE)]
                for _ in range(3):
                    await crowd.write_all(live, 20)
                await _idle(crowd, tasks)
                for rate in RATES:
                    cpu = server.cpu_seconds()
                    took = await crowd.write_at(live, rate, SECONDS)
                    busy = (server.cpu_seconds() - cpu) / SECONDS * 100
                    print(
                        f"sessions: {LIVE} live, {len(took) / SECONDS:.0f} messages a second: accepted until the model"
                        f" is asked {told(took)} (target p99 50 ms); {busy:.0f} % of one core"
                    )
                began = time.perf_counter()
                took = await crowd.write_all(live, LIVE)
                seconds = time.perf_counter() - began
                print(f"sessions: all {LIVE} written to in one instant: {told(took)}, all answered in {seconds:.1f} s")


async def _idle(crowd: Crowd, tasks_before: float) -> None:
    """What sessions hold that wait for mail: memory, and no task."""
    await asyncio.sleep(2)
    before = crowd.server.resident_megabytes()
    await crowd.write_all([f"more{number}" for number in range(MORE)], 20)
    await asyncio.sleep(2)
    after = crowd.server.resident_megabytes()
    tasks, awake = await crowd.measured("tasks"), await crowd.measured("sessions_awake")
    size = (after - before) * 1024 / MORE
    print(
        f"sessions: {MORE} more that are idle: {size:.1f} KB each (target 20), {before:.0f} MB with {LIVE} and"
        f" {after:.0f} MB with them; {awake:.0f} awake, {tasks - tasks_before:+.0f} tasks more than with 20 sessions"
    )
