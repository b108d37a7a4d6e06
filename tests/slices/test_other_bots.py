"""Another program's bot that answers whatever is said: three rounds, then a person has to say something."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.slices.hands import joins, robot_says
from tests.slices.harness import Running, running, write_config
from tests.slices.screens import Screen
from tests.slices.waiting import until

pytestmark = pytest.mark.slow


@pytest.mark.requirement("P8")
async def test_an_echo_is_answered_three_times_and_the_bot_never_hears_itself(screen: Screen, tmp_path: Path) -> None:
    file = write_config(tmp_path, [screen])
    file.write_text(file.read_text().replace("thread = true", "thread = true\nbots = true"))
    joins(screen)
    async with running(file, [screen]) as threadmill:
        screen.says(screen.room, "say Begin")
        thread = await threadmill.home_of("assistant-1")
        await threadmill.shows(screen, thread, "Begin")
        for talk in ("first", "second"):
            answered = 0
            for number in range(8):
                robot_says(screen, thread, f"say {talk} echo {number}")
                await until(_decided(threadmill, f"say {talk} echo {number}"), "it is heard")
                await threadmill.settled()
                answered += any(f"{talk} echo {number}" in text for text in screen.said(thread))
            assert answered == 3, f"{screen.name}, {talk}"
            screen.says(thread, f"say A person spoke after the {talk}")
            await threadmill.shows(screen, thread, f"A person spoke after the {talk}")
        ignored = await threadmill.rows("select count(*) from inbox where is_bot and decision like '%3 rounds%'")
        assert ignored == [(10,)]
        assert await threadmill.rows("select distinct is_bot from inbox where text like 'Begin%'") == []
        assert await threadmill.rows("select count(*) from sessions") == [(1,)]


def _decided(threadmill: Running, text: str) -> Callable[[], Awaitable[bool]]:
    async def decided() -> bool:
        return await threadmill.rows("select 1 from inbox where text = ? and state <> 'new'", text) == [(1,)]

    return decided
