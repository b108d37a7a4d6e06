"""Asking Slack something: one place where its errors become ours and a locked-out bot becomes visible."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from slack_sdk.errors import SlackApiError

from channels.base import ChannelError
from channels.slack.errors import locked_out, translate

CALL_SECONDS = 28.0

T = TypeVar("T")


class Calls:
    """Wraps calls of the SDK. `on_locked_out` hears a sentence when Slack no longer lets the bot in."""

    def __init__(self, on_locked_out: Callable[[str], None]) -> None:
        self._on_locked_out = on_locked_out

    async def ask(self, doing: str, call: Awaitable[T], *, says: bool = False) -> T:
        """The call's answer. `says`: people see its effect, so a lost answer is an unknown outcome."""
        async with self.guarded(doing, says=says):
            return await call

    @asynccontextmanager
    async def guarded(self, doing: str, *, says: bool = False, seconds: float = CALL_SECONDS) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds):
                yield
        except ChannelError:
            raise
        except Exception as error:  # noqa: BLE001 - `translate` raises again what it does not know
            if isinstance(error, SlackApiError) and locked_out(error):
                self._on_locked_out(str(translate(error, doing, says=says)))
            # What the SDK says of a failed call holds its arguments, and so the token: keep it out of the chain.
            raise translate(error, doing, says=says) from without_answer(error)


def without_answer(error: Exception) -> Exception | None:
    """The cause to keep: not an SlackApiError, whose text repeats what was sent and answered."""
    return None if isinstance(error, SlackApiError) else error


def dict_of(answer: Any, key: str) -> dict[str, Any]:
    """A field of an answer that should be an object."""
    value = answer.get(key)
    return value if isinstance(value, dict) else {}


def list_of(answer: Any, key: str) -> list[dict[str, Any]]:
    """A field of an answer that should be a list of objects."""
    value = answer.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
