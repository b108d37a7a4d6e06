"""The process of an MCP server over standard input and output, as the SDK's pair of streams.

It is our own and not the SDK's: it is killed at once with all that it has started, a line of its output has a
bound, and what it writes to standard error stands in the log under its name, a bounded part of it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import structlog

from agents.processes import end_all, new_mark

log = structlog.get_logger("mcp")

LONGEST_MESSAGE = 10_000_000  # bytes of one message of a server
_WATCH_SECONDS = 0.2
_INHERITED = ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "USER")
_MOST_NONSENSE = 100  # lines that are no messages: a program that prints so many speaks something else
_LOGGED_LINES = 20  # of standard error in each period
_LOGGED_SECONDS = 10.0
_LOGGED_CHARACTERS = 500  # of a line


@dataclass(frozen=True, slots=True)
class Process:
    """A server's process, with what its descendants are known by."""

    name: str
    running: asyncio.subprocess.Process
    mark: dict[str, str]

    @property
    def ended(self) -> bool:
        return self.running.returncode is not None

    def kill(self) -> None:
        """End it and all that it has started, now."""
        end_all(self.running.pid, self.mark, buried=self.ended)


@asynccontextmanager
async def started(name: str, command: str, args: Sequence[str], env: Mapping[str, str]) -> AsyncIterator[Process]:
    """Raises OSError when it cannot be started."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    running = await asyncio.create_subprocess_exec(
        command,
        *args,
        env={**inherited, **env, **(mark := new_mark())},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        limit=LONGEST_MESSAGE,
    )
    process = Process(name, running, mark)
    told = asyncio.create_task(_log_errors(process), name=f"mcp-log-{name}")
    try:
        yield process
    finally:
        process.kill()
        await running.wait()
        told.cancel()
        with suppress(asyncio.CancelledError):
            await told


@asynccontextmanager
async def streams_of(process: Process, ended: Callable[[], None]) -> AsyncIterator[tuple[Any, Any]]:
    """What the SDK's session reads and writes; `ended` is called when nothing more will come."""
    import anyio
    from mcp.shared.message import SessionMessage

    stdin = process.running.stdin
    assert stdin is not None
    incoming, received = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    sent, outgoing = anyio.create_memory_object_stream[SessionMessage](0)

    async def read() -> None:
        async with incoming:
            await _read_messages(process, incoming)
        process.kill()
        ended()

    async def write() -> None:
        async with outgoing:
            with suppress(ConnectionError):
                async for item in outgoing:
                    stdin.write(item.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
                    await stdin.drain()

    async def watch() -> None:
        # Neither the end of the output nor `wait` tells: a child of the server may hold the pipe open.
        while not process.ended:  # noqa: ASYNC110 - asyncio tells of it only once the pipes are closed
            await asyncio.sleep(_WATCH_SECONDS)
        process.kill()

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        group.start_soon(read)
        group.start_soon(write)
        try:
            yield received, sent
        finally:
            group.cancel_scope.cancel()
            for stream in (received, sent, incoming, outgoing):
                stream.close()


async def _read_messages(process: Process, incoming: Any) -> None:
    """Until the output ends, or is none that a server of tools writes."""
    import anyio
    from mcp.shared.message import SessionMessage
    from mcp.types import jsonrpc_message_adapter

    stdout = process.running.stdout
    assert stdout is not None
    nonsense = 0
    with suppress(ConnectionError, anyio.BrokenResourceError, anyio.ClosedResourceError):
        while nonsense < _MOST_NONSENSE:
            try:
                line = await stdout.readline()
            except ValueError:
                log.warning("an MCP server is ended: one message is too large", server=process.name)
                return
            if not line:
                return
            try:
                message = jsonrpc_message_adapter.validate_json(line, by_name=False)
            except ValueError:
                nonsense += 1
                if nonsense == 1:
                    log.warning("an MCP server wrote a line that is no message", server=process.name)
                continue
            await incoming.send(SessionMessage(message))
        log.warning("an MCP server is ended: it does not speak MCP", server=process.name)


async def _log_errors(process: Process) -> None:
    """Read it all, so that the server never waits for us; tell the log a bounded part."""
    stderr = process.running.stderr
    assert stderr is not None
    loop = asyncio.get_running_loop()
    begun, lines, left_out, rest = loop.time(), 0, 0, b""
    while chunk := await stderr.read(65_536):
        if loop.time() - begun > _LOGGED_SECONDS:
            _tell_left_out(process, left_out)
            begun, lines, left_out = loop.time(), 0, 0
        *whole, rest = (rest + chunk).split(b"\n")
        rest = rest[: 4 * _LOGGED_CHARACTERS]
        for line in whole:
            if not (text := line.decode("utf-8", "replace").strip()[:_LOGGED_CHARACTERS]):
                continue
            if lines >= _LOGGED_LINES:
                left_out += 1
                continue
            lines += 1
            log.info("an MCP server says", server=process.name, line=text)
    if rest.strip() and lines < _LOGGED_LINES:
        text = rest.decode("utf-8", "replace").strip()[:_LOGGED_CHARACTERS]
        log.info("an MCP server says", server=process.name, line=text)
    _tell_left_out(process, left_out)


def _tell_left_out(process: Process, lines: int) -> None:
    if lines:
        log.info("an MCP server says more", server=process.name, lines_left_out=lines)
