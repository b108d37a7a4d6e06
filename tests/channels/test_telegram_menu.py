"""The command menu: what each person sees where, and how seldom it is set."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from channels.base import Account, ChannelContext, ChannelName, CommandOption, CommandSpec
from channels.telegram import Settings, create
from tests.conformance.harness import RecordingIntake
from tests.conformance.rig_telegram import StoredFiles
from tests.fakes.telegram import FakeTelegram
from tests.fakes.telegram.server import broken_gateway, refuse
from tests.fakes.telegram.world import ADA, EVE, FORUM, Chat

KILL = CommandSpec(
    name="kill",
    description="End a session",
    options=(CommandOption(name="S", description=""),),
    descriptions=(("de", "Eine Sitzung beenden"),),
)
LINK = CommandSpec(name="link", description="Join accounts", in_private=True)
LETTERS = CommandSpec(name="deadletters", description="What is stuck", for_operators=True)


@pytest.fixture
async def server() -> AsyncIterator[FakeTelegram]:
    async with FakeTelegram() as running:
        running.world.chats[EVE] = Chat(EVE, "private", "Eve", bot_is="member")
        yield running


def marks(intake: RecordingIntake) -> dict[str, str]:
    """What is known to be shown: by list, a mark of its content."""
    return dict(json.loads(intake.cursors.get("menu", '{"shown": {}}'))["shown"])


async def run_once(
    server: FakeTelegram, intake: RecordingIntake, *commands: CommandSpec, until: Callable[[], bool], **more: Any
) -> None:
    context = ChannelContext(name=ChannelName("telegram"), files=StoredFiles(), commands=commands, **more)
    settings = Settings.model_validate({"token": server.token, "base_url": server.base_url})
    async with create(settings, context) as channel:
        waits = server.poll_waits
        running = asyncio.create_task(channel.run(intake))
        await server.world.wait_until(lambda: server.poll_waits > waits)
        async with asyncio.timeout(10), intake.arrived:
            await intake.arrived.wait_for(until)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_everybody_sees_what_is_for_him_where_he_is_in_his_language(server: FakeTelegram) -> None:
    world = server.world
    world.menus["all_private_chats", None, ""] = [{"command": "old", "description": "of an earlier program"}]
    ada = Account(f"telegram:{ADA}")
    operators = (ada, Account("telegram:999"))
    intake = RecordingIntake()
    commands = (KILL, LINK, LETTERS)
    await run_once(server, intake, *commands, operators=lambda: operators, until=lambda: len(marks(intake)) == 8)
    asked = [call["scope"] for call in server.called("setMyCommands") if "999" in call.get("scope", "")]
    assert len(asked) == 1, "who never wrote to the bot is not asked for in every language"
    kill, link = "/kill End a session · [S]", "/link Join accounts"
    assert world.menu(ADA) == [kill, link, "/deadletters What is stuck"]
    assert world.menu(EVE) == [kill, link]
    assert world.menu(FORUM) == [kill]
    assert world.menu(FORUM, language="de") == ["/kill Eine Sitzung beenden · [S]"]
    assert world.menu(EVE, language="de") == ["/kill Eine Sitzung beenden · [S]", link]


async def test_menus_are_set_only_when_they_changed(server: FakeTelegram) -> None:
    intake = RecordingIntake()
    await run_once(server, intake, KILL, until=lambda: len(marks(intake)) == 6)
    before = marks(intake)
    await run_once(server, intake, KILL, until=lambda: True)
    assert server.methods.menu_calls == 4, "everywhere and groups, in two languages"
    await run_once(server, intake, KILL, LINK, until=lambda: marks(intake)["default/de"] != before["default/de"])
    assert server.methods.menu_calls == 6, "groups show the same"


async def test_a_menu_that_cannot_be_set_stops_nothing_and_is_tried_at_the_next_start(server: FakeTelegram) -> None:
    intake = RecordingIntake()
    server.fail_next("setMyCommands", refuse(429, "Too Many Requests", retry_after=3600))
    await run_once(server, intake, KILL, until=lambda: len(marks(intake)) == 4)
    assert "default" not in marks(intake)
    server.fail_next("setMyCommands", broken_gateway())
    await run_once(server, intake, KILL, until=lambda: len(marks(intake)) == 6)
    assert server.world.menu(EVE) == ["/kill End a session · [S]"], "a short pause is waited for"
