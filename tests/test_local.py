"""The program's own channels: what they take from people, and what they refuse with a sentence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from channels.base import (
    Account,
    ChannelContext,
    ChannelName,
    DeliveryKey,
    Kind,
    NotAccepted,
    OpenThread,
    Outbound,
    Rejected,
    ThreadRef,
    Unavailable,
)
from channels.local import LocalChannel
from tests.conformance.harness import RecordingIntake
from tests.conformance.local import LocalRig, MemoryFiles, joined


@pytest.fixture
async def rig() -> AsyncIterator[LocalRig]:
    async with joined("web") as made:
        yield made


async def receive(channel: LocalChannel, **message: Any) -> Any:
    default = {"thread": "home", "text": "hello", "id": "1", "account": Account("web:owner"), "name": "Ada"}
    return await channel.receive(**(default | message))


async def test_the_same_id_is_one_message_and_another_threads_is_another(rig: LocalRig) -> None:
    first = await receive(rig.channel)
    again = await receive(rig.channel, text="said differently")
    elsewhere = await receive(rig.channel, thread="other")
    assert [(each.id, each.new) for each in (first, again, elsewhere)] == [("1", True), ("1", False), ("1", True)]
    assert [(event.text, event.where.thread) for event in rig.intake.events] == [("hello", "home"), ("hello", "other")]


async def test_without_an_id_each_message_is_new(rig: LocalRig) -> None:
    made = [await receive(rig.channel, id=None) for _ in range(2)]
    assert [each.new for each in made] == [True, True]
    assert made[0].id != made[1].id


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": ""},
        {"text": " \n\t"},
        {"text": "x" * 100_001},
        {"text": "a\x00b"},
        {"text": "\ud800"},
        {"thread": ""},
        {"thread": "x" * 81},
        {"thread": "a\nb"},
        {"thread": "a\u202eb"},
        {"thread": " a"},
        {"thread": "+s1"},
        {"id": ""},
        {"id": "x" * 201},
        {"id": "a\nb"},
    ],
    ids=repr,
)
async def test_bad_input_is_refused_with_a_sentence(rig: LocalRig, wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError) as refusal:
        await receive(rig.channel, **wrong)
    assert len(str(refusal.value)) > 20
    assert rig.intake.events == []


async def test_the_longest_text_and_name_are_taken(rig: LocalRig) -> None:
    await receive(rig.channel, text="x" * 100_000, thread="ü" * 80)
    [event] = rig.intake.events
    assert (len(event.text), event.direct, event.kind) == (100_000, True, Kind.MESSAGE)


@pytest.mark.requirement("P1")
async def test_before_it_runs_and_while_nothing_can_be_stored_nothing_is_taken(rig: LocalRig) -> None:
    fresh = LocalChannel(ChannelContext(name=ChannelName("web"), files=MemoryFiles()))
    with pytest.raises(Unavailable, match="starting"):
        await receive(fresh)
    rig.intake.refuse = True
    with pytest.raises(NotAccepted):
        await receive(rig.channel)
    rig.intake.refuse = False
    assert (await receive(rig.channel)).new


async def test_a_thread_that_is_opened_has_a_name_that_people_can_type(rig: LocalRig) -> None:
    request = OpenThread(
        key=DeliveryKey("open:s1"), room=rig.room, title="  Ébauche: <b>tides</b> & moons!!  " + "x" * 90
    )
    thread = await rig.channel.open_thread(request)
    assert thread == await rig.channel.open_thread(request)
    assert thread.thread is not None
    assert thread.thread.startswith("ébauche-b-tides-b-moons-xxx")
    assert len(thread.thread) <= 80
    await receive(rig.channel, thread=thread.thread)


async def test_another_channels_place_is_rejected(rig: LocalRig) -> None:
    place = ThreadRef(channel=ChannelName("console"), room="main", thread="home")
    with pytest.raises(Rejected, match="no place of web"):
        await rig.channel.send(Outbound(key=DeliveryKey("k"), to=place, text="hello"))


async def test_a_channel_that_is_cancelled_takes_nothing_more() -> None:
    channel = LocalChannel(ChannelContext(name=ChannelName("web"), files=MemoryFiles()))
    running = asyncio.create_task(channel.run(RecordingIntake()))
    await asyncio.sleep(0)
    assert (await receive(channel)).new
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    with pytest.raises(Unavailable):
        await receive(channel)
