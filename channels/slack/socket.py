"""One websocket of Socket Mode, from its opening to its end. It never reconnects: `run` decides that.

The SDK's own client replaces a lost connection in a loop that nobody hears of, reuses an address that Slack
gives out for one use, and closes the old socket before the new one is open. So we build on the SDK's base for
clients and keep its protocol, with three differences: an end is reported, each envelope's task belongs to the
caller's group, and a socket that Slack wants replaced is still read until its successor is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from enum import Enum
from types import TracebackType
from typing import Any, Self

import aiohttp
from slack_bolt.adapter.socket_mode.async_internals import run_async_bolt_app, send_async_response
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest

from channels.base import Rejected, Unavailable
from channels.slack.errors import LOCKED_OUT
from channels.slack.web import proxy_for

logger = logging.getLogger(__name__)

HELLO_SECONDS = 10.0
HEARTBEAT_SECONDS = 10.0
"""A ping each ten seconds, an answer within five: a half-open socket is noticed within fifteen."""


class End(Enum):
    REFRESH = "Slack asks for a new connection"
    LOST = "the connection is gone"
    LINK_DISABLED = "Socket Mode was switched off"


class Socket(AsyncBaseSocketModeClient):
    """Open with `async with`: that returns after Slack's hello. Then `read` until it ends."""

    def __init__(self, app: AsyncApp, session: aiohttp.ClientSession, group: asyncio.TaskGroup, address: str) -> None:
        self.logger = app.logger
        self.closed = False
        self.wss_uri = address
        self.ending: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self._app = app
        self._http = session
        self._group = group
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._read_out = asyncio.Event()
        self._answering: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                self._socket = await self._http.ws_connect(
                    self.wss_uri, heartbeat=HEARTBEAT_SECONDS, proxy=proxy_for(self.wss_uri), max_msg_size=16 * 2**20
                )
                while True:
                    message = await self._next()
                    if message is None:
                        raise Unavailable("Slack closed the socket before it said hello")
                    if self._take(message):
                        return self
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            await self.close()
            raise Unavailable(f"Slack's socket cannot be opened ({type(error).__name__})") from error
        except BaseException:
            await self.close()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def read(self) -> None:
        """Take what comes until the socket is closed. Never raises but for cancellation."""
        try:
            while (message := await self._next()) is not None:
                self._take(message)
        except Exception:  # the top of the reader: a new socket follows, and nothing else is disturbed
            logger.exception("a socket of Slack could not be read on")
        finally:
            self._read_out.set()
            self._end(End.LOST)

    async def drain(self, seconds: float) -> None:
        """Its successor is there: read on until Slack closes this one, let what is being committed be acknowledged."""
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._read_out.wait()
                    await asyncio.gather(*self._answering, return_exceptions=True)
        finally:
            await self.close()

    async def close(self) -> None:
        self.closed = True
        self._end(End.LOST)
        if self._socket is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(1.0):
                    await self._socket.close()

    async def is_connected(self) -> bool:
        return self._socket is not None and not self._socket.closed

    async def send_message(self, message: str) -> None:
        """An acknowledgement. When the socket is gone by now, Slack sends the event again and the inbox knows it."""
        if self._socket is None or self._socket.closed:
            logger.info("an event is committed but its socket has closed: Slack will send it again")
            return
        with contextlib.suppress(ConnectionError):
            await self._socket.send_str(message)

    async def _next(self) -> dict[str, Any] | None:
        """The next message; None when the socket is closed. What is not JSON is passed over."""
        if self._socket is None:
            return None
        while True:
            message = await self._socket.receive()
            if message.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED}:
                return None
            if message.type is aiohttp.WSMsgType.ERROR:
                return None
            if message.type is aiohttp.WSMsgType.TEXT:
                with contextlib.suppress(ValueError):
                    found = json.loads(message.data)
                    if isinstance(found, dict):
                        return found

    def _take(self, message: dict[str, Any]) -> bool:
        """Act on one message; True for the hello."""
        if message.get("type") == "hello":
            return True
        if message.get("type") == "disconnect":
            reason = message.get("reason")
            logger.info("Slack ends a socket: %s", reason)
            if reason == "link_disabled":
                self._end(End.LINK_DISABLED)
            else:
                self._end(End.LOST if reason == "too_many_websockets" else End.REFRESH)
            return False
        request = None
        with contextlib.suppress(ValueError):
            request = SocketModeRequest.from_dict(message)
        if request is not None:
            task = self._group.create_task(self._answer(request))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
        return False

    async def _answer(self, request: SocketModeRequest) -> None:
        """Through bolt, which commits in its middleware; its answer is the acknowledgement."""
        try:
            response = await run_async_bolt_app(self._app, request)
            await send_async_response(self, request, response, 0.0)
        except Exception:  # the top of an envelope's task: unacknowledged, it comes again
            logger.exception("an envelope of type %s was not handled", request.type)

    def _end(self, how: End) -> None:
        if not self.ending.done():
            self.ending.set_result(how)


def refused(how: End) -> Rejected | None:
    """The error of an end that only a person can undo."""
    return Rejected(LOCKED_OUT["link_disabled"]) if how is End.LINK_DISABLED else None
