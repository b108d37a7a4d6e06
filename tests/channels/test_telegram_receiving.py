"""What comes in from Telegram, through the unmodified library: committed, acknowledged, in order, once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from channels.base import (
    Button,
    ChannelContext,
    ChannelName,
    ChannelState,
    DeliveryKey,
    Kind,
    OpenThread,
    Outbound,
    Rejected,
    ThreadRef,
    Unavailable,
    UnknownOutcome,
)
from channels.telegram import Settings, create
from tests.conformance.harness import RecordingIntake
from tests.conformance.rig_telegram import StoredFiles, TelegramRig, joined
from tests.fakes.telegram import FakeTelegram
from tests.fakes.telegram.server import answer_with, broken_gateway, lose_answer, refuse
from tests.fakes.telegram.world import ADA, FORUM, GROUP

NAME = ChannelName("telegram")
PRIVATE = ThreadRef(channel=NAME, room=str(ADA))
ROOM = ThreadRef(channel=NAME, room=str(FORUM))
BASIC = ThreadRef(channel=NAME, room=str(GROUP))


def outbound(text: str = "hello", to: ThreadRef = PRIVATE, **more) -> Outbound:
    return Outbound(key=DeliveryKey("k"), to=to, text=text, **more)


@pytest.fixture
async def rig() -> AsyncIterator[TelegramRig]:
    async with joined() as running:
        yield running


@pytest.fixture
async def server() -> AsyncIterator[FakeTelegram]:
    async with FakeTelegram() as running:
        yield running


def channel_at(server: FakeTelegram, **settings):
    values = {"token": server.token, "base_url": server.base_url} | settings
    return create(Settings.model_validate(values), ChannelContext(name=NAME, files=StoredFiles()))


@pytest.mark.slow
@pytest.mark.requirement("P1")
async def test_the_next_offset_is_asked_only_after_the_commit(rig):
    rig.intake.refuse = True
    first = await rig.says(PRIVATE, "keep me")
    await rig.world.wait_until(lambda: len(rig.server.called("getUpdates")) >= 3)
    assert not await rig.acknowledged(first)
    assert "cannot be stored" in rig.channel.health().detail
    rig.intake.refuse = False
    [event] = await rig.intake.wait_for(1)
    assert event.text == "keep me"
    assert await rig.acknowledged(first)
    assert rig.intake.cursors["offset"] == str(rig.world.confirmed + 1)
    assert rig.channel.health().detail == ""


@pytest.mark.requirement("P3")
async def test_a_restart_goes_on_behind_the_stored_offset(rig):
    await rig.says(PRIVATE, "before")
    await rig.intake.wait_for(1)
    await rig.stop()
    await rig.says(PRIVATE, "while away")
    await rig.start()
    events = await rig.intake.wait_for(2)
    assert [event.text for event in events] == ["before", "while away"]
    offsets = [call.get("offset") for call in rig.server.called("getUpdates")]
    assert str(rig.world.next_update_id - 1) in offsets


async def test_the_offset_of_another_bot_is_not_used(server):
    intake = RecordingIntake(cursors={"offset": "999999999", "bot": "1"})
    server.world.says(ADA, "hello")
    async with channel_at(server) as channel:
        running = asyncio.create_task(channel.run(intake))
        assert (await intake.wait_for(1))[0].text == "hello"
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert intake.cursors["bot"] == str(server.world.bot["id"])


@pytest.mark.slow
@pytest.mark.requirement("P2")
async def test_two_thousand_messages_arrive_once_and_in_order(rig):
    texts = [f"message {number}" for number in range(2000)]
    for number, text in enumerate(texts):
        rig.world.says(FORUM, text)
        if number % 400 == 0:
            rig.server.drop_polls()
            await asyncio.sleep(0)
    events = await rig.intake.wait_for(2000, 20)
    assert [event.text for event in events] == texts


@pytest.mark.slow
async def test_a_lost_answer_to_the_question_for_updates_is_asked_again(rig):
    for fault in (broken_gateway(), refuse(429, "Too Many Requests", retry_after=0)):
        rig.server.fail_next("getUpdates", fault)
    rig.server.drop_polls()
    await rig.says(PRIVATE, "still here")
    assert (await rig.intake.wait_for(1))[0].text == "still here"


@pytest.mark.requirement("P3")
async def test_an_update_that_comes_twice_is_the_same_event(rig):
    await rig.says(PRIVATE, "once")
    await rig.intake.wait_for(1)
    await rig.repeat_last_event()
    await rig.says(PRIVATE, "then")
    events = await rig.intake.wait_for(2)
    assert [event.text for event in events] == ["once", "then"]


async def test_an_update_that_nobody_can_read_blocks_nothing(rig):
    rig.world.updates.append({"update_id": rig.world.next_update_id, "message": {"text": 5}})
    rig.world.next_update_id += 1
    await rig.says(PRIVATE, "next")
    assert (await rig.intake.wait_for(1))[0].text == "next"
    await rig.world.wait_until(lambda: not rig.world.updates)


@pytest.mark.slow
async def test_a_press_is_answered_after_it_is_committed(rig):
    receipt = await rig.channel.send(outbound(buttons=(Button(id="yes", label="Yes"),)))
    rig.intake.refuse = True
    query = rig.world.presses(ADA, int(receipt.message_ids[0]), "yes")
    await rig.world.wait_until(lambda: len(rig.server.called("getUpdates")) >= 3)
    assert rig.world.answered == []
    rig.intake.refuse = False
    await rig.world.wait_until(lambda: rig.world.answered == [query])
    assert rig.intake.events[0].payload == "yes"


async def test_a_second_poller_is_named_in_plain_words(server):
    async with channel_at(server) as channel:
        running = asyncio.create_task(channel.run(RecordingIntake()))
        await server.world.wait_until(lambda: server.poll_waits == 1)
        async with channel_at(server) as rival:
            rivals = asyncio.create_task(rival.run(RecordingIntake()))
            with pytest.raises(Unavailable, match="another program is asking for this bot's updates"):
                await running
            rivals.cancel()
            await asyncio.gather(rivals, return_exceptions=True)
        assert channel.health().state is ChannelState.DOWN
        assert "stop it" in channel.health().detail


async def test_a_forgotten_webhook_is_removed_and_nothing_pending_is_lost(server):
    server.methods.webhook = {"url": "https://old.example.org", "secret": ""}
    server.world.says(ADA, "waiting since yesterday")
    intake = RecordingIntake()
    async with channel_at(server) as channel:
        running = asyncio.create_task(channel.run(intake))
        assert (await intake.wait_for(1))[0].text == "waiting since yesterday"
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("token", ["5000000001:revoked", "nonsense"])
async def test_a_token_that_is_not_accepted_needs_a_person(server, token):
    async with channel_at(server, token=token) as channel:
        with pytest.raises(Rejected, match="BotFather"):
            await channel.run(RecordingIntake())
        assert channel.health().state is ChannelState.DOWN


async def test_a_token_revoked_while_running_needs_a_person(server):
    async with channel_at(server) as channel:
        running = asyncio.create_task(channel.run(RecordingIntake()))
        await server.world.wait_until(lambda: server.poll_waits == 1)
        server.token = "5000000001:new"
        server.drop_polls()
        with pytest.raises(Rejected, match="BotFather"):
            await running
        with pytest.raises(Unavailable, match="token"):
            await channel.send(outbound())


async def test_a_platform_that_is_down_at_start_is_unavailable_and_opening_it_costs_no_call(server):
    await server.refuse_connections()
    async with channel_at(server) as channel:
        with pytest.raises(Unavailable, match="cannot be reached"):
            await channel.run(RecordingIntake())
        with pytest.raises(Unavailable, match="did not begin"):
            await channel.send(outbound())
        await channel.typing(PRIVATE)
    assert server.calls == []


@pytest.mark.requirement("P1")
async def test_a_deleted_topic_and_a_migrated_group_are_known_by_what_the_server_says(rig):
    topic = await rig.channel.open_thread(OpenThread(key=DeliveryKey("t"), room=ROOM, title="Gone"))
    rig.world.deletes_topic(FORUM, int(topic.thread))
    with pytest.raises(Rejected, match="deleted"):
        await rig.channel.send(outbound(to=topic))
    new = rig.world.migrates(GROUP)
    [moved] = await rig.intake.wait_for(1)
    assert (moved.kind, moved.where, moved.payload) == (Kind.ROOM_MOVED, BASIC, str(new))
    with pytest.raises(Rejected, match=str(new)):
        await rig.channel.send(outbound(to=BASIC))
    await rig.channel.send(outbound(to=ThreadRef(channel=NAME, room=str(new))))


# --- beside ---------------------------------------------------------------------------------------


async def test_the_token_stays_out_of_every_log(caplog, server):
    caplog.set_level(logging.DEBUG)
    async with joined(server) as rig:
        await rig.says(PRIVATE, "hello")
        await rig.intake.wait_for(1)
        rig.server.fail_next("sendMessage", lose_answer)
        with pytest.raises(UnknownOutcome):
            await rig.channel.send(outbound())
        assert rig.server.token not in repr(rig.channel.__dict__["_settings"])
    assert any("[token]" in record.getMessage() for record in caplog.records)
    assert server.token not in caplog.text


async def test_nobody_can_look_up_what_was_sent(rig):
    with pytest.raises(Rejected):
        await rig.channel.find(outbound(), datetime.now(UTC))


@pytest.mark.slow
async def test_a_socket_on_which_nothing_comes_any_more_is_given_up(server, monkeypatch):
    monkeypatch.setattr("channels.telegram.client._POLL_GRACE_SECONDS", 0.2)

    async def say_nothing(*_):
        await asyncio.sleep(60)

    server.fail_next("getUpdates", say_nothing)
    intake = RecordingIntake()
    server.world.says(ADA, "hello")
    async with channel_at(server, poll_timeout_seconds=0) as channel:
        running = asyncio.create_task(channel.run(intake))
        assert (await intake.wait_for(1))[0].text == "hello"
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.slow
async def test_a_server_that_holds_no_question_open_is_not_flooded(server):
    intake = RecordingIntake()
    async with channel_at(server, poll_timeout_seconds=0) as channel:
        running = asyncio.create_task(channel.run(intake))
        with pytest.raises(TimeoutError):
            await intake.wait_for(1, 0.5)
        assert 2 <= len(server.called("getUpdates")) <= 12
        server.world.says(ADA, "hello")
        await intake.wait_for(1, 1.0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_server_that_is_no_bot_api_is_named(server):
    server.fail_next("getMe", answer_with(b'{"ok": true, "result": {"hello": 1}}'))
    async with channel_at(server) as channel:
        with pytest.raises(Unavailable, match="base_url"):
            await channel.run(RecordingIntake())
        server.fail_next("getMe", broken_gateway())
        with pytest.raises(Unavailable, match="502"):
            await channel.run(RecordingIntake())
