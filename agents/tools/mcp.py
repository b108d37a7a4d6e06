"""Tools of MCP servers: offered as `<server>_<tool>`, and only as they were approved.

A server's descriptions are read by models, so a server that changes them can steer agents. What it offers is pinned by
a hash of names, descriptions and schemas when it is first seen; when that changes, its tools are withheld until an
operator approves. Each server has a task that connects, connects again with growing pauses, and touches no other.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

import structlog
from pydantic import BaseModel, ConfigDict

from agents.tool_servers import Offered, Pin, ServerState, ToolServers, digest_of
from agents.tools.base import Call, Tool, Toolbox, ToolError
from agents.tools.mcp_client import Connection, Lost, NotInstalled, Server, connected

log = structlog.get_logger("mcp")

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
MOST_TOOLS = 100
_LONGEST_DESCRIPTION = 4_000
_CONNECT_SECONDS = 30.0
_LOOK_SECONDS = 30.0  # between looks whether a server still answers and offers the same
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_FINE = "connected"


class McpServers:
    """All configured servers. `states` says for people how each one does; `withheld` is called with the name of a
    server whose tools have changed, and the digest of what it offers now."""

    def __init__(
        self,
        servers: Mapping[str, Server],
        store: ToolServers,
        toolbox: Toolbox,
        clock: Callable[[], datetime],
        withheld: Callable[[str, str], None] = lambda _server, _digest: None,
    ) -> None:
        self._withheld = withheld
        self._servers = servers
        self._store = store
        self._toolbox = toolbox
        self._clock = clock
        self._connections: dict[str, Connection] = {}
        self._look = {name: asyncio.Event() for name in servers}
        self._cut_off: set[str] = set()  # servers that were ended with a call that was cancelled
        self.states: dict[str, str] = dict.fromkeys(servers, "not connected yet")

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as group:
            for name, server in self._servers.items():
                group.create_task(self._serve(name, server), name=f"mcp-{name}")

    def health(self) -> Sequence[ServerState]:
        """How each one does."""
        return [
            ServerState(name=name, state=state, is_fine=state.startswith(_FINE)) for name, state in self.states.items()
        ]

    async def pin(self, server: str) -> Pin | None:
        """What is known of a configured server. None when there is no such server, or nothing was seen of it."""
        return await self._store.pin(server) if server in self._servers else None

    async def approve(self, server: str, digest: str, by: str) -> Pin | None:
        """Let agents use what the server offers. None when that is not what was looked at."""
        pin = await self._store.approve(server, digest, by, self._clock())
        if server in self._look:
            self._look[server].set()
        return pin

    async def call(self, server: str, tool: str, arguments: Mapping[str, Any]) -> str:
        """Raises ToolError. A call that is cancelled ends the server's process, which is started again."""
        connection = self._connections.get(server)
        if connection is None:
            raise ToolError(f"the server {server} cannot be used now: {self.states[server]}. Try again later.")
        try:
            text, failed = await connection.call(tool, arguments)
        except Lost as error:
            self._look[server].set()
            raise ToolError(
                f"the server {server} was lost during the call ({error}). It may have taken effect or not: find out"
                " before you repeat it."
            ) from error
        except asyncio.CancelledError:
            self._cut_off.add(server)
            self._look[server].set()
            raise
        if failed:
            raise ToolError(text or "the tool failed and did not say why.")
        return text or "(The tool gave no text.)"

    async def _serve(self, name: str, server: Server) -> None:
        pause = _FIRST_PAUSE
        while True:
            since = asyncio.get_running_loop().time()
            try:
                await self._stay_connected(name, server)
            except NotInstalled as error:
                self.states[name] = str(error)
                log.warning("an MCP server cannot be used", server=name, reason=str(error))
                return
            except Exception as error:  # noqa: BLE001 - the top of this server's task
                self.states[name] = f"not connected: {reason(error)}"
                log.warning("an MCP server was lost", server=name, reason=reason(error))
            finally:
                self._connections.pop(name, None)
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise asyncio.CancelledError  # an error while the connection was closed stood in its place
            if name in self._cut_off:  # by a kill or a stop, not by a failure of its own: it is back at once
                self._cut_off.discard(name)
                pause = _FIRST_PAUSE
                continue
            if asyncio.get_running_loop().time() - since > _LONGEST_PAUSE:
                pause = _FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _stay_connected(self, name: str, server: Server) -> None:
        look = self._look[name]
        look.clear()
        async with connected(name, server, within=_CONNECT_SECONDS, changed=look.set) as connection:
            while True:
                await self._take_over(name, server, connection)
                try:
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await look.wait()
                except TimeoutError:
                    pass
                look.clear()
                connection.check()

    async def _take_over(self, name: str, server: Server, connection: Connection) -> None:
        """Offer the server's tools, when they are those that were approved."""
        async with asyncio.timeout(_CONNECT_SECONDS):
            offered = await connection.tools(MOST_TOOLS)
        pin = await self._store.see(name, digest_of(offered), offered, self._clock())
        self._connections[name] = connection
        if not pin.is_approved:
            self._toolbox.put(f"mcp:{name}", ())
            if not self.states[name].startswith("withheld"):
                log.warning("an MCP server offers other tools than before: withheld until approved", server=name)
                self._withheld(name, pin.seen)
            self.states[name] = f"withheld: its tools have changed; /approve mcp:{name} shows them"
            return
        allowed = [tool for tool in offered if server.allow is None or tool.name in server.allow]
        usable = [tool for tool in allowed if _NAME.fullmatch(f"{name}_{tool.name}")]
        self._toolbox.put(f"mcp:{name}", [_tool(self, name, tool, server) for tool in usable])
        self.states[name] = f"{_FINE}, {len(usable)} tool{'' if len(usable) == 1 else 's'}"


class _McpTool:
    """One tool of a server; a class of its own is made for each, since a tool is described by its class."""

    name: ClassVar[str]
    description: ClassVar[str]
    arguments: ClassVar[type[BaseModel]]
    repeatable: ClassVar[bool] = False
    timeout_seconds: ClassVar[float]

    def __init__(self, servers: McpServers, server: str, tool: str) -> None:
        self._servers = servers
        self._server = server
        self._tool = tool

    async def run(self, call: Call, arguments: BaseModel) -> str:  # noqa: ARG002 - the port of a tool
        return await self._servers.call(self._server, self._tool, arguments.model_extra or {})


class _Arguments(BaseModel):
    """Whatever the server's schema asks for: the server checks it."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())


def _tool(servers: McpServers, server: str, offered: Offered, settings: Server) -> Tool:
    schema = dict(offered.schema)

    class Arguments(_Arguments):
        @classmethod
        def model_json_schema(cls, *_: Any, **__: Any) -> dict[str, Any]:
            return json.loads(json.dumps(schema))  # type: ignore[no-any-return]

    described = {
        "name": f"{server}_{offered.name}",
        "description": offered.description[:_LONGEST_DESCRIPTION] or offered.name,
        "arguments": Arguments,
        "timeout_seconds": settings.timeout_seconds,
    }
    kind: type[_McpTool] = type("McpTool", (_McpTool,), described)
    return kind(servers, server, offered.name)


def reason(error: BaseException) -> str:
    """The first failure of what went wrong, in one line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"[:300]
