"""Threadmill as a process of its own, that can be killed: `python -m bot run`, watched through HTTP and its screens."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.slices.harness import TOKEN

ROOT = Path(__file__).resolve().parent.parent.parent
SECONDS = 20.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Process:
    """One Threadmill over one configuration; it may be started and ended many times."""

    file: Path
    port: int
    _running: asyncio.subprocess.Process | None = None
    _drain: asyncio.Task[None] | None = None
    errors: list[str] = field(default_factory=list)  # what it wrote on standard error

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._running is not None
        return self._running.pid

    @property
    def data(self) -> Path:
        return self.file.parent / "data"

    async def start(self) -> None:
        """Return once it says that it is ready."""
        self._running = await spawned("run", "--config", str(self.file))
        ready = asyncio.Event()
        self._drain = asyncio.create_task(self._read(self._running, ready))
        waiting = asyncio.create_task(ready.wait())
        async with asyncio.timeout(SECONDS):
            await asyncio.wait({waiting, self._drain}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not ready.is_set():
            raise AssertionError("Threadmill did not start: " + "".join(self.errors[-20:]))

    async def kill(self) -> None:
        """SIGKILL: nothing is put in order."""
        if self._running is not None and self._running.returncode is None:
            self._running.kill()
        await self.ended()

    async def stop(self) -> int:
        """SIGTERM, and its exit code."""
        assert self._running is not None
        self._running.terminate()
        return await self.ended()

    async def ended(self) -> int:
        """Its exit code, once it is gone."""
        if self._running is None:
            return 0
        async with asyncio.timeout(SECONDS):
            code = await self._running.wait()
            if self._drain is not None:
                await self._drain
        return code

    async def _read(self, process: asyncio.subprocess.Process, ready: asyncio.Event) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            self.errors.append(line.decode(errors="replace"))
            if b"Threadmill is ready" in line:
                ready.set()

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """What its store has on the disk."""
        with closing(sqlite3.connect(self.data / "threadmill.db")) as connection:
            return [tuple(row) for row in connection.execute(query, parameters)]


async def spawned(*arguments: str) -> asyncio.subprocess.Process:
    """`threadmill …` with an environment that has no keys in it."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith(("_KEY", "_TOKEN"))}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bot",
        *arguments,
        cwd=ROOT,
        env=environment | {"NO_COLOR": "1"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE if arguments[0] != "run" else asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        limit=2**22,
    )


async def ran(*arguments: str) -> tuple[int, str, str]:
    """Run a verb to its end: exit code, standard output, standard error."""
    process = await spawned(*arguments)
    async with asyncio.timeout(SECONDS):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, (out or b"").decode(), err.decode()


@asynccontextmanager
async def killable(file: Path, port: int) -> AsyncIterator[Process]:
    """A started Threadmill, ended without mercy when the test is over."""
    process = Process(file, port)
    try:
        await process.start()
        yield process
    finally:
        await process.kill()


def client_of(process: Process) -> httpx.AsyncClient:
    """Speaks to the API as its owner."""
    headers = {"authorization": f"Bearer {TOKEN}"}
    limits = httpx.Limits(max_keepalive_connections=0)  # a killed server's connections are no use
    return httpx.AsyncClient(base_url=process.url, headers=headers, timeout=SECONDS, limits=limits)


async def said_in(client: httpx.AsyncClient, thread: str, count: int) -> list[str]:
    """What the bot has said in a thread of the API, once there are `count` messages of it."""
    said: list[str] = []
    after = 0
    while len(said) < count:
        query: dict[str, str | int] = {"after": after, "wait": 10}
        answer = await client.get(f"/api/v1/threads/{thread}/messages", params=query)
        found = answer.raise_for_status().json()
        said += [message["text"] for message in found["messages"] if message["side"] == "out"]
        after = found["next"]
    return said
