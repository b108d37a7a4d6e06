"""The loopback gateway: sessions, sequence numbers, heartbeats, resuming, compression."""

from __future__ import annotations

import asyncio
import copy
import json
import secrets
import time
import zlib
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from tests.fakes.discord.faults import Faults
from tests.fakes.discord.world import World

DISPATCH, HEARTBEAT, IDENTIFY, RESUME, RECONNECT, INVALID_SESSION, HELLO, ACK = 0, 1, 2, 6, 7, 9, 10, 11
_INTENTS = {
    "GUILDS": 1 << 0,
    "GUILD_MESSAGES": 1 << 9,
    "GUILD_REACTIONS": 1 << 10,
    "DIRECT_MESSAGES": 1 << 12,
    "DIRECT_REACTIONS": 1 << 13,
    "MESSAGE_CONTENT": 1 << 15,
}


@dataclass(slots=True)
class Session:
    """A gateway session. Its events are kept for a client that resumes."""

    id: str
    intents: int
    link: Link | None = None
    sequence: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)


class Link:
    """One websocket."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self.socket = socket
        self.request = request
        self.heard = time.monotonic()
        self.queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._zlib = zlib.compressobj() if request.query.get("compress") == "zlib-stream" else None

    def send(self, payload: dict[str, Any]) -> None:
        self.queue.put_nowait(payload)

    async def write_forever(self, faults: Faults) -> None:
        while (payload := await self.queue.get()) is not None:
            if faults.gateway_silent or self.socket.closed:
                continue
            text = json.dumps(payload)
            if self._zlib is None:
                await self.socket.send_str(text)
            else:
                packed = self._zlib.compress(text.encode()) + self._zlib.flush(zlib.Z_SYNC_FLUSH)
                # Discord sends large payloads in several frames; the client joins them by their suffix.
                await self.socket.send_bytes(packed)

    def abort(self) -> None:
        if self.request.transport is not None:
            self.request.transport.abort()


class Gateway:
    """All sessions of the application."""

    def __init__(self, world: World, faults: Faults) -> None:
        self._world = world
        self._faults = faults
        self.heartbeat_seconds = 41.25
        self.sessions: dict[str, Session] = {}
        self.links: set[Link] = set()
        self.identified = 0
        self.resumed = 0
        self.url = ""
        self.tell_guilds = True
        self._held_back: list[dict[str, Any]] | None = None
        self.changed = asyncio.Condition()
        world.tell = self.tell

    # --- events ------------------------------------------------------------------------------

    def tell(self, event: str, data: dict[str, Any]) -> None:
        """Something happened: every session that asked for such events is told, or will be when it resumes."""
        for session in self.sessions.values():
            if _wants(session, event, data):
                self._dispatch(session, event, _shown_to(session, self._world, event, data))

    def repeat_last(self) -> None:
        """The last event once more, as after a lost acknowledgement of the connection."""
        for session in self.sessions.values():
            if session.link is not None and session.events:
                session.link.send(session.events[-1])

    def swap_next_two(self) -> None:
        """The next event overtakes the one after it."""
        self._held_back = []

    def send_raw(self, event: str, data: Any) -> None:
        """An event as it is given, however broken."""
        for session in self.sessions.values():
            if session.link is not None:
                self._dispatch(session, event, data)

    def drop(self) -> None:
        """Every connection breaks without a close frame."""
        for link in list(self.links):
            link.abort()

    async def close_all(self, code: int) -> None:
        for link in list(self.links):
            await link.socket.close(code=code)

    def ask_to_reconnect(self) -> None:
        for link in self.links:
            link.send({"op": RECONNECT, "d": None})

    def forget_sessions(self) -> None:
        """No session can be resumed any more."""
        self.sessions.clear()

    def _dispatch(self, session: Session, event: str, data: Any) -> None:
        session.sequence += 1
        # As it is now, whatever becomes of it before it is sent.
        payload = {"op": DISPATCH, "t": event, "s": session.sequence, "d": copy.deepcopy(data)}
        session.events.append(payload)
        if session.link is None:
            return
        if self._held_back == []:
            self._held_back.append(payload)
            return
        session.link.send(payload)
        for late in self._held_back or []:
            session.link.send(late)
        self._held_back = None

    # --- connections -------------------------------------------------------------------------

    async def connect(self, request: web.Request) -> web.StreamResponse:
        if self._faults.gateway_refuses:
            self._faults.gateway_refuses -= 1
            return web.Response(status=500, text="internal server error")
        socket = web.WebSocketResponse(max_msg_size=4096 * 4)
        await socket.prepare(request)
        link = Link(socket, request)
        self.links.add(link)
        link.send({"op": HELLO, "d": {"heartbeat_interval": int(self.heartbeat_seconds * 1000)}})
        try:
            async with asyncio.TaskGroup() as group:
                writer = group.create_task(link.write_forever(self._faults))
                watcher = group.create_task(self._watch(link))
                await self._listen(link)
                watcher.cancel()
                writer.cancel()
        except* ConnectionError:
            pass
        finally:
            self.links.discard(link)
            for session in self.sessions.values():
                if session.link is link:
                    session.link = None
            await self._announce()
        return socket

    async def _watch(self, link: Link) -> None:
        """A client that does not send its heartbeats is cut off."""
        while not link.socket.closed:
            await asyncio.sleep(self.heartbeat_seconds)
            if time.monotonic() - link.heard > 2 * self.heartbeat_seconds:
                await link.socket.close(code=4009)

    async def _listen(self, link: Link) -> None:
        async for frame in link.socket:
            if frame.type is not WSMsgType.TEXT:
                continue
            message = json.loads(frame.data)
            match message.get("op"):
                case 1:
                    link.heard = time.monotonic()
                    link.send({"op": ACK})
                case 2:
                    await self._identify(link, message["d"])
                case 6:
                    await self._resume(link, message["d"])
                case _:
                    await link.socket.close(code=4001)

    async def _identify(self, link: Link, asked: dict[str, Any]) -> None:
        if self._faults.close_code is not None:
            await link.socket.close(code=self._faults.close_code)
            return
        if asked.get("token") != self._world.token:
            await link.socket.close(code=4004)
            return
        if int(asked["intents"]) & _INTENTS["MESSAGE_CONTENT"] and not self._world.application_flags & (3 << 18):
            await link.socket.close(code=4014)
            return
        session = Session(id=secrets.token_hex(8), intents=int(asked["intents"]), link=link)
        self.sessions[session.id] = session
        self.identified += 1
        ready = {
            "v": 10,
            "user": self._world.users[self._world.bot],
            "guilds": [{"id": self._world.guild_id, "unavailable": True}],
            "session_id": session.id,
            "resume_gateway_url": self.url,
            "application": {"id": self._world.application_id, "flags": 0},
        }
        self._dispatch(session, "READY", ready)
        if self.tell_guilds:
            self._dispatch(session, "GUILD_CREATE", self._world.guild())
        await self._announce()

    async def _resume(self, link: Link, asked: dict[str, Any]) -> None:
        if asked.get("token") != self._world.token:
            await link.socket.close(code=4004)
            return
        session = self.sessions.get(asked.get("session_id", ""))
        if session is None or self._faults.identify_fails:
            link.send({"op": INVALID_SESSION, "d": False})
            return
        session.link = link
        for payload in session.events:
            if payload["s"] > (asked.get("seq") or 0):
                link.send(payload)
        self.resumed += 1
        self._dispatch(session, "RESUMED", {})
        await self._announce()

    async def _announce(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def wait_until(self, happened: Any, timeout_seconds: float = 10.0) -> None:
        """Wait until `happened()` is true; it is asked after each connect, resume and disconnect."""
        async with asyncio.timeout(timeout_seconds), self.changed:
            await self.changed.wait_for(happened)


def _wants(session: Session, event: str, data: dict[str, Any]) -> bool:
    in_guild = "guild_id" in data
    if event.startswith("MESSAGE_REACTION"):
        needed = _INTENTS["GUILD_REACTIONS" if in_guild else "DIRECT_REACTIONS"]
    elif event.startswith("MESSAGE_"):
        needed = _INTENTS["GUILD_MESSAGES" if in_guild else "DIRECT_MESSAGES"]
    elif event.startswith(("THREAD_", "CHANNEL_", "GUILD_")):
        needed = _INTENTS["GUILDS"]
    else:
        needed = 0
    return session.intents & needed == needed


def _shown_to(session: Session, world: World, event: str, data: dict[str, Any]) -> dict[str, Any]:
    """Without the message content intent, what others write in rooms comes empty, unless the bot is mentioned."""
    if event not in ("MESSAGE_CREATE", "MESSAGE_UPDATE") or session.intents & _INTENTS["MESSAGE_CONTENT"]:
        return data
    if "guild_id" not in data or any(user["id"] == world.bot for user in data["mentions"]):
        return data
    return {**data, "content": "", "attachments": [], "embeds": [], "components": []}
