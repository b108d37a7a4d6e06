"""The Bot API through python-telegram-bot's Bot, answered with plain data.

The library's objects are not built: one odd field in one update would make it refuse the whole batch for ever, and
one in the answer to a message would hide that the message was sent. Its requests and encoding are used
as they are. `call` is the one way out, so that the pace is kept, errors are told in the
core's words, and the token stays out of every text and log.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from types import TracebackType
from typing import Any, Self
from urllib.request import getproxies

import httpx
from telegram import Bot
from telegram.error import TelegramError
from telegram.request import HTTPXRequest, RequestData

from channels.base import Rejected, TemporaryFailure
from channels.telegram import Settings
from channels.telegram.errors import Refusal, Unreadable, read_answer, timed_out, translate
from channels.telegram.pace import Lane, Pace
from channels.telegram.transport import AiohttpTransport

CALL_SECONDS = 25.0
"""Longest that a call may take, waiting for its turn not counted."""

_PATIENCE_SECONDS = 2.0
_CONNECTIONS = 256
_AT_ONCE = 48
_SLOT_SECONDS = 10.0
_POLL_GRACE_SECONDS = 10.0
_LOGS_WITH_ADDRESSES = ("httpx", "telegram.Bot", "telegram.ext.ExtBot")


class Requests(HTTPXRequest):
    """The library's connections, with answers that are no success kept whole."""

    async def do_request(
        self, url: str, method: str, request_data: RequestData | None = None, *timeouts: Any, **named_timeouts: Any
    ) -> tuple[int, bytes]:
        status, body = await super().do_request(url, method, request_data, *timeouts, **named_timeouts)
        if not 200 <= status <= 299:
            raise Refusal(read_answer(status, body))
        return status, body

    @staticmethod
    def parse_json_payload(payload: bytes) -> dict[str, Any]:
        try:
            data = json.loads(payload)
        except ValueError as error:
            raise Unreadable("the answer is not JSON") from error
        if isinstance(data, dict) and data.get("ok") is False:
            raise Refusal(read_answer(200, payload))
        if not isinstance(data, dict) or "result" not in data:
            raise Unreadable("the answer has no result")
        return data

    async def download(self, url: str) -> AsyncIterator[bytes]:
        """The content at an address, piece by piece. Redirects are not followed."""
        try:
            async with self._client.stream("GET", url) as response:
                if not response.is_success:
                    raise Refusal(read_answer(response.status_code, await response.aread()))
                async for piece in response.aiter_bytes():
                    yield piece
        except httpx.HTTPError as error:
            raise TelegramError("the download broke off") from error

    async def date(self, url: str) -> str:
        """The server's clock, in the form of HTTP."""
        try:
            return str((await self._client.head(url)).headers.get("date", ""))
        except httpx.HTTPError as error:
            raise TelegramError("no answer") from error


class PlainBot(Bot):
    """The library's Bot without its objects: what the server answered, as it is."""

    def __repr__(self) -> str:
        """The library's shows the token."""
        return "PlainBot"

    async def ask(self, method: str, data: dict[str, Any], read_seconds: float) -> Any:
        return await self._post(method, data, read_timeout=read_seconds)


