"""What people see of a team, on each platform: one message about the children, and marks on what they wrote."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

import bot.showing.marks
from channels.base import ThreadRef
from tests.slices.harness import Running, running, write_config
from tests.slices.screens import PLATFORMS, DiscordScreen, Screen, TelegramScreen

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bot.showing.marks, "PATIENCE", timedelta(seconds=0.3))


def boards(screen: Screen, where: ThreadRef) -> list[str]:
    """The messages there that show children."""
    return [text for text in screen.said(where) if "· $" in text]


def linked(screen: Screen, where: ThreadRef) -> set[str]:
    """Telegram keeps addresses beside the text."""
    if not isinstance(screen, TelegramScreen) or where.thread is None:
        return set()
    said = screen.world.in_topic(int(where.room), int(where.thread))
    return {entity["url"] for message in said for entity in message.get("entities", ()) if "url" in entity}


async def shown(threadmill: Running, screen: Screen, where: ThreadRef, holds: Callable[[str], bool], what: str) -> str:
    """The one message about children, once it is as wanted."""
    await threadmill.until(lambda: any(map(holds, boards(screen, where))), what)
    [board] = boards(screen, where)
    return board


async def test_one_message_shows_the_children_and_says_how_each_ended(screen: Screen, tmp_path: Path) -> None:
    async with running(write_config(tmp_path, [screen]), [screen]) as threadmill:
        screen.says(
            screen.room,
            "spawn researcher as alpha: (say Found it)\nspawn researcher as beta: (wait 30s then say Too late)\n"
            "spawn researcher as gamma: (fail)\njoin\nsay All is back",
        )
        home = await threadmill.home_of("assistant-1")
        there = {label: await threadmill.home_of(label) for label in ("alpha", "beta", "gamma")}
        half = await shown(
            threadmill, screen, home, lambda text: "✓ " in text and "✗ " in text and "1 of 3" in text, "two have ended"
        )
        channel = threadmill.application.connections.find(screen.name)
        assert channel is not None
        for label, place in there.items():
            link = await channel.link(place)
            assert link is not None, label
            assert link in half or link in linked(screen, home), label
        beta = next(line for line in half.splitlines() if "beta" in line)
        assert "waiting" in beta or "running wait" in beta or "thinking" in beta
        killed = await threadmill.command(screen, home, "/kill beta", "Killed beta")
        assert "(by ada)" in killed
        assert "Until then: 1 turn, 0 tool calls" in killed
        said_to_it = await threadmill.shows(screen, there["beta"], "beta was killed by ada")
        assert "Until then: 1 turn, 0 tool calls" in said_to_it[-1]
        over = await shown(threadmill, screen, home, lambda text: "3 agents have ended" in text, "all have ended")
        assert "1 done, 1 killed, 1 failed" in over
        await threadmill.shows(screen, home, "All is back")
        await threadmill.settled()
        assert await threadmill.rows("select key from boards") == []
        assert len(boards(screen, home)) == 1


@pytest.mark.requirement("P3")
async def test_the_message_about_children_goes_on_after_a_restart_and_comes_no_second_time(tmp_path: Path) -> None:
    async with PLATFORMS["telegram"]() as screen:
        file = write_config(tmp_path, [screen])
        async with running(file, [screen]) as threadmill:
            screen.says(screen.room, "spawn researcher as alpha: (wait 1s then say Found it)\njoin\nsay All is back")
            home = await threadmill.home_of("assistant-1")
            await shown(threadmill, screen, home, lambda text: "alpha" in text, "it is there")
        async with running(file, [screen]) as threadmill:
            await shown(threadmill, screen, home, lambda text: "✓ alpha" in text and "done" in text, "it has ended")
            await threadmill.shows(screen, home, "All is back")
            await threadmill.settled()
            assert len(boards(screen, home)) == 1


def marks(screen: Screen, message_id: str) -> list[str]:
    """The bot's reactions on a message."""
    assert isinstance(screen, DiscordScreen)
    return list(screen.world.reactions.get(message_id, ()))


@pytest.mark.requirement("P5")
async def test_people_see_when_what_they_wrote_was_taken_in(tmp_path: Path) -> None:
    """On Discord, whose commands are answered in a way of their own; that marks work elsewhere, conformance proves."""
    waiting, taken_in, refused = "⏳", "👀", "🚫"
    async with (
        PLATFORMS["discord"]() as screen,
        running(write_config(tmp_path, [screen]), [screen]) as threadmill,
    ):
        post = screen.says(
            screen.room, "spawn researcher as alpha: (wait 1.5s then say At the end)\njoin\nsay All is back"
        )
        child = await threadmill.home_of("alpha")
        await threadmill.until(lambda: marks(screen, post) == [taken_in], "the post was accepted")
        await threadmill.until(lambda: threadmill.application.engine.awake, "the child runs")
        note = screen.says(child, "say And also this")
        await threadmill.until(lambda: marks(screen, note) == [waiting], "the note waits")
        home = await threadmill.home_of("assistant-1")
        await threadmill.command(screen, home, "/steer alpha say From elsewhere", "gets your note")
        await threadmill.until(lambda: marks(screen, note) == [taken_in], "the note was taken in")
        await threadmill.shows(screen, home, "alpha has taken in your note")
        assert not any("gets your note" in text for text in screen.said(home))
        await threadmill.shows(screen, child, "And also this", "From elsewhere")
        await threadmill.shows(screen, home, "All is back")
        await threadmill.settled()
        screen.says(home, "wait 30s")
        await threadmill.until(lambda: threadmill.application.engine.awake, "it waits")
        late = screen.says(home, "say Never")
        await threadmill.until(lambda: marks(screen, late) == [waiting], "it waits behind")
        await threadmill.command(screen, home, "/kill", "Killed assistant-1")
        await threadmill.until(lambda: marks(screen, late) == [refused], "nobody will read it")
        await threadmill.settled()
        assert await threadmill.rows("select mail from marks") == []
