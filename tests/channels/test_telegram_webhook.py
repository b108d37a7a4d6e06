"""Updates that are brought, and the door that they come through."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pydantic
import pytest

from channels.base import ChannelContext, ChannelName, Unavailable
from channels.telegram import Settings, create
from tests.conformance.harness import RecordingIntake
from tests.conformance.rig_telegram import StoredFiles
from tests.fakes.telegram import FakeTelegram
from tests.fakes.telegram.world import ADA

PUBLIC = "https://bot.example.org/telegram"
SECRET = "s3cret-token"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def settings(server: FakeTelegram, port: int) -> Settings:
    values = {"token": server.token, "base_url": server.base_url, "webhook_url": PUBLIC, "webhook_secret": SECRET}
    return Settings.model_validate(values | {"webhook_listen": f"127.0.0.1:{port}"})


@asynccontextmanager
async def listening(server: FakeTelegram, intake: RecordingIntake) -> AsyncIterator[str]:
    port = free_port()
    address = f"http://127.0.0.1:{port}/telegram"
    context = ChannelContext(name=ChannelName("telegram"), files=StoredFiles())
    async with create(settings(server, port), context) as channel:
        tasks = [asyncio.create_task(channel.run(intake)), asyncio.create_task(server.bring_updates(PUBLIC, address))]
        await server.world.wait_until(lambda: server.methods.webhook is not None)
        try:
            yield address
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.requirement("P1")
async def test_an_update_is_taken_only_when_it_is_committed():
    async with FakeTelegram() as server:
        intake = RecordingIntake(refuse=True)
        server.world.says(ADA, "one")
        server.world.says(ADA, "two")
        async with listening(server, intake):
            await server.world.wait_until(lambda: len(server.brought) >= 3)
            assert not any(taken for _, taken in server.brought)
            intake.refuse = False
            events = await intake.wait_for(2)
            assert [event.text for event in events] == ["one", "two"]
            await server.world.wait_until(lambda: not server.world.updates)
        assert server.called("getUpdates") == []
        assert server.called("setWebhook")[0]["max_connections"] == "1"


async def test_who_does_not_know_the_secret_is_not_heard():
    async with FakeTelegram() as server:
        intake = RecordingIntake()
        async with listening(server, intake) as address, aiohttp.ClientSession() as stranger:
            forged = {"update_id": 1, "message": {"message_id": 1, "chat": {"id": 42}, "text": "x"}}
            for headers in ({}, {"X-Telegram-Bot-Api-Secret-Token": "guess"}):
                async with stranger.post(address, json=forged, headers=headers) as answer:
                    assert answer.status == 403
            known = {"X-Telegram-Bot-Api-Secret-Token": SECRET}
            async with stranger.post(address, data=b"\xff not json", headers=known) as answer:
                assert answer.status == 400
            async with stranger.post(address, data=b"[1, 2]", headers=known) as answer:
                assert answer.status == 200  # nothing can be read in it: bringing it again would not help
            async with stranger.get(address) as answer:
                assert answer.status == 405
        assert intake.events == []


async def test_an_address_that_is_taken_is_told():
    async with FakeTelegram() as server:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            context = ChannelContext(name=ChannelName("telegram"), files=StoredFiles())
            async with create(settings(server, other.getsockname()[1]), context) as channel:
                with pytest.raises(Unavailable, match="cannot listen"):
                    await channel.run(RecordingIntake())


def test_a_webhook_without_a_secret_is_refused():
    with pytest.raises(pydantic.ValidationError, match="forge"):
        Settings.model_validate({"token": "1:a", "webhook_url": PUBLIC})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ("https://api.telegram.org/bot", "https://api.telegram.org/file/bot", 30.0)),
        ({"base_url": "http://127.0.0.1:1/bot/"}, ("http://127.0.0.1:1/bot", "http://127.0.0.1:1/file/bot", None)),
        ({"base_url": "http://bot.lan:1"}, ("http://bot.lan:1/bot", "http://bot.lan:1/file/bot", None)),
        ({"base_url": "http://h/x/bot{token}/t"}, ("http://h/x/bot{token}/t", "http://h/x/file/bot{token}/t", None)),
        ({"base_url": "http://h/bot", "base_file_url": "http://f/y"}, ("http://h/bot", "http://f/y", None)),
        ({"messages_per_second": 5}, ("https://api.telegram.org/bot", "https://api.telegram.org/file/bot", 5.0)),
    ],
)  # fmt: skip
def test_addresses_and_limits_come_from_the_settings(given, expected):
    values = Settings.model_validate({"token": "1:a", **given})
    assert (values.base_url, values.file_url, values.ceiling) == expected


@pytest.mark.parametrize(
    "given",
    [{"token": ""}, {"token": "a b"}, {"token": "1:a", "base_url": "api.telegram.org"}, {"token": "1:a", "tokn": "x"},
     {"token": "1:a", "poll_timeout_seconds": 99}, {"token": "1:a", "webhook_listen": "8643"},
     {"token": "1:a", "webhook_url": "http://bot.example.org/x", "webhook_secret": "s"},
     {"token": "1:a", "webhook_url": "bot.example.org", "webhook_secret": "s"},
     {"token": "1:a", "webhook_url": PUBLIC, "webhook_secret": "a secret"}],
)  # fmt: skip
def test_wrong_settings_are_refused(given):
    with pytest.raises(pydantic.ValidationError):
        Settings.model_validate(given)
