"""Answers that are shown while they are written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from channels.base import Capability, DeliveryKey, Kind, OpenThread, Outbound, ThreadRef
from channels.telegram.live import DraftText, EditedText
from tests.conformance.rig_telegram import NAME, TelegramRig, joined
from tests.fakes.telegram.server import lose_answer, refuse
from tests.fakes.telegram.world import ADA, FORUM

PRIVATE = ThreadRef(channel=NAME, room=str(ADA))
ROOM = ThreadRef(channel=NAME, room=str(FORUM))


@pytest.fixture
async def rig() -> AsyncIterator[TelegramRig]:
    async with joined() as running:
        yield running


async def begun(rig: TelegramRig, where: ThreadRef, reply_to: str | None = None) -> DraftText | EditedText:
    live = await rig.channel.live(where, reply_to)
    assert isinstance(live, DraftText | EditedText)
    live.interval_seconds = 0.0
    return live


async def test_a_private_answer_is_a_draft_until_it_is_said(rig):
    live = await begun(rig, PRIVATE)
    await live.update("", "thinking")
    assert rig.world.draft(ADA) == "thinking"
    await live.update("**Half** an", "writing")
    assert rig.world.draft(ADA) == "Half an\n\nwriting"
    await live.close()
    await live.update("too late", "")
    await rig.channel.send(Outbound(key=DeliveryKey("k"), to=PRIVATE, text="**Half** an answer"))
    assert rig.world.draft(ADA) is None
    assert [message["text"] for message in rig.world.in_topic(ADA, None)] == ["Half an answer"]
    drafts = rig.world.drafts_shown
    assert len({draft["draft_id"] for draft in drafts}) == 1
    assert all(draft["can_stop"] for draft in drafts)


async def test_a_draft_belongs_to_its_topic(rig):
    topic = await rig.channel.open_thread(OpenThread(key=DeliveryKey("t"), room=PRIVATE, title="T"))
    live = await begun(rig, topic)
    await live.update("in the topic", "")
    assert rig.world.draft(ADA, int(topic.thread or 0)) == "in the topic"
    assert rig.world.draft(ADA) is None


async def test_telegrams_own_stop_button_stops(rig):
    live = await begun(rig, PRIVATE)
    await live.update("a long answer", "")
    rig.world.stops_draft(ADA)
    [event] = await rig.intake.wait_for(1)
    assert (event.kind, event.text, event.where) == (Kind.COMMAND, "/stop", PRIVATE)
    assert event.sender.account == rig.ada_account


async def test_elsewhere_it_is_one_message_that_goes_when_the_answer_comes(rig):
    question = await rig.says(ROOM, "question")
    live = await begun(rig, ROOM, question)
    await live.update("Half", "writing")
    await live.update("Half an", "writing")
    await live.update("Half an", "writing")
    _, shown = await rig.shown(ROOM)
    assert shown.text == "Half an\n\nwriting"
    assert shown.buttons == (("live:stop", "■ Stop"),)
    assert len(rig.server.called("editMessageText")) == 1
    await live.close()
    await live.close()
    await live.update("too late", "")
    assert len(await rig.shown(ROOM)) == 1
    assert rig.server.called("sendMessage")[0]["disable_notification"] == "true"


async def test_our_stop_button_stops(rig):
    live = await begun(rig, ROOM)
    await live.update("a long answer", "")
    [shown] = await rig.shown(ROOM)
    await rig.presses(ROOM, shown.message_id, shown.buttons[0][0])
    [event] = await rig.intake.wait_for(1)
    assert (event.kind, event.text, event.where) == (Kind.COMMAND, "/stop", ROOM)


@pytest.mark.parametrize("status", [404, 400])
async def test_a_server_without_drafts_gets_edits(rig, status):
    rig.server.fail_next("sendMessageDraft", refuse(status, "Not Found"))
    live = await begun(rig, PRIVATE)
    await live.update("Half", "")
    await live.update("Half an", "")
    assert [shown.text for shown in await rig.shown(PRIVATE)] == ["Half"]
    await live.close()
    assert await rig.shown(PRIVATE) == []
    assert len(rig.server.called("sendMessageDraft")) == 1


async def test_the_pace_is_kept_by_leaving_texts_out(rig):
    for where in (PRIVATE, ROOM):
        live = await rig.channel.live(where)
        for length in range(200):
            await live.update("x" * (length + 1), "")
        await live.close()
    assert len(rig.world.drafts_shown) == 1
    assert len(rig.server.called("editMessageText")) == 0


async def test_previews_leave_room_for_the_answer():
    async with joined(messages_per_second=30) as rig:
        rig.server.flood.enforced = True
        live = await begun(rig, ROOM)
        for length in range(60):
            await live.update("x" * (length + 1), "")
        await live.close()
        for number in range(5):
            await rig.channel.send(Outbound(key=DeliveryKey("k"), to=ROOM, text=f"part {number}"))
        assert rig.server.flood.refusals == 0
        assert 1 <= len(rig.server.called("editMessageText")) <= 10


async def test_a_preview_whose_answer_was_lost_is_not_shown_twice(rig):
    rig.server.fail_next("sendMessage", lose_answer)
    live = await begun(rig, ROOM)
    await live.update("Half", "")
    await live.update("Half an", "")
    await live.close()
    assert len(await rig.shown(ROOM)) == 1


async def test_a_preview_that_was_refused_for_now_is_tried_again(rig):
    rig.server.fail_next("sendMessage", refuse(429, "Too Many Requests", retry_after=0.05))
    live = await begun(rig, ROOM)
    await live.update("Half", "")
    assert await rig.shown(ROOM) == []
    async with asyncio.timeout(5):
        while not await rig.shown(ROOM):
            await asyncio.sleep(0.02)
            await live.update("Half an", "")


async def test_a_preview_that_is_not_allowed_is_not_tried_again(rig):
    rig.server.fail_next("sendMessage", refuse(400, "Bad Request: not enough rights"))
    live = await begun(rig, ROOM)
    await live.update("Half", "")
    await live.update("Half an", "")
    assert len(rig.server.called("sendMessage")) == 1


async def test_a_preview_raises_nothing_while_the_platform_is_away(rig):
    lives = [await begun(rig, where) for where in (PRIVATE, ROOM)]
    await rig.server.refuse_connections()
    for live in lives:
        await live.update("Half", "")
        await live.close()


async def test_a_preview_that_a_crash_left_is_taken_away_at_the_next_start(rig):
    for _ in range(2):
        live = await begun(rig, ROOM)
        await live.update("Half", "")
    said = await rig.channel.send(Outbound(key=DeliveryKey("k"), to=ROOM, text="an answer that stays"))
    await rig.reconnect()
    await rig.world.wait_until(lambda: len(rig.world.in_topic(FORUM, None)) == 1)
    assert [shown.message_id for shown in await rig.shown(ROOM)] == list(said.message_ids)


async def test_slow_updates_do_not_pile_up(rig):
    live = await begun(rig, ROOM)
    async with asyncio.TaskGroup() as tasks:
        for length in range(50):
            tasks.create_task(live.update("x" * (length + 1), ""))
    assert len(await rig.shown(ROOM)) == 1


async def test_streaming_can_be_switched_off():
    async with joined(stream=False) as rig:
        assert Capability.STREAM not in rig.channel.capabilities
