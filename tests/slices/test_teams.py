"""Agents that spawn agents, on each platform: children in threads of their own, each result with the parent once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.slices.harness import running, write_config
from tests.slices.screens import Screen

pytestmark = pytest.mark.slow


def _answers(said: dict[str, list[str]]) -> dict[str, list[str]]:
    """All but the message that shows the children, which changes."""
    return {place: [text for text in texts if "· $" not in text] for place, texts in said.items()}


@pytest.mark.requirement("P3")
async def test_a_child_works_in_its_own_thread_and_its_result_comes_to_the_parent_once(
    screen: Screen, tmp_path: Path
) -> None:
    file = write_config(tmp_path, [screen])
    async with running(file, [screen]) as threadmill:
        screen.says(screen.room, "say I ask somebody\nspawn researcher as alpha: (say Found it)\njoin\nsay All is back")
        home = await threadmill.home_of("assistant-1")
        said = await threadmill.shows(screen, home, "All is back")
        child = await threadmill.home_of("alpha")
        first, *rest = await threadmill.shows(screen, child, "Found it")
        assert "I am alpha (researcher" in first
        assert "alpha" in screen.threads()[child]
        assert "Write here to steer me" in first
        await threadmill.settled()
        assert [text for text in rest if text == "Found it"] == ["Found it"]
        assert said.index("I ask somebody") < len(said) - 1
        results = await threadmill.rows("select count(*) from mail where kind = 'result'")
        assert results == [(1,)]
        before = screen.said_anywhere()
    async with running(file, [screen]) as threadmill:
        await threadmill.settled()
        after = screen.said_anywhere()
        assert {place: len(said) for place, said in after.items()} == {
            place: len(said) for place, said in before.items()
        }
        assert _answers(after) == _answers(before)


async def test_what_is_written_in_a_childs_thread_steers_the_child(screen: Screen, tmp_path: Path) -> None:
    async with running(write_config(tmp_path, [screen]), [screen]) as threadmill:
        screen.says(screen.room, "spawn researcher as alpha: (wait 0.3s then say At the end)\njoin\nsay All is back")
        child = await threadmill.home_of("alpha")
        screen.says(child, "say And also this")
        said = await threadmill.shows(screen, child, "And also this")
        together = "\n".join(said)
        assert together.index("At the end") < together.index("And also this")
        home = await threadmill.home_of("assistant-1")
        await threadmill.shows(screen, home, "All is back")


@pytest.mark.requirement("P4")
async def test_a_kill_reaches_the_whole_tree_while_it_runs(screen: Screen, tmp_path: Path) -> None:
    async with running(write_config(tmp_path, [screen]), [screen]) as threadmill:
        inner = "spawn researcher as gamma: (wait 20s then say Too late) then wait 20s then say Too late"
        screen.says(
            screen.room,
            f"spawn researcher as alpha: ({inner})\nspawn researcher as beta: (wait 20s then say Too late)\n"
            "join\nsay Too late",
        )
        for label in ("alpha", "beta", "gamma"):
            await threadmill.home_of(label)
        await threadmill.until(lambda: threadmill.application.engine.awake >= 3, "three children run")
        answer = await threadmill.command(screen, screen.room, "/kill assistant-1", "Killed")
        assert all(name in answer for name in ("assistant-1", "alpha", "beta", "gamma"))
        await threadmill.settled()
        assert threadmill.application.engine.awake == 0
        assert await threadmill.rows("select distinct state, ended from sessions") == [("ended", "killed")]
        everything = [text for said in screen.said_anywhere().values() for text in said]
        assert "Too late" not in everything
        await threadmill.command(screen, screen.room, "/agents", "No session is alive")


async def test_a_child_that_is_killed_is_reported_to_its_parent(screen: Screen, tmp_path: Path) -> None:
    async with running(write_config(tmp_path, [screen]), [screen]) as threadmill:
        screen.says(screen.room, "spawn researcher as alpha: (wait 20s then say Too late)\njoin\nsay Parent goes on")
        child = await threadmill.home_of("alpha")
        await threadmill.command(screen, child, "/kill", "Killed alpha")
        home = await threadmill.home_of("assistant-1")
        await threadmill.shows(screen, home, "Parent goes on")
        await threadmill.settled()
        told = await threadmill.rows("select text from mail where kind = 'result'")
        assert len(told) == 1
        assert "was killed" in told[0][0]
