"""The loopback Discord as a server: one port for REST, gateway and files."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from aiohttp import web

from tests.fakes.discord.faults import Faults
from tests.fakes.discord.gateway import Gateway
from tests.fakes.discord.limits import RateLimits
from tests.fakes.discord.rest import Rest
from tests.fakes.discord.world import World


class DiscordServer:
    """Open with `async with`; `base_url` is what the adapter is given."""

    def __init__(self) -> None:
        self.world = World()
        self.faults = Faults()
        self.limits = RateLimits()
        self.gateway = Gateway(self.world, self.faults)
        self.rest = Rest(self.world, self.faults, self.limits, self.gateway)
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v10"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen: on a free port at first, on the same one after an outage."""
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.add_routes(self.rest.routes())
        app.router.add_get("/gateway/", self.gateway.connect)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.gateway.url = f"ws://127.0.0.1:{self.port}/gateway/"
        self.world.attachments_url = f"http://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        """Refuse every connection, as in an outage."""
        if self._runner is None:
            return
        runner, self._runner = self._runner, None
        self.gateway.drop()
        await asyncio.sleep(0)
        await runner.cleanup()
