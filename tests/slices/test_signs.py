"""What people see of a turn before its answer: soon where it lasts, nothing where the answer is there at once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bot.presence import TYPING_AFTER_SECONDS
from tests.slices.harness import running, write_config
from tests.slices.screens import discord

pytestmark = pytest.mark.slow

FIRST_SIGN_SECONDS = 1.5


async def test_the_first_sign_comes_within_a_second_and_a_half_and_a_quick_answer_needs_none(tmp_path: Path) -> None:
    async with discord() as screen, running(write_config(tmp_path, [screen]), [screen]) as threadmill:
        home = screen.home()
        asked = time.monotonic()
        screen.says(home, "say Hello")
        await threadmill.shows(screen, home, "Hello")
        await threadmill.settled()
        quick = time.monotonic() - asked < TYPING_AFTER_SECONDS
        assert screen.world.typing == [] or not quick, "the answer was the first sign"
        asked = time.monotonic()
        screen.says(home, "wait 1s then say Done")
        await threadmill.until(lambda: screen.world.typing, "it types")
        assert time.monotonic() - asked < FIRST_SIGN_SECONDS
        await threadmill.shows(screen, home, "Done")
        await threadmill.settled()
        assert set(screen.world.typing) == {home.room}
