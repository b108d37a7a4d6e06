"""The least server of each platform: a message in, an answer out, and nothing else that the platform has.

They stand for the servers that we have never seen: another team's test double, a bridge, an old self-hosted
version. Whatever they do not know they refuse in the platform's own form, so that an adapter which leans on one
more method than it needs falls over here and not at a person's.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

Json = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.Response]]


@dataclass
class Least:
    """What came and went: `said` are the bot's texts, `refused` the methods that were asked for and are not there."""

    said: list[tuple[str, str]] = field(default_factory=list)  # (room, text)
    refused: set[str] = field(default_factory=set)
    waiting: asyncio.Queue[Json] = field(default_factory=asyncio.Queue)
    url: str = ""
    count: int = 100

    def number(self) -> int:
        self.count += 1
        return self.count


@asynccontextmanager
async def _served(least: Least, app: web.Application) -> AsyncIterator[Least]:
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        least.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield least
    finally:
        await runner.cleanup()


# --- Telegram: getMe, getUpdates, sendMessage ----------------------------------------------------


@asynccontextmanager
async def telegram() -> AsyncIterator[Least]:
    least = Least()

    async def method(request: web.Request) -> web.Response:
        name, form = request.match_info["method"], await request.post()
        if name == "getMe":
            return web.json_response(
                {"ok": True, "result": {"id": 7, "is_bot": True, "first_name": "B", "username": "b_bot"}}
            )
        if name == "getUpdates":
            offset = int(str(form.get("offset", 0)))
            return web.json_response(
                {"ok": True, "result": await _updates(least, offset, float(str(form.get("timeout", 0))))}
            )
        if name == "sendMessage":
            least.said.append((str(form["chat_id"]), str(form["text"])))
            chat = {"id": int(str(form["chat_id"])), "type": "private", "first_name": "Ada"}
            sent = {"message_id": least.number(), "date": 1_700_000_000, "chat": chat, "text": str(form["text"])}
            return web.json_response({"ok": True, "result": sent})
        least.refused.add(name)
        return web.json_response({"ok": False, "error_code": 404, "description": "Not Found"}, status=404)

    app = web.Application()
    app.router.add_route("*", "/bot{token}/{method}", method)
    async with _served(least, app):
        yield least


async def _updates(least: Least, offset: int, timeout_seconds: float) -> list[Json]:
    """What was not confirmed by a larger offset; waits for the first as long as the bot asks."""
    try:
        update = await asyncio.wait_for(least.waiting.get(), min(timeout_seconds, 5.0) or 0.01)
    except TimeoutError:
        return []
    return [update] if update["update_id"] >= offset else []


def telegram_says(least: Least, text: str) -> None:
    number = least.number()
    ada = {"id": 42, "is_bot": False, "first_name": "Ada"}
    message = {
        "message_id": number,
        "date": 1_700_000_000,
        "from": ada,
        "chat": {"id": 42, "type": "private", "first_name": "Ada"},
        "text": text,
    }
    least.waiting.put_nowait({"update_id": number, "message": message})


# --- Slack: auth.test, apps.connections.open, chat.postMessage -----------------------------------


@asynccontextmanager
async def slack() -> AsyncIterator[Least]:
    least = Least()

    async def method(request: web.Request) -> web.Response:
        name = request.match_info["method"]
        given = await request.json() if request.content_type == "application/json" else dict(await request.post())
        if name == "auth.test":
            who = {
                "team_id": "T1",
                "user_id": "UB",
                "bot_id": "BB",
                "team": "t",
                "user": "b",
                "url": "https://t.slack.com/",
            }
            return web.json_response({"ok": True, **who})
        if name == "apps.connections.open":
            return web.json_response({"ok": True, "url": least.url.replace("http", "ws") + "/socket"})
        if name == "chat.postMessage":
            ts = f"1700000000.{least.number():06}"
            least.said.append((str(given["channel"]), str(given)))
            return web.json_response({"ok": True, "channel": given["channel"], "ts": ts, "message": {"ts": ts}})
        least.refused.add(name)
        return web.json_response({"ok": False, "error": "unknown_method"})

    async def socket(request: web.Request) -> web.WebSocketResponse:
        link = web.WebSocketResponse()
        await link.prepare(request)
        await link.send_json({"type": "hello", "num_connections": 1, "connection_info": {"app_id": "A1"}})

        async def tell() -> None:
            while True:
                await link.send_json(await least.waiting.get())

        telling = asyncio.create_task(tell())
        try:
            async for _ in link:  # acknowledgements
                pass
        finally:
            telling.cancel()
        return link

    app = web.Application()
    app.router.add_post("/api/{method}", method)
    app.router.add_get("/socket", socket)
    async with _served(least, app):
        yield least


def slack_says(least: Least, text: str) -> None:
    number = least.number()
    event = {
        "type": "message",
        "channel": "D1",
        "channel_type": "im",
        "user": "U1",
        "text": text,
        "ts": f"1700000000.{number:06}",
    }
    payload = {"type": "event_callback", "team_id": "T1", "api_app_id": "A1", "event_id": f"Ev{number}", "event": event}
    least.waiting.put_nowait({"type": "events_api", "envelope_id": f"E{number}", "payload": payload})


