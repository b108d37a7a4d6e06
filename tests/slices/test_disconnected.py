"""A platform that does not let us in any more: operators are told where they can be reached, and the others go on."""

from __future__ import annotations

import asyncio
import html
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from bot import connections
from bot.cli.doctor_channels import connection
from bot.config import load
from channels.checks import Result
from tests.slices.harness import Running, running, write_config
from tests.slices.screens import PLATFORMS, DiscordScreen, Screen, SlackScreen, TelegramScreen, slack, telegram

pytestmark = pytest.mark.slow


@pytest.mark.requirement("P6")
async def test_a_second_poller_and_a_revoked_token_are_told_and_stop_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_TOLD_AFTER_SECONDS", 0.0)
    async with telegram() as first, slack() as second:
        server = first.server
        async with running(write_config(tmp_path, [first, second]), [first, second]) as threadmill:
            async with httpx.AsyncClient(base_url=f"{server.base_url}{server.token}/") as rival:
                await server.world.wait_until(lambda: server.is_polled)
                await rival.get("getUpdates", params={"timeout": 0})
            await threadmill.shows(second, second.home(), "another program is asking for this bot's updates")
            first.says(first.home(), "say It recovers")
            await threadmill.shows(first, first.home(), "It recovers")

            server.token = "5000000001:revoked"
            server.drop_polls()
            told = await threadmill.shows(second, second.home(), "Telegram does not accept the bot's token")
            assert all("telegram is not connected" in text for text in told)
            second.says(second.room, "say The others go on")
            thread = await threadmill.home_of("assistant-2")
            await threadmill.shows(second, thread, "The others go on")


def revoke(screen: Screen) -> None:
    """Somebody resets the bot's token: connections end, and it opens nothing any more."""
    match screen:
        case DiscordScreen():
            screen.world.token = "MTA.another.token"
            screen.server.gateway.drop()
        case TelegramScreen():
            screen.server.token = "5000000001:another"
            screen.server.drop_polls()
        case SlackScreen():
            screen.slack.tokens.update(dict.fromkeys(screen.slack.tokens, "token_revoked"))
            screen.slack.post.drop()


@pytest.mark.requirement("P6")
@pytest.mark.parametrize("kind", sorted(PLATFORMS))
async def test_a_revoked_token_is_told_once_and_seen_everywhere_while_running_and_at_the_start(
    kind: str, tmp_path: Path
) -> None:
    """Ada's reach begins with the platform that is lost, so that she is told at the next."""
    async with PLATFORMS[kind]() as lost, (slack if kind == "telegram" else telegram)() as other:
        file = write_config(tmp_path, [lost, other])
        config = load(file, environ={})
        token = config.channels[lost.name].settings.model_dump().get("token")
        news = f"{lost.name} is not connected"

        async def seen(threadmill: Running, times: int) -> None:
            await threadmill.down(lost.name)
            await threadmill.shows(other, other.home(), news)
            other.says(other.home(), "say The other goes on")
            await threadmill.shows(other, other.home(), "The other goes on")
            await threadmill.settled()
            told = f"told {times} times"
            await threadmill.until(lambda: sum(news in text for text in other.said(other.home())) == times, told)
            health = await threadmill.client.get("/healthz")
            assert health.status_code == 200
            assert health.json()["channels"][lost.name]["state"] == "down"
            page = (await threadmill.client.get("/health")).text
            why = health.json()["channels"][lost.name]["detail"]
            assert "token" in why
            assert why in html.unescape(page)
            web = replace(config.web, port=threadmill.client.base_url.port or 0)
            checked = await asyncio.to_thread(connection, replace(config, web=web), str(lost.name))
            assert (checked.result, why in checked.evidence) == (Result.FAILED, True), "doctor says it too"
            checked = await asyncio.to_thread(connection, replace(config, web=web), str(other.name))
            assert checked.result is Result.OK
            everything = why + page + str(other.said_anywhere())
            assert token is None or token.get_secret_value() not in everything

        async with running(file, [lost, other]) as threadmill:
            revoke(lost)
            await seen(threadmill, 1)
        async with running(file, [lost, other], connect=False) as threadmill:
            await threadmill.connected(other.name)
            await seen(threadmill, 2)


@pytest.mark.requirement("P6")
async def test_a_platform_that_is_away_at_the_start_is_told_once_and_comes_in_later(
    screen: Screen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_TOLD_AFTER_SECONDS", 0.1)
    async with (slack if screen.name == "telegram" else telegram)() as other:
        await screen.go_away()
        async with running(write_config(tmp_path, [screen, other]), [screen, other], connect=False) as threadmill:
            await threadmill.connected(other.name)
            await threadmill.shows(other, other.home(), f"{screen.name} is not connected")
            other.says(other.home(), "say I work already")
            await threadmill.shows(other, other.home(), "I work already")
            await screen.come_back()
            await threadmill.connected(screen.name)
            screen.says(screen.home(), "say So do I")
            await threadmill.shows(screen, screen.home(), "So do I")
            await threadmill.settled()
            assert sum("is not connected" in text for text in other.said(other.home())) == 1
