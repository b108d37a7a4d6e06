"""When a platform is away the conversation goes on at another one: privately, said once, and in the same session."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.slices.harness import running, write_config
from tests.slices.screens import EVES, SlackScreen, TelegramScreen, discord, slack, telegram

pytestmark = pytest.mark.slow
Pair = tuple[SlackScreen, TelegramScreen]


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    """Slack and Telegram, where Ada is reached in this order."""
    async with slack() as first, telegram() as second:
        yield first, second


@pytest.mark.requirement("P7")
async def test_an_answer_goes_to_the_persons_next_place_and_the_conversation_goes_on_there(
    pair: Pair, tmp_path: Path
) -> None:
    first, second = pair
    async with running(write_config(tmp_path, pair), pair) as threadmill:
        first.says(first.room, "say Good morning")
        thread = await threadmill.home_of("assistant-1")
        await threadmill.shows(first, thread, "Good morning")
        first.says(thread, "wait 0.3s then say This finds its way")
        await threadmill.until(lambda: threadmill.application.engine.awake, "the turn runs")
        await first.go_away()
        said = await threadmill.shows(second, second.home(), "This finds its way")
        assert "Slack cannot be reached at the moment" in said[0]

        second.says(second.home(), "say Heard on Telegram")
        await threadmill.shows(second, second.home(), "Heard on Telegram")
        second.says(second.home(), "say And again")
        said = await threadmill.shows(second, second.home(), "And again")
        assert sum("cannot be reached" in text for text in said) == 1, "the note is said once"
        assert await threadmill.rows("select count(*) from sessions") == [(1,)]

        there = len(second.said(second.home()))
        await first.come_back()
        await threadmill.connected("slack")
        first.says(thread, "say Back on Slack")
        await threadmill.shows(first, thread, "Back on Slack")
        await threadmill.settled()
        assert len(second.said(second.home())) == there, "what is asked on Slack is answered on Slack again"
        everything = [text for screen in pair for said in screen.said_anywhere().values() for text in said]
        for text in ("Good morning", "This finds its way", "Heard on Telegram", "And again", "Back on Slack"):
            assert sum(text in one for one in everything) == 1, text
        assert await threadmill.rows("select count(*) from sessions") == [(1,)]


@pytest.mark.requirement("P7")
async def test_a_shared_rooms_conversation_appears_nowhere_but_in_its_owners_private_place(
    pair: Pair, tmp_path: Path
) -> None:
    first, second = pair
    eve = f'[people.eve]\naccounts = ["{first.accounts[EVES]}", "{second.accounts[EVES]}"]\nrole = "user"\n'
    async with running(write_config(tmp_path, pair, more=eve), pair) as threadmill:
        first.says(first.room, "say Ada asked in the room")
        thread = await threadmill.home_of("assistant-1")
        await threadmill.shows(first, thread, "Ada asked in the room")
        first.says(thread, "wait 0.3s then say Eve asked, Ada owns it", by=EVES)
        await threadmill.until(lambda: threadmill.application.engine.awake, "the turn runs")
        await first.go_away()
        await threadmill.shows(second, second.home(), "Eve asked, Ada owns it")
        await threadmill.settled()
        assert set(second.said_anywhere()) == {second.home().room}


@pytest.mark.requirement("P7")
async def test_what_nobody_else_may_see_waits_when_there_is_no_private_place(tmp_path: Path) -> None:
    async with slack() as first, telegram() as second:
        alone = f'[people.eve]\naccounts = ["{first.accounts[EVES]}"]\nrole = "user"\n'
        async with running(write_config(tmp_path, [first, second], more=alone), [first, second]) as threadmill:
            first.says(first.room, "say Eve is here", by=EVES)
            thread = await threadmill.home_of("assistant-1")
            await threadmill.shows(first, thread, "Eve is here")
            first.says(thread, "wait 0.2s then say This waits", by=EVES)
            await threadmill.until(lambda: threadmill.application.engine.awake, "the turn runs")
            await first.go_away()
            await threadmill.until(lambda: not threadmill.application.engine.awake, "the turn is over")
            await threadmill.disconnected("slack")
            assert second.said_anywhere() == {}
            await first.come_back()
            await threadmill.shows(first, thread, "This waits")
            assert second.said_anywhere() == {}


@pytest.mark.requirement("P6")
async def test_a_platform_that_is_away_at_the_start_disturbs_no_other(pair: Pair, tmp_path: Path) -> None:
    first, second = pair
    await first.go_away()
    async with running(write_config(tmp_path, pair), pair, connect=False) as threadmill:
        await threadmill.connected("telegram")
        second.says(second.home(), "say I work already")
        await threadmill.shows(second, second.home(), "I work already")
        assert (await threadmill.client.get("/healthz")).status_code == 200
        await first.come_back()
        await threadmill.connected("slack")
        first.says(first.room, "say So do I")
        await threadmill.shows(first, await threadmill.home_of("assistant-2"), "So do I")


@pytest.mark.requirement("P6")
async def test_a_token_that_is_refused_is_told_in_health_and_disturbs_no_other(tmp_path: Path) -> None:
    async with telegram() as good, slack() as bad:
        file = write_config(tmp_path, [good, bad])
        bad.slack.tokens.clear()
        async with running(file, [good, bad], connect=False) as threadmill:
            await threadmill.connected("telegram")
            await threadmill.down("slack")
            good.says(good.home(), "say I work")
            await threadmill.shows(good, good.home(), "I work")
            answer = await threadmill.command(good, good.home(), "/health", "slack")
            assert "token" in answer
            assert good.server.token not in answer
            await threadmill.shows(good, good.home(), "slack is not connected")


@pytest.mark.requirement("P6")
async def test_a_token_that_is_revoked_at_work_is_told_to_the_operator_and_the_others_go_on(tmp_path: Path) -> None:
    async with (
        telegram() as good,
        discord() as bad,
        running(write_config(tmp_path, [bad, good]), [bad, good]) as threadmill,
    ):
        bad.says(bad.home(), "say Still here")
        await threadmill.shows(bad, bad.home(), "Still here")
        bad.world.token = "another.bot.token"
        bad.server.gateway.forget_sessions()
        await bad.server.gateway.close_all(4004)
        await threadmill.down("discord")
        await threadmill.shows(good, good.home(), "discord is not connected", "Set a new one")
        good.says(good.home(), "say I go on")
        await threadmill.shows(good, good.home(), "I go on")
