"""`doctor` on each platform: every check is well where all is well, and each can fail, with what to do about it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any, Protocol

import httpx
import pytest
from pydantic import BaseModel

from channels import checks as checking
from channels.base import ChannelName, ThreadRef
from channels.checks import Check, CheckResult, Result, clock_check, once
from channels.discord import Settings as DiscordSettings
from channels.discord import connect as discord_connect
from channels.slack import Settings as SlackSettings
from channels.slack import connect as slack_connect
from channels.slack.manifest import SCOPES
from channels.telegram import Settings as TelegramSettings
from channels.telegram import connect as telegram_connect
from tests.fakes.discord import DiscordServer
from tests.fakes.slack import BOT_TOKEN, FakeSlack
from tests.fakes.slack.workspace import APP_TOKEN
from tests.fakes.telegram import FakeTelegram
from tests.fakes.telegram.world import ADA, FORUM
from tests.slices.waiting import until

FAR = "http://far.example"


class Platform(Protocol):
    """A loopback platform whose settings and state can be spoilt, and what its checks are."""

    connect: Any
    room: ThreadRef
    settings: dict[str, Any]

    def model(self) -> BaseModel: ...


class Discord:
    connect = discord_connect

    def __init__(self, server: DiscordServer) -> None:
        self.server = server
        self.world = server.world
        self.world.commands = [{"name": "help", "type": 1}]
        self.world.token = "MTA.fake.token"
        self.room = ThreadRef(channel=ChannelName("it"), room=self.world.room)  # as most people write it
        self.settings: dict[str, Any] = {"token": self.world.token, "base_url": server.base_url}

    def model(self) -> BaseModel:
        return DiscordSettings.model_validate(self.settings)

    def denies(self, *bits: int) -> None:
        deny = str(sum(1 << bit for bit in bits))
        overwrite = {"id": self.world.bot_role["id"], "type": 0, "allow": "0", "deny": deny}
        self.world.channels[self.world.room]["permission_overwrites"] = [overwrite]


class Slack:
    connect = slack_connect
    room = ThreadRef(channel=ChannelName("it"), space="T1", room="C1")

    def __init__(self, server: FakeSlack) -> None:
        self.server = server
        self.general = server.space.rooms["C1"]
        server.methods.scopes |= set(SCOPES)
        self.settings: dict[str, Any] = {"bot_token": BOT_TOKEN, "app_token": APP_TOKEN, "base_url": server.base_url}

    def model(self) -> BaseModel:
        return SlackSettings.model_validate(self.settings)


class Telegram:
    connect = telegram_connect
    room = ThreadRef(channel=ChannelName("it"), room=str(FORUM))

    def __init__(self, server: FakeTelegram) -> None:
        self.server = server
        self.world = server.world
        self.forum = server.world.chats[FORUM]
        self.world.commands = [{"command": "help", "description": "Help"}]
        self.world.says(ADA, "hello")  # so that nobody has to be waited for to see whether he fetches it
        self.settings: dict[str, Any] = {"token": server.token, "base_url": server.base_url}

    def model(self) -> BaseModel:
        return TelegramSettings.model_validate(self.settings)

    def hears_little(self) -> None:
        self.world.bot["can_read_all_group_messages"] = False
        self.forum.bot_is = "member"


@asynccontextmanager
async def _discord() -> AsyncIterator[Discord]:
    async with DiscordServer() as server:
        yield Discord(server)


@asynccontextmanager
async def _slack() -> AsyncIterator[Slack]:
    async with FakeSlack() as server:
        yield Slack(server)


@asynccontextmanager
async def _telegram() -> AsyncIterator[Telegram]:
    async with FakeTelegram() as server:
        yield Telegram(server)


PLATFORMS: Mapping[str, Callable[[], Any]] = {"discord": _discord, "slack": _slack, "telegram": _telegram}


def checks_of(platform: Any) -> dict[str, Check]:
    """By what they look at: the room's own id is left out."""
    found: Sequence[Check] = platform.connect.checks(platform.model(), ChannelName("it"), [platform.room])
    return {check.id.removeprefix("channel.it.").replace(f".{platform.room.room}", ""): check for check in found}


Spoil = Callable[[Any], object]


def setting(**values: Any) -> Spoil:
    return lambda platform: platform.settings.update(values)


def spoilt(what: Callable[[Any], Any], **values: Any) -> Spoil:
    """Give attributes of something other values."""

    def spoil(platform: Any) -> None:
        for name, value in values.items():
            setattr(what(platform), name, value)

    return spoil


async def away(platform: Any) -> None:
    await platform.server.stop()


def no_clock(_: Any) -> None:
    """No difference is small enough."""
    checking.CLOCK_SECONDS = -1.0


@asynccontextmanager
async def another_poller(platform: Telegram) -> AsyncIterator[None]:
    """Somebody asks for updates as soon as we do."""
    platform.world.updates.clear()

    async def asks() -> None:
        await until(lambda: platform.server.poll_waits > 0, "we ask")
        async with httpx.AsyncClient() as client:
            await client.get(f"{platform.server.base_url}{platform.server.token}/getUpdates", params={"timeout": 0})

    task = asyncio.create_task(asks())
    yield
    await task


@asynccontextmanager
async def listener(platform: Slack) -> AsyncIterator[None]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        platform.settings |= {"app_token": None, "signing_secret": "s", "listen_port": taken.getsockname()[1]}
        yield


