"""Starts what is measured, each in a process of its own on a free loopback port, and looks at it from outside."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parent.parent
TOKEN = "benchmark-token-0123456789"


@dataclass(frozen=True, slots=True)
class Running:
    process: asyncio.subprocess.Process
    url: str
    ready_seconds: float

    def cpu_seconds(self) -> float:
        """User and system time until now."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_megabytes(self) -> float:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        raise RuntimeError("no VmRSS")

    async def answers(self, path: str) -> None:
        """Wait until `path` answers with success."""

        def ask() -> bool:
            try:
                with urllib.request.urlopen(f"{self.url}{path}", timeout=2) as response:
                    return bool(response.status)
            except urllib.error.HTTPError as error:
                return error.code < 500
            except OSError:
                return False

        for _ in range(600):
            if self.process.returncode is not None:
                raise RuntimeError(f"the process behind {self.url} ended with {self.process.returncode}")
            if await asyncio.to_thread(ask):
                return
            await asyncio.sleep(0.02)
        raise RuntimeError(f"{self.url} does not answer")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def running(
    *arguments: str, port: int, path: str, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Running]:
    """A Python process that serves on `port`; entered once `path` answers."""
    began = time.perf_counter()
    url = f"http://127.0.0.1:{port}"
    async with started(*arguments, environment=environment) as process:
        server = Running(process, url, 0.0)
        await server.answers(path)
        yield replace(server, ready_seconds=time.perf_counter() - began)


@asynccontextmanager
async def started(
    *arguments: str, environment: Mapping[str, str] | None = None, talks: bool = False
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A Python process, without what the environment says of Threadmill. It is stopped in the end."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("THREADMILL", "ANTHROPIC"))}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=ROOT,
        env={**clean, **(environment or {})},
        stdin=asyncio.subprocess.PIPE if talks else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE if talks else asyncio.subprocess.DEVNULL,
        stderr=None if os.environ.get("BENCH_LOGS") else asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(10):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
