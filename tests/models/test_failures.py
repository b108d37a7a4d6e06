"""What a provider's failure means, what is told of it, and how long to wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.models.base import ContextTooLong, ModelError, ModelRefused, ModelUnavailable
from agents.models.failures import TOLD_CHARACTERS, context_told, failure, limit_told, retry_after, shortened

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "kind", "meaning"),
    [
        (400, "invalid_request_error", ModelRefused),
        (401, "authentication_error", ModelRefused),
        (402, "billing_error", ModelRefused),
        (403, "permission_error", ModelRefused),
        (404, "not_found_error", ModelRefused),
        (418, "", ModelRefused),
        (422, "", ModelRefused),
        (408, "timeout_error", ModelUnavailable),
        (409, "conflict_error", ModelUnavailable),
        (429, "rate_limit_error", ModelUnavailable),
        (429, "insufficient_quota", ModelRefused),
        (500, "api_error", ModelUnavailable),
        (529, "overloaded_error", ModelUnavailable),
        (302, "", ModelUnavailable),
        (200, "overloaded_error", ModelUnavailable),  # in the middle of a stream
        (200, "invented_tomorrow", ModelUnavailable),
        (200, "invalid_request_error", ModelRefused),
        (413, "request_too_large", ContextTooLong),
    ],
)
def test_status_and_kind_say_what_to_do(status: int, kind: str, meaning: type[ModelError]) -> None:
    assert type(failure("m", status=status, kind=kind)) is meaning


@pytest.mark.parametrize(
    ("words", "limit"),
    [
        ("prompt is too long: 200001 tokens > 200000 maximum", 200_000),
        ("This model's maximum context length is 128000 tokens. However", 128_000),
        ("the request exceeds the available context size. try increasing it", None),
        ("request (9000 tokens) exceeds the available context size (8192 tokens)", 8_192),
        ("context_length_exceeded", None),
        ("Input is too long for requested model.", None),
    ],
)
def test_too_long_is_known_in_many_words(words: str, limit: int | None) -> None:
    assert isinstance(failure("m", status=400, words=words), ContextTooLong)
    assert limit_told(words) == limit


def test_a_failure_is_told_with_the_model_the_reason_and_the_wait() -> None:
    told = failure("claude-x", status=429, words="slow down", retry_after=timedelta(hours=1))
    assert str(told) == "claude-x: too many requests: slow down (it asks to wait 60 min)"
    assert "page of HTML" in str(failure("m", status=502, words="<html>bad gateway</html>"))


KEYS = st.text(alphabet="abcdefgh0123456789-_", min_size=8, max_size=20)


@given(st.text(max_size=2_000), KEYS)
def test_what_is_told_is_short_one_line_and_without_the_key(words: str, key: str) -> None:
    told = shortened(f"{words} {key} {words}", key)
    assert len(told) <= TOLD_CHARACTERS
    assert "\n" not in told
    assert key not in told


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"retry-after": "7"}, timedelta(seconds=7)),
        ({"retry-after": "0.5"}, timedelta(seconds=0.5)),
        ({"retry-after": "Sat, 21 Nov 2026 12:01:00 GMT"}, timedelta(minutes=1)),
        ({"retry-after": "Sat, 21 Nov 2026 11:00:00 GMT"}, timedelta(0)),
        ({"retry-after-ms": "250", "retry-after": "9"}, timedelta(milliseconds=250)),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "9" * 30}, None),
        ({"retry-after-ms": "inf"}, None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(headers: dict[str, str], wait: timedelta | None) -> None:
    assert retry_after(headers, NOW) == wait


@given(st.text(max_size=60))
def test_any_retry_after_is_a_wait_or_none(told: str) -> None:
    wait = retry_after({"retry-after": told}, NOW)
    assert wait is None or wait >= timedelta(0)


def test_a_context_size_is_found_under_its_several_names() -> None:
    assert context_told({"max_input_tokens": 200_000, "context_length": 5}) == 200_000
    assert context_told({"max_model_len": 8_192}) == 8_192
    assert context_told({"max_input_tokens": None, "context_length": "many"}) is None
