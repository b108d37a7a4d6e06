"""A Telegram group that becomes a supergroup, and with it gets another id: nothing notices but the operator."""

from __future__ import annotations

from pathlib import Path

import pytest

from channels.base import ThreadRef
from tests.fakes.telegram import FakeTelegram
from tests.fakes.telegram.world import GROUP
from tests.slices.harness import Running, running, write_config
from tests.slices.screens import TelegramScreen

pytestmark = pytest.mark.slow

OLD = ThreadRef(channel=TelegramScreen.name, room=str(GROUP))
MORE = f"""
[[routes]]
channel = "telegram"
room = "{GROUP}"
agent = "assistant"
"""


async def one_session(threadmill: Running) -> bool:
    return await threadmill.rows("select count(*) from sessions") == [(1,)]


@pytest.mark.requirement("P2")
async def test_an_answer_that_was_on_its_way_and_the_routes_of_the_configuration_follow(tmp_path: Path) -> None:
    async with FakeTelegram() as server:
        screen = TelegramScreen(server)
        file = write_config(tmp_path, [screen], more=MORE)
        async with running(file, [screen]) as threadmill:
            screen.says(OLD, "say Here I am")
            await threadmill.shows(screen, OLD, "Here I am")
            await threadmill.settled()
            screen.says(OLD, "wait 0.2s then say It is done")
            await threadmill.until(lambda: threadmill.application.engine.awake, "the turn runs")
            new = ThreadRef(channel=OLD.channel, room=str(server.world.migrates(GROUP, told=False)))
            await threadmill.shows(screen, new, "It is done")
            screen.says(new, "say And on it goes")
            await threadmill.shows(screen, new, "And on it goes")
            server.world.tells_of_migration(GROUP)
            await threadmill.settled()
            assert await one_session(threadmill)
            told = await threadmill.shows(screen, screen.home(), f"new id {new.room}")
            assert [text for text in told if "routes[1].room" in text] == told, "once, with the key to edit"
        async with running(file, [screen]) as threadmill:
            await threadmill.command(screen, new, "/new", "")
            screen.says(new, "say By the route")
            await threadmill.shows(screen, new, "By the route")
            assert await threadmill.rows("select count(*) from sessions") == [(2,)]


@pytest.mark.requirement("P1")
@pytest.mark.requirement("P2")
async def test_messages_from_before_and_after_a_move_that_come_together_are_one_conversation(tmp_path: Path) -> None:
    async with FakeTelegram() as server:
        screen = TelegramScreen(server)
        async with running(write_config(tmp_path, [screen], more=MORE), [screen]) as threadmill:
            screen.says(OLD, "say Here I am")
            await threadmill.shows(screen, OLD, "Here I am")
            await threadmill.settled()
            await screen.go_away()
            await threadmill.disconnected("telegram")
            screen.says(OLD, "say One")
            new = ThreadRef(channel=OLD.channel, room=str(server.world.migrates(GROUP)))
            screen.says(new, "say Two")
            await screen.come_back()
            said = await threadmill.shows(screen, new, "Two")
            assert "One" in "".join(said)
            assert await one_session(threadmill)
