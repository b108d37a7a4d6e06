"""Opening threads: topics in forums and private chats, reply chains in supergroups without topics."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Any

from telegram.error import TelegramError

from channels.base import ChannelError, NoThreads, OpenThread, Outbound, TemporaryFailure, ThreadRef, UnknownOutcome
from channels.telegram import parts
from channels.telegram.chains import Chains, numbers_chains
from channels.telegram.characters import whole_characters
from channels.telegram.client import Client
from channels.telegram.errors import Refusal, timed_out, translate
from channels.telegram.pace import Lane
from channels.telegram.sending import Sender

_log = logging.getLogger(__name__)
_TITLE_CHARACTERS = 128
_FIRST_POST_TRIES = 3
_DOING = "the opening of a topic"
_NO_TOPICS = (
    "not a forum",
    "FORUM_CREATE_FORBIDDEN",
    "CHANNEL_FORUM_MISSING",
    "only for supergroups",
    "for supergroup",
)


async def opened(client: Client, sender: Sender, chains: Chains, request: OpenThread) -> ThreadRef:
    """See Channel.open_thread."""
    room = request.room.in_room
    if chains.has_no_topics(room):
        return await _chain(sender, chains, room, request)
    try:
        where = await _topic(client, room, request.title)
    except NoThreads:
        if not numbers_chains(room):
            raise
        return await _chain(sender, chains, room, request)
    await _first_post(sender, where, replace(request, first_text=request.first_text or request.apart_text))
    return where


async def _topic(client: Client, room: ThreadRef, title: str) -> ThreadRef:
    name = _one_line(title)[:_TITLE_CHARACTERS].rstrip() or "Thread"
    await client.turn(room.room, Lane.MESSAGE)
    try:
        topic: Any = await client.attempt("createForumTopic", **parts.addressed(room), name=name)
    except Refusal as refusal:
        if refusal.answer.status == 404 or any(refusal.says(sign) for sign in _NO_TOPICS):
            raise NoThreads(f"this room has no topics: {refusal.answer.description}") from refusal
        raise translate(refusal, _DOING, repeatable=False) from refusal
    except TelegramError as error:
        raise translate(error, _DOING, repeatable=False) from error
    except TimeoutError as error:
        raise timed_out(_DOING, repeatable=False) from error
    number = topic.get("message_thread_id") if isinstance(topic, dict) else None
    if number is None:
        raise UnknownOutcome("Telegram opened a topic and did not say which")
    return ThreadRef(channel=room.channel, room=room.room, thread=str(number))


async def _chain(sender: Sender, chains: Chains, room: ThreadRef, request: OpenThread) -> ThreadRef:
    """Under the message that asked for it; where none did, under one of our own."""
    if request.anchor is not None:
        where = chains.under(room, request.anchor)
        await _first_post(sender, where, request)
        return where
    first, *rest = parts.split(Outbound(key=request.key, to=room, text=request.first_text or _one_line(request.title)))
    receipt = await sender.send(first)
    if not receipt.message_ids:
        raise UnknownOutcome("Telegram began a thread and did not say with which message")
    where = chains.under(room, receipt.message_ids[0])
    for part in rest:
        await _posted(sender, part, where)
    return where


async def _first_post(sender: Sender, where: ThreadRef, request: OpenThread) -> None:
    if request.first_text.strip():
        for part in parts.split(Outbound(key=request.key, to=where, text=request.first_text)):
            if not await _posted(sender, part, where):
                return


async def _posted(sender: Sender, part: Outbound, where: ThreadRef) -> bool:
    """The thread is there already, so a failure here must not lead to a second one."""
    for attempt in range(1, _FIRST_POST_TRIES + 1):
        try:
            await sender.send(replace(part, to=where))
            return True
        except TemporaryFailure as error:
            if attempt == _FIRST_POST_TRIES:
                _log.warning("the first post in %s is missing: %s", where.key, error)
                return False
            wait = error.retry_after.total_seconds() if error.retry_after else 0.5
            await asyncio.sleep(min(wait, 5.0))
        except ChannelError as error:
            _log.warning("the first post in %s is missing: %s", where.key, error)
            return False
    return False


def _one_line(text: str) -> str:
    return whole_characters(" ".join(text.split()))