# What makes each check find something.
SPOILT: Mapping[str, Mapping[str, Spoil]] = {
    "discord": {
        "token_form": setting(token="short"),
        "token": setting(token="a.wrong.token"),
        "server": setting(base_url=FAR),
        "message_content": spoilt(lambda it: it.world, application_flags=0),
        "interactions": spoilt(lambda it: it.world, interactions_endpoint="https://old.example/interactions"),
        "code_grant": spoilt(lambda it: it.world, code_grant=True),
        "gateway": away,
        "sessions": spoilt(lambda it: it.world, sessions_left=3),
        "guilds": spoilt(lambda it: it.world, in_no_guild=True),
        "commands": lambda it: it.world.commands.clear(),
        "clock": no_clock,
        "room": lambda it: setattr(it, "room", ThreadRef(channel=it.room.channel, space="55", room=it.room.room)),
        "room.talk": lambda it: it.denies(11),
        "room.files": lambda it: it.denies(15),
        "room.threads": lambda it: it.denies(35),
    },
    "slack": {
        "token_kinds": setting(bot_token="xapp-turned", app_token="xoxb-around"),
        "listener": listener,
        "bot_token": setting(bot_token="xoxb-wrong"),
        "server": setting(base_url=FAR),
        "scopes": lambda it: it.server.methods.scopes.discard("files:read"),
        "surplus": lambda it: it.server.methods.scopes.add("admin"),
        "app_token": lambda it: it.server.tokens.update({APP_TOKEN: "invalid_auth"}),
        "socket_mode": lambda it: it.server.tokens.update({APP_TOKEN: "forbidden_team"}),
        "clock": no_clock,
        "room": spoilt(lambda it: it.general, is_archived=True),
        "room.workspace": lambda it: setattr(it, "room", ThreadRef(channel=it.room.channel, space="T2", room="C1")),
        "room.member": lambda it: it.general.members.discard("UBOT"),
        "room.write": spoilt(lambda it: it.general, read_only=True),
    },
    "telegram": {
        "token_form": setting(token="5000000001:x"),
        "second_poller": another_poller,
        "token": setting(token="5000000001:wrong-wrong-wrong-wrong"),
        "server": setting(base_url=FAR),
        "files": setting(base_file_url="http://127.0.0.1:9/file/bot"),
        "webhook": lambda it: setattr(it.server.methods, "webhook", {"url": "https://old.example", "secret": ""}),
        "waiting": lambda it: [it.world.says(ADA, str(number)) for number in range(101)],
        "privacy": lambda it: it.world.bot.update(can_read_all_group_messages=False),
        "groups": lambda it: it.world.bot.update(can_join_groups=False),
        "topics": lambda it: it.world.bot.update(has_topics_enabled=False),
        "menu": lambda it: it.world.commands.clear(),
        "clock": no_clock,
        "room": spoilt(lambda it: it.forum, bot_is="left"),
        "room.write": spoilt(lambda it: it.forum, bot_is="member", members_write=False),
        "room.hears": lambda it: it.hears_little(),
        "room.topics": spoilt(lambda it: it.forum, bot_rights={"send"}),
    },
}


async def examined(platform: Any, check: Check) -> CheckResult:
    result = await check.run()
    secrets = [str(value) for name, value in platform.settings.items() if "token" in name and len(str(value)) > 10]
    assert not [secret for secret in secrets if secret in result.evidence + result.fix], check.id
    assert bool(result.fix) == (result.result in (Result.WARNING, Result.FAILED)), check.id
    return result


@pytest.mark.parametrize("name", sorted(PLATFORMS))
async def test_all_checks_are_well_where_all_is_well(name: str) -> None:
    async with PLATFORMS[name]() as platform:
        known = checks_of(platform)
        assert set(known) == set(SPOILT[name]), "each check has a case in which it finds something"
        for what, check in known.items():
            result = await examined(platform, check)
            assert result.result is Result.OK, f"{what}: {result.evidence}"
            assert result.evidence


@pytest.mark.parametrize(("name", "what"), [(name, what) for name, spoils in SPOILT.items() for what in spoils])
async def test_each_check_finds_what_it_looks_for(name: str, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "CLOCK_SECONDS", checking.CLOCK_SECONDS)  # put back afterwards
    async with PLATFORMS[name]() as platform, AsyncExitStack() as stack:
        spoil = SPOILT[name][what](platform)
        if isinstance(spoil, AbstractAsyncContextManager):
            await stack.enter_async_context(spoil)
        elif isinstance(spoil, Awaitable):
            await spoil
        result = await examined(platform, checks_of(platform)[what])
        assert result.result in (Result.WARNING, Result.FAILED), result
        assert result.fix


@pytest.mark.parametrize("name", sorted(PLATFORMS))
async def test_a_platform_that_is_away_breaks_no_check(name: str) -> None:
    async with PLATFORMS[name]() as platform:
        await getattr(platform.server, "stop", getattr(platform.server, "go_away", None) or partial(_away, platform))()
        for check in checks_of(platform).values():
            assert (await examined(platform, check)).evidence
        assert (await platform.connect.prove(platform.model())).result is Result.FAILED


async def _away(platform: Any) -> None:
    await platform.server.refuse_connections()


async def test_what_several_want_to_know_is_asked_once_also_when_one_is_cut_off() -> None:
    asked, answer = [], asyncio.Event()

    async def ask() -> str:
        asked.append(1)
        await answer.wait()
        return "it"

    shared = once(ask)

    async def wants() -> str:
        return await shared()

    first, second = asyncio.create_task(wants()), asyncio.create_task(wants())
    await asyncio.sleep(0)
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first
    answer.set()
    assert await second == await wants() == "it"
    assert asked == [1]


def test_a_platform_that_tells_no_time_proves_nothing() -> None:
    assert clock_check("", "Slack").result is Result.SKIPPED
    assert clock_check("yesterday", "Slack").result is Result.SKIPPED
    late = clock_check("Wed, 21 Oct 2015 07:28:00 GMT", "Slack")
    assert late.result is Result.WARNING
    assert "s off Slack's" in late.evidence
