"""The web on a real port, with a real store and real local channels; only the core behind them is scripted."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from agents.base import SessionId
from bot.events import EventHub
from bot.intake import ChannelIntake
from bot.metrics import Metrics
from bot.web.app import create
from bot.web.parts import AgentCard, WebParts
from bot.web.server import listen, serve
from channels.base import ChannelContext, ChannelName, ChannelState, CommandOption, CommandSpec, Health
from channels.local import LocalChannel
from storage.database import Database, opened, to_us
from storage.files import FileStore
from storage.inbox import Inbox, Stored
from storage.views import Views
from tests.stored import add_session, insert, say

TOKEN = "a-token-for-tests"
UPLOAD_BYTES = 3_000_000


@dataclass
class Letters:
    """Dead letters that remember what was asked."""

    asked: list[tuple[str, str]] = field(default_factory=list)

    async def retry(self, id: str) -> bool:
        self.asked.append(("retry", id))
        return id == "7"

    async def drop(self, id: str) -> bool:
        self.asked.append(("drop", id))
        return id == "7"


class Core:
    """In the place of router and agents: remembers what came, and says what a test wants said."""

    def __init__(self, database: Database, hub: EventHub) -> None:
        self.database = database
        self.hub = hub
        self.came: list[Stored] = []
        self.arrived = asyncio.Event()
        self.answer: Callable[[Stored], str | None] = lambda _: None
        self.tasks: set[asyncio.Task[None]] = set()

    def offer(self, events: Sequence[Stored]) -> None:
        self.came += events
        self.arrived.set()
        for stored in events:
            self.hub.changed(stored.event.where.key)
            if (text := self.answer(stored)) is not None:
                task = asyncio.create_task(self.say(stored.event.where.key, text, f"re-{stored.n}"))
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)

    async def session(self, id: str, place: str | None = None, **changes: Any) -> SessionId:
        now = to_us(datetime.now(UTC))

        def work(tx: sqlite3.Connection) -> None:
            add_session(tx, id, **{"created_at": now, "active_at": now, "home": place, **changes})
            if place is not None:
                insert(tx, "bindings", place=place, session=id, created_at=now)

        await self.database.write(work)
        return SessionId(id)

    async def say(self, place: str, text: str, key: str, session: str | None = None, **changes: Any) -> None:
        now = to_us(datetime.now(UTC))

        def work(tx: sqlite3.Connection) -> int:
            return say(tx, text, key, place, **{"session": session, "created_at": now, "at": now, **changes})

        await self.database.write(work)
        self.hub.changed(place)


@dataclass
class Rig:
    url: str
    database: Database
    hub: EventHub
    core: Core
    views: Views
    letters: Letters
    parts: WebParts
    health: dict[str, Health]
    client: httpx.AsyncClient  # with the bearer token

    async def readers(self, count: int) -> None:
        """Return once so many read the hub: then nothing that is published is before their time."""
        async with asyncio.timeout(10):
            while self.hub.readers != count:  # noqa: ASYNC110 - the hub tells nobody who joins it
                await asyncio.sleep(0.001)

    async def answered(self) -> None:
        """Return once everything that came so far has its answer."""
        await asyncio.gather(*self.core.tasks)

    async def posted(self, thread: str, text: str, id: str | None = None, channel: str = "api") -> httpx.Response:
        body = {"text": text} if id is None else {"text": text, "id": id}
        return await self.client.post(f"/api/v1/threads/{thread}/messages", params={"channel": channel}, json=body)


COMMANDS = (
    CommandSpec(name="help", description="What can be said here"),
    CommandSpec(
        name="spawn",
        description="Start a session",
        options=(
            CommandOption(name="agent", description="which"),
            CommandOption(name="task", description="what", required=True),
        ),
    ),
    CommandSpec(name="steer", description="Give a running turn new direction"),
    CommandSpec(name="stop", description="End this turn"),
    CommandSpec(name="kill", description="End a session </script><script>alert(1)</script>"),
)


def _stored(files: FileStore, digest: str) -> Path | None:
    path = files.path(digest)
    return path if path.is_file() else None


@asynccontextmanager
async def running(folder: Path, **changes: Any) -> AsyncIterator[Rig]:
    async with opened(folder) as database:
        hub = EventHub()
        core = Core(database, hub)
        clock = lambda: datetime.now(UTC)  # noqa: E731
        inbox = Inbox(database)
        files = FileStore(folder / "files", database)
        context = {name: ChannelContext(name=ChannelName(name), files=files) for name in ("web", "console", "api")}
        local = {name: LocalChannel(each) for name, each in context.items()}
        health = {name: Health(state=ChannelState.CONNECTED, since=clock()) for name in local}
        metrics = Metrics()
        letters = Letters()
        views = Views(database)
        values: dict[str, Any] = {
            "views": views,
            "hub": hub,
            "receive": {name: channel.receive for name, channel in local.items()},
            "health": lambda: health,
            "ready": lambda: True,
            "metrics": metrics.text,
            "dead_letters": letters,
            "token": TOKEN,
            "clock": clock,
            "commands": COMMANDS,
            "agents": lambda: [AgentCard(name="assistant", description="Helps with anything", model="rehearsal")],
            "rehearsal": True,
        }
        values |= {
            "file": partial(_stored, files),
            "uploads": partial(files.store, limit_bytes=UPLOAD_BYTES),
            "upload_bytes": UPLOAD_BYTES,
        }
        parts = WebParts(**{**values, **changes})
        web = create(parts)
        listener = listen("127.0.0.1", 0)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        ready = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(channel.run(ChannelIntake(channel.name, inbox, core, clock)))
                for channel in local.values()
            ]
            server = group.create_task(serve(web.asgi, listener, ready=ready.set, close=web.close))
            await ready.wait()
            headers = {"authorization": f"Bearer {TOKEN}"}
            try:
                async with httpx.AsyncClient(base_url=url, headers=headers, timeout=20) as client:
                    yield Rig(url, database, hub, core, views, letters, parts, health, client)
            finally:
                server.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await server
                for task in tasks:
                    task.cancel()
