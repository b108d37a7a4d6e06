"""A platform with thousands of messages waiting, under its documented limits: who commands is answered all the same."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.slices.crowds import documented_limits, other_places, queue, refuses_for_minutes
from tests.slices.harness import running, write_config
from tests.slices.screens import Screen
from tests.slices.waiting import until

pytestmark = pytest.mark.slow
PROMISED_SECONDS = 1.5


@pytest.mark.requirement("P4")
@pytest.mark.requirement("P6")
async def test_a_kill_is_confirmed_behind_ten_thousand_and_one_places_long_pause_is_its_own(
    screen: Screen, tmp_path: Path
) -> None:
    """The thread has 5,000 messages waiting, its room 2,000 more, and ten other rooms 300 each."""
    table, known = documented_limits(screen), screen.table()
    file = write_config(tmp_path, [screen])
    file.write_text(file.read_text().replace(known, table))
    async with running(file, [screen]) as threadmill:
        screen.says(screen.room, "wait 60s")
        thread = await threadmill.home_of("assistant-1")
        await threadmill.until(lambda: threadmill.application.engine.awake, "the turn runs")
        places = {thread: 5_000, screen.room: 2_000} | dict.fromkeys(other_places(screen, 10), 300)
        await queue(threadmill, places)
        await threadmill.until(lambda: str(screen.said_anywhere()).count("one of many") >= 20, "the queue moves")

        for line, answer in (("/whoami", "role owner"), ("/kill", "Killed assistant-1")):
            asked = time.monotonic()
            screen.gives(thread, line)
            await threadmill.shows(screen, thread, answer)
            took = time.monotonic() - asked
            assert took < PROMISED_SECONDS, f"{screen.name}: {line} took {took:.2f} s"
        ((waiting,),) = await threadmill.rows("select count(*) from deliveries where state = 'pending'")
        assert waiting > 9_000


@pytest.mark.requirement("P6")
async def test_a_place_that_is_closed_for_minutes_holds_up_no_other(screen: Screen, tmp_path: Path) -> None:
    closed, open_ = other_places(screen, 2)
    async with running(write_config(tmp_path, [screen]), [screen]) as threadmill:
        refuses_for_minutes(screen)
        await queue(threadmill, {closed: 50})
        query = "select count(*) from deliveries where state = 'pending' and not_before > ?"
        late = (time.time() + 120) * 1_000_000

        async def refused() -> bool:
            return await threadmill.rows(query, int(late)) == [(1,)]

        await until(refused, "the platform asks for minutes")
        asked = time.monotonic()
        await queue(threadmill, {open_: 3})
        await threadmill.shows(screen, open_, "one of many, 2")
        screen.says(screen.home(), "say Heard")
        await threadmill.shows(screen, screen.home(), "Heard")
        assert time.monotonic() - asked < PROMISED_SECONDS
        assert screen.said(closed) == []
