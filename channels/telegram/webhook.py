"""Updates that Telegram brings, instead of being asked: for who has a public https address.

The same promise as polling: an update is answered with 200 only when it is committed, else Telegram brings it again.
One connection at a time keeps the order. The secret that Telegram repeats with each request is checked before the
body is read. TLS and the public name belong to the proxy in front; this listens on the address behind it.
When Threadmill stops, the webhook stays: Telegram keeps what comes in the meantime for a day.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from aiohttp import web

from channels.base import ChannelError, Intake, NotAccepted, Unavailable
from channels.telegram import Settings
from channels.telegram.client import Client
from channels.telegram.payloads import WANTED
from channels.telegram.polling import Incoming

_log = logging.getLogger(__name__)
_SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 — the header's name, not a secret
_BODY_BYTES = 2_000_000
_LOOK_SECONDS = 60.0


@dataclass(slots=True, kw_only=True)
class Webhook:
    """The address where this bot's updates are brought."""

    client: Client
    settings: Settings
    incoming: Incoming

    async def run(self, intake: Intake) -> None:
        """Listen until cancelled. Raises Unavailable when it cannot listen, or Telegram does not take the address."""

        async def take(request: web.Request) -> web.Response:
            return web.Response(status=await self._take(request, intake))

        application = web.Application(client_max_size=_BODY_BYTES)
        application.router.add_post(urlsplit(self.settings.webhook_url).path or "/", take)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=2.0)
        await runner.setup()
        host, port = self.settings.listen_at
        try:
            await self._listen(runner, host, port)
            await self._register()
            while True:
                await asyncio.sleep(_LOOK_SECONDS)
                await self._look()
        finally:
            await runner.cleanup()

    async def _listen(self, runner: web.AppRunner, host: str, port: int) -> None:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise Unavailable(f"the webhook cannot listen on {host}:{port}: {error.strerror or error}") from error

    async def _register(self) -> None:
        await self.client.call(
            "setWebhook",
            repeatable=True,
            doing=f"the webhook {self.settings.webhook_url}",
            url=self.settings.webhook_url,
            secret_token=self.settings.webhook_secret.get_secret_value(),
            allowed_updates=list(WANTED),
            max_connections=1,
            drop_pending_updates=False,
        )

    async def _take(self, request: web.Request, intake: Intake) -> HTTPStatus:
        secret = self.settings.webhook_secret.get_secret_value()
        if not hmac.compare_digest(request.headers.get(_SECRET_HEADER, "").encode(), secret.encode()):
            return HTTPStatus.FORBIDDEN
        try:
            update = json.loads(await request.read())
        except ValueError:
            return HTTPStatus.BAD_REQUEST
        batch = self.incoming.read([update])
        try:
            if batch.events:
                await intake.accept(batch.events)
        except NotAccepted as error:
            self.incoming.connected(f"messages wait at Telegram, because they cannot be stored here: {error}")
            return HTTPStatus.SERVICE_UNAVAILABLE
        self.incoming.connected("")
        self.incoming.answer(batch.callbacks)
        return HTTPStatus.OK

    async def _look(self) -> None:
        """Telegram knows best whether it reaches us."""
        try:
            info = await self.client.call("getWebhookInfo", repeatable=True)
        except ChannelError as error:
            _log.warning("Telegram does not tell about the webhook: %s", error)
            return
        if not isinstance(info, dict):
            return
        if info.get("url") != self.settings.webhook_url:
            await self._register()
        waiting, trouble = info.get("pending_update_count", 0), info.get("last_error_message", "")
        self.incoming.connected(f"Telegram cannot bring {waiting} updates: {trouble}" if waiting and trouble else "")
