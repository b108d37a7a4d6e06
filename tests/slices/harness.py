"""The whole of Threadmill in this process, as `bot.app.serve` runs it, with a real file of configuration.

Nothing of it is replaced: the store is a file, the platforms' own libraries speak to loopback servers, the model is
the rehearsal model. A test waits on what Threadmill itself tells its page (`EventHub`), and looks at the screens then.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from bot.app import Application, now
from bot.config import load
from bot.web.server import listen
from bot.web.server import serve as serve_web
from channels.base import ChannelName, ChannelState, ThreadRef
from storage.database import Database, opened
from tests.slices.screens import ADAS, DiscordScreen, Screen
from tests.slices.waiting import until

TOKEN = "a-token-for-slices"
SECONDS = 10.0

AGENTS = """
[models.default]
kind = "rehearsal"
word_delay_seconds = 0

[models.other]
kind = "rehearsal"
word_delay_seconds = 0

[agents.assistant]
prompt = "You help."
tools = ["spawn", "send"]
spawns = ["researcher"]
may_message = ["researcher"]
max_children = 10

[agents.researcher]
prompt = "You find things out."
tools = ["spawn", "send"]
spawns = ["researcher"]
"""


def write_config(
    folder: Path, screens: Sequence[Screen] = (), *, more: str = "", agents: str = AGENTS, port: int = 0
) -> Path:
    """A config.toml of these platforms: Ada owns the bot and is reached on them in this order, and each shared room is
    routed to the assistant, who answers in threads."""
    folder.mkdir(parents=True, exist_ok=True)
    pieces = [
        f'[bot]\ndata = "data"\n\n[web]\nhost = "127.0.0.1"\nport = {port}\ntoken = "{TOKEN}"\n',
        "[delivery]\nfallback_after_seconds = 0.2\n" if "[delivery]" not in more else "",
        agents,
        *(screen.table() for screen in screens),
    ]
    for screen in screens:
        route = f'channel = "{screen.name}"\nroom = "{screen.room.room}"\nagent = "assistant"\nthread = true'
        pieces.append(f"[[routes]]\n{route}\n")
    if screens:
        accounts = ", ".join(f'"{screen.accounts[ADAS]}"' for screen in screens)
        reach = ", ".join(f'"{screen.name}"' for screen in screens)
        pieces.append(f'[people.ada]\naccounts = [{accounts}]\nrole = "owner"\nreach = [{reach}]\n')
    file = folder / "config.toml"
    file.write_text("\n".join([*pieces, more]), "utf-8")
    return file


@dataclass
class Running:
    """Threadmill at work."""

    application: Application
    database: Database
    screens: Sequence[Screen]
    client: httpx.AsyncClient  # with the bearer token

    async def until(self, fact: Callable[[], Any], what: str = "", *, seconds: float = SECONDS) -> Any:
        """What `fact` gives once that is true; it is asked again after each thing that Threadmill tells its page."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        with self.application.hub.subscribe(everywhere=True, every_session=True) as reader:
            while not (found := fact()):
                left = deadline - loop.time()
                if left <= 0:
                    raise AssertionError(f"not within {seconds:g} s: {what or fact}; {self._picture()}")
                # The pages of a platform change a moment before or after that is told: look now and then as well.
                await reader.wait(min(left, 0.1))
        return found

    async def shows(self, screen: Screen, where: ThreadRef, *texts: str, seconds: float = SECONDS) -> list[str]:
        """What the bot has said there, once each of the texts is part of something that it said."""
        what = f"{screen.name} shows {texts} in {where.key}"
        await self.until(lambda: _all_in(texts, screen.said(where)), what, seconds=seconds)
        return screen.said(where)

    async def command(self, screen: Screen, where: ThreadRef, line: str, expects: str, *, by: str = ADAS) -> str:
        """Give a command; its answer, which holds `expects`."""
        if isinstance(screen, DiscordScreen):
            await screen.world.declared.wait()  # commands are declared a moment after it is connected
        before = list(screen.said(where))

        def answer() -> str | None:
            fresh = list(screen.said(where))
            for known in before:
                if known in fresh:
                    fresh.remove(known)
            return next((text for text in fresh if expects in text), None)

        screen.gives(where, line, by=by)
        return str(await self.until(answer, f"{line} is answered with {expects!r}"))

    async def home_of(self, label: str) -> ThreadRef:
        """The place of the session with this label, once its thread is there."""
        homes: list[ThreadRef] = []

        async def found() -> bool:
            rows = await self.rows("select home from sessions where label = ? and home is not null", label)
            homes[:] = [home for (key,) in rows if not ((home := ThreadRef.parse(key)).thread or "").startswith("+")]
            return bool(homes)

        await until(found, f"{label} has a place")
        return homes[0]

    async def connected(self, *names: str) -> None:
        """Return once these channels (all, when none is named) are connected."""
        wanted = [ChannelName(name) for name in names] or [screen.name for screen in self.screens]
        for name in wanted:
            await until(lambda name=name: self.state(name) is ChannelState.CONNECTED, f"{name} is connected")  # type: ignore[misc]

    async def disconnected(self, name: str) -> None:
        """Return once the channel knows that its platform is away."""
        await until(lambda: self.state(ChannelName(name)) is not ChannelState.CONNECTED, f"{name} is disconnected")

    async def down(self, name: str) -> None:
        """Return once the channel has given up for now, and says why."""
        await until(lambda: self.state(ChannelName(name)) is ChannelState.DOWN, f"{name} is down")

    def state(self, name: ChannelName) -> ChannelState:
        return self.application.connections.health()[name].state

    async def settled(self) -> None:
        """Return once nothing is under way any more: no event, no turn, no delivery that is due."""
        app = self.application
        still = 0
        async with asyncio.timeout(SECONDS):
            while still < 3:
                busy = app.dispatcher.waiting or app.engine.awake or app.engine.queued or app.courier.busy_lanes
                still = 0 if busy else still + 1
                await asyncio.sleep(0.01)

    async def boards_closed(self) -> None:
        """Return once every message about children says how they ended."""

        async def none_open() -> bool:
            return not await self.rows("select key from boards")

        await until(none_open, "no board changes any more")

    async def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """What the store has."""
        return await self.database.read(lambda tx: [tuple(row) for row in tx.execute(query, parameters)])

    async def post(self, thread: str, text: str, id: str | None = None, *, channel: str = "api") -> httpx.Response:
        body = {"text": text} if id is None else {"text": text, "id": id}
        return await self.client.post(f"/api/v1/threads/{thread}/messages", params={"channel": channel}, json=body)

    async def heard(self, thread: str, *texts: str, channel: str = "api") -> list[str]:
        """What the bot said in a thread of the API, once each of the texts is part of it. Waits as programs do."""
        said: list[str] = []
        after = 0
        async with asyncio.timeout(SECONDS):
            while not _all_in(texts, said):
                answer = await self.client.get(
                    f"/api/v1/threads/{thread}/messages", params={"channel": channel, "after": after, "wait": 5}
                )
                found = answer.raise_for_status().json()
                said += [message["text"] for message in found["messages"] if message["side"] == "out"]
                after = found["next"]
        return said

    def _picture(self) -> str:
        return "; ".join(f"{screen.name} shows {screen.said_anywhere()}" for screen in self.screens)


