"""The wire: HTTP, long polling, and networks that fail.

A fault waits for the next request that it concerns. `refuse_connections` takes the server off the network, with all of
its connections, and `accept_connections` brings it back to the same port.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web

from tests.fakes.telegram.methods import Methods, Request, Upload
from tests.fakes.telegram.rules import Refused
from tests.fakes.telegram.world import World

TOKEN = "5000000001:AAHfakefakefakefakefakefakefakefake"
SENDS = frozenset({"sendmessage", "senddocument", "sendphoto", "sendmediagroup", "createforumtopic"})

Fault = Callable[["FakeTelegram", web.Request, Callable[[], Any]], Any]


@dataclass
class Call:
    """One request as it came."""

    method: str
    data: dict[str, Any]


@dataclass
class FakeTelegram:
    """A server on a free port of the loopback. Use it with `async with`."""

    world: World = field(default_factory=World)
    token: str = TOKEN
    faults: deque[tuple[str, Fault]] = field(default_factory=deque)  # (method or "send", what happens)
    calls: list[Call] = field(default_factory=list)
    poll_waits: int = 0  # long polls that had to wait
    brought: list[tuple[int, bool]] = field(default_factory=list)  # updates brought to the webhook, and whether taken

    def __post_init__(self) -> None:
        self.methods = Methods(self.world)
        self._names = self.methods.names()
        self._port = 0
        self._polls: dict[asyncio.Task[Any], web.Request] = {}
        self._runner: web.AppRunner | None = None
        self._connections: set[asyncio.BaseTransport] = set()

    @property
    def flood(self) -> Any:
        return self.methods.flood

    @property
    def is_polled(self) -> bool:
        """Whether somebody waits for updates now."""
        return bool(self._polls)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/bot"

    async def __aenter__(self) -> Self:
        await self.accept_connections()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.refuse_connections()

    async def bring_updates(self, public: str, private: str) -> None:
        """What Telegram does for a webhook, through the proxy that makes `public` from `private`. Until cancelled."""
        async with aiohttp.ClientSession() as session:
            while True:
                webhook = self.methods.webhook
                if webhook is None or webhook["url"] != public or not self.world.updates:
                    self.world.arrived.clear()
                    await self.world.arrived.wait()
                    continue
                update, secret = self.world.updates[0], {"X-Telegram-Bot-Api-Secret-Token": webhook["secret"]}
                try:
                    async with session.post(private, json=update, headers=secret) as answer:
                        taken = answer.ok
                except aiohttp.ClientError:
                    taken = False
                self.brought.append((update["update_id"], taken))
                if taken:
                    self.world.updates.remove(update)
                    self.world.confirmed = update["update_id"]
                await self.world.announce()
                await asyncio.sleep(0 if taken else 0.02)  # Telegram's own pauses are longer

    async def accept_connections(self) -> None:
        if self._runner is not None:
            return
        application = web.Application(client_max_size=60_000_000)
        application.router.add_route("*", "/bot{token}/{method}", self._method)
        application.router.add_get("/file/bot{token}/{path:.+}", self._file)
        self._runner = web.AppRunner(application, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def refuse_connections(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            self._abort_all()
            await runner.cleanup()

    def drop_polls(self) -> None:
        """The connections on which the bot waits for updates break."""
        for request in list(self._polls.values()):
            if request.transport is not None:
                request.transport.abort()

    def fail_next(self, method: str, fault: Fault) -> None:
        self.faults.append((method.lower(), fault))

    def called(self, method: str) -> list[dict[str, Any]]:
        return [call.data for call in self.calls if call.method.lower() == method.lower()]

    # --- answering -------------------------------------------------------------------------------

    async def _method(self, request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            self._connections.add(request.transport)
        name = request.match_info["method"].lower()
        if request.match_info["token"] != self.token:
            revoked = request.match_info["token"].partition(":")[0] == self.token.partition(":")[0]
            return _refusal(Refused(401, "Unauthorized") if revoked else Refused(404, "Not Found"))
        call = await _read(request)
        self.calls.append(Call(request.match_info["method"], dict(call.data)))
        await self.world.announce()
        try:
            if fault := self._fault_for(name):
                answer = fault(self, request, lambda: self._do(name, call))
                answer = await answer if asyncio.iscoroutine(answer) else answer
                if isinstance(answer, web.StreamResponse):
                    return answer
            else:
                answer = await self._updates(request, call) if name == "getupdates" else self._do(name, call)
        except Refused as refused:
            return _refusal(refused)
        await self.world.announce()
        return web.json_response({"ok": True, "result": answer})

    def _do(self, name: str, call: Request) -> Any:
        handler = self._names.get(name)
        if handler is None:
            raise Refused(404, "Not Found")
        return getattr(self.methods, handler)(call)

    def _fault_for(self, name: str) -> Fault | None:
        for index, (method, fault) in enumerate(self.faults):
            if method == name or (method == "send" and name in SENDS):
                del self.faults[index]
                return fault
        return None

    async def _updates(self, request: web.Request, call: Request) -> list[dict[str, Any]]:
        """Offsets as the published server keeps them: an offset beyond the last update counts as none."""
        if self.methods.webhook is not None:
            raise Refused(409, "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to "
                          "delete the webhook first")  # fmt: skip
        for task in self._polls:
            task.cancel("another poller")
        world = self.world
        if (allowed := call.json("allowed_updates")) is not None:
            world.allowed = set(allowed) or None
        offset, limit = call.number("offset") or 0, call.number("limit") or 100
        if offset < 0:
            world.updates = world.updates[offset:]
        elif offset <= world.next_update_id:
            world.updates = [update for update in world.updates if update["update_id"] >= offset]
            world.confirmed = max(world.confirmed, offset - 1)
        if not world.updates and not world.replays:
            await self._wait_for_update(request, min(call.number("timeout") or 0, 50))
        replays, world.replays = world.replays, []
        return (replays + world.updates)[:limit]

    async def _wait_for_update(self, request: web.Request, seconds: int) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._polls[task] = request
        self.poll_waits += 1
        self.world.arrived.clear()
        await self.world.announce()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.world.arrived.wait()
        except asyncio.CancelledError as cancelled:
            if cancelled.args != ("another poller",):
                raise
            task.uncancel()
            raise Refused(
                409,
                "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
            ) from None
        finally:
            self._polls.pop(task, None)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        wanted = request.match_info["path"]
        for path, content in self.world.files.values():
            if path == wanted and request.match_info["token"] == self.token:
                return web.Response(body=content, content_type="application/octet-stream")
        return _refusal(Refused(404, "Not Found"))

    def _abort_all(self) -> None:
        for transport in self._connections:
            if isinstance(transport, asyncio.Transport):
                transport.abort()
        self._connections.clear()


async def _read(request: web.Request) -> Request:
    """A form, a multipart form or JSON, as the API takes them."""
    if request.content_type == "application/json":
        return Request(await request.json())
    data: dict[str, Any] = dict(request.query)
    files: dict[str, Upload] = {}
    for name, value in (await request.post()).items():
        if isinstance(value, web.FileField):
            files[name] = (value.filename, value.file.read())
            value.file.close()
        else:
            data[name] = value
    return Request(data, files)


def _refusal(refused: Refused) -> web.Response:
    body = {"ok": False, "error_code": refused.status, "description": refused.description}
    return web.json_response(
        body | ({"parameters": refused.parameters} if refused.parameters else {}), status=refused.status
    )


# --- faults --------------------------------------------------------------------------------------


def refuse(status: int, description: str, **parameters: Any) -> Fault:
    """The request is not carried out."""

    def fault(server: FakeTelegram, request: web.Request, do: Callable[[], Any]) -> Any:
        raise Refused(status, description, **parameters)

    return fault


def broken_gateway(status: int = 502) -> Fault:
    """What stands before the server answers in its place, and not in JSON."""

    def fault(server: FakeTelegram, request: web.Request, do: Callable[[], Any]) -> Any:
        return web.Response(status=status, text="<html><h1>Bad Gateway</h1></html>", content_type="text/html")

    return fault


def lose_answer(server: FakeTelegram, request: web.Request, do: Callable[[], Any]) -> Any:
    """It is done, and the connection breaks before the answer."""
    do()
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def answer_with(body: bytes) -> Fault:
    """It is done, and the answer is what a broken server would say."""

    def fault(server: FakeTelegram, request: web.Request, do: Callable[[], Any]) -> Any:
        do()
        return web.Response(body=body, content_type="application/json")

    return fault
