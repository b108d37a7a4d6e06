"""Claude, and every server that speaks the Messages API, on the official client library.

The library takes two seconds to import, so it is imported in a thread by the first call or by `preload`. One
client per model stays open. Its own retries are off: it would obey a `Retry-After` of an hour, and `chain` does
this better. It runs on the library's aiohttp transport and reads events as plain JSON (see `anthropic_wire`):
together that takes less than a third of the processor time of `messages.stream()`.

A stream that ends without a stop reason, an error event under status 200, silence and nonsense are all
ModelUnavailable. No error's text holds the key.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from agents.models.anthropic_wire import Answer, body
from agents.models.base import ContextTooLong, Event, ModelError, ModelRefused, ModelUnavailable, Request
from agents.models.failures import context_told, failure, limit_told, retry_after, shortened
from agents.models.memory import give_back
from agents.models.settings import ModelSettings

if TYPE_CHECKING:  # the library itself is imported late
    import anthropic

LIMITS_TIMEOUT_SECONDS = 10.0
ASK_LIMITS_AGAIN_SECONDS = 300.0
NO_KEY = "local"
"""Sent to servers that need no key, so that the library does not look for one in the environment and send that."""

_log = logging.getLogger(__name__)


class AnthropicModel:
    """Fulfils `Model`."""

    def __init__(self, settings: ModelSettings) -> None:
        self._settings = settings
        self._opening = asyncio.Lock()
        self._client: anthropic.AsyncAnthropic | None = None
        self._context_tokens: int | None = None
        self._adaptive: bool | None = None  # whether the model thinks as long as it likes; None: not known
        self._ask_limits_at = 0.0  # on the monotonic clock; not before
        self._caching = True  # until the server says that it does not know it
        self._closed = False

    @property
    def context_tokens(self) -> int | None:
        return self._context_tokens

    async def preload(self) -> None:
        """Import the library, open the client, ask for the model's limits. A failure is left to the first call."""
        try:
            client = await self._opened()
        except ModelError as error:
            _log.info("model %s is not ready: %s", self._settings.model, error)
            return
        await self._ask_limits(client)

    async def close(self) -> None:
        self._closed = True
        if self._client is not None:
            await self._client.close()

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        """See `Model.stream`."""
        client = await self._opened()
        thinking_tokens = self._settings.thinking_tokens if request.thinking_tokens is None else request.thinking_tokens
        if thinking_tokens and self._adaptive is None and time.monotonic() >= self._ask_limits_at:
            await self._ask_limits(client)
        from anthropic import AsyncStream

        answer = Answer(self._settings.model)
        async with self._told():
            events = await client.post(
                "/v1/messages",
                content=self._written(request, thinking_tokens or 0),
                options={"headers": {"content-type": "application/json"}},
                cast_to=object,
                stream=True,
                stream_cls=AsyncStream[object],
            )
            try:
                async for event in events:
                    for shown in answer.take(event):
                        yield shown
            finally:
                await events.close()
        finished = answer.finished(request)
        if finished is None:
            raise ModelUnavailable(f"{self._settings.model}: the answer broke off in the middle")
        yield finished

    def _written(self, request: Request, thinking_tokens: int) -> bytes:
        schema = request.output_schema
        if schema is not None:
            from anthropic import transform_schema

            schema = transform_schema(schema)
        written = body(
            request,
            model=self._settings.model,
            max_tokens=request.max_tokens or self._settings.max_tokens,
            thinking_tokens=thinking_tokens,
            adaptive=bool(self._adaptive),
            caching=self._caching,
            output_schema=schema,
        )
        return json.dumps(written, ensure_ascii=False).encode(errors="replace")

    @asynccontextmanager
    async def _told(self) -> AsyncIterator[None]:
        """Every failure of a call becomes a ModelError."""
        from anthropic import AnthropicError, APIConnectionError, APIStatusError, APITimeoutError
        from httpx2 import HTTPError, TimeoutException

        name, key = self._settings.model, self._settings.key
        try:
            yield
        except APIStatusError as error:
            told = failure(
                name,
                status=error.status_code,
                kind=str(error.type or ""),
                words=_words(error),
                key=key,
                retry_after=retry_after(error.response.headers, datetime.now(UTC)),
            )
            self._learn(limit_told(_words(error)) if isinstance(told, ContextTooLong) else None)
            if isinstance(told, ModelRefused) and self._caching and "cache_control" in _words(error):
                self._caching = False
                told = ModelUnavailable(f"{name}: this server knows no prompt caching; it is asked without from now on")
            # The library's own text may repeat the key.
            raise told from (None if key and key in str(error) else error)
        except (APITimeoutError, TimeoutException) as error:
            seconds = self._settings.idle_timeout_seconds
            raise ModelUnavailable(f"{name}: no answer, or silence for more than {seconds:g} s") from error
        except (APIConnectionError, HTTPError) as error:
            cause = shortened(str(error.__cause__ or error), key)
            raise ModelUnavailable(f"{name}: the connection failed: {cause}") from error
        except AnthropicError as error:
            raise ModelRefused(f"{name}: {shortened(str(error), key)}") from error
        except ValueError as error:
            raise ModelUnavailable(f"{name}: the server answers nonsense: {shortened(str(error), key)}") from error

    async def _opened(self) -> anthropic.AsyncAnthropic:
        if self._closed:
            raise ModelUnavailable(f"{self._settings.model}: this model is closed")
        if self._client is None:
            if self._settings.key is None and self._settings.hosted and not _key_in_environment():
                raise ModelRefused(
                    f"{self._settings.model}: there is no key; set ANTHROPIC_API_KEY or api_key in the configuration"
                )
            async with self._opening:
                if self._client is None:
                    self._client = await asyncio.to_thread(_open, self._settings)
        return self._client

    async def _ask_limits(self, client: anthropic.AsyncAnthropic) -> None:
        """Ask what the model takes. Never raises: a server without such an address is not asked again, one that
        does not answer not before some minutes."""
        path = f"/v1/models/{quote(self._settings.model, safe='')}"
        self._ask_limits_at = time.monotonic() + ASK_LIMITS_AGAIN_SECONDS
        try:
            async with asyncio.timeout(LIMITS_TIMEOUT_SECONDS), self._told():
                described: Any = await client.get(path, cast_to=object)
        except ModelRefused:
            self._adaptive = False
        except (ModelError, TimeoutError) as error:
            _log.info("the limits of model %s are not known: %s", self._settings.model, error)
        else:
            if isinstance(described, dict):
                self._learn(context_told(described))
                self._adaptive = _supports_adaptive(described)

    def _learn(self, context_tokens: int | None) -> None:
        self._context_tokens = context_tokens or self._context_tokens


