"""What was commanded while nobody listened is asked about; a clock that is wrong disarms no /kill."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.app import now
from bot.commands.late import LATE, LateCommands
from channels.base import Account, ChannelName, EventId, Inbound, Kind, Sender, ThreadRef
from tests.fakes.telegram.world import ADA
from tests.slices.harness import running, write_config
from tests.slices.screens import discord, telegram

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
PLACE = ThreadRef(channel=ChannelName("slack"), space="T1", room="C1", thread="1.5")
HOUR = timedelta(hours=1)


def given_at(sent_at: datetime, account: str = "slack:T1/U1") -> Inbound:
    return Inbound(
        id=EventId("e1"),
        kind=Kind.MESSAGE,
        where=PLACE,
        sender=Sender(account=Account(account), name="Ada"),
        text="/kill all",
        sent_at=sent_at,
    )


def test_a_command_of_an_hour_ago_is_asked_about_and_a_fresh_one_is_not():
    late = LateCommands()
    assert late.question(given_at(NOON - LATE + timedelta(seconds=1)), "kill all", NOON) is None
    asked = late.question(given_at(NOON - HOUR), "kill all", NOON)
    assert asked is not None
    assert "You gave `/kill all` 1h ago" in asked
    assert late.question(given_at(NOON + timedelta(seconds=9)), "kill all", NOON + timedelta(seconds=10)) is None


@given(apart=st.integers(0, 3000), way=st.integers(0, 20))
def test_however_often_it_was_said_while_nobody_listened_it_is_asked_about(apart, way):
    """The second one of two waits beside the first, and both are read within a moment, or with some seconds between."""
    late = LateCommands()
    first = NOON - HOUR
    assert late.question(given_at(first), "kill", NOON)
    read = NOON + timedelta(seconds=way)
    second = given_at(first + timedelta(seconds=apart))
    obeyed = late.question(second, "kill", read) is None
    assert obeyed == (read - second.sent_at < LATE or (way >= 3 and abs(apart - way) <= 30))


@given(wrong=st.integers(11, 100_000), after=st.integers(3, 3600), way=st.integers(-5, 20))
def test_where_the_clock_is_wrong_saying_it_again_is_enough(wrong, after, way):
    late, off = LateCommands(), timedelta(minutes=wrong)
    assert late.question(given_at(NOON), "kill", NOON + off)
    again = NOON + timedelta(seconds=after)
    somebody_else = given_at(again, account="slack:T1/U2")
    assert late.question(somebody_else, "kill", again + off), "he has not been asked yet"
    assert (
        late.question(given_at(again), "kill", again + off + timedelta(seconds=way if after + way >= 3 else 0)) is None
    )


@pytest.mark.slow
@pytest.mark.requirement("P4")
async def test_a_kill_from_an_hour_ago_ends_nothing_and_one_that_is_said_again_does(tmp_path: Path) -> None:
    async with telegram() as screen, running(write_config(tmp_path, [screen]), [screen]) as threadmill:
        screen.says(screen.home(), "wait 30s then say Never said")
        await threadmill.until(lambda: threadmill.application.engine.awake, "the turn runs")
        before = int(time.time()) - 3600
        for text in ("/kill all", "/kill", "/stop", "/spawn researcher say Done by hand long ago"):
            screen.world.says(ADA, text, by=ADA, date=before)
            await threadmill.shows(screen, screen.home(), f"You gave {text} 1h ago")
        assert threadmill.application.engine.awake == 1
        assert await threadmill.rows("select count(*) from sessions where state <> 'ended'") == [(1,)]
        screen.world.says(ADA, "/whoami", by=ADA, date=before)
        await threadmill.shows(screen, screen.home(), "role owner")
        await threadmill.command(screen, screen.home(), "/kill all", "Killed assistant-1")


@pytest.mark.slow
@pytest.mark.requirement("P4")
async def test_a_machine_whose_clock_is_an_hour_ahead_obeys_the_second_kill(tmp_path: Path) -> None:
    ahead = HOUR
    async with discord() as screen:
        file = write_config(tmp_path, [screen])
        async with running(file, [screen], clock=lambda: now() + ahead) as threadmill:
            home = screen.home()
            screen.says(home, "wait 30s then say Never said")
            await threadmill.until(lambda: threadmill.application.engine.awake, "the turn runs")
            screen.says(home, "/kill")
            await threadmill.shows(screen, home, "You gave /kill 1h ago")
            ahead += timedelta(seconds=5)
            screen.says(home, "/kill")
            await threadmill.shows(screen, home, "Killed assistant-1")
