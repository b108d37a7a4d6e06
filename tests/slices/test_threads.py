"""From a person's message to the answer that he sees, on every platform, over restarts and lost connections."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.slices.harness import running, write_config
from tests.slices.screens import PLATFORMS, Screen

pytestmark = pytest.mark.slow


@pytest.fixture(params=sorted(PLATFORMS))
async def screen(request: pytest.FixtureRequest) -> AsyncIterator[Screen]:
    async with PLATFORMS[request.param]() as made:
        yield made


@pytest.mark.requirement("P2")
async def test_a_message_in_a_routed_room_is_answered_in_a_thread_that_stays_bound_over_a_restart(
    screen: Screen, tmp_path: Path
) -> None:
    file = write_config(tmp_path, [screen])
    async with running(file, [screen]) as threadmill:
        screen.says(screen.room, "say Good morning")
        thread = await threadmill.thread(screen)
        await threadmill.shows(screen, thread, "Good morning")
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
