"""Tells operators what only a person can mend: a message that could not be delivered or may be doubled, an old id in
the configuration, a tool server whose tools have changed.

Each operator is told at the first place of his reach that is there, at most once a quarter of an hour for one place, so
that an outage is one message and not a flood. What is not told stands in the dead letters all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from bot.access import Role
from channels.base import Account, ChannelName, ThreadRef
from channels.delivery import Delivery, DeliveryState
from storage.database import StorageError

log = structlog.get_logger("operators")

_KEY = "operator:"
_QUIET = timedelta(minutes=15)
_WAITING = 100  # reports that wait to be told; beyond that the dead letters have to do
_PLACES = 1_000
_PAUSES_SECONDS = (0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0)  # between two looks for a place where to tell somebody


class Reaches(Protocol):
    """`bot.people.directory` fulfils it."""

    def reach_of_role(self, least: Role) -> Sequence[Sequence[tuple[ChannelName, Account]]]: ...


class Tells(Protocol):
    """`bot.speaker` fulfils it."""

    async def tell(self, account: Account, place: ThreadRef | None, text: str, key: str) -> bool: ...


class Operators:
    """Whom to tell, and what was told lately."""

    def __init__(self, people: Reaches, speaker: Tells) -> None:
        self._people = people
        self._speaker = speaker
        self._waiting: asyncio.Queue[tuple[str, str]] = asyncio.Queue(_WAITING)
        self._told: dict[str, datetime] = {}

    def undelivered(self, delivery: Delivery, state: DeliveryState, why: str, now: datetime) -> None:
        """Report a delivery that came to a bad end. Never blocks."""
        place = (delivery.message.to if delivery.opening is None else delivery.opening.room).key
        bad = state in (DeliveryState.DEAD, DeliveryState.UNKNOWN) or delivery.opening is not None
        if not bad or delivery.message.key.startswith(_KEY) or now - self._told.get(place, now - _QUIET) < _QUIET:
            return
        if len(self._told) >= _PLACES:
            self._told.clear()
        self._told[place] = now
        what = "was not delivered" if state is DeliveryState.DEAD else "may or may not have been delivered"
        text = f"A message to `{place}` {what}: {why}. `/deadletters` lists what waits for you."
        if state is DeliveryState.CANCELLED:
            text = f"No thread could be opened in `{place}`, so the agent talks in the room itself: {why}"
        self.news(text, f"{delivery.n}/{delivery.attempt}")

    def news(self, text: str, key: str) -> None:
        """Something that a person should do. The same key is told once. Never blocks."""
        if self._waiting.full():
            log.warning("operators are not told", text=text)
        else:
            self._waiting.put_nowait((text, f"{_KEY}{key}"))

    def withheld(self, server: str, digest: str) -> None:
        """Report a tool server whose tools have changed. Never blocks."""
        text = (
            f"The tool server {server} offers other tools than were approved, so agents cannot use it."
            f" `/approve mcp:{server}` shows what it offers now, and how to release it."
        )
        self.news(text, f"mcp/{server}/{digest}")

    def disconnected(self, channel: ChannelName, why: str, now: datetime) -> None:
        """Report a channel that only a person may bring back. Never blocks."""
        text = f"`{channel}` is not connected: {why}. I go on trying; `threadmill doctor` looks closer."
        self.news(text, f"channel/{channel}/{now.isoformat()}")

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                text, key = await self._waiting.get()
                for index, reach in enumerate(self._people.reach_of_role(Role.OPERATOR)):
                    accounts = [account for _, account in reach]
                    group.create_task(self._tell(accounts, text, f"{key}/{index}"), name=f"operator-{key}/{index}")

    async def _tell(self, accounts: Sequence[Account], text: str, key: str) -> None:
        """At the first place of his reach that is there: the news may be that one is not, or come while all of them are
        still being connected."""
        for pause in _PAUSES_SECONDS:
            for account in accounts:
                try:
                    if await self._speaker.tell(account, None, text, key):
                        return
                except StorageError as error:
                    log.warning("an operator is not told yet", reason=str(error))
            await asyncio.sleep(pause)
        log.warning("an operator is not told", text=text)
