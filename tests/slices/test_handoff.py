"""A thread that goes to another agent, on each platform: the note is seen, and the other one answers from then on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.slices.harness import AGENTS, running, write_config
from tests.slices.screens import Screen, TelegramScreen

pytestmark = pytest.mark.slow

HANDING = AGENTS.replace('tools = ["spawn", "send"]', 'tools = ["spawn", "send", "handoff"]', 1)


async def test_the_thread_goes_to_the_other_agent_and_people_read_why(screen: Screen, tmp_path: Path) -> None:
    file = write_config(tmp_path, [screen], agents=HANDING)
    async with running(file, [screen]) as threadmill:
        call = json.dumps({"agent": "researcher", "note": "say Find the price"})
        opening = isinstance(screen, TelegramScreen)  # there the tool waits until the thread is open
        screen.says(screen.room, f"tool handoff {call}" if opening else "say Hello")
        home = await threadmill.home_of("assistant-1")
        if not opening:
            screen.says(home, f"tool handoff {call}")
        said = await threadmill.shows(screen, home, "hands this thread to researcher-1")
        assert any("say Find the price" in text for text in said)
        await threadmill.settled()
    async with running(file, [screen]) as threadmill:
        screen.says(home, "say The price is two")
        await threadmill.shows(screen, home, "The price is two")
        await threadmill.settled()
        bound = await threadmill.rows("select s.label from bindings b join sessions s on s.id = b.session")
        assert bound == [("researcher-1",)]
        assert sum("hands this thread" in text for text in screen.said(home)) == 1
