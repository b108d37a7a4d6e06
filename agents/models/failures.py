"""What a provider's failure means for the caller: try later, give up, or compact. And what a provider tells
of its limits. Pure.

The status decides, and where a stream broke off with status 200, the kind that the error event names.
Words are told to people shortened, and without the key, which some servers repeat.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from agents.models.base import ContextTooLong, ModelError, ModelRefused, ModelUnavailable

TOLD_CHARACTERS = 300

_TOO_LONG = re.compile(
    r"prompt is too long|maximum context length|context_length_exceeded"
    r"|exceeds? (?:the )?(?:available |maximum )?context|context (?:window|size|length)[^.]{0,40}exceed"
    r"|input (?:is|length)[^.]{0,40}too long|too many (?:input )?tokens",
    re.IGNORECASE,
)
_LIMIT = re.compile(r"(?:>|maximum context length is|context size \()\s*(\d{4,8})", re.IGNORECASE)
_TRY_LATER = frozenset({408, 409, 425, 429})
_REFUSED_KINDS = frozenset(
    {
        *("invalid_request_error", "authentication_error", "permission_error", "not_found_error"),
        *("billing_error", "insufficient_quota", "invalid_api_key", "model_not_found"),
    }
)


def failure(
    model: str,
    *,
    status: int,
    kind: str = "",
    words: str = "",
    key: str | None = None,
    retry_after: timedelta | None = None,
) -> ModelError:
    """The error for an answer with this status. `kind` and `words` are the provider's own."""
    told = shortened(words, key)
    may_be_too_long = 400 <= status < 500 or status == 200
    if status == 413 or kind == "request_too_large" or (may_be_too_long and _TOO_LONG.search(words)):
        return ContextTooLong(f"{model}: the conversation is too long: {told}")
    reason = _REASONS.get(status) or (kind.replace("_", " ") if kind else f"status {status}")
    text = f"{model}: {reason}" + (f": {told}" if told else "")
    refused = 400 <= status < 500 and status not in _TRY_LATER
    if refused or kind in _REFUSED_KINDS:
        return ModelRefused(text)
    if retry_after is not None:
        text += f" (it asks to wait {_spoken(retry_after)})"
    return ModelUnavailable(text, retry_after=retry_after)


_REASONS = {
    400: "the request was refused",
    401: "the key was refused; check api_key",
    402: "the account has no credit",
    403: "the key may not use this model",
    404: "there is no such model or address; check model and base_url",
    408: "the server timed out",
    429: "too many requests",
    500: "the server has an error",
    502: "the server behind the gateway does not answer",
    503: "the server is not available",
    504: "the server behind the gateway timed out",
    529: "the provider is overloaded",
}


def limit_told(words: str) -> int | None:
    """The context size that a refusal names, if it does."""
    found = _LIMIT.search(words)
    return int(found[1]) if found else None


def context_told(described: Mapping[str, Any]) -> int | None:
    """The context size in a provider's description of a model, if it is there: Anthropic's name for it first,
    then what servers of one's own call it."""
    names = ("max_input_tokens", "max_model_len", "context_length", "max_context_length", "context_window")
    return next((size for name in names if isinstance(size := described.get(name), int) and size > 0), None)


def shortened(words: str, key: str | None) -> str:
    """On one line, without the key; a page of HTML says nothing to a person."""
    if words.lstrip()[:1] == "<":
        return "(a page of HTML)"
    if key:
        words = words.replace(key, "***")
    line = " ".join(words.split())
    return line if len(line) <= TOLD_CHARACTERS else line[: TOLD_CHARACTERS - 1] + "…"


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """`Retry-After` in its two forms, seconds or a date, and `retry-after-ms`. None when absent or nonsense."""
    try:
        if "retry-after-ms" in headers:
            return _sane(float(headers["retry-after-ms"]) / 1000.0)
        told = headers.get("retry-after", "")
        if not told:
            return None
        if re.fullmatch(r"\s*\d+(\.\d*)?\s*", told):
            return _sane(float(told))
        when = parsedate_to_datetime(told)
    except (ValueError, TypeError, OverflowError):
        return None
    aware = when if when.tzinfo is not None else when.replace(tzinfo=UTC)
    return max(aware - now, timedelta(0))


def _sane(seconds: float) -> timedelta | None:
    return timedelta(seconds=seconds) if 0 <= seconds < 1e9 else None


def _spoken(wait: timedelta) -> str:
    seconds = wait.total_seconds()
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.0f} h"