def _open(settings: ModelSettings) -> anthropic.AsyncAnthropic:
    """Runs in a thread: importing, and reading certificates, take long."""
    import anthropic
    import httpx2

    give_back()
    # Waiting for a connection of the pool is part of connecting; an answer may be silent, writing may not.
    connect = settings.connect_timeout_seconds
    timeout = httpx2.Timeout(settings.idle_timeout_seconds, connect=connect, pool=2 * connect)
    return anthropic.AsyncAnthropic(
        api_key=settings.key or (None if settings.hosted else NO_KEY),
        base_url=_without_version(settings.base_url),
        max_retries=0,
        timeout=timeout,
        http_client=anthropic.DefaultAioHttpClient(timeout=timeout),
    )


def _without_version(base_url: str | None) -> str | None:
    """The library appends `/v1/messages` itself; addresses are often given with the `/v1`."""
    return base_url.rstrip("/").removesuffix("/v1") if base_url is not None else None


def _key_in_environment() -> bool:
    """What the library looks for itself when it is given no key."""
    return any(os.environ.get(name) for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_PROFILE"))


def _words(error: anthropic.APIStatusError) -> str:
    return error.api_message or (error.body if isinstance(error.body, str) else "") or error.message


def _supports_adaptive(described: dict[str, Any]) -> bool:
    """Whether the model takes thinking without a budget; newer ones take nothing else."""
    found: Any = described
    for key in ("capabilities", "thinking", "types", "adaptive", "supported"):
        found = found.get(key) if isinstance(found, dict) else None
    return found is True