class Client:
    """One bot at one server. Open with `async with`; that makes no network call."""

    def __init__(self, settings: Settings) -> None:
        self._token = settings.token.get_secret_value()
        self._base_url = settings.base_url
        base = settings.file_url
        self._file_url = base.format(token=self._token) if "{token}" in base else f"{base}{self._token}"
        self.pace = Pace(settings.ceiling)
        secure = any(url.startswith("https:") for url in (settings.base_url, settings.file_url))
        # One context for all connections: each takes 20 ms and half a megabyte to make.
        verify = httpx.create_ssl_context() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # Those who wait do so here, where a control reply can pass them.
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._requests = Requests(connect_timeout=5.0, pool_timeout=2.0, httpx_kwargs=_way(verify, _CONNECTIONS))
        self._poll_requests = Requests(connect_timeout=5.0, httpx_kwargs=_way(verify, 2))
        self._redaction = _Redaction(self._token)
        for name in _LOGS_WITH_ADDRESSES:
            logging.getLogger(name).addFilter(self._redaction)
        self._bot = PlainBot(
            self._token,
            base_url=settings.base_url,
            base_file_url=settings.file_url,
            request=self._requests,
            get_updates_request=self._poll_requests,
        )

    async def __aenter__(self) -> Self:
        for requests in (self._requests, self._poll_requests):
            await requests.initialize()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for requests in (self._requests, self._poll_requests):
            await requests.shutdown()
        for name in _LOGS_WITH_ADDRESSES:
            logging.getLogger(name).removeFilter(self._redaction)

    async def call(
        self, method: str, *, repeatable: bool = False, lane: Lane = Lane.MESSAGE, doing: str = "", **data: Any
    ) -> Any:
        """Ask the server. Raises the core's errors; what `repeatable` says, see errors.translate."""
        doing = doing or method
        try:
            return await self.attempt(method, lane=lane, **data)
        except TimeoutError as error:
            raise timed_out(doing, repeatable=repeatable) from error
        except TelegramError as error:
            raise translate(error, doing, repeatable=repeatable) from error

    async def attempt(self, method: str, *, lane: Lane = Lane.MESSAGE, **data: Any) -> Any:
        """Like `call`, with the server's own errors. A control reply waits for no other; a preview gives way."""
        if lane is Lane.CONTROL:
            return await self._ask(method, lane, data)
        if lane is Lane.LIVE and self._slots.locked():
            raise TemporaryFailure("other requests to Telegram come first")
        try:
            async with asyncio.timeout(_SLOT_SECONDS):
                await self._slots.acquire()
        except TimeoutError as error:
            raise TemporaryFailure(f"too many requests to Telegram at once: {method} did not begin") from error
        try:
            return await self._ask(method, lane, data)
        finally:
            self._slots.release()

    async def _ask(self, method: str, lane: Lane, data: dict[str, Any]) -> Any:
        async with asyncio.timeout(CALL_SECONDS):
            try:
                return await self._bot.ask(method, data, CALL_SECONDS)
            except Refusal as refusal:
                chat, wait = data.get("chat_id"), refusal.answer.retry_after
                if chat is not None and refusal.answer.status == 429:
                    self.pace.refused(str(chat), time.monotonic(), wait.total_seconds() if wait else 1.0, lane)
                raise

    async def updates(self, offset: int | None, wanted: tuple[str, ...], hold_seconds: int) -> list[Any]:
        """The next batch, not before there is one or the time is over. Raises the server's own errors."""
        data = {"offset": offset, "timeout": hold_seconds, "allowed_updates": list(wanted), "limit": 100}
        async with asyncio.timeout(hold_seconds + _POLL_GRACE_SECONDS):
            batch = await self._bot.ask("getUpdates", data, hold_seconds + _POLL_GRACE_SECONDS)
        if not isinstance(batch, list):
            raise Unreadable("the updates are no list")
        return batch

    async def date(self) -> str:
        """The server's clock, in the form of HTTP."""
        try:
            return await self._requests.date(f"{self._base_url}{self._token}/getMe")
        except TelegramError as error:
            raise translate(error, "asking for the time", repeatable=True) from error

    async def turn(self, chat: str, lane: Lane) -> None:
        """Wait until the limits let a message into this chat. Raises TemporaryFailure when that is not soon."""
        wait = self.pace.in_chat(chat, time.monotonic(), lane, _PATIENCE_SECONDS)
        await _pass(wait, "Telegram's limit for this chat is used up")
        wait = self.pace.over_all(time.monotonic(), lane, _PATIENCE_SECONDS)
        await _pass(wait, "Telegram's limit for all messages of a bot is used up")

    def may_go_now(self, chat: str) -> float:
        """Whether a preview may go: 0 when it may (and is counted), else seconds until it is worth asking again."""
        now = time.monotonic()
        return self.pace.in_chat(chat, now, Lane.LIVE, 0.0) or self.pace.over_all(now, Lane.LIVE, 0.0)

    async def download(self, file_path: str) -> AsyncIterator[bytes]:
        """A file's content. `file_path` comes from the server: it must stay below our file address."""
        if file_path.startswith("/") or "://" in file_path or ".." in file_path.split("/"):
            raise Rejected("the server names a file outside its own file address: a local mode is not supported")
        url = httpx.URL(f"{self._file_url}/").join(f"./{file_path.replace('%', '%25').replace('?', '%3F')}")
        try:
            async for piece in self._requests.download(str(url)):
                yield piece
        except TelegramError as error:
            raise translate(error, "the download of a file", repeatable=True) from error


def _way(verify: ssl.SSLContext, connections: int) -> dict[str, Any]:
    """How the library's client connects. Through a proxy that the environment names, as the library does it itself."""
    if getproxies().keys() & {"http", "https", "all"}:
        limits = httpx.Limits(max_connections=connections, keepalive_expiry=20.0)
        return {"verify": verify, "limits": limits}
    return {"transport": AiohttpTransport(verify, connections)}


async def _pass(wait: float, why_not: str) -> None:
    if wait > _PATIENCE_SECONDS:
        raise TemporaryFailure(why_not, retry_after=timedelta(seconds=wait))
    if wait > 0:
        await asyncio.sleep(wait)


class _Redaction(logging.Filter):
    """The libraries log addresses, and Telegram's addresses hold the token."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self._token = token

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if self._token in text:
            record.msg, record.args = text.replace(self._token, "[token]"), None
        return True
