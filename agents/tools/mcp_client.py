"""A connection to one MCP server, by the official SDK, which is imported here only and when a server is configured.

The process of a server over standard input and output is our own, not the SDK's: it leads a process group that is
killed at once, children included, and a line of its output has a bound.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from agents.processes import end_all, new_mark
from agents.tool_servers import Offered

if TYPE_CHECKING:
    from mcp.client.session import ClientSession
    from mcp.types import CallToolResult

log = structlog.get_logger("mcp")

_LONGEST_LINE = 10_000_000  # bytes of one message of a server
_WATCH_SECONDS = 0.2
_LONGEST_TEXT = 1_000_000  # characters of a result that are put together
_INHERITED = ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "USER")


class NotInstalled(Exception):
    """The SDK is not there. Its text says what to install."""


class Lost(Exception):
    """The server does not answer any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A configured server: a command, or an address of streamable HTTP. `allow` None: all its tools."""

    command: str | None = None
    args: tuple[str, ...] = ()
    env: Mapping[str, str] | None = None
    url: str | None = None
    headers: Mapping[str, str] | None = None
    allow: frozenset[str] | None = None
    timeout_seconds: float = 60.0


class Connection:
    """An open session with a server."""

    def __init__(self, session: ClientSession, process: _Process | None) -> None:
        self._session = session
        self._process = process
        self._lost = False

    async def tools(self, most: int) -> Sequence[Offered]:
        """All that it offers, at most so many. Raises Lost."""
        from mcp.shared.exceptions import MCPError
        from mcp.types import PaginatedRequestParams

        found: list[Offered] = []
        cursor: str | None = None
        while len(found) < most:
            try:
                page = await self._session.list_tools(params=PaginatedRequestParams(cursor=cursor) if cursor else None)
            except MCPError as error:
                raise Lost(str(error)) from error
            found += [
                Offered(name=tool.name, description=tool.description or "", schema=tool.input_schema)
                for tool in page.tools
            ]
            cursor = page.next_cursor
            if not cursor or not page.tools:
                break
        return found[:most]

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        """The text of the result, and whether the tool failed. Raises Lost."""
        import anyio
        from mcp.shared.exceptions import MCPError

        try:
            result = await self._uninterrupted(tool, arguments)
        except MCPError as error:
            if not self._gone and "closed" not in str(error).lower():
                return f"the server refused the call: {error}", True
            self._lost = True
            raise Lost(str(error)) from error
        except (anyio.ClosedResourceError, anyio.BrokenResourceError, OSError) as error:
            self._lost = True
            raise Lost(str(error) or type(error).__name__) from error
        except RuntimeError as error:
            return f"the server's answer cannot be used: {error}", True
        text = "\n".join(_text(block) for block in result.content)
        return text[:_LONGEST_TEXT], bool(result.is_error)

    async def _uninterrupted(self, tool: str, arguments: Mapping[str, Any]) -> CallToolResult:
        """The call in a task of its own: whoever is cancelled ends the process first, and does not wait for the SDK
        to take leave of it."""
        asked = asyncio.create_task(self._session.call_tool(tool, dict(arguments)), name=f"mcp-call-{tool}")
        try:
            await asyncio.wait([asked])
        except asyncio.CancelledError:
            self.kill()
            asked.add_done_callback(lambda task: task.cancelled() or task.exception())
            asked.cancel()
            raise
        return asked.result()

    def check(self) -> None:
        """Raises Lost when the server is known to be gone."""
        if self._gone:
            raise Lost("it has ended")

    def kill(self) -> None:
        """End the server's process and all that it has started, now."""
        if self._process is not None:
            self._lost = True
            self._process.kill()

    @property
    def _gone(self) -> bool:
        return self._lost or (self._process is not None and self._process.running.returncode is not None)


@asynccontextmanager
async def connected(server: Server, *, within: float, changed: Callable[[], None]) -> AsyncIterator[Connection]:
    """An open connection; `changed` is called when the server tells that its tools changed, or its process ends.

    Raises NotInstalled, OSError, TimeoutError and what the SDK raises.
    """
    try:
        from mcp.client.session import ClientSession
        from mcp.client.streamable_http import streamable_http_client
        from mcp.shared._httpx_utils import create_mcp_http_client
    except ModuleNotFoundError as error:
        raise NotInstalled("MCP servers need the extra `mcp`: pip install 'threadmill[mcp]'") from error

    async def told(message: object) -> None:
        if "ToolListChanged" in type(getattr(message, "root", message)).__name__:
            changed()

    async with AsyncExitStack() as stack:
        process: _Process | None = None
        if server.url is not None:
            client = await stack.enter_async_context(create_mcp_http_client(headers=dict(server.headers or {})))
            streams = await stack.enter_async_context(streamable_http_client(server.url, http_client=client))
        else:
            process = await stack.enter_async_context(_process(server))
            streams = await stack.enter_async_context(_streams(process, changed))
        session = await stack.enter_async_context(ClientSession(*streams, message_handler=told))
        async with asyncio.timeout(within):
            await session.initialize()
        yield Connection(session, process)


@dataclass(frozen=True, slots=True)
class _Process:
    """A server's process, with what its descendants are known by."""

    running: asyncio.subprocess.Process
    mark: dict[str, str]

    def kill(self) -> None:
        end_all(self.running.pid, self.mark, buried=self.running.returncode is not None)


@asynccontextmanager
async def _process(server: Server) -> AsyncIterator[_Process]:
    assert server.command is not None
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    running = await asyncio.create_subprocess_exec(
        server.command,
        *server.args,
        env={**inherited, **(server.env or {}), **(mark := new_mark())},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
        limit=_LONGEST_LINE,
    )
    process = _Process(running, mark)
    try:
        yield process
    finally:
        process.kill()
        await running.wait()


@asynccontextmanager
async def _streams(process: _Process, ended: Callable[[], None]) -> AsyncIterator[tuple[Any, Any]]:
    """The process as the SDK's pair of streams."""
    import anyio
    from mcp.shared.message import SessionMessage
    from mcp.types import jsonrpc_message_adapter

    running = process.running
    stdin, stdout = running.stdin, running.stdout
    assert stdin is not None and stdout is not None  # noqa: PT018
    incoming, received = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    sent, outgoing = anyio.create_memory_object_stream[SessionMessage](0)

    async def read() -> None:
        async with incoming:
            with suppress(ValueError, ConnectionError, anyio.BrokenResourceError, anyio.ClosedResourceError):
                while line := await stdout.readline():  # ValueError: a line beyond the bound
                    try:
                        message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                    except ValueError:
                        log.warning("an MCP server wrote a line that is no message", line=line[:200])
                        continue
                    await incoming.send(SessionMessage(message))
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
        while running.returncode is None:  # noqa: ASYNC110 - asyncio tells of it only once the pipes are closed
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


def _text(block: Any) -> str:
    if block.type == "text":
        return str(block.text)
    if block.type == "resource" and hasattr(block.resource, "text"):
        return str(block.resource.text)
    if block.type == "resource_link":
        return f"[{block.name}: {block.uri}]"
    return f"[{block.type}: not text, not shown]"
