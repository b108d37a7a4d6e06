"""The chat commands, in each platform's own form: the same grammar, the same answers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from channels.base import ThreadRef
from tests.slices.harness import Running, running, write_config
from tests.slices.screens import ADAS, Screen, discord

pytestmark = pytest.mark.slow


async def test_every_command_answers_in_the_platforms_own_form(screen: Screen, tmp_path: Path) -> None:
    async with running(write_config(tmp_path, [screen]), [screen]) as threadmill:
        screen.says(screen.room, "say Good morning")
        thread = await threadmill.home_of("assistant-1")
        await threadmill.shows(screen, thread, "Good morning")
        await threadmill.settled()
        await _about_me(threadmill, screen, thread)
        await _misused(threadmill, screen, thread)
        await _about_the_session(threadmill, screen, thread)


async def _about_me(threadmill: Running, screen: Screen, thread: ThreadRef) -> None:
    ask = threadmill.command
    listed = await ask(screen, thread, "/help", "spawn")  # written as it is given there: /spawn, !spawn
    assert [
        name for name in threadmill.application.current.routes().commands if not re.search(rf"[/!]{name}\b", listed)
    ] == []
    assert screen.accounts[ADAS] in await ask(screen, thread, "/whoami", "role owner")
    assert f"{screen.name}: connected" in await ask(screen, thread, "/health", "connected")
    await ask(screen, thread, "/deadletters", "")


async def _misused(threadmill: Running, screen: Screen, thread: ThreadRef) -> None:
    """What is wrong is told together with what would be right."""
    await threadmill.command(screen, thread, "/kill nobody-9", "agents lists them")
    await threadmill.command(screen, thread, "/model none", "There are: default, other")
    await threadmill.command(screen, thread, "/queue loud", "There are: steer")


async def _about_the_session(threadmill: Running, screen: Screen, thread: ThreadRef) -> None:
    ask = threadmill.command
    assert "idle" in await ask(screen, thread, "/status", "assistant-1")
    assert "say Good morning" in await ask(screen, thread, "/history", "Good morning")
    assert "idle" in await ask(screen, thread, "/agents", "assistant-1")
    await ask(screen, thread, "/cost", "assistant-1: $0.0000")
    await ask(screen, thread, "/model", "other: rehearsal")
    await ask(screen, thread, "/model other", "uses other")
    await ask(screen, thread, "/queue", "steer")
    await ask(screen, thread, "/queue collect", "collect")
    await ask(screen, thread, "/stop", "runs no turn")
    await ask(screen, screen.room, "/status assistant-1", "model other")
    await ask(screen, screen.room, "/send assistant-1 say Sent from the room", "Sent to assistant-1")
    await threadmill.shows(screen, thread, "Sent from the room")
    await ask(screen, thread, "/steer say Steered", "assistant-1")
    await threadmill.shows(screen, thread, "Steered")
    await threadmill.settled()
    home = screen.home()
    await ask(screen, home, "/focus assistant-1", "now talks to assistant-1")
    screen.says(home, "say Heard in private")
    await threadmill.shows(screen, home, "Heard in private")
    assert not [text for text in screen.said(thread) if "Heard in private" in text]
    await threadmill.settled()
    await ask(screen, home, "/unfocus", "talks to no session now")
    await ask(screen, thread, "/new", "Closed assistant-1")
    await ask(screen, thread, "/status", "No session is bound")
    await ask(screen, thread, "/focus assistant-1", "has ended, so this place stays as it was")


@pytest.mark.requirement("P5")
async def test_spawn_steer_stop_and_kill_from_a_room(screen: Screen, tmp_path: Path) -> None:
    async with running(write_config(tmp_path, [screen]), [screen]) as threadmill:
        ask = threadmill.command
        await ask(screen, screen.room, "/spawn researcher wait 30s then say Never said", "Spawned researcher-1")
        thread = await threadmill.home_of("researcher-1")
        await threadmill.until(lambda: threadmill.application.engine.awake, "the turn runs")
        assert "researcher" in screen.threads()[thread]
        await ask(screen, thread, "/steer say Steered into it", "at its next step")
        await ask(screen, thread, "/status", "running")
        await ask(screen, screen.room, "/stop researcher-1", "Stopped the turn of researcher-1")
        await threadmill.shows(screen, thread, "Steered into it")
        await threadmill.settled()
        await ask(screen, screen.room, "/kill researcher-1", "Killed researcher-1")
        await ask(screen, screen.room, "/agents", "No session is alive")
        await threadmill.settled()
        assert "Never said" not in screen.said(thread)


async def test_a_routes_own_command_is_in_the_menu_and_in_help(tmp_path: Path) -> None:
    route = 'channel = "discord"\non = "command"\ncommand = "look-up"\nagent = "researcher"\nthread = true\n'
    async with discord() as screen:
        file = write_config(tmp_path, [screen], more=f"[[routes]]\n{route}")
        async with running(file, [screen]) as threadmill:
            await threadmill.until(lambda: any(each["name"] == "look-up" for each in screen.world.commands), "the menu")
            await threadmill.command(screen, screen.room, "/help", "/look-up text")
            screen.gives(screen.room, "/look-up say Found it")
            await threadmill.shows(screen, await threadmill.home_of("researcher-1"), "asked me", "Found it")