def _all_in(texts: Sequence[str], said: Sequence[str]) -> bool:
    return all(any(text in one for one in said) for text in texts)


@asynccontextmanager
async def running(
    file: Path, screens: Sequence[Screen] = (), *, connect: bool = True, clock: Callable[[], datetime] = now
) -> AsyncIterator[Running]:
    """Start Threadmill with this configuration, and stop it in good order."""
    config = load(file, environ={})
    listener = listen(config.web.host, config.web.port)
    ready = asyncio.Event()
    with contextlib.closing(listener):
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with opened(config.bot.data) as database, Application.made(config, database, clock) as application:

            async def work() -> None:
                async with asyncio.TaskGroup() as group:
                    web = application.web
                    await application.start(group)
                    group.create_task(serve_web(web.asgi, listener, ready=ready.set, close=web.close))
                    try:
                        await asyncio.Event().wait()
                    finally:
                        await application.courier.stop(within=timedelta(seconds=5))

            async with asyncio.TaskGroup() as group:
                working = group.create_task(work())
                await ready.wait()
                headers = {"authorization": f"Bearer {TOKEN}"}
                try:
                    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=20) as client:
                        made = Running(application, database, screens, client)
                        if connect:
                            await made.connected()
                        yield made
                finally:
                    working.cancel()
