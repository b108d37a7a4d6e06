"""What `doctor` finds at Telegram, and what it tells people to do."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from channels.base import ChannelName, ThreadRef
from channels.checks import CheckResult, Result
from channels.telegram import Settings
from channels.telegram.connect import GUIDE, checks, prove
from tests.fakes.telegram import FakeTelegram
from tests.fakes.telegram.world import ADA, FORUM, GROUP

NAME = ChannelName("telegram")


@pytest.fixture
async def server() -> AsyncIterator[FakeTelegram]:
    async with FakeTelegram() as running:
        running.world.commands = [{"command": "help", "description": "Help"}]
        yield running


def settings(server: FakeTelegram, **more) -> Settings:
    return Settings.model_validate({"token": server.token, "base_url": server.base_url} | more)


async def results(server: FakeTelegram, *rooms: int, **more) -> dict[str, CheckResult]:
    places = [ThreadRef(channel=NAME, room=str(room)) for room in rooms]
    found = {
        check.id.removeprefix("channel.telegram."): await check.run()
        for check in checks(settings(server, **more), NAME, places)
        if not check.disturbs
    }
    assert server.token not in repr(found)
    assert all(result.fix for result in found.values() if result.result in (Result.WARNING, Result.FAILED))
    return found


async def test_a_wrong_token_is_found_by_its_form_and_by_its_use(server):
    found = await results(server, FORUM, token="5000000001:x")
    assert found["token_form"].result is Result.WARNING
    assert found["token"].result is found[f"room.{FORUM}"].result is Result.FAILED
    assert found["privacy"].result is found["menu"].result is found["waiting"].result is Result.SKIPPED
    assert (await prove(settings(server, token="5000000001:x"))).result is Result.FAILED


async def test_what_botfather_can_change_is_told(server):
    server.world.bot |= {"can_read_all_group_messages": False, "has_topics_enabled": False, "can_join_groups": False}
    server.world.commands = []
    found = await results(server)
    for name, fix in (
        ("privacy", "/setprivacy"),
        ("groups", "/setjoingroups"),
        ("topics", "Threaded Mode"),
        ("menu", ""),
    ):
        assert found[name].result is Result.WARNING
        assert fix in found[name].fix


async def test_nothing_takes_updates_from_a_threadmill_that_runs(server):
    found = await results(server, FORUM, GROUP, ADA)
    assert found["token"].evidence == "@threadmill_bot (5000000001)"
    assert server.called("getUpdates") == []


async def test_webhooks_that_do_not_fit_are_told(server):
    server.methods.webhook = {"url": "https://old.example.org", "secret": ""}
    assert "old.example.org" in (await results(server))["webhook"].evidence
    wanted = {"webhook_url": "https://new.example.org/x", "webhook_secret": "s"}
    assert (await results(server, **wanted))["webhook"].result is Result.WARNING
    server.methods.webhook = {"url": "https://new.example.org/x", "secret": "s"}
    assert (await results(server, **wanted))["webhook"].result is Result.OK


async def test_each_room_is_looked_at(server):
    server.world.chats[FORUM].bot_rights = {"send"}
    server.world.chats[GROUP].bot_is = "left"
    found = await results(server, FORUM, GROUP, 999)
    assert "manage topics" in found[f"room.{FORUM}.topics"].fix
    assert found[f"room.{GROUP}"].result is found["room.999"].result is Result.FAILED


def test_the_guide_names_everything_that_the_checks_ask_for():
    for word in ("/newbot", "/setprivacy", "Threaded Mode", "manage topics"):
        assert word in GUIDE


async def test_a_group_that_became_a_supergroup_is_told_with_its_new_id(server):
    new = server.world.migrates(GROUP)
    found = (await results(server, GROUP))[f"room.{GROUP}"]
    assert found.result is Result.FAILED
    assert str(new) in found.fix
