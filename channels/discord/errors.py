"""Discord's refusals in the four kinds of the contract.

What the caller should do follows from Discord's own error codes where there is one, else from the HTTP status, and for
a connection that failed from how far the request got: refused before it left is `Unavailable`, lost after
is `UnknownOutcome`. Texts are our own sentences and Discord's message; addresses and tokens never get in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import aiohttp
from discord import HTTPException, RateLimited

from channels.base import ChannelError, NoThreads, Rejected, TemporaryFailure, Unavailable, UnknownOutcome

UNKNOWN_CHANNEL = 10003
UNKNOWN_MESSAGE = 10008
UNKNOWN_WEBHOOK = 10015
UNKNOWN_INTERACTION = 10062
INVALID_WEBHOOK_TOKEN = 50027
THREAD_ARCHIVED = 50083
MAY_NOT_REPLY = 160002
THREAD_EXISTS = 160004
TAG_NEEDED = 40067

# slowmode, limits of writing, of edits and of opening direct messages, overload
_TRY_AGAIN = frozenset({20016, 20022, 20028, 20029, 30046, 40003, 40004, 40062, 130000})
_NO_THREADS = frozenset({50024, 50068})  # not for this type of channel, invalid message type
_NO_TAG = (
    "posts in this forum need a tag, and it has none that anybody may apply: add one, or let the bot manage threads"
)
_ADVICE = {
    10003: "the channel does not exist, or the bot cannot see it",
    10008: "the message does not exist any more",
    10013: "there is no such user",
    40066: _NO_TAG,
    40067: _NO_TAG,
    50001: "the bot may not see this channel: give its role the permission View Channel there",
    50007: "this person does not take direct messages from the bot",
    50013: "the bot lacks a permission in this channel: Send Messages, Send Messages in Threads, Attach Files, "
    "Add Reactions or Create Public Threads",
    50083: "the thread is archived: somebody has to open it again, and a moderator when it is locked",
    50278: "this person is in no server with the bot any more",
    160005: "the thread is locked: a moderator has to unlock it, or let the bot manage threads",
    200000: "the server's automatic moderation blocked the text",
    240000: "Discord's filter of harmful links blocked the text",
    160006: "the server has as many active threads as Discord allows: archive some",
}


def translated(error: Exception, what: str) -> ChannelError:
    """The error of the contract for one of discord.py's or of the connection's. `what` failed: "send a message"."""
    if isinstance(error, ChannelError):
        return error
    if isinstance(error, RateLimited):
        return TemporaryFailure(
            f"Discord asks to wait before we {what}", retry_after=timedelta(seconds=error.retry_after)
        )
    if isinstance(error, HTTPException):
        return _answered(error, what)
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return Unavailable(f"Could not {what}: Discord cannot be reached ({type(error).__name__})")
    if isinstance(error, aiohttp.ClientError | TimeoutError | asyncio.TimeoutError | OSError):
        return UnknownOutcome(f"Could not tell whether we could {what}: the connection failed ({type(error).__name__})")
    return Rejected(f"Could not {what}: {type(error).__name__}")


@contextmanager
def spoken(what: str) -> Iterator[None]:
    """Whatever goes wrong inside leaves as one of the contract's errors."""
    try:
        yield
    except (HTTPException, RateLimited, aiohttp.ClientError, TimeoutError, OSError) as error:
        raise translated(error, what) from error


def _answered(error: HTTPException, what: str) -> ChannelError:
    said = _sentence(error)
    if error.status == 401:
        return Unavailable(f"Could not {what}: Discord does not accept the bot's token any more. Set a new one")
    if error.status == 429 or error.code in _TRY_AGAIN:
        return TemporaryFailure(f"Could not {what}: {said}")
    if error.status >= 500 or error.status == 408:
        return TemporaryFailure(f"Could not {what}: Discord answered {error.status}")
    if error.status == 403 and error.code == 0 and not error.text.startswith("{"):
        return Rejected(f"Could not {what}: access is denied ({said})")
    if error.code in _NO_THREADS and "thread" in what:
        return NoThreads(f"Could not {what}: this room has no threads ({said})")
    return Rejected(f"Could not {what}: {said}")


def _sentence(error: HTTPException) -> str:
    advice = _ADVICE.get(error.code)
    said = " ".join(error.text.split())[:200] or "no reason given"
    return (
        f"{advice} (Discord: {said}, code {error.code})"
        if advice
        else f"{said} (HTTP {error.status}, code {error.code})"
    )