# --- Discord: who am I, the gateway, a post ------------------------------------------------------


@asynccontextmanager
async def discord() -> AsyncIterator[Least]:
    least = Least()
    bot = {"id": "7", "username": "b", "discriminator": "0", "avatar": None, "bot": True}

    async def post(request: web.Request) -> web.Response:
        given, room = await request.json(), request.match_info["room"]
        least.said.append((room, given["content"]))
        message = _discord_message(str(least.number()), room, bot, given["content"])
        return web.json_response(message | ({"nonce": given["nonce"]} if "nonce" in given else {}))

    async def where(_: web.Request) -> web.Response:
        return web.json_response({"url": least.url.replace("http", "ws"), "shards": 1})

    async def other(request: web.Request) -> web.Response:
        least.refused.add(f"{request.method} {request.path}")
        return web.json_response({"message": "404: Not Found", "code": 0}, status=404)

    async def gateway(request: web.Request) -> web.WebSocketResponse:
        link = web.WebSocketResponse()
        await link.prepare(request)
        await link.send_json({"op": 10, "d": {"heartbeat_interval": 40_000}, "s": None, "t": None})
        await _discord_session(least, link, bot)
        return link

    app = web.Application()
    app.router.add_get("/api/v10/users/@me", _always(bot))
    for path in ("oauth2/applications/@me", "applications/@me"):
        about: Json = {
            "id": "7",
            "name": "b",
            "description": "",
            "icon": None,
            "bot_public": False,
            "bot_require_code_grant": False,
        }
        about |= {"verify_key": "", "summary": "", "flags": 0, "owner": bot, "team": None}
        app.router.add_get(f"/api/v10/{path}", _always(about))
    for path in ("gateway", "gateway/bot"):
        app.router.add_get(f"/api/v10/{path}", where)
    app.router.add_post("/api/v10/channels/{room}/messages", post)
    app.router.add_get("/", gateway)
    app.router.add_route("*", "/{anything:.*}", other)
    async with _served(least, app):
        yield least


def _always(given: Json) -> Handler:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response(given)

    return answer


def _discord_message(id: str, room: str, author: Json, text: str) -> Json:
    empty: Json = {"mentions": [], "mention_roles": [], "attachments": [], "embeds": [], "edited_timestamp": None}
    seen: Json = {
        "timestamp": "2026-11-01T10:00:00+00:00",
        "tts": False,
        "mention_everyone": False,
        "pinned": False,
        "type": 0,
    }
    return {"id": id, "channel_id": room, "author": author, "content": text, **empty, **seen}


async def _discord_session(least: Least, link: web.WebSocketResponse, bot: Json) -> None:
    sequence = 0

    async def dispatch(event: str, data: Json) -> None:
        nonlocal sequence
        sequence += 1
        await link.send_json({"op": 0, "s": sequence, "t": event, "d": data})

    async def tell() -> None:
        while True:
            await dispatch("MESSAGE_CREATE", await least.waiting.get())

    telling: asyncio.Task[None] | None = None
    try:
        async for frame in link:
            if frame.type is not WSMsgType.TEXT:
                continue
            told = json.loads(frame.data)
            if told["op"] == 1:
                await link.send_json({"op": 11, "d": None, "s": None, "t": None})
            elif told["op"] == 2:
                ready: Json = {"v": 10, "user": bot, "guilds": [{"id": "1", "unavailable": True}], "session_id": "s"}
                application: Json = {"id": "7", "flags": 0}
                await dispatch(
                    "READY", ready | {"resume_gateway_url": least.url.replace("http", "ws"), "application": application}
                )
                room: Json = {
                    "id": "5",
                    "type": 0,
                    "name": "general",
                    "position": 0,
                    "permission_overwrites": [],
                    "guild_id": "1",
                }
                role: Json = {
                    "id": "1",
                    "name": "@everyone",
                    "permissions": "8",
                    "position": 0,
                    "color": 0,
                    "hoist": False,
                }
                role |= {"managed": False, "mentionable": False}
                guild: Json = {
                    "id": "1",
                    "name": "g",
                    "owner_id": "9",
                    "roles": [role],
                    "channels": [room],
                    "threads": [],
                }
                await dispatch("GUILD_CREATE", guild | {"members": [], "emojis": [], "features": [], "member_count": 2})
                telling = asyncio.create_task(tell())
    finally:
        if telling is not None:
            telling.cancel()


def discord_says(least: Least, text: str) -> None:
    ada = {"id": "99", "username": "ada", "discriminator": "0", "avatar": None}
    id = str((1_163_000_000_000 << 22) + least.number())
    message = _discord_message(id, "5", ada, text) | {
        "guild_id": "1",
        "member": {"roles": [], "joined_at": None, "deaf": False},
    }
    least.waiting.put_nowait(
        message | {"member": {"roles": [], "joined_at": "2026-01-01T00:00:00+00:00", "deaf": False, "mute": False}}
    )
