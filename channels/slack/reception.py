"""Receiving: through Socket Mode, one socket after the other, or through HTTP where Slack calls us.

Either way bolt's first middleware hands the payload to the intake, and bolt's answer is the acknowledgement. What
Slack could not deliver while nobody listened is read back from the places that matter (`backfill`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import aiohttp
from aiohttp import web
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from channels.base import ChannelError, ChannelState, CommandSpec, Inbound, Intake, NotAccepted, Rejected, Unavailable
from channels.slack import Settings
from channels.slack.arrivals import SEEN, Arrivals, Payload
from channels.slack.backfill import Backfill
from channels.slack.calls import Calls
from channels.slack.errors import LOCKED_OUT
from channels.slack.socket import End, Socket, refused
from channels.slack.web import sdk_logger

logger = logging.getLogger(__name__)

SHORT_LIFE_SECONDS = 5.0
DRAIN_SECONDS = 15.0
"""Slack says ten seconds before that it will close a socket."""

MOST_PROMPTS = 4

Read = Callable[[Sequence[Payload]], Awaitable[list[list[Inbound]]]]
Be = Callable[[ChannelState, str], None]


class Reception:
    """One `run` of a channel. `be` hears how it is."""

    def __init__(
        self,
        settings: Settings,
        client: AsyncWebClient,
        session: aiohttp.ClientSession,
        calls: Calls,
        *,
        me: str,
        read: Read,
        be: Be,
        locked_out: Callable[[str], None],
        commands: Sequence[CommandSpec],
    ) -> None:
        self._settings = settings
        self._client = client
        self._http = session
        self._calls = calls
        self._me = me
        self._read = read
        self._be = be
        self._locked_out = locked_out
        self._commands = commands

    async def serve(self, intake: Intake, group: asyncio.TaskGroup) -> None:
        """Until it cannot go on; says why by a ChannelError."""
        arrivals = Arrivals(intake, self._read, group, seen=await intake.cursor(SEEN) or "")
        app = self._bolt(arrivals, group)
        if self._settings.app_token is not None:
            await self._serve_sockets(app, intake, arrivals, group)
        else:
            await self._serve_http(app, intake, arrivals, group)

    def _bolt(self, arrivals: Arrivals, group: asyncio.TaskGroup) -> AsyncApp:
        async def commit(req: AsyncBoltRequest, next_: Callable[[], Awaitable[BoltResponse]]) -> BoltResponse:
            if req.body.get("type") == "url_verification" or req.body.get("ssl_check"):
                return await next_()
            try:
                await arrivals.commit(req.body)
            except NotAccepted as error:
                logger.warning("not acknowledged to Slack, which will send it again: %s", error)
                return BoltResponse(status=503, body="not committed")
            self._notice(req.body, group)
            return BoltResponse(status=200, body="")

        secret = self._settings.signing_secret
        # Before authorisation, because bolt answers 200 when that fails, and the event would be lost.
        return AsyncApp(
            client=self._client,
            signing_secret=secret.get_secret_value() if secret else "",
            logger=sdk_logger,
            name="threadmill",
            before_authorize=commit,
        )

    # Socket Mode --------------------------------------------------------------------------------------------

    async def _serve_sockets(self, app: AsyncApp, intake: Intake, arrivals: Arrivals, group: asyncio.TaskGroup) -> None:
        socket, opened = await self._open(app, group), time.monotonic()
        try:
            await self._catch_up(intake, arrivals, group)
            group.create_task(socket.read())
            while True:
                how = await socket.ending
                if (refusal := refused(how)) is not None:
                    raise refusal
                if how is End.REFRESH:
                    successor = await self._open(app, group)
                    group.create_task(socket.drain(DRAIN_SECONDS))
                else:
                    await socket.close()
                    self._be(ChannelState.CONNECTING, "the connection to Slack was lost, connecting again")
                    if time.monotonic() - opened < SHORT_LIFE_SECONDS:
                        raise Unavailable("Slack ends each connection as soon as it is open")
                    successor = await self._open(app, group)
                    await self._catch_up(intake, arrivals, group)
                socket, opened = successor, time.monotonic()
                group.create_task(socket.read())
        finally:
            await socket.close()

    async def _open(self, app: AsyncApp, group: asyncio.TaskGroup) -> Socket:
        token = self._settings.app_token
        assert token is not None
        opening = self._client.apps_connections_open(app_token=token.get_secret_value())
        answer = await self._calls.ask("open a socket", opening)
        address = answer.get("url")
        if not isinstance(address, str) or not address.startswith(("ws://", "wss://")):
            raise Unavailable("Slack gave no address for a socket")
        socket = await Socket(app, self._http, group, address).__aenter__()
        self._be(ChannelState.CONNECTED, "")
        return socket

    # HTTP ---------------------------------------------------------------------------------------------------

    async def _serve_http(self, app: AsyncApp, intake: Intake, arrivals: Arrivals, group: asyncio.TaskGroup) -> None:
        """Slack calls us; each request's signature is checked by bolt before anything else looks at it."""
        host, port, path = self._settings.listen_host, self._settings.listen_port, self._settings.listen_path
        runner = web.AppRunner(app.web_app(path=path, port=port), access_log=None, shutdown_timeout=3.0)
        try:
            await runner.setup()
            try:
                await web.TCPSite(runner, host, port).start()
            except OSError as error:
                raise Rejected(f"nothing can listen on {host}:{port} for Slack: {error.strerror}") from error
            self._be(ChannelState.CONNECTED, "")
            await self._catch_up(intake, arrivals, group)
            await asyncio.get_running_loop().create_future()
        finally:
            await runner.cleanup()

    # ---------------------------------------------------------------------------------------------------------

    async def _catch_up(self, intake: Intake, arrivals: Arrivals, group: asyncio.TaskGroup) -> None:
        seen = await intake.cursor(SEEN)
        if not seen:
            await arrivals.begin()
            return
        look_back = timedelta(minutes=self._settings.look_back_minutes)
        backfill = Backfill(self._client, self._calls, arrivals, self._read, me=self._me, look_back=look_back)
        backfill.hold(
            await intake.bound_threads(), watched=await intake.watched_rooms(), prompts=await intake.open_prompts()
        )
        group.create_task(backfill.fill(seen))

    def _notice(self, payload: Payload, group: asyncio.TaskGroup) -> None:
        """What Slack tells the app itself, beside what people do."""
        event = payload.get("event")
        kind = event.get("type") if isinstance(event, dict) else None
        if kind in {"app_uninstalled", "tokens_revoked"}:
            self._locked_out(LOCKED_OUT["token_revoked" if kind == "tokens_revoked" else kind])
        elif kind == "assistant_thread_started" and isinstance(event, dict):
            group.create_task(self._suggest(event.get("assistant_thread")))

    async def _suggest(self, thread: Any) -> None:
        """Offer the first commands in a conversation that somebody has just opened."""
        if not isinstance(thread, dict) or not isinstance(thread.get("channel_id"), str):
            return
        usable = [command for command in self._commands if not any(option.required for option in command.options)]
        prompts = [{"title": command.description, "message": f"!{command.name}"} for command in usable[:MOST_PROMPTS]]
        if not prompts:
            return
        try:
            async with self._calls.guarded("suggest prompts"):
                await self._client.assistant_threads_setSuggestedPrompts(
                    channel_id=thread["channel_id"], thread_ts=str(thread.get("thread_ts", "")), prompts=prompts
                )
        except ChannelError as error:
            logger.info("no prompts were suggested: %s", error)
