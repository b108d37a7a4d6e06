"""The listening socket, uvicorn on it, and a stop that lets every answer finish.

uvicorn would take over signals and exit the process on its own errors; here it is a guest: the socket is opened by
us, so that a taken port is a plain sentence, and it stops when its task is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Iterator
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

_GRACE_SECONDS = 3
_HEAD_SECONDS = 15.0
_CONNECTIONS = 2_000


class CannotListen(Exception):
    """The port cannot be had. Its text says why and what to do."""


class _Protocol(H11Protocol):
    """Closes a connection that keeps us waiting for the head of its first request: uvicorn has no time-out there."""

    _deadline: asyncio.TimerHandle | None = None

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.gone = asyncio.Event()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._deadline = self.loop.call_later(_HEAD_SECONDS, transport.close)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._deadline is not None and self.cycle is not None:
            self._deadline.cancel()
            self._deadline = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)
        self.gone.set()


class _Server(uvicorn.Server):
    """Waits on what happens where uvicorn looks ten times a second: a stop takes no longer than its last answer."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()
        self.leaving = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    async def main_loop(self) -> None:
        while not self.leaving.is_set():
            await self.on_tick(0)  # writes the header with the date anew, each second
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.leaving.wait(), timeout=1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        try:
            async with asyncio.timeout(_GRACE_SECONDS):
                while state.connections:
                    await cast(_Protocol, next(iter(state.connections))).gone.wait()
                while state.tasks:
                    await asyncio.wait(list(state.tasks))
        except TimeoutError:
            for task in state.tasks:
                task.cancel()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # signals belong to `bot.__main__`


def listen(host: str, port: int) -> socket.socket:
    """Raises CannotListen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol must be named: asyncio switches Nagle's delay (40 ms an answer) off only where it reads TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(512)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise CannotListen(
                f"port {port} of {host} is taken, perhaps by another Threadmill:"
                " stop that one, or choose a port with THREADMILL_PORT or `port` under [web]"
            ) from error
        if error.errno == errno.EACCES:
            raise CannotListen(f"port {port} needs rights that this process lacks: choose one above 1023") from error
        raise CannotListen(f"cannot listen on {host} port {port}: {error.strerror or error}") from error
    return listener


async def serve(
    app: ASGIApp, listener: socket.socket, *, ready: Callable[[], None] | None = None, close: Callable[[], None]
) -> None:
    """Serve until cancelled. `close` ends the event streams, which would hold the stop up otherwise."""
    config = uvicorn.Config(
        app,
        http=_Protocol,
        access_log=False,
        log_config=None,
        lifespan="off",
        loop="none",
        ws="none",
        interface="asgi3",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        limit_concurrency=_CONNECTIONS,
        h11_max_incomplete_event_size=65_536,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="web")
    try:
        await asyncio.wait((serving, asyncio.create_task(server.up.wait())), return_when=asyncio.FIRST_COMPLETED)
        if ready is not None and server.up.is_set():
            ready()
        await asyncio.shield(serving)
    finally:
        server.leaving.set()
        close()
        await serving
