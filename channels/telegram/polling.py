"""Asking for updates: commit, and only then acknowledge.

Telegram counts an update as delivered when it is asked for the one after it. So a batch is handed to the intake
together with the next offset, and only when both are committed is the next question asked. A batch that cannot be
committed is asked for again. Nothing that waits at Telegram is ever dropped.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from telegram.error import TelegramError

from channels.base import Inbound, Intake, NotAccepted, Rejected, Unavailable
from channels.telegram.albums import gathered, unfinished
from channels.telegram.chains import Chains
from channels.telegram.client import Client
from channels.telegram.errors import NOT_LET_IN, Refusal, timed_out, translate
from channels.telegram.payloads import WANTED, Update

_log = logging.getLogger(__name__)
_OFFSET, _BOT = "offset", "bot"
_FAILURES_BORNE = 4
_FIRST_PAUSE_SECONDS = 0.2
_EMPTY_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 30.0
_ALBUM_SECONDS = 0.25  # in which the next file of an album comes, if there is one
_ALBUM_LOOKS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Updates that came together, read."""

    events: tuple[Inbound, ...]
    callbacks: tuple[str, ...]  # callback queries that wait for an answer
    forums: frozenset[str]  # rooms that turned out to have topics
    next_offset: int | None
    unfinished: int = 0  # files of albums that may go on


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """What the adapter does with what comes in, whichever way it comes."""

    read: Callable[[list[Any]], Batch]
    answer: Callable[[tuple[str, ...]], None]  # callback queries, once their events are committed
    connected: Callable[[str], None]  # told with what a person should know, if anything


@dataclass(slots=True, kw_only=True)
class Poller:
    """The one loop that asks for this bot's updates."""

    client: Client
    incoming: Incoming
    hold_seconds: int
    bot_id: int

    async def run(self, intake: Intake) -> None:
        """Ask until cancelled. Raises Unavailable when the server stays away, or gives the updates to others."""
        offset = await self._stored(intake)
        failures = refusals = 0
        while True:
            asked_at = time.monotonic()
            try:
                raw = await self.client.updates(offset, WANTED, self.hold_seconds)
                batch = await self._whole(self.incoming.read(raw), offset)
            except (TelegramError, TimeoutError) as error:
                failures += 1
                await self._bear(error, failures)
                continue
            failures = 0
            if not raw and time.monotonic() - asked_at < _EMPTY_SECONDS:
                await asyncio.sleep(
                    _EMPTY_SECONDS
                )  # a server that does not hold the question open is not to be flooded
            try:
                await self._commit(batch, intake)
            except NotAccepted as error:
                refusals += 1
                self.incoming.connected(f"messages wait at Telegram, because they cannot be stored here: {error}")
                await asyncio.sleep(_pause(refusals))
                continue
            refusals = 0
            self.incoming.connected("")
            offset = batch.next_offset or offset
            self.incoming.answer(batch.callbacks)

    async def _whole(self, batch: Batch, offset: int | None) -> Batch:
        """The batch with all files of its albums: what is not acknowledged comes again, with what came since."""
        for _ in range(_ALBUM_LOOKS):
            if not batch.unfinished:
                break
            await asyncio.sleep(_ALBUM_SECONDS)
            before, batch = batch, self.incoming.read(await self.client.updates(offset, WANTED, 0))
            if batch.unfinished == before.unfinished:
                break
        return batch

    async def _commit(self, batch: Batch, intake: Intake) -> None:
        if batch.events:
            await intake.accept(batch.events, cursors={_OFFSET: str(batch.next_offset), _BOT: str(self.bot_id)})

    async def _stored(self, intake: Intake) -> int | None:
        """Another bot's offset would swallow this one's updates: it counts only with the bot's id."""
        offset, bot = await intake.cursor(_OFFSET), await intake.cursor(_BOT)
        return int(offset) if offset and offset.isdigit() and bot in (None, str(self.bot_id)) else None

    async def _bear(self, error: TelegramError | TimeoutError, failures: int) -> None:
        """Wait before the next attempt, or give up."""
        doing, asked = "the request for updates", 0.0
        if isinstance(error, Refusal):
            if error.answer.status == 401:
                raise Rejected(NOT_LET_IN) from error
            if error.answer.status == 409 and error.says("webhook"):
                # The configuration says polling. What waits is kept.
                await self.client.call("deleteWebhook", repeatable=True, drop_pending_updates=False)
                return
            asked = error.answer.retry_after.total_seconds() if error.answer.retry_after else 0.0
        failure = timed_out(doing) if isinstance(error, TimeoutError) else translate(error, doing)
        if isinstance(failure, Unavailable) or failures > _FAILURES_BORNE:
            raise Unavailable(str(failure)) from error
        await asyncio.sleep(min(max(asked, _pause(failures)), _LONGEST_PAUSE_SECONDS))


def _pause(failures: int) -> float:
    return float(min(_FIRST_PAUSE_SECONDS * 2 ** min(failures - 1, 10), _LONGEST_PAUSE_SECONDS))


def read_updates(raw: list[Any], normalize: Callable[[Update], Inbound | None], chains: Chains | None = None) -> Batch:
    """Every update that can be read, in order. One that cannot is logged and passed by: it would block all others."""
    updates: list[Update] = []
    highest: int | None = None
    for item in raw:
        number = item.get("update_id") if isinstance(item, dict) else None
        if isinstance(number, int):
            highest = max(highest or 0, number)
        try:
            updates.append(Update.model_validate(item))
        except ValidationError as error:
            _log.warning("update %s cannot be read: %s", number, error.errors(include_input=False, include_url=False))
    updates.sort(key=lambda update: update.update_id)
    if chains is not None:
        chains.note(updates)
    return Batch(
        events=tuple(gathered([(update, normalize(update)) for update in updates])),
        callbacks=tuple(update.callback_query.id for update in updates if update.callback_query),
        forums=frozenset(
            str(message.chat.id)
            for update in updates
            if (message := update.message or update.edited_message) and message.chat.is_forum
        ),
        next_offset=None if highest is None else highest + 1,
        unfinished=unfinished(updates),
    )
