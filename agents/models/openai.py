"""Every server that speaks chat completions, OpenAI first, on the official client library.

The library is an optional extra: without it a call is refused with a sentence that names the extra. As with
`anthropic`, it is imported in a thread when it is first needed, its own retries are off, it runs on its aiohttp
transport, and chunks are read as plain JSON. Broken off, silent and senseless answers are ModelUnavailable.
No error's text holds the key.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from agents.models.base import ContextTooLong, Event, ModelError, ModelRefused, ModelUnavailable, Request
from agents.models.failures import context_told, failure, limit_told, retry_after, shortened
from agents.models.openai_wire import Answer, body
from agents.models.settings import ModelSettings

if TYPE_CHECKING:  # the library itself is imported late
    import openai

LIMITS_TIMEOUT_SECONDS = 10.0
NO_KEY = "local"
"""Sent to servers that need no key, so that the library does not look for one in the environment and send that."""

_log = logging.getLogger(__name__)


class OpenAIModel:
    """Fulfils `Model`."""

    def __init__(self, settings: ModelSettings) -> None:
        self._settings = settings
        self._opening = asyncio.Lock()
        self._client: openai.AsyncOpenAI | None = None
        self._context_tokens: int | None = None
        self._closed = False

    @property
    def context_tokens(self) -> int | None:
        return self._context_tokens

    async def preload(self) -> None:
        """Import the library, open the client, and ask a server of one's own for the model's context; the provider
        itself does not tell it. A failure is left to the first call."""
        path = f"/models/{quote(self._settings.model, safe='')}"
        try:
            client = await self._opened()
            if self._settings.hosted:
                return
            async with asyncio.timeout(LIMITS_TIMEOUT_SECONDS), self._told():
                described: Any = await client.get(path, cast_to=object)
        except (ModelError, TimeoutError) as error:
            _log.info("the limits of model %s are not known: %s", self._settings.model, error)
            return
        if isinstance(described, dict):
            self._context_tokens = context_told(described)

    async def close(self) -> None:
        self._closed = True
        if self._client is not None:
            await self._client.close()

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        """See `Model.stream`."""
        client = await self._opened()
        from openai import AsyncStream

        answer = Answer(self._settings.model)
        async with self._told():
            chunks = await client.post(
                "/chat/completions",
                content=self._written(request),
                options={"headers": {"content-type": "application/json"}},
                cast_to=object,
                stream=True,
                stream_cls=AsyncStream[object],
            )
            try:
                async for chunk in chunks:
                    for shown in answer.take(chunk):
                        yield shown
            finally:
                await chunks.close()
        finished = answer.finished(request)
        if finished is None:
            raise ModelUnavailable(f"{self._settings.model}: the answer broke off in the middle")
        yield finished

    def _written(self, request: Request) -> bytes:
        thinking_tokens = self._settings.thinking_tokens if request.thinking_tokens is None else request.thinking_tokens
        written = body(
            request,
            model=self._settings.model,
            max_tokens=request.max_tokens or self._settings.max_tokens,
            thinking_tokens=thinking_tokens or 0,
            hosted=self._settings.hosted,
        )
        return json.dumps(written, ensure_ascii=False).encode(errors="replace")

    @asynccontextmanager
    async def _told(self) -> AsyncIterator[None]:
        """Every failure of a call becomes a ModelError."""
        from httpx2 import HTTPError, TimeoutException
        from openai import APIConnectionError, APIError, APIStatusError, APITimeoutError, OpenAIError

        name, key = self._settings.model, self._settings.key
        try:
            yield
        except (APITimeoutError, TimeoutException, APIConnectionError, HTTPError) as error:
            cause = _root(error)
            if isinstance(cause, TimeoutError):
                seconds = self._settings.idle_timeout_seconds
                raise ModelUnavailable(f"{name}: no answer, or silence for more than {seconds:g} s") from error
            raise ModelUnavailable(f"{name}: the connection failed: {shortened(str(cause), key)}") from error
        except APIError as error:  # with a status, or in the middle of a stream
            status = error.status_code if isinstance(error, APIStatusError) else 200
            headers = error.response.headers if isinstance(error, APIStatusError) else {}
            told = failure(
                name,
                status=status,
                kind=error.code if error.code in KINDS_BY_CODE else error.type or "",
                words=f"{error.code or ''} {_words(error)}".strip(),
                key=key,
                retry_after=retry_after(headers, datetime.now(UTC)),
            )
            if isinstance(told, ContextTooLong):
                self._context_tokens = limit_told(_words(error)) or self._context_tokens
            # The library's own text may repeat the key.
            raise told from (None if key and key in str(error) else error)
        except OpenAIError as error:
            raise ModelRefused(f"{name}: {shortened(str(error), key)}") from error
        except ValueError as error:
            raise ModelUnavailable(f"{name}: the server answers nonsense: {shortened(str(error), key)}") from error

    async def _opened(self) -> openai.AsyncOpenAI:
        if self._closed:
            raise ModelUnavailable(f"{self._settings.model}: this model is closed")
        if self._client is None:
            if self._settings.key is None and self._settings.hosted and not os.environ.get("OPENAI_API_KEY"):
                raise ModelRefused(
                    f"{self._settings.model}: there is no key; set OPENAI_API_KEY or api_key in the configuration"
                )
            async with self._opening:
                if self._client is None:
                    self._client = await asyncio.to_thread(_open, self._settings)
        return self._client


KINDS_BY_CODE = frozenset({"insufficient_quota", "invalid_api_key", "model_not_found"})
"""Codes that say more than the type of the error: no quota is a 429 that no waiting ends."""


def _open(settings: ModelSettings) -> openai.AsyncOpenAI:
    """Runs in a thread: importing, and reading certificates, take long."""
    try:
        import httpx2
        import openai
    except ImportError as error:
        raise ModelRefused(
            f'{settings.model}: models of kind "openai" need the extra "openai": pip install "threadmill[openai]"'
        ) from error

    # Waiting for a connection of the pool is part of connecting; an answer may be silent, writing may not.
    connect = settings.connect_timeout_seconds
    timeout = httpx2.Timeout(settings.idle_timeout_seconds, connect=connect, pool=2 * connect)
    return openai.AsyncOpenAI(
        api_key=settings.key or (None if settings.hosted else NO_KEY),
        base_url=_with_version(settings.base_url),
        max_retries=0,
        timeout=timeout,
        http_client=openai.DefaultAioHttpClient(timeout=timeout),
    )


def _with_version(base_url: str | None) -> str | None:
    """The library appends `/chat/completions` only; addresses are often given without the `/v1`."""
    if base_url is None or urlsplit(base_url).path.strip("/"):
        return base_url
    return base_url.rstrip("/") + "/v1"


def _root(error: BaseException) -> BaseException:
    """What it began with: the library's transport calls a refused connection a timeout."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _words(error: openai.APIError) -> str:
    if isinstance(error.body, dict) and isinstance(error.body.get("message"), str):
        return str(error.body["message"])
    return error.body if isinstance(error.body, str) else error.message
