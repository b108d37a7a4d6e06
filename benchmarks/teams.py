"""Teams at work in a real process: how fast children are spawned and joined, how soon a kill is over.

The model is the rehearsal model, which takes exactly the steps that it is told to, so that nothing is measured but
Threadmill. What was spawned, reported and ended is read from the store afterwards: a child that is missing, reports
twice or goes on after its kill is an error, not a result.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from benchmarks.processes import ROOT, TOKEN, Running, free_port, running

PARENTS, CHILDREN = 20, 50
KILLED, TREES, HANGING = 100, 20, 10

_CONFIG = """
[bot]
data = "{data}"
[web]
port = {port}
token = "{token}"
[models.default]
kind = "rehearsal"
word_delay_seconds = 0
[agents.lead]
prompt = "You lead."
tools = {tools}
spawns = ["worker"]
max_children = 1000
spawns_per_minute = 100000
[agents.worker]
prompt = "You work."
max_running = {max_running}
[logs]
level = "warning"
{more}
"""


@dataclass(frozen=True, slots=True)
class Lead:
    """A running Threadmill, its store and a way to speak to it."""

    server: Running
    store: Path
    http: aiohttp.ClientSession

    async def say(self, thread: str, text: str) -> None:
        url = f"{self.server.url}/api/v1/threads/{thread}/messages"
        async with self.http.post(url, json={"text": text}) as response:
            assert response.status == 202, await response.text()

    async def heard(self, thread: str, part: str) -> None:
        """Wait until the bot has said this in a thread."""
        after = 0
        url = f"{self.server.url}/api/v1/threads/{thread}/messages"
        async with asyncio.timeout(120):
            while True:
                async with self.http.get(url, params={"after": after, "wait": 60}) as response:
                    found = await response.json()
                if any(part in message["text"] for message in found["messages"] if message["side"] == "out"):
                    return
                after = found["next"]

    def rows(self, query: str) -> list[tuple[int, ...]]:
        with closing(sqlite3.connect(f"file:{self.store}?mode=ro", uri=True)) as connection:
            return [tuple(row) for row in connection.execute(query)]

    async def until(self, query: str, wanted: int) -> None:
        """Wait until a count in the store is reached."""
        async with asyncio.timeout(120):
            while self.rows(query)[0][0] != wanted:  # noqa: ASYNC110 - another process's store tells nobody
                await asyncio.sleep(0.02)


@asynccontextmanager
async def lead(*, max_running: int = 100_000, tools: Sequence[str] = ("spawn",), more: str = "") -> AsyncIterator[Lead]:
    with tempfile.TemporaryDirectory() as folder:
        port, data = free_port(), Path(folder) / "data"
        config = Path(folder) / "config.toml"
        settings = {"max_running": max_running, "tools": json.dumps(tools), "more": more}
        config.write_text(_CONFIG.format(data=data, port=port, token=TOKEN, **settings))
        arguments = ("-m", "bot", "run", "--config", str(config))
        headers = {"authorization": f"Bearer {TOKEN}"}
        async with (
            running(*arguments, port=port, path="/readyz") as server,
            aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0)) as http,
        ):
            yield Lead(server, data / "threadmill.db", http)


def percentile(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def told(values: Sequence[float]) -> str:
    return (
        f"median {statistics.median(values):.0f} ms, p99 {percentile(values, 0.99):.0f} ms, most {max(values):.0f} ms"
    )


async def spawns() -> None:
    """1,000 children, spawned and joined by 20 parents at once; with threads of their own, and without."""
    for thread in (False, True):
        async with lead() as here:
            await _parents(here, "w", 1, 5, thread=thread)
            before, cpu = here.rows("select max(rowid) from sessions")[0][0], here.server.cpu_seconds()
            began = time.perf_counter()
            await _parents(here, "p", PARENTS, CHILDREN, thread=thread)
            seconds = time.perf_counter() - began
            cpu = here.server.cpu_seconds() - cpu
            await asyncio.sleep(1)
            _all_reported_once(here, PARENTS * CHILDREN + 5)
            mine = f"from sessions s join mail m on m.key = 'result:' || s.id where s.rowid > {before}"
            ways = [row[0] / 1000 for row in here.rows(f"select m.created_at - s.created_at {mine}")]
            calls = here.rows(
                "select ended_at - started_at from steps where kind = 'result' and session in"
                f" (select id from sessions where rowid > {before})"
                " and json_extract(body, '$.name') = 'sessions_spawn'"
            )
            print(
                f"spawns: {len(ways)} children of {PARENTS} parents, {'each in a thread' if thread else 'no threads'}:"
                f" {len(ways) / seconds:.0f}/s ({cpu / len(ways) * 1000:.2f} ms CPU each);"
                f" spawned until reported: {told(ways)}; the call itself: {told([row[0] / 1000 for row in calls])}"
            )


async def _parents(here: Lead, tag: str, parents: int, children: int, *, thread: bool) -> None:
    def spawn(number: int) -> str:
        asked = {"agent": "worker", "task": f"say {number}", "thread": thread}
        return f"tool sessions_spawn {json.dumps(asked)}"

    text = "\n".join([*map(spawn, range(children)), "join", "say All are back"])
    async with asyncio.TaskGroup() as group:
        for parent in range(parents):
            group.create_task(here.say(f"{tag}{parent}", text))
            group.create_task(here.heard(f"{tag}{parent}", "All are back"))


def _all_reported_once(here: Lead, children: int) -> None:
    results = here.rows("select count(*), count(distinct from_session) from mail where kind = 'result'")
    ended = here.rows("select count(*) from sessions where parent is not null and ended = 'done'")
    taken = here.rows("select count(*) from mail where kind = 'result' and state = 'taken'")
    if (results, ended, taken) != ([(children, children)], [(children,)], [(children,)]):
        raise RuntimeError(f"{children} children, but {results} results, {ended} done, {taken} read")


async def kills() -> None:
    """From the command until it is answered, and until nothing of what was killed is left."""
    async with lead(max_running=300) as here:
        for number in range(KILLED):
            await here.say(f"one{number}", "wait 600s")
        await here.until("select count(*) from sessions where state = 'running'", KILLED)
        answered = [await _killed(here, f"one{number}") for number in range(KILLED)]
        print(f"kills: one session of {KILLED} that run: answered after {told(answered)} (target p99 1 s)")
        for number in range(TREES):
            spawn = "spawn worker: wait 600s"
            await here.say(f"tree{number}", "\n".join([*[spawn] * 49, "join", "say never"]))
        # 300 workers run and the rest waits for room: a kill finds both.
        await here.until("select count(*) from sessions where state = 'waiting'", TREES)
        await here.until("select count(*) from sessions where state = 'running'", 300)
        trees = [await _killed(here, f"tree{number}") for number in range(TREES)]
        print(f"kills: a tree of 50, running, waiting and queued: answered after {told(trees)} (target p99 2 s)")
        left = here.rows("select count(*) from sessions where state <> 'ended'")[0][0]
        before = _effects(here)
        await asyncio.sleep(2)
        if left or _effects(here) != before:
            raise RuntimeError(f"{left} sessions live after the kills, or did something")
    await _kill_processes()


def _effects(here: Lead) -> list[tuple[int, ...]]:
    tables = ("mail", "steps", "turns", "sessions", "spending")
    return [here.rows(f"select count(*) from {table}")[0] for table in tables] + here.rows(
        "select count(*), sum(state = 'sent') from deliveries where control = 0"
    )


async def _killed(here: Lead, thread: str) -> float:
    """Milliseconds until the answer to /kill stands in the thread."""
    began = time.perf_counter()
    await here.say(thread, "/kill")
    await here.heard(thread, "Killed")
    return (time.perf_counter() - began) * 1000


async def _kill_processes() -> None:
    """A call of an MCP server that never ends: until the server's process and its child are gone."""
    with tempfile.TemporaryDirectory() as folder:
        server = ROOT / "tests" / "fakes" / "mcp_server.py"
        more = f'[mcp.slow]\ncommand = "{sys.executable}"\nargs = ["{server}", "{folder}"]\n'
        gone: list[float] = []
        async with lead(tools=("mcp:slow",), more=more) as here:
            pids, hanging = Path(folder) / "pids", Path(folder) / "hanging"
            for number in range(HANGING):
                await _eventually(lambda number=number: _count(pids) == number + 1)  # type: ignore[misc]
                while not hanging.exists():
                    await here.say(f"tool{number}", "tool slow_hang {}")
                    await asyncio.sleep(0.3)
                began = time.perf_counter()
                await here.say(f"tool{number}", "/kill")
                last = [int(pid) for pid in pids.read_text().splitlines()[number].split()]
                await _eventually(lambda last=last: not any(map(_lives, last)))  # type: ignore[misc]
                gone.append((time.perf_counter() - began) * 1000)
                hanging.unlink()
        print(f"kills: a tool's process and its child, {HANGING} times: gone after {told(gone)} (target p99 1 s)")


def _count(file: Path) -> int:
    return len(file.read_text().splitlines()) if file.exists() else 0


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def _eventually(true: object) -> None:
    assert callable(true)
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 - nor does the end of another's child
            await asyncio.sleep(0.005)
