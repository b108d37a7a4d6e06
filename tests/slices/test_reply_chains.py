"""A Telegram supergroup without topics: an answer goes on with its conversation, anything else begins another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from channels.base import ThreadRef
from tests.fakes.telegram.world import Chat
from tests.slices.harness import running, write_config
from tests.slices.screens import telegram

pytestmark = pytest.mark.slow

PLAIN = -100500
ROUTE = f"""
[[routes]]
channel = "telegram"
room = "{PLAIN}"
agent = "assistant"
thread = true
"""


@pytest.mark.requirement("P2")
async def test_sessions_of_a_group_without_topics_are_reply_chains(tmp_path: Path) -> None:
    async with telegram() as screen:
        world = screen.world
        world.chats[PLAIN] = Chat(PLAIN, "supergroup", "Plain")
        room = ThreadRef(channel=screen.name, room=str(PLAIN))

        def answer(text: str) -> dict[str, Any]:
            found: list[dict[str, Any]] = [m for m in world.chats[PLAIN].messages.values() if m.get("text") == text]
            return found[-1]

        file = write_config(tmp_path, [screen], more=ROUTE)
        async with running(file, [screen]) as threadmill:
            first = world.says(PLAIN, "say One")
            await threadmill.shows(screen, room, "One")
            other = world.says(PLAIN, "say Another")
            await threadmill.shows(screen, room, "Another")
            world.says(PLAIN, "say Two", reply_to=answer("One")["message_id"])
            await threadmill.shows(screen, room, "Two")
            await threadmill.settled()
        async with running(file, [screen]) as threadmill:
            world.says(PLAIN, "say Three", reply_to=answer("Two")["message_id"])
            await threadmill.shows(screen, room, "Three")
            turns = await threadmill.rows("select home, turns from sessions order by home")
            assert sorted(turns) == sorted(
                [(f"telegram:/{PLAIN}/reply-{first}", 3), (f"telegram:/{PLAIN}/reply-{other}", 1)]
            )
            for text, root in (("One", first), ("Another", other), ("Two", first), ("Three", first)):
                assert answer(text)["reply_to_message"]["message_id"] == root
