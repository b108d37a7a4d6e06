"""Another program's bot that answers whatever is said: three rounds, then a person has to say something."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from channels.base import ThreadRef
from tests.slices.hands import joins, robot_says
from tests.slices.harness import Running, running, write_config
from tests.slices.screens import Screen, slack
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


@pytest.mark.requirement("P8")
async def test_two_threadmills_in_one_thread_fall_silent_after_three_rounds(tmp_path: Path) -> None:
    """Each has its own workspace; what either says in the thread is said to the other by the robot of its place."""
    async with slack() as one, slack() as two:
        files = [write_config(tmp_path / name, [screen]) for name, screen in (("one", one), ("two", two))]
        for file, screen in zip(files, (one, two), strict=True):
            file.write_text(file.read_text().replace("thread = true", "thread = true\nbots = true"))
            joins(screen)
        async with running(files[0], [one]) as first, running(files[1], [two]) as second:
            sides = [(first, one, two), (second, two, one)]
            threads: dict[Screen, ThreadRef] = {}
            for threadmill, screen, _ in sides:
                screen.says(screen.room, "Good morning, both of you")
                threads[screen] = await threadmill.home_of("assistant-1")
            told: dict[Screen, int] = {one: 0, two: 0}
            for talk in (1, 2):
                for threadmill, _, _ in sides:
                    await threadmill.settled()
                while any(len(screen.said(threads[screen])) > told[screen] for screen in told):
                    for threadmill, screen, other in sides:
                        for text in screen.said(threads[screen])[told[screen] :]:
                            told[screen] += 1
                            robot_says(other, threads[other], f"{told[screen]}: {text}"[:200])
                        await threadmill.settled()
                    for (threadmill, screen, other), count in zip(sides, (told[two], told[one]), strict=True):
                        await until(_heard(threadmill, count), f"{screen.name} has heard all of {other.name}")
                        await threadmill.settled()
                    assert max(told.values()) <= 4 * talk, "they do not end"
                assert told == {one: 4 * talk, two: 4 * talk}, "an answer to the person, and three to the other"
                for _, screen, _ in sides:
                    screen.says(threads[screen], "Go on, please")
                for _, screen, _ in sides:
                    await until(partial(_count, screen, threads[screen], 4 * talk + 1), "the person is heard")


def _heard(threadmill: Running, count: int) -> Callable[[], Awaitable[bool]]:
    async def heard() -> bool:
        return await threadmill.rows("select count(*) from inbox where is_bot and state <> 'new'") == [(count,)]

    return heard


def _count(screen: Screen, where: ThreadRef, at_least: int) -> bool:
    return len(screen.said(where)) >= at_least
