"""Questions to Discord that must get an answer before what waits behind them may go on.

A few are asked at once, so that hundreds of them do not eat up the limits that answers to people need. A question is
asked again while Discord falters, and waits as long as a rate limit says; both have an end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import aiohttp
import discord

from channels.base import Unavailable
from channels.discord.payloads import Message

_log = logging.getLogger(__name__)
PAGE = 100
_AT_ONCE = 8
_RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
_LONGEST_RATE_LIMIT_SECONDS = 600.0

Answer = TypeVar("Answer")


class Asking:
    """Asks for one run."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def ask(self, question: Callable[[], Awaitable[Answer]]) -> Answer:
        """Ask until there is an answer. Raises discord.HTTPException when it is no, Unavailable when there is none."""
        failures = 0
        deadline = asyncio.get_running_loop().time() + _LONGEST_RATE_LIMIT_SECONDS
        async with self._slots:
            while failures < len(_RETRY_SECONDS) and asyncio.get_running_loop().time() < deadline:
                try:
                    return await question()
                except discord.RateLimited as error:
                    await asyncio.sleep(error.retry_after)
                    continue
                except discord.DiscordServerError as error:
                    _log.info("Discord answers %s; asking again", error.status)
                except (aiohttp.ClientError, TimeoutError, OSError) as error:
                    _log.info("Discord does not answer (%s); asking again", type(error).__name__)
                await asyncio.sleep(_RETRY_SECONDS[failures])
                failures += 1
        raise Unavailable("what was missed cannot be read: Discord does not answer")


def messages_in(answer: Any) -> list[Message]:
    """The messages of a page of history. A broken one is left out."""
    found: list[Message] = []
    for raw in answer if isinstance(answer, list) else []:
        try:
            found.append(Message.model_validate(raw))
        except ValueError:
            _log.warning("a message in a history cannot be read and is passed over")
    return found
