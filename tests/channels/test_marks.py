"""Marks on people's messages and addresses of places, where platforms differ: conformance proves what is the same."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from channels.base import Capability, DeliveryKey, Mark, OpenThread, Outbound, Rejected, TemporaryFailure, ThreadRef
from tests.conformance import rig_discord, rig_slack, rig_telegram
from tests.fakes.telegram.world import ADA, FORUM


async def test_slack_gives_the_permalink_of_a_thread_and_marks_nothing_without_the_permission(tmp_path: Path) -> None:
    async with rig_slack.rig(tmp_path) as slack:
        ts = await slack.says(slack.room, "hello")
        thread = ThreadRef(channel=slack.room.channel, space=slack.room.space, room=slack.room.room, thread=ts)
        assert await slack.channel.link(thread) == f"https://fake.slack.com/archives/C1/p{ts.replace('.', '')}"
        gone = ThreadRef(channel=slack.room.channel, space=slack.room.space, room=slack.room.room, thread="1.000001")
        assert await slack.channel.link(gone) is None
        slack.slack.methods.scopes.discard("reactions:write")
        with pytest.raises(Rejected):
            await slack.channel.react(slack.room, ts, Mark.TAKEN_IN)
        await slack.reconnect()
        assert Capability.REACT not in slack.channel.capabilities


@pytest.mark.slow
async def test_discord_names_a_thread_by_its_server_and_keeps_the_pace_of_reactions(tmp_path: Path) -> None:
    async with rig_discord.rig(tmp_path) as discord:
        thread = await discord.channel.open_thread(
            OpenThread(key=DeliveryKey("o"), room=discord.room, title="A thread", first_text="Hello")
        )
        assert await discord.channel.link(thread) == f"https://discord.com/channels/{thread.space}/{thread.thread}"
        discord.server.limits.as_documented()
        ids = [await discord.says(thread, f"note {number}") for number in range(3)]
        for id in ids:
            await discord.channel.react(thread, id, Mark.TAKEN_IN)
        assert [await discord.marks(thread, id) for id in ids] == [["👀"]] * 3
        assert discord.server.limits.refused == 0


async def test_telegram_knows_addresses_of_supergroups_only_and_groups_may_refuse_reactions(tmp_path: Path) -> None:
    async with rig_telegram.rig(tmp_path) as telegram:
        thread = await telegram.channel.open_thread(OpenThread(key=DeliveryKey("o"), room=telegram.room, title="A"))
        link = await telegram.channel.link(thread)
        assert link == f"https://t.me/c/{str(FORUM).removeprefix('-100')}/{thread.thread}"
        private = ThreadRef(channel=telegram.room.channel, room=str(ADA), thread="7")
        assert await telegram.channel.link(private) is None
        id = await telegram.says(thread, "a note")
        telegram.world.chats[FORUM].takes_reactions = False
        with pytest.raises(Rejected):
            await telegram.channel.react(thread, id, Mark.WAITING)


@pytest.mark.slow
async def test_an_edit_that_may_be_left_out_takes_no_turn_that_a_message_needs(tmp_path: Path) -> None:
    async with rig_telegram.joined(messages_per_second=30) as telegram:
        first = Outbound(key=DeliveryKey("k0"), to=telegram.room, text="A board")
        [board] = (await telegram.channel.send(first)).message_ids
        for number in range(12):
            await telegram.channel.send(Outbound(key=DeliveryKey(f"m{number}"), to=telegram.room, text=f"{number}"))
        changed = Outbound(key=DeliveryKey("k0"), to=telegram.room, text="A board, later", spare=True)
        with pytest.raises(TemporaryFailure) as busy:
            await telegram.channel.edit(changed, board)
        assert busy.value.retry_after is not None
        began = datetime.now(UTC)
        await telegram.channel.send(Outbound(key=DeliveryKey("answer"), to=telegram.room, text="An answer"))
        assert (datetime.now(UTC) - began).total_seconds() < 2
