"""A connection to one MCP server, by the official SDK, which is imported here only and when a server is configured.

Whatever a server does, a call ends: with its text, with its failure, or with Lost. What it sends has a bound.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agents.tool_servers import Offered
from agents.tools.mcp_process import LONGEST_MESSAGE, Process, started, streams_of

if TYPE_CHECKING:
    from mcp.client.session import ClientSession
    from mcp.types import CallToolResult

_LONGEST_TEXT = 1_000_000  # characters of a result that are put together
_HTTP_SECONDS = 30.0
_LONGEST_QUIET_SECONDS = 300.0  # of a stream over HTTP


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

    def __init__(self, session: ClientSession, process: Process | None) -> None:
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
        return self._lost or (self._process is not None and self._process.ended)


@asynccontextmanager
async def connected(
    name: str, server: Server, *, within: float, changed: Callable[[], None]
) -> AsyncIterator[Connection]:
    """An open connection; `changed` is called when the server tells that its tools changed, or its process ends.

    Raises NotInstalled, OSError, TimeoutError and what the SDK raises.
    """
    try:
        import httpx2
        from mcp.client.session import ClientSession
        from mcp.client.streamable_http import streamable_http_client
        from mcp.shared._httpx_utils import create_mcp_http_client
    except ModuleNotFoundError as error:
        raise NotInstalled("MCP servers need the extra `mcp`: pip install 'threadmill[mcp]'") from error

    async def told(message: object) -> None:
        if "ToolListChanged" in type(getattr(message, "root", message)).__name__:
            changed()

    async with AsyncExitStack() as stack:
        process: Process | None = None
        if server.url is not None:
            quiet = max(_LONGEST_QUIET_SECONDS, server.timeout_seconds + _HTTP_SECONDS)
            timeout = httpx2.Timeout(_HTTP_SECONDS, read=quiet)
            client = create_mcp_http_client(headers=dict(server.headers or {}), timeout=timeout)
            client.event_hooks["response"].append(_bounded)
            await stack.enter_async_context(client)
            streams = await stack.enter_async_context(
                streamable_http_client(server.url, http_client=client, max_sse_event_size=LONGEST_MESSAGE)
            )
        else:
            assert server.command is not None
            process = await stack.enter_async_context(started(name, server.command, server.args, server.env or {}))
            streams = await stack.enter_async_context(streams_of(process, changed))
        session = await stack.enter_async_context(ClientSession(*streams, message_handler=told))
        async with asyncio.timeout(within):
            await session.initialize()
        yield Connection(session, process)


async def _bounded(response: Any) -> None:
    """Hook of the HTTP client: an answer that is too large ends as a broken one. The SDK bounds events by itself."""
    import httpx2

    if response.headers.get("content-type", "").startswith("text/event-stream"):
        return
    whole = response.stream

    class Bounded(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for chunk in whole:
                size += len(chunk)
                if size > LONGEST_MESSAGE:
                    raise httpx2.ReadError(f"the answer has more than {LONGEST_MESSAGE} bytes")
                yield chunk

        async def aclose(self) -> None:
            await whole.aclose()

    response.stream = Bounded()


def _text(block: Any) -> str:
    if block.type == "text":
        return str(block.text)
    if block.type == "resource" and hasattr(block.resource, "text"):
        return str(block.resource.text)
    if block.type == "resource_link":
        return f"[{block.name}: {block.uri}]"
    return f"[{block.type}: not text, not shown]"
