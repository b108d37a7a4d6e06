"""How Slack delivers: to one of the open sockets, again when no acknowledgement comes within three seconds.

Sources: *Using Socket Mode* (hello, envelopes, disconnect, up to ten connections, one-use addresses) and the
Events API's *Error handling* (three retries: nearly at once, after a minute, after five; then it lets go).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from aiohttp import WSMsgType, web

from tests.fakes.slack.workspace import APP, BOT, TEAM, Json

MOST_SOCKETS = 10


@dataclass
class Delivery:
    """One payload on its way, over all its attempts."""

    kind: str  # events_api, interactive, slash_commands
    payload: Json
    number: int
    envelopes: list[str] = field(default_factory=list)
    acknowledged: asyncio.Event = field(default_factory=asyncio.Event)
    repeated: asyncio.Event = field(default_factory=asyncio.Event)
    given_up: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def message_ts(self) -> str:
        event = self.payload.get("event", {})
        return str(event.get("ts", ""))


@dataclass
class Post:
    """The delivering half. `retry_after_seconds` is Slack's schedule; tests make it shorter."""

    ack_seconds: float = 3.0
    retry_after_seconds: tuple[float, ...] = (0.0, 60.0, 300.0)
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    transports: list[asyncio.Transport | None] = field(default_factory=list)
    tickets: set[str] = field(default_factory=set)
    deliveries: list[Delivery] = field(default_factory=list)
    paused: bool = False
    silent: bool = False  # half-open: the socket stands, and nothing goes through
    hello: bool = True
    connected: asyncio.Condition = field(default_factory=asyncio.Condition)
    sockets_opened: int = 0
    acknowledgements: list[str] = field(default_factory=list)
    _held: list[Delivery] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _numbers: count[int] = field(default_factory=lambda: count(1))

    def announce(self, event: Json) -> str:
        """An Events API payload around an event; its event_id."""
        number = next(self._numbers)
        payload: Json = {
            "token": "verification",
            "team_id": TEAM,
            "api_app_id": APP,
            "event": event,
            "type": "event_callback",
            "event_id": f"Ev{number:06d}",
            "event_time": int(float(event.get("event_ts", "0"))),
            "authorizations": [{"team_id": TEAM, "user_id": BOT, "is_bot": True, "is_enterprise_install": False}],
            "is_ext_shared_channel": False,
        }
        self.deliver("events_api", payload)
        return f"Ev{number:06d}"

    def deliver(self, kind: str, payload: Json) -> Delivery:
        delivery = Delivery(kind, payload, next(self._numbers))
        self.deliveries.append(delivery)
        if self.paused:
            self._held.append(delivery)
        else:
            self._start(delivery)
        return delivery

    def pause(self) -> None:
        """Hold what happens from now on, to be released in another order."""
        self.paused = True

    def release(self, *, reverse: bool = False) -> None:
        held, self._held, self.paused = self._held, [], False
        for delivery in reversed(held) if reverse else held:
            self._start(delivery)

    def repeat(self, delivery: Delivery) -> None:
        """Deliver once more, as when an acknowledgement was not seen."""
        again = Delivery(delivery.kind, delivery.payload, next(self._numbers), envelopes=list(delivery.envelopes))
        self.deliveries.append(again)
        self._start(again)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """The websocket's end."""
        if request.query.get("ticket") not in self.tickets:
            return web.Response(status=403)
        self.tickets.discard(request.query["ticket"])
        socket = web.WebSocketResponse(autoping=not self.silent)
        await socket.prepare(request)
        if len(self.sockets) >= MOST_SOCKETS:
            await socket.send_json({"type": "disconnect", "reason": "too_many_websockets"})
            await socket.close()
            return socket
        if self.hello:
            debug = {"host": "applink-fake", "approximate_connection_time": 18060}
            hello = {"type": "hello", "num_connections": len(self.sockets) + 1, "debug_info": debug}
            await socket.send_json({**hello, "connection_info": {"app_id": APP}})
        async with self.connected:
            self.sockets.append(socket)
            self.transports.append(request.transport)
            self.sockets_opened += 1
            self.connected.notify_all()
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT and not self.silent:
                    self._acknowledge(json.loads(message.data))
        finally:
            async with self.connected:
                self.sockets.remove(socket)
                self.transports.remove(request.transport) if request.transport in self.transports else None
                self.connected.notify_all()
        return socket

    async def until_sockets(self, wanted: int) -> None:
        async with self.connected:
            await self.connected.wait_for(lambda: len(self.sockets) == wanted)

    async def until_opened(self, wanted: int) -> None:
        """Wait until this many sockets have been opened in all."""
        async with self.connected:
            await self.connected.wait_for(lambda: self.sockets_opened >= wanted)

    async def close_oldest(self) -> None:
        """What Slack does ten seconds after it asked to leave."""
        await self.sockets[0].close()

    async def ask_to_leave(self, reason: str) -> None:
        """Slack replaces its containers every few hours and says so ten seconds before."""
        for socket in list(self.sockets):
            with contextlib.suppress(ConnectionError):
                await socket.send_json({"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-fake"}})

    def drop(self) -> None:
        """Cut every socket without a word."""
        for transport in self.transports:
            if transport is not None:
                transport.abort()
        self.transports.clear()

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for socket in list(self.sockets):
            await socket.close()

    def _start(self, delivery: Delivery) -> None:
        task = asyncio.get_running_loop().create_task(self._attempts(delivery))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _attempts(self, delivery: Delivery) -> None:
        retries = self.retry_after_seconds if delivery.kind == "events_api" else ()
        for attempt, wait in enumerate((0.0, *retries)):
            if wait:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(delivery.acknowledged.wait(), wait)
            if delivery.acknowledged.is_set():
                return
            if await self._send(delivery, attempt):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(delivery.acknowledged.wait(), self.ack_seconds)
                    return
        delivery.given_up.set()

    async def _send(self, delivery: Delivery, attempt: int) -> bool:
        envelope = f"env-{delivery.number}-{attempt}"
        body: Json = {"envelope_id": envelope, "type": delivery.kind, "payload": delivery.payload}
        body["accepts_response_payload"] = delivery.kind != "events_api"
        if delivery.kind == "events_api":
            body["retry_attempt"] = attempt
            body["retry_reason"] = "timeout" if attempt else ""
        if not self.sockets:
            return False
        delivery.envelopes.append(envelope)
        if attempt:
            delivery.repeated.set()
        socket = self.sockets[delivery.number % len(self.sockets)]
        if self.silent:
            return True
        try:
            await socket.send_str(json.dumps(body))
        except ConnectionError:
            return False
        return True

    def _acknowledge(self, message: Any) -> None:
        envelope = message.get("envelope_id", "") if isinstance(message, dict) else ""
        self.acknowledgements.append(envelope)
        for delivery in self.deliveries:
            if envelope in delivery.envelopes:
                delivery.acknowledged.set()
