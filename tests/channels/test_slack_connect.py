"""Getting connected: the manifest, the proof, and what doctor finds."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from channels.base import ChannelName, CommandSpec, ThreadRef
from channels.checks import Result
from channels.slack import Settings
from channels.slack.connect import GUIDE, checks, prove
from channels.slack.manifest import EVENTS, SCOPES, creation_address, manifest
from channels.slack.normalize import ROOM_KINDS
from channels.slack.pressed import HAND_OVER
from tests.fakes.slack import BOT_TOKEN, FakeSlack
from tests.fakes.slack.workspace import APP_TOKEN

NAME = ChannelName("slack")
ROOMS = (
    ThreadRef(channel=NAME, space="T1", room="C1"),
    ThreadRef(channel=NAME, space="T1", room="C1", thread="1.5"),
    ThreadRef(channel=ChannelName("telegram"), room="42"),
)


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with FakeSlack() as fake:
        yield fake


def settings(slack: FakeSlack, bot: str = BOT_TOKEN, app: str = APP_TOKEN) -> Settings:
    return Settings(bot_token=SecretStr(bot), app_token=SecretStr(app), base_url=slack.base_url)


async def examined(slack: FakeSlack, **tokens: str) -> dict[str, tuple[Result, str, str]]:
    found = {}
    for check in checks(settings(slack, **tokens), NAME, ROOMS):
        result = await check.run()
        found[check.id.removeprefix("channel.slack.")] = (result.result, result.evidence, result.fix)
        assert "xoxb-fake" not in result.evidence + result.fix
    return found


async def test_wrong_tokens_are_told_apart(slack: FakeSlack):
    found = await examined(slack, bot=APP_TOKEN, app=BOT_TOKEN)
    assert found["token_kinds"][0] is Result.FAILED
    assert found["bot_token"][0] is Result.FAILED
    assert found["app_token"][0] is Result.FAILED
    assert "connections:write" in found["app_token"][2]
    assert found["socket_mode"][0] is Result.SKIPPED


async def test_a_missing_permission_is_named_with_what_it_is_for(slack: FakeSlack):
    slack.methods.scopes.discard("files:read")
    result, evidence, fix = (await examined(slack))["scopes"]
    assert result is Result.WARNING
    assert "files:read (to read files that people send)" in evidence
    assert "Reinstall" in fix


@pytest.mark.parametrize(
    ("change", "words"), [("left", "not in #general"), ("archived", "archived"), ("gone", "no such channel")]
)
async def test_a_room_that_cannot_be_used_is_named(slack: FakeSlack, change: str, words: str):
    if change == "left":
        slack.space.rooms["C1"].members.discard("UBOT")
    elif change == "archived":
        slack.space.rooms["C1"].is_archived = True
    else:
        del slack.space.rooms["C1"]
    found = await examined(slack)
    result, evidence, fix = found["room.C1.member" if change == "left" else "room.C1"]
    assert result is Result.FAILED
    assert words in evidence
    assert fix


async def test_the_proof_opens_a_socket_and_says_who_the_bot_is(slack: FakeSlack):
    result = await prove(settings(slack))
    assert result.result is Result.OK
    assert "@threadmill" in result.evidence
    assert slack.post.sockets_opened == 1
    await slack.post.until_sockets(0)


async def test_the_proof_stops_at_the_first_thing_that_is_wrong(slack: FakeSlack):
    slack.tokens[APP_TOKEN] = "invalid_auth"
    result = await prove(settings(slack))
    assert result.result is Result.FAILED
    assert result.fix


def test_the_manifest_asks_for_what_we_read_and_nothing_else():
    made = manifest(commands=(CommandSpec(name="help", description="What can you do?"),))
    assert made["oauth_config"]["scopes"]["bot"] == sorted(SCOPES)
    assert set(ROOM_KINDS) - {"group_archive"} <= set(EVENTS)
    assert made["features"]["shortcuts"][0]["callback_id"] == HAND_OVER
    assert made["features"]["agent_view"]["suggested_prompts"] == [{"title": "What can you do?", "message": "!help"}]
    assert made["settings"]["socket_mode_enabled"] is True
    assert "request_url" not in made["settings"]["interactivity"]


def test_for_http_the_address_is_everywhere_where_slack_calls():
    made = manifest(address="https://bot.example/slack/events")
    assert made["settings"]["socket_mode_enabled"] is False
    assert made["settings"]["event_subscriptions"]["request_url"] == "https://bot.example/slack/events"
    assert made["settings"]["interactivity"]["request_url"] == "https://bot.example/slack/events"
    assert made["features"]["slash_commands"][0]["url"] == "https://bot.example/slack/events"


def test_the_guides_link_makes_exactly_that_app():
    written = parse_qs(urlsplit(creation_address()).query)["manifest_json"][0]
    assert json.loads(written) == manifest()
    assert creation_address() in GUIDE
