"""Slack that calls us by HTTP: signatures, the address check, and commit before the answer."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from pydantic import SecretStr, ValidationError

from channels.base import ChannelContext, ChannelState, Kind, Rejected
from channels.slack import Settings, create
from tests.conformance.harness import RecordingIntake
from tests.conformance.rig_slack import NAME, FolderFiles
from tests.fakes.slack import BOT_TOKEN, FakeSlack

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"


class Caller:
    """Slack's side of HTTP mode."""

    def __init__(self, address: str, intake: RecordingIntake, session: aiohttp.ClientSession) -> None:
        self.address = address
        self.intake = intake
        self._session = session

    async def post(
        self, body: str, *, form: bool = False, secret: str = SECRET, age_seconds: int = 0
    ) -> tuple[int, str]:
        stamp = str(int(time.time()) - age_seconds)
        digest = hmac.new(secret.encode(), f"v0:{stamp}:{body}".encode(), hashlib.sha256).hexdigest()
        headers = {
            "X-Slack-Request-Timestamp": stamp,
            "X-Slack-Signature": f"v0={digest}",
            "Content-Type": "application/x-www-form-urlencoded" if form else "application/json",
        }
        async with self._session.post(self.address, data=body.encode(), headers=headers) as response:
            return response.status, await response.text()


def event(text: str = "hello", ts: str = "1700000000.000100") -> dict[str, Any]:
    message = {"type": "message", "channel": "C1", "user": "U1", "text": text, "ts": ts, "channel_type": "channel"}
    return {"type": "event_callback", "team_id": "T1", "event_id": f"Ev{ts}", "event": message}


@pytest.fixture
async def caller(tmp_path: Path) -> AsyncIterator[Caller]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with contextlib.AsyncExitStack() as open_:
        slack = await open_.enter_async_context(FakeSlack())
        settings = Settings(
            bot_token=SecretStr(BOT_TOKEN), signing_secret=SecretStr(SECRET), base_url=slack.base_url, listen_port=port
        )
        context = ChannelContext(name=NAME, files=FolderFiles(tmp_path))
        channel = await open_.enter_async_context(create(settings, context))
        intake = RecordingIntake()
        running = asyncio.create_task(channel.run(intake))
        async with asyncio.timeout(10):
            while channel.health().state is not ChannelState.CONNECTED:  # noqa: ASYNC110 - health is asked, not told
                await asyncio.sleep(0.01)
        session = await open_.enter_async_context(aiohttp.ClientSession())
        yield Caller(f"http://127.0.0.1:{port}/slack/events", intake, session)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def test_slack_may_check_the_address(caller: Caller):
    challenge = json.dumps({"type": "url_verification", "token": "x", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY"})
    status, text = await caller.post(challenge)
    assert status == 200
    assert "3eZbrw1aBm2rZgRNFdxV2595E9CY" in text


@pytest.mark.requirement("P1")
async def test_an_event_is_answered_when_it_is_committed_and_refused_when_it_is_not(caller: Caller):
    caller.intake.refuse = True
    assert (await caller.post(json.dumps(event())))[0] == 503
    assert caller.intake.events == []
    caller.intake.refuse = False
    assert (await caller.post(json.dumps(event())))[0] == 200
    assert [found.text for found in caller.intake.events] == ["hello"]
    assert (await caller.post(json.dumps(event())))[0] == 200
    assert len(caller.intake.events) == 1


async def test_what_is_not_signed_by_slack_is_not_looked_at(caller: Caller):
    assert (await caller.post(json.dumps(event()), secret="another"))[0] == 401
    assert (await caller.post(json.dumps(event()), age_seconds=600))[0] == 401
    assert caller.intake.events == []


async def test_commands_and_buttons_come_as_forms(caller: Caller):
    command = {"command": "/threadmill", "text": "status", "channel_id": "C1", "user_id": "U1", "trigger_id": "1.2.3"}
    assert (await caller.post(urlencode(command), form=True)) == (200, "")
    press = {
        "type": "block_actions",
        "user": {"id": "U1", "username": "ada"},
        "container": {"type": "message", "message_ts": "1.5", "channel_id": "C1"},
        "channel": {"id": "C1", "name": "general"},
        "actions": [{"type": "button", "action_id": "b1", "action_ts": "2.0"}],
    }
    assert (await caller.post(urlencode({"payload": json.dumps(press)}), form=True)) == (200, "")
    assert [(found.kind, found.text) for found in caller.intake.events] == [
        (Kind.COMMAND, "/status"),
        (Kind.BUTTON, ""),
    ]


async def test_a_port_that_is_taken_is_said(caller: Caller, tmp_path: Path):
    port = int(caller.address.split(":")[2].split("/")[0])
    async with FakeSlack() as slack:
        settings = Settings(
            bot_token=SecretStr(BOT_TOKEN), signing_secret=SecretStr(SECRET), base_url=slack.base_url, listen_port=port
        )
        async with create(settings, ChannelContext(name=NAME, files=FolderFiles(tmp_path))) as channel:
            with pytest.raises(Rejected, match=f"listen on 127.0.0.1:{port}"):
                await channel.run(RecordingIntake())


def test_one_way_in_must_be_configured():
    with pytest.raises(ValidationError, match="app_token"):
        Settings(bot_token=SecretStr("xoxb-1"))


def test_an_unknown_key_is_refused_and_no_token_is_shown():
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"bot_token": "xoxb-secret", "app_token": "xapp-secret", "tokn": "x"})
    assert "xoxb-secret" not in str(Settings.model_validate({"bot_token": "xoxb-secret", "app_token": "xapp-secret"}))
    assert "tokn" in str(caught.value)
