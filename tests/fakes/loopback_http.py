"""The least HTTP/1.1 server that a model's client library talks to, cheap enough to stand beside a benchmark.

A handler turns a whole request into a plan: bytes to write, and between them pauses, a stall or a cut
connection. A plan of bytes alone is written at once, without a task. Requests on one connection are
answered in order; connections are kept alive.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class Stall:
    """Nothing more comes, and the connection stays open."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection is closed; with `reset`, without a goodbye."""

    reset: bool = True


Plan = Sequence[bytes | Pause | Stall | Cut]


@dataclass(frozen=True, slots=True)
class HttpRequest:
    method: str
    path: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


Handler = Callable[[HttpRequest], Plan]

_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}


def head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}\r\n{lines}\r\n".encode()


def whole(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """A response whose body is known."""
    kind = {"content-type": "application/json"} if body[:1] in {b"{", b"["} else {"content-type": "text/html"}
    return head(status, kind | {"content-length": str(len(body))} | dict(headers or {})) + body


def whole_json(status: int, value: Any, headers: Mapping[str, str] | None = None) -> bytes:
    return whole(status, json.dumps(value).encode(), headers)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"
STREAM_HEAD = head(200, {"content-type": "text/event-stream; charset=utf-8", "transfer-encoding": "chunked"})


class _Connection(asyncio.Protocol):
    def __init__(self, server: LoopbackServer) -> None:
        self._server = server
        self._received = b""
        self._transport: asyncio.Transport | None = None
        self._running: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connections.add(self)
        self._server.connected += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        self._server.changed()
        if self._running is not None:
            self._running.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._running is None:
            self._answer()

    def _answer(self) -> None:
        while self._transport is not None and not self._transport.is_closing():
            request = self._next_request()
            if request is None:
                return
            plan = self._server.handle(request)
            if all(isinstance(each, bytes) for each in plan):
                self._transport.writelines(each for each in plan if isinstance(each, bytes))
            else:
                self._running = asyncio.get_running_loop().create_task(self._follow(plan))
                return

    def _next_request(self) -> HttpRequest | None:
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return None
        first, *lines = self._received[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        if len(self._received) < end + 4 + length:
            return None
        body = self._received[end + 4 : end + 4 + length]
        self._received = self._received[end + 4 + length :]
        method, path, _ = first.split(" ", 2)
        return HttpRequest(method=method, path=path, headers=headers, body=body)

    async def _follow(self, plan: Plan) -> None:
        transport = self._transport
        assert transport is not None
        for each in plan:
            match each:
                case bytes():
                    transport.write(each)
                case Pause():
                    await asyncio.sleep(each.seconds)
                case Stall():
                    await asyncio.Event().wait()
                case Cut():
                    if each.reset:
                        transport.abort()
                    else:
                        transport.close()
                    return
        self._running = None
        self._answer()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class LoopbackServer:
    """Open with `async with`. `port` 0 takes a free one."""

    def __init__(self, handler: Handler, port: int = 0) -> None:
        self._handler = handler
        self._wanted_port = port
        self._server: asyncio.Server | None = None
        self._changed = asyncio.Event()
        self.connections: set[_Connection] = set()
        self.connected = 0

    def handle(self, request: HttpRequest) -> Plan:
        plan = self._handler(request)
        self.changed()
        return plan

    @property
    def address(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def changed(self) -> None:
        self._changed.set()

    async def until(self, fact: Callable[[], bool], timeout_seconds: float = 5.0) -> None:
        """Wait until a fact about this server (a request came, a connection went) is true."""
        async with asyncio.timeout(timeout_seconds):
            while not fact():
                self._changed.clear()
                await self._changed.wait()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", self._wanted_port, backlog=1024)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for connection in tuple(self.connections):
            connection.close()
        await self._server.wait_closed()
