"""The server: HTTP for the methods, files and answer addresses, a websocket for Socket Mode, and people's actions."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket as sockets
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.fakes.slack.delivery import Delivery, Post
from tests.fakes.slack.faults import Fault, Faults, RateLimits
from tests.fakes.slack.methods import Methods
from tests.fakes.slack.workspace import APP, APP_TOKEN, BOT_TOKEN, TEAM, Json, Refused, Workspace


class FakeSlack:
    """Open with `async with`; `base_url` is what an app is configured with."""

    def __init__(self) -> None:
        self.post = Post()
        self.space = Workspace(self.post.announce)
        self.methods = Methods(self.space, self.post)
        self.faults = Faults()
        self.limits = RateLimits()
        self.tokens = {BOT_TOKEN: "", APP_TOKEN: ""}  # token → the word with which it is refused
        self.calls: list[tuple[str, Json]] = []
        self.called = asyncio.Condition()
        self.answered = asyncio.Condition()
        self.answers: list[Json] = []  # what came to the answer addresses
        self._answer_uses: dict[str, int] = {}
        self.port = 0
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/"

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/api/{method}", self._api)
        app.router.add_get("/link", self.post.serve)
        app.router.add_post("/upload/v1/{file}", self._upload)
        app.router.add_get("/files-pri/{file}/{tail:.*}", self._download)
        app.router.add_post("/answer/{id}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5, handler_cancellation=False)
        await self._runner.setup()
        with sockets.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        await self.come_back()
        self.space.base = f"http://127.0.0.1:{self.port}"
        self.methods.socket_base = f"ws://127.0.0.1:{self.port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.post.close()
        if self._runner is not None:
            await self._runner.cleanup()

    # Faults -------------------------------------------------------------------------------------------------

    def fail(self, fault: Fault) -> None:
        self.faults.waiting.append(fault)

    async def go_away(self) -> None:
        """An outage: connections are refused, the open ones break."""
        if self._site is not None:
            await self._site.stop()
            self._site = None
        self.post.drop()
        if self._runner is not None and self._runner.server is not None:
            for connection in list(self._runner.server.connections):
                if connection.transport is not None:
                    connection.transport.abort()
        for _ in range(10):  # until the other ends, in this process, have heard of it too
            await asyncio.sleep(0)

    async def come_back(self) -> None:
        if self._site is None and self._runner is not None:
            self._site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
            await self._site.start()

    # What people do -----------------------------------------------------------------------------------------

    def press(self, room: str, ts: str, action_id: str, user: str = "U1") -> Delivery:
        """A person presses a button of a message."""
        message = self.space.message(room, ts)
        element = next(
            element
            for block in message.get("blocks", [])
            for element in block.get("elements", [])
            if element.get("action_id") == action_id
        )
        container = {"type": "message", "message_ts": ts, "channel_id": room, "is_ephemeral": False}
        if message.get("thread_ts"):
            container["thread_ts"] = message["thread_ts"]
        return self.post.deliver(
            "interactive",
            {
                "type": "block_actions",
                "user": self._person(user),
                "api_app_id": APP,
                "token": "verification",
                "container": container,
                "trigger_id": self.space.number("trigger-"),
                "team": {"id": TEAM, "domain": "fake"},
                "channel": {"id": room, "name": self.space.room(room).name},
                "message": message,
                "response_url": self.answer_address(),
                "actions": [{**element, "block_id": "b1", "action_ts": self.space.now()}],
            },
        )

    def command(self, room: str, text: str, user: str = "U1", command: str = "/threadmill") -> Delivery:
        """A person types a slash command, which Slack offers outside threads only."""
        found = self.space.room(room)
        return self.post.deliver(
            "slash_commands",
            {
                "token": "verification",
                "team_id": TEAM,
                "team_domain": "fake",
                "channel_id": room,
                "channel_name": "directmessage" if found.kind == "im" else found.name,
                "user_id": user,
                "user_name": self.space.people[user].lower(),
                "command": command,
                "text": text,
                "api_app_id": APP,
                "is_enterprise_install": "false",
                "response_url": self.answer_address(),
                "trigger_id": self.space.number("trigger-"),
            },
        )

    def shortcut(self, room: str, ts: str, callback_id: str, user: str = "U1") -> Delivery:
        """A person chooses an entry in a message's menu."""
        return self.post.deliver(
            "interactive",
            {
                "type": "message_action",
                "token": "verification",
                "action_ts": self.space.now(),
                "team": {"id": TEAM, "domain": "fake"},
                "user": self._person(user),
                "channel": {"id": room, "name": self.space.room(room).name},
                "is_enterprise_install": False,
                "callback_id": callback_id,
                "trigger_id": self.space.number("trigger-"),
                "response_url": self.answer_address(),
                "message_ts": ts,
                "message": self.space.message(room, ts),
            },
        )

    def answer_address(self) -> str:
        """A response_url: five uses."""
        address = self.space.number("answer-")
        self._answer_uses[address] = 5
        return f"{self.space.base}/answer/{address}"

    def deliveries_of(self, ts: str) -> Sequence[Delivery]:
        return [delivery for delivery in self.post.deliveries if delivery.message_ts == ts]

    async def until(self, holds: Callable[[], object], timeout_seconds: float = 5.0) -> None:
        """Wait for something that the app's calls bring about."""
        async with asyncio.timeout(timeout_seconds), self.called:
            await self.called.wait_for(lambda: bool(holds()))

    async def until_answered(self, count: int) -> list[Json]:
        async with self.answered:
            await self.answered.wait_for(lambda: len(self.answers) >= count)
        return self.answers

    def _person(self, user: str) -> Json:
        name = self.space.people[user]
        return {"id": user, "username": name.lower(), "name": name.lower(), "team_id": TEAM}

    # The app's side -----------------------------------------------------------------------------------------

    async def _api(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._answer_call(request)
        finally:
            async with self.called:
                self.called.notify_all()

    async def _answer_call(self, request: web.Request) -> web.StreamResponse:
        method, args = request.match_info["method"], await _arguments(request)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ") or str(args.pop("token", ""))
        self.calls.append((method, args))
        fault = self.faults.take(method)
        if fault is not None and fault.hang_seconds:
            await asyncio.sleep(fault.hang_seconds)
        if fault is not None and not fault.after_doing:
            return fault.response()
        wait = self.limits.wait_seconds(method, str(args.get("channel", "")))
        if wait:
            headers = {"Retry-After": str(wait)}
            return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers=headers)
        try:
            self._let_in(method, token)
            answer: Json = {"ok": True, **self.methods.call(method, args)}
        except Refused as refusal:
            answer = {"ok": False, "error": refusal.word, **refusal.extra}
        if fault is not None:
            return await _hang_up(request)
        return web.json_response(answer, headers={"X-OAuth-Scopes": ",".join(sorted(self.methods.scopes))})

    def _let_in(self, method: str, token: str) -> None:
        if not token:
            raise Refused("not_authed")
        refusal = self.tokens.get(token, "invalid_auth")
        if refusal:
            raise Refused(refusal)
        if (method == "apps.connections.open") != (token == APP_TOKEN):
            raise Refused("not_allowed_token_type")

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        file = self.space.files.get(request.match_info["file"])
        content = await request.read()
        if file is None or len(content) != file.length:
            return web.Response(status=400, text="length does not match")
        file.content = content
        return web.Response(text=f"OK - {len(content)}")

    async def _download(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {BOT_TOKEN}" or "files:read" not in self.methods.scopes:
            return web.Response(text="<html>Sign in</html>", content_type="text/html")
        file = self.space.files.get(request.match_info["file"].removeprefix(f"{TEAM}-"))
        if file is None:
            return web.Response(status=404)
        return web.Response(body=file.content, content_type=file.mimetype)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        address, body = request.match_info["id"], await request.json()
        fault = self.faults.take("response_url")
        if fault is not None and not fault.after_doing:
            return fault.response()
        if self._answer_uses.get(address, 0) <= 0:
            return web.json_response({"ok": False, "error": "used_url"}, status=404)
        self._answer_uses[address] -= 1
        async with self.answered:
            self.answers.append(body)
            self.answered.notify_all()
        return await _hang_up(request) if fault is not None else web.Response(text="ok")


async def _arguments(request: web.Request) -> Json:
    args: Json = dict(request.query)
    if request.content_type == "application/json":
        with contextlib.suppress(ValueError):
            found = json.loads(await request.text() or "{}")
            args |= found if isinstance(found, dict) else {}
    elif request.method == "POST":
        form: Any = await request.post()
        args |= dict(form)
    return args


async def _hang_up(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
