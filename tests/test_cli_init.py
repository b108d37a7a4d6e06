"""`threadmill init` on a real terminal against the loopback platforms: wrong tokens, round trips, interruptions."""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path

import pytest

from bot.cli.app import run
from bot.cli.init_files import Answers, write
from bot.config import load
from channels.slack.manifest import manifest
from tests.fakes.slack.workspace import APP_TOKEN, BOT_TOKEN
from tests.slices.screens import DiscordScreen, SlackScreen, TelegramScreen, discord, slack, telegram
from tests.slices.waiting import until
from tests.terminal import Terminal

pytestmark = pytest.mark.slow
QUESTION = "(it is not shown): "


async def answered(terminal: Terminal, question: str, keys: str) -> str:
    """What was shown until the question."""
    before = await asyncio.to_thread(terminal.wait_for, question)
    hidden = "TOKEN" in question
    await asyncio.to_thread(terminal.type_hidden if hidden else terminal.type, keys)
    return before


async def round_trip(terminal: Terminal, screen: DiscordScreen | SlackScreen | TelegramScreen) -> None:
    """Ada writes the code, and answers the bot."""
    await asyncio.to_thread(terminal.wait_for, "Now write this to the bot: ")
    code = await asyncio.to_thread(terminal.wait_for, "\r\n")
    assert re.fullmatch(r"\d{4}-\d{4}", code)
    await asyncio.to_thread(terminal.wait_for, "waiting for your message")
    home = screen.home()
    screen.says(home, "good morning")  # proves nothing
    screen.says(home, f"it is {code}")
    await until(lambda: any("I hear you" in said for said in screen.said(home)), "the bot answers")
    screen.says(home, "fine")
    shown = await asyncio.to_thread(terminal.wait_for, f"you are {screen.accounts['ada']}: the owner")
    assert "hear each other" in shown
    await until(lambda: any("both directions" in said for said in screen.said(home)), "the bot says so")


async def test_three_platforms_are_connected_and_proven_with_four_pastes(tmp_path: Path) -> None:
    async with discord() as one, slack() as two, telegram() as three:
        one.world.token = "MTA.fake.token-of-discord"
        addresses = (
            f"--channel-url=discord={one.server.base_url}",
            f"--channel-url=slack={two.slack.base_url}",
            f"--channel-url=telegram={three.server.base_url}",
        )
        terminal = Terminal("init", "--model", "rehearsal", "--timezone", "UTC", *addresses, folder=tmp_path)

        await answered(terminal, "Connect discord? [y/n] (n): ", "y\n")
        await answered(terminal, "Connect slack? [y/n] (n): ", "y\n")
        await answered(terminal, "Connect telegram? [y/n] (n): ", "y\n")

        guide = await answered(terminal, f"DISCORD_TOKEN {QUESTION}", "MTA.wrong.token\n")
        assert "Message Content Intent" in guide
        refused = await answered(terminal, "Try again? (No leaves it out) [y/n] (y): ", "\n")
        assert "reset the token" in refused
        await answered(terminal, "DISCORD_TOKEN (Enter: the same as before): ", f"{one.world.token}\n")
        invited = await asyncio.to_thread(terminal.wait_for, "if it is not there yet")
        assert "✓" in invited
        await round_trip(terminal, one)

        guide = await answered(terminal, f"SLACK_BOT_TOKEN {QUESTION}", f"{BOT_TOKEN}\n")
        assert "manifest_json=" in guide
        await answered(terminal, f"SLACK_APP_TOKEN {QUESTION}", f"{APP_TOKEN}\n")
        await round_trip(terminal, two)

        await answered(terminal, f"TELEGRAM_TOKEN {QUESTION}", f"{three.server.token}\n")
        await round_trip(terminal, three)

        code = await asyncio.to_thread(terminal.wait)
        assert code == 0, terminal.transcript
        for secret in (one.world.token, BOT_TOKEN, APP_TOKEN, three.server.token):
            assert secret not in terminal.transcript
        config = load(tmp_path / "config.toml", environ={})
        assert config.people["me"].accounts == tuple(screen.accounts["ada"] for screen in (one, two, three))
        assert secret not in (tmp_path / "config.toml").read_text()
        assert set(config.channels) == {"discord", "slack", "telegram"}
        assert one.world.commands == []  # a proof declares nothing


async def test_what_is_interrupted_leaves_nothing_behind(tmp_path: Path) -> None:
    async with telegram() as screen:
        words = ("--channel=telegram", f"--channel-url=telegram={screen.server.base_url}", "--model=rehearsal")
        terminal = Terminal("init", *words, folder=tmp_path)
        await answered(terminal, f"TELEGRAM_TOKEN {QUESTION}", "has spaces in it\n")
        said = await answered(terminal, "Try again? (No leaves it out) [y/n] (y): ", "y\n")
        assert "copy it again" in said
        await answered(terminal, "TELEGRAM_TOKEN (Enter: the same as before): ", f"{screen.server.token}\n")
        await answered(terminal, "waiting for your message", "\n")
        await answered(terminal, "Your account id on telegram", "\x03")
        said = await asyncio.to_thread(terminal.wait_for, "nothing was written")
        assert "Traceback" not in said
        assert await asyncio.to_thread(terminal.wait) == 1
        assert os.listdir(tmp_path) == []


def test_a_write_that_breaks_leaves_the_old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, env = tmp_path / "config.toml", tmp_path / ".env"
    config.write_text("# mine\n")
    env.write_text("TELEGRAM_TOKEN=old\n")
    answers = Answers(model_kind="rehearsal", channels=("telegram",), secrets={"TELEGRAM_TOKEN": "new"})

    def interrupted(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write(config, answers)
    assert (config.read_text(), env.read_text()) == ("# mine\n", "TELEGRAM_TOKEN=old\n")
    assert {file.name for file in tmp_path.iterdir()} == {"config.toml", ".env", "config.toml.bak"}
    write(config, answers)
    assert env.read_text() == "TELEGRAM_TOKEN=new\n"


def test_the_slack_manifest_can_be_pasted(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "--slack-manifest"]) == 0
    assert json.loads(capsys.readouterr().out) == manifest()
    assert run(["init", "--slack-manifest", "--public-url", "https://bot.example/slack/events"]) == 0
    assert json.loads(capsys.readouterr().out) == manifest(address="https://bot.example/slack/events")
