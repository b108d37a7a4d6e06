"""What people see of a turn before its answer: soon where it lasts, nothing where the answer is there at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.showing import presence
from bot.showing.presence import TYPING_AFTER_SECONDS
from channels.base import ThreadRef
from tests.slices.harness import AGENTS, running, write_config
from tests.slices.screens import DiscordScreen, Screen, SlackScreen, TelegramScreen, discord, slack, telegram

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


def sign_of(screen: Screen, where: ThreadRef) -> Callable[[float], bool]:
    """Whether people see at a moment that the bot is at work there, for as long as the platform shows it."""
    match screen:
        case DiscordScreen(world=guild):
            room, typed = where.thread or where.room, [0.0, float("-inf")]  # how often it typed, and when last

            def typing(now: float) -> bool:
                if (times := guild.typing.count(room)) != typed[0]:
                    typed[:] = [times, now]
                return now - typed[1] < 10.0

            return typing
        case TelegramScreen(world=world):
            chat, topic = int(where.room), None if where.thread is None else int(where.thread)
            return lambda _: world.actions.get((chat, topic), 0.0) > world.clock() or bool(world.draft(chat, topic))
        case SlackScreen(slack=server):
            sessions, key = server.methods.streams.sessions, (where.room, where.thread or "")
            return lambda _: sessions.get(key, {}).get("status") == "processing"
    raise TypeError(screen)


@pytest.mark.requirement("P8")
async def test_people_see_within_a_second_and_a_half_that_a_slow_model_is_at_work_and_always_until_it_answers(
    tmp_path: Path,
) -> None:
    """The model says nothing for some seconds."""
    slow = AGENTS.replace("word_delay_seconds = 0", "word_delay_seconds = 2.5", 1)
    async with discord() as one, slack() as two, telegram() as three:
        screens: list[Screen] = [one, two, three]
        async with running(write_config(tmp_path, screens, agents=slow), screens) as threadmill:
            began = time.monotonic()
            homes: dict[Screen, ThreadRef] = {}
            for number, screen in enumerate(screens, 1):
                screen.says(screen.room, "say Done")
                homes[screen] = await threadmill.home_of(f"assistant-{number}")
            signs = {screen: sign_of(screen, home) for screen, home in homes.items()}
            first: dict[Screen, float] = {}
            silent: dict[Screen, float] = dict.fromkeys(screens, 0.0)
            answered: set[Screen] = set()
            before = time.monotonic()
            while len(answered) < 3:
                await asyncio.sleep(0.02)
                now = time.monotonic()
                for screen in set(screens) - answered:
                    if "Done" in screen.said(homes[screen]):  # and not only in what it was asked
                        answered.add(screen)
                    elif signs[screen](now):
                        first.setdefault(screen, now - began)
                    elif screen in first:
                        silent[screen] += now - before
                before = now
                assert now - began < 20
            for screen in screens:
                assert first[screen] < FIRST_SIGN_SECONDS, f"{screen.name}: {first[screen]:.2f} s"
                assert silent[screen] < 1.0, f"{screen.name} showed nothing for {silent[screen]:.2f} s"


@pytest.mark.requirement("P8")
async def test_the_sign_is_given_again_for_as_long_as_a_tool_takes_and_not_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interval is below what the platforms show a sign for; here it is a tenth of a second."""
    assert presence.TYPING_SECONDS + 0.5 < 5.0, "Telegram's typing lasts five seconds, Discord's ten"
    monkeypatch.setattr(presence, "TYPING_SECONDS", 0.1)
    monkeypatch.setattr(presence, "TYPING_AFTER_SECONDS", 0.05)
    async with discord() as screen, running(write_config(tmp_path, [screen]), [screen]) as threadmill:
        home = screen.home()
        screen.says(home, "wait 30s then say Never")
        await threadmill.until(lambda: len(screen.world.typing) >= 8, "the tool says nothing, and the sign goes on")
        assert all("Never" not in text for text in screen.said(home))
        await threadmill.command(screen, home, "/stop", "Stopped")
        await threadmill.settled()
        given = len(screen.world.typing)
        await threadmill.command(screen, home, "/whoami", "role owner")
        assert len(screen.world.typing) == given, "nobody types any more"
