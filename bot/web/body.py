"""Reads what is sent to us: within a size, within a time, parsed once; and writes JSON back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from bot.web.problems import Problem

LIMIT_BYTES = 1_048_576
_SECONDS = 10.0
_LONGEST_UPLOAD_SECONDS = 900.0

M = TypeVar("M", bound=BaseModel)


def answer(content: Any, status: int = 200) -> Response:
    return Response(
        json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"),
        status,
        media_type="application/json",
    )


async def chunks_of(request: Request, limit: int) -> AsyncGenerator[bytes]:
    """The body of a file, as it comes. Raises Problem when it is too large, or when it stalls."""
    _check_announced(request, limit)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _LONGEST_UPLOAD_SECONDS
    coming, size = request.stream(), 0
    try:
        while True:
            async with asyncio.timeout(min(_SECONDS, deadline - loop.time())):  # never across a yield
                chunk = await anext(coming, None)
            if chunk is None:
                return
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            yield chunk
    except TimeoutError:
        raise Problem(408, "The file came too slowly. Send it again.", headers={"connection": "close"}) from None
    except ClientDisconnect:
        raise Problem(400, "The connection was closed before the whole file had arrived.") from None


async def read(request: Request, limit: int = LIMIT_BYTES) -> bytes:
    """The body. Raises Problem when it is too large or comes too slowly."""
    _check_announced(request, limit)
    chunks, size = [], 0
    try:
        async with asyncio.timeout(_SECONDS):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise _too_large(limit)
                chunks.append(chunk)
    except TimeoutError:
        raise Problem(
            408, f"The body did not arrive within {_SECONDS:g} seconds. Send it again.", headers={"connection": "close"}
        ) from None
    except ClientDisconnect:
        raise Problem(400, "The connection was closed before the whole body had arrived.") from None
    return b"".join(chunks)


async def read_json(request: Request, model: type[M]) -> M:
    """The body as a model. Raises Problem with what is wrong and where."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise Problem(415, "Send the body as JSON, with the header `Content-Type: application/json`.")
    body = await read(request)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        errors = [
            {"pointer": "/" + "/".join(str(part) for part in problem["loc"]), "detail": problem["msg"]}
            for problem in error.errors(include_url=False, include_input=False, include_context=False)[:20]
        ]
        malformed = any(problem["type"] == "json_invalid" for problem in error.errors(include_context=False))
        detail = "; ".join(f"{item['pointer'].lstrip('/') or 'body'}: {item['detail']}" for item in errors)
        raise Problem(400 if malformed else 422, f"This is not a message. {detail}", errors=errors) from None


async def read_form(request: Request) -> dict[str, str]:
    """A form's fields, of the plain kind that our pages send."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Problem(415, "Send the form as application/x-www-form-urlencoded.")
    try:
        text = (await read(request)).decode("ascii")
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=20, errors="strict"))
    except ValueError:
        raise Problem(400, "The form could not be read: it is not UTF-8, or has too many fields.") from None


def number(request: Request, name: str, *, default: int | None = None, most: int = 2**62) -> int | None:
    """A whole number of the address. Raises Problem."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise Problem(400, f"{name} must be a whole number, not {text[:40]!r}.")
    return min(int(text), most)


def _check_announced(request: Request, limit: int) -> None:
    announced = request.headers.get("content-length", "0")
    if not (announced.isascii() and announced.isdigit()) or int(announced) > limit:
        raise _too_large(limit)


def _too_large(limit: int) -> Problem:
    # What is still on its way would be taken for the next request: close.
    return Problem(413, f"The body is larger than {limit} bytes. Send less at once.", headers={"connection": "close"})
