"""From a person's message to the answer that he sees, on every platform, over restarts and lost connections."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.slices.harness import Running, running, write_config
from tests.slices.screens import Screen
from tests.slices.waiting import until

pytestmark = pytest.mark.slow


@pytest.mark.requirement("P2")
async def test_a_message_in_a_routed_room_is_answered_in_a_thread_that_stays_bound_over_a_restart(
    screen: Screen, tmp_path: Path
) -> None:
    file = write_config(tmp_path, [screen])
    async with running(file, [screen]) as threadmill:
        screen.says(screen.room, "say Good morning")
        thread = await threadmill.home_of("assistant-1")
        await threadmill.shows(screen, thread, "Good morning")
        introduced = any("asked me" in text and "/kill ends me" in text for text in screen.said(thread))
        assert introduced == (screen.name == "telegram"), "a topic does not hang under the post that it is about"
        screen.says(thread, "say And once more")
        await threadmill.shows(screen, thread, "And once more")
        await threadmill.settled()
        before = screen.said_anywhere()
    async with running(file, [screen]) as threadmill:
        await threadmill.settled()
        assert screen.said_anywhere() == before, "a restart says nothing again"
        screen.says(thread, "say After the restart")
        said = await threadmill.shows(screen, thread, "After the restart")
        assert [text for text in said if text.startswith(("Good", "And", "After"))] == [
            "Good morning",
            "And once more",
            "After the restart",
        ]
        assert await threadmill.rows("select count(*), sum(turns) from sessions") == [(1, 3)]
        assert len(screen.threads()) == 1


@pytest.mark.requirement("P1")
async def test_what_is_said_while_platform_or_threadmill_are_away_is_answered_when_they_are_back(
    screen: Screen, tmp_path: Path
) -> None:
    file = write_config(tmp_path, [screen])
    async with running(file, [screen]) as threadmill:
        screen.says(screen.room, "say Here I am")
        thread = await threadmill.home_of("assistant-1")
        await threadmill.shows(screen, thread, "Here I am")
        await screen.go_away()
        await threadmill.disconnected(screen.name)
        screen.says(thread, "say I was told of it later")
        await screen.come_back()
        await threadmill.shows(screen, thread, "I was told of it later")
        await threadmill.settled()
        assert screen.said(thread).count("I was told of it later") == 1
    screen.says(thread, "say Nobody heard this at first")
    screen.says(screen.room, "say Nor this in the watched room")
    async with running(file, [screen]) as threadmill:
        await threadmill.shows(screen, thread, "Nobody heard this at first")
        await threadmill.shows(screen, await threadmill.home_of("assistant-2"), "Nor this in the watched room")
        await threadmill.settled()
        assert len(screen.threads()) == 2
        assert screen.said(thread).count("Nobody heard this at first") == 1
        assert screen.said(thread).count("I was told of it later") == 1


async def test_edits_and_deletions_reach_a_message_that_waits(screen: Screen, tmp_path: Path) -> None:
    file = write_config(tmp_path, [screen])
    async with running(file, [screen]) as threadmill:
        screen.says(screen.room, "say Here I am")
        thread = await threadmill.home_of("assistant-1")
        await threadmill.shows(screen, thread, "Here I am")
        await threadmill.settled()
        screen.says(thread, "wait 30s then say Never")
        await threadmill.until(lambda: threadmill.application.engine.awake, "the turn runs")
        await threadmill.command(screen, thread, "/queue followup", "get a turn each")
        first = screen.says(thread, "say The first text")
        await _waiting(threadmill, "say The first text")
        screen.edits(thread, first, "say The second text")
        await _waiting(threadmill, "say The second text")
        if screen.name != "telegram":
            second = screen.says(thread, "say What is taken back")
            await _waiting(threadmill, "say The second text", "say What is taken back")
            screen.deletes(thread, second)
            await _waiting(threadmill, "say The second text")
    screen.edits(thread, first, "say The third text")  # while nobody listens
    async with running(file, [screen]) as threadmill:
        await _waiting(threadmill, "say The third text")
        await threadmill.command(screen, thread, "/stop", "Stopped the turn")
        said = await threadmill.shows(screen, thread, "The third text")
        await threadmill.settled()
        assert not [text for text in said if "first text" in text or "second text" in text or "taken back" in text]

        post = screen.says(screen.room, "wait 30s then say Never")
        await threadmill.home_of("assistant-2")
        await threadmill.until(lambda: threadmill.application.engine.awake, "the turn in the new thread runs")
        screen.edits(screen.room, post, "say Something else")
        told = (
            "select s.label from mail m join sessions s on s.id = m.session"
            " where m.kind = 'notice' and m.text like '%Something else'"
        )

        async def noticed() -> bool:
            return await threadmill.rows(told) == [("assistant-2",)]

        await until(noticed, "the session that answers a room's post in a thread is told of the post's edit")


async def _waiting(threadmill: Running, *texts: str) -> None:
    """Return once exactly these messages wait for their session."""

    async def so() -> bool:
        rows = await threadmill.rows("select text from mail where state = 'waiting' order by n")
        return [text for (text,) in rows] == list(texts)

    await until(so, f"these wait: {texts}")
