"""Operators hear of what could not be delivered, once a place, and never about their own notices."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.access import Role
from bot.people.operators import Operators
from channels.base import Account, ChannelName, DeliveryKey, Outbound, ThreadRef
from channels.delivery import Delivery, DeliveryState

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def delivery_of(place: str, key: str) -> Delivery:
    where = ThreadRef.parse(place)
    return Delivery(
        n=1,
        lane=where.key,
        message=Outbound(key=DeliveryKey(key), to=where, text="hello"),
        opening=None,
        session=None,
        killed=False,
        state=DeliveryState.DEAD,
        attempt=1,
        not_before=NOW,
        parts=(),
        part=0,
        message_ids=(),
        tried=(),
        created_at=NOW,
        sending_at=None,
    )


class _People:
    def reach_of_role(self, least: Role) -> list[list[tuple[ChannelName, Account]]]:
        assert least is Role.OPERATOR
        places = [(ChannelName("telegram"), Account("telegram:42")), (ChannelName("slack"), Account("slack:T1/U1"))]
        return [places, []]


class _Speaker:
    def __init__(self) -> None:
        self.told: list[tuple[Account, str]] = []
        self.away = ""
        self.starting = 0  # so many places are not there yet
        self.heard = asyncio.Event()

    async def tell(self, account: Account, place: ThreadRef | None, text: str, key: str) -> bool:
        assert place is None
        assert key.startswith("operator:")
        if account.startswith(self.away or "-"):
            return False
        if self.starting > 0:
            self.starting -= 1
            return False
        self.told.append((account, text))
        self.heard.set()
        return True


async def test_operators_hear_of_a_dead_letter_once_a_place_and_never_of_their_own_notices() -> None:
    speaker = _Speaker()
    operators = Operators(_People(), speaker)
    task = asyncio.create_task(operators.run())
    try:
        lost = delivery_of("slack:T1/C1", "a")
        operators.undelivered(lost, DeliveryState.SENT, "", NOW)
        operators.undelivered(lost, DeliveryState.DEAD, "the channel is archived", NOW)
        operators.undelivered(lost, DeliveryState.DEAD, "again", NOW + timedelta(minutes=5))
        own = replace(lost, message=replace(lost.message, key=DeliveryKey("operator:1/1/0")))
        operators.undelivered(own, DeliveryState.DEAD, "x", NOW + timedelta(hours=1))
        async with asyncio.timeout(5):
            await speaker.heard.wait()
        assert [account for account, _ in speaker.told] == ["telegram:42"]
        assert "the channel is archived" in speaker.told[0][1]
    finally:
        task.cancel()


async def test_an_operator_is_told_of_a_channel_that_is_away_at_another_one() -> None:
    speaker = _Speaker()
    speaker.away = "telegram:"
    operators = Operators(_People(), speaker)
    task = asyncio.create_task(operators.run())
    try:
        operators.disconnected(ChannelName("telegram"), "another program asks for this bot's updates", NOW)
        async with asyncio.timeout(5):
            await speaker.heard.wait()
        [(account, text)] = speaker.told
        assert account == "slack:T1/U1"
        assert "`telegram` is not connected: another program" in text
    finally:
        task.cancel()


async def test_news_wait_until_one_of_the_operators_places_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.people.operators._PAUSES_SECONDS", (0.0,) * 10)
    speaker = _Speaker()
    speaker.starting = 5
    operators = Operators(_People(), speaker)
    operators.disconnected(ChannelName("slack"), "its token was revoked", NOW)
    task = asyncio.create_task(operators.run())
    try:
        async with asyncio.timeout(5):
            await speaker.heard.wait()
        assert [text for _, text in speaker.told] == [
            "`slack` is not connected: its token was revoked. I go on trying; `threadmill doctor` looks closer."
        ]
        assert speaker.starting == 0
    finally:
        task.cancel()
