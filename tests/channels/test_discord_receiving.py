"""What happens on Discord reaches the inbox: in order, without gap, without double, whatever the connection does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from channels.base import (
    ChannelContext,
    ChannelState,
    CommandOption,
    CommandSpec,
    DeliveryKey,
    EventId,
    Inbound,
    Kind,
    OpenPrompt,
    Outbound,
    Rejected,
    Suggestion,
    Takes,
    ThreadRef,
    Unavailable,
)
from channels.discord import Settings, ingress
from channels.discord.adapter import DiscordChannel
from channels.discord.gateway import Patience
from tests.conformance.harness import RecordingIntake
from tests.conformance.rig_discord import COMMANDS, NAME, DiscordRig, StoredFiles, rig
from tests.fakes.discord import DiscordServer

BROKEN: tuple[Any, ...] = (None, "x", -1, [], [None, 7, "x", {}], {}, {"id": {}})
QUICK_HEARTBEAT_SECONDS = 0.15


@pytest.fixture
async def discord(tmp_path: Path) -> AsyncIterator[DiscordRig]:
    async with rig(tmp_path) as made:
        yield made


class GatedIntake(RecordingIntake):
    """Commits only once it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.let = asyncio.Event()

    async def accept(self, events: Sequence[Inbound], *, cursors: Mapping[str, str] = {}) -> frozenset[EventId]:
        if events:
            self.asked.set()
            await self.let.wait()
        return await super().accept(events, cursors=cursors)


def texts(intake: RecordingIntake) -> list[str]:
    return [event.text for event in intake.events if event.kind is Kind.MESSAGE]


def thread_in(discord: DiscordRig, title: str = "work") -> ThreadRef:
    """A thread that somebody opened, bound to a session."""
    world = discord.server.world
    where = ThreadRef(channel=NAME, space=world.guild_id, room=world.room, thread=world.opens_thread(world.room, title))
    discord.intake.bound.append(where)
    return where


async def until(happened: Callable[[], bool], timeout_seconds: float = 5.0) -> None:
    """Let the loop run until something is true that no event tells of."""
    async with asyncio.timeout(timeout_seconds):
        while not happened():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


# --- commit, then acknowledge --------------------------------------------------------------------


@pytest.mark.requirement("P1")
async def test_an_interaction_is_acknowledged_only_after_its_commit(discord: DiscordRig) -> None:
    await discord.stop()
    discord.intake = intake = GatedIntake()
    discord.channel = discord.new_channel()
    await discord.run()
    await discord.declared.wait()
    pressed = discord.server.world.gives_command(discord.room.room, "help")
    await intake.asked.wait()
    responses = [discord.server.world.interaction(pressed)["response"]]
    intake.let.set()
    await until(lambda: discord.server.world.interaction(pressed)["response"] is not None)
    responses.append(discord.server.world.interaction(pressed)["response"])
    assert responses == [None, {"type": 5, "data": {"flags": 64}}]
    assert intake.events[0].text == "/help"


@pytest.mark.requirement("P1")
@pytest.mark.requirement("P2")
async def test_what_the_inbox_refuses_is_kept_and_committed_in_order_later(discord: DiscordRig) -> None:
    discord.intake.refuse = True
    first = await discord.says(discord.room, "one")
    await discord.says(discord.room, "two")
    await until(lambda: "inbox" in discord.channel.health().detail)
    assert not await discord.acknowledged(first)
    discord.intake.refuse = False
    await discord.intake.wait_for(2)
    assert texts(discord.intake) == ["one", "two"]
    assert await discord.acknowledged(first)
    await until(lambda: not discord.channel.health().detail)


@pytest.mark.slow
async def test_an_interaction_that_could_not_be_committed_in_time_is_dropped_as_discord_told(
    discord: DiscordRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingress, "_ANSWER_WITHIN_SECONDS", 0.25)
    await discord.declared.wait()
    discord.intake.refuse = True
    given_at = asyncio.get_running_loop().time()
    late = discord.server.world.gives_command(discord.room.room, "help")
    await until(lambda: "inbox" in discord.channel.health().detail)
    await until(lambda: asyncio.get_running_loop().time() > given_at + 0.3)
    discord.intake.refuse = False
    await discord.says(discord.room, "after")
    await discord.intake.wait_for(1)
    assert texts(discord.intake) == ["after"]
    assert discord.server.world.interaction(late)["response"] is None


# --- everything that happens ---------------------------------------------------------------------


async def test_edits_deletions_and_reactions_arrive_once_each(discord: DiscordRig) -> None:
    message = await discord.says(discord.room, "one")
    world = discord.server.world
    await discord.intake.wait_for(1)
    await discord.edits(discord.room, message, "two")
    world.previews(discord.room.room, message)
    world.reacts(discord.room.room, message, "👍")
    await discord.deletes(discord.room, message)
    await discord.repeat_last_event()
    events = await discord.intake.wait_for(4)
    assert [event.kind for event in events] == [Kind.MESSAGE, Kind.EDIT, Kind.REACTION, Kind.DELETE]
    assert {event.message_id for event in events} == {message}
    assert events[3].sender == events[0].sender  # as remembered: Discord does not say who deleted


async def test_threads_are_told_of_when_archived_brought_back_and_deleted(discord: DiscordRig) -> None:
    where = thread_in(discord)
    world = discord.server.world
    assert where.thread is not None
    world.renames(where.thread, "other title")
    world.archives(where.thread)
    world.archives(where.thread, archived=False)
    world.removes(where.thread)
    events = await discord.intake.wait_for(3)
    assert [event.kind for event in events] == [Kind.THREAD_ARCHIVED, Kind.THREAD_UNARCHIVED, Kind.THREAD_DELETED]
    assert {event.where for event in events} == {where}


async def test_with_a_room_go_its_threads(discord: DiscordRig) -> None:
    where = thread_in(discord)
    discord.server.world.removes(discord.room.room)
    events = await discord.intake.wait_for(2)
    assert {(event.kind, event.where) for event in events} == {
        (Kind.THREAD_DELETED, where),
        (Kind.THREAD_DELETED, discord.room),
    }


async def test_the_bot_joins_a_thread_again_that_was_brought_back(discord: DiscordRig) -> None:
    where = thread_in(discord)
    world = discord.server.world
    assert where.thread is not None
    world.archives(where.thread)
    world.archives(where.thread, archived=False)
    await until(lambda: world.bot in world.thread_members[where.thread or ""])


async def test_a_thread_that_the_gateway_did_not_name_is_looked_up_and_holds_up_nobody(discord: DiscordRig) -> None:
    world = discord.server.world
    tell, world.tell = world.tell, lambda _event, _data: None
    thread = world.opens_thread(world.room, "unheard of")
    world.tell = tell
    world.says(thread, "in the unknown thread")
    await discord.says(discord.room, "elsewhere")
    events = await discord.intake.wait_for(2)
    assert {(event.text, event.where.thread) for event in events} == {
        ("in the unknown thread", thread),
        ("elsewhere", None),
    }


async def test_a_server_that_tells_nothing_of_its_rooms_is_heard_nevertheless(discord: DiscordRig) -> None:
    await discord.stop()
    discord.server.gateway.tell_guilds = False
    discord.server.world.may_not_see.add(discord.room.room)
    discord.channel = discord.new_channel()
    await discord.run()
    await discord.says(discord.room, "hello")
    (event,) = await discord.intake.wait_for(1)
    assert event.where == discord.room


async def test_a_bound_thread_that_is_still_to_be_opened_is_no_trouble(discord: DiscordRig) -> None:
    discord.intake.bound.append(ThreadRef(channel=NAME, space="1", room="2", thread="+s1"))
    await discord.reconnect()
    await discord.says(discord.room, "hello")
    await discord.intake.wait_for(1)


@pytest.mark.requirement("P1")
@pytest.mark.requirement("P3")
async def test_events_that_are_swapped_or_repeated_arrive_once_each_and_move_the_position_forwards_only(
    discord: DiscordRig,
) -> None:
    discord.server.gateway.swap_next_two()
    first, second = await discord.says(discord.room, "1"), await discord.says(discord.room, "2")
    await discord.repeat_last_event()
    await discord.says(discord.room, "3")
    await discord.intake.wait_for(3)
    assert sorted(texts(discord.intake)) == ["1", "2", "3"]
    assert await discord.acknowledged(first)
    assert await discord.acknowledged(second)


async def test_a_post_in_a_forum_is_a_thread_of_the_forum(discord: DiscordRig) -> None:
    world = discord.server.world
    post = world.opens_thread(world.forum, "An idea")
    world.says(post, "It is this.")
    (event,) = await discord.intake.wait_for(1)
    assert event.where == ThreadRef(channel=NAME, space=world.guild_id, room=world.forum, thread=post)


async def test_a_missing_intent_is_said_with_what_to_do() -> None:
    async with DiscordServer() as server:
        server.world.application_flags = 0
        async with quick_channel(server) as channel:
            with pytest.raises(Rejected, match="Message Content"):
                await channel.run(RecordingIntake())


@pytest.mark.requirement("P6")
async def test_a_malformed_event_is_passed_over_and_the_connection_stays(discord: DiscordRig) -> None:
    gateway = discord.server.gateway
    for event in ("MESSAGE_CREATE", "GUILD_CREATE", "THREAD_UPDATE", "INTERACTION_CREATE", "NEVER_HEARD_OF"):
        gateway.send_raw(event, {"id": ["not an id"], "channel_id": None})
        gateway.send_raw(event, "no object")
    await discord.says(discord.room, "still here")
    await discord.intake.wait_for(1)
    assert (gateway.identified, gateway.resumed) == (1, 0)


@pytest.mark.requirement("P6")
async def test_every_event_with_any_field_missing_or_broken_harms_nothing_and_loses_no_message(
    discord: DiscordRig, caplog: pytest.LogCaptureFixture
) -> None:
    world, gateway = discord.server.world, discord.server.gateway
    told: list[tuple[str, dict[str, Any]]] = []
    tell, world.tell = world.tell, lambda event, data: told.append((event, data))
    message = world.says(world.room, "<@1> hello", attachments=[world.attach(world.room, "a", b"b")], poll={}, flags=0)
    world.edits(world.room, message, "changed")
    world.reacts(world.room, message, "👍")
    world.interacts(world.room, 2, {"name": "help", "type": 1, "options": [{"name": "x", "value": "y"}]})
    world.interacts(world.room, 3, {"custom_id": "b", "component_type": 2}, message=world.message(world.room, message))
    thread = world.opens_thread(world.room, "x")
    world.archives(thread)
    world.deletes(world.room, message)
    told.append(("GUILD_CREATE", world.guild()))
    world.tell = tell
    for event, data in told:
        for key in [*data, "a_field_of_tomorrow"]:
            for broken in BROKEN:
                gateway.send_raw(
                    event, {**data, "id": world.new_id() if "MESSAGE" in event else data.get("id"), key: broken}
                )
            gateway.send_raw(event, {other: value for other, value in data.items() if other != key})
    await discord.says(discord.room, "end")
    async with asyncio.timeout(10), discord.intake.arrived:
        await discord.intake.arrived.wait_for(lambda: discord.intake.events and discord.intake.events[-1].text == "end")
    assert (gateway.identified, gateway.resumed) == (1, 0)
    created = next(data for event, data in told if event == "MESSAGE_CREATE")
    heard = [event for event in discord.intake.events if event.kind is Kind.MESSAGE and event.text != "end"]
    needed = {"id", "channel_id", "author", "type"}
    assert len(heard) >= len(BROKEN) * len(created.keys() - needed)
    assert "could not be read" in caplog.text
    assert "input_value" not in caplog.text, "what people wrote is nothing for the log"


@pytest.mark.requirement("P2")
async def test_a_burst_of_2000_messages_arrives_whole_and_in_order(discord: DiscordRig) -> None:
    for number in range(2000):
        discord.server.world.says(discord.room.room, str(number))
    await discord.intake.wait_for(2000)
    assert texts(discord.intake) == [str(number) for number in range(2000)]


# --- the connection breaks -----------------------------------------------------------------------


@pytest.mark.requirement("P1")
@pytest.mark.requirement("P3")
async def test_a_broken_connection_is_resumed_without_gap_or_double(discord: DiscordRig) -> None:
    await discord.says(discord.room, "before")
    await discord.intake.wait_for(1)
    await discord.drop_connections()
    await discord.says(discord.room, "meanwhile")
    await discord.intake.wait_for(2)
    await discord.says(discord.room, "after")
    await discord.intake.wait_for(3)
    assert texts(discord.intake) == ["before", "meanwhile", "after"]
    assert (discord.server.gateway.identified, discord.server.gateway.resumed) == (1, 1)


async def test_a_request_to_reconnect_is_followed_by_resuming(discord: DiscordRig) -> None:
    discord.server.gateway.ask_to_reconnect()
    await discord.server.gateway.wait_until(lambda: discord.server.gateway.resumed == 1)
    await discord.says(discord.room, "hello")
    await discord.intake.wait_for(1)


async def test_a_session_that_cannot_be_resumed_is_begun_anew_and_what_was_missed_is_read(discord: DiscordRig) -> None:
    await discord.stop()
    discord.channel = quick_channel(discord.server)
    where = thread_in(discord)
    await discord.run()
    await discord.says(where, "before")
    await discord.says(discord.room, "elsewhere")
    await discord.intake.wait_for(2)
    gateway = discord.server.gateway
    identified = gateway.identified
    gateway.forget_sessions()
    await discord.drop_connections()
    await discord.says(where, "in the thread meanwhile")
    await discord.says(discord.room, "in the room meanwhile")
    await gateway.wait_until(lambda: gateway.identified == identified + 1)
    await discord.says(where, "after")
    events = await discord.intake.wait_for(5)
    assert [event.text for event in events if event.where == where] == ["before", "in the thread meanwhile", "after"]
    assert [event.text for event in events if event.where == discord.room] == ["elsewhere", "in the room meanwhile"]


@pytest.mark.slow
async def test_a_silent_connection_is_noticed_and_resumed(discord: DiscordRig) -> None:
    await discord.stop()
    gateway, faults = discord.server.gateway, discord.server.faults
    gateway.heartbeat_seconds = QUICK_HEARTBEAT_SECONDS
    discord.channel = quick_channel(discord.server, silence_seconds=0.4)
    await discord.run()
    faults.gateway_silent = True
    await discord.says(discord.room, "said into the void")
    await gateway.wait_until(lambda: not gateway.links)
    faults.gateway_silent = False
    await discord.intake.wait_for(1)
    assert texts(discord.intake) == ["said into the void"]


@pytest.mark.slow
async def test_a_quiet_but_living_connection_stays(discord: DiscordRig) -> None:
    await discord.stop()
    gateway = discord.server.gateway
    gateway.heartbeat_seconds = 0.3
    before = gateway.identified
    # The server asks for heartbeats more seldom than our patience lasts: patience gives way.
    discord.channel = quick_channel(discord.server, silence_seconds=0.2)
    await discord.run()
    beats = [link.heard for link in gateway.links]
    await until(lambda: bool(gateway.links) and all(link.heard > beats[0] + 0.7 for link in gateway.links))
    assert (gateway.identified, gateway.resumed) == (before + 1, 0)


@pytest.mark.slow
@pytest.mark.requirement("P6")
async def test_a_first_handshake_that_fails_is_unavailable_and_the_next_run_connects() -> None:
    async with DiscordServer() as server:
        server.faults.gateway_refuses = 1
        channel = quick_channel(server)
        async with channel:
            with pytest.raises(Unavailable):
                await channel.run(RecordingIntake())
            assert channel.health().state is ChannelState.DOWN
            running = asyncio.create_task(channel.run(RecordingIntake()))
            await channel.connected()
            assert channel.health().state is ChannelState.CONNECTED
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_a_platform_that_is_down_at_start_is_unavailable() -> None:
    async with DiscordServer() as server:
        channel = quick_channel(server)
        await server.stop()
        async with channel:
            with pytest.raises(Unavailable, match="cannot be reached"):
                await channel.run(RecordingIntake())


@pytest.mark.parametrize(("code", "advice"), [(4004, "token"), (4014, "Message Content")])
async def test_what_only_a_person_can_mend_is_rejected_with_advice(code: int, advice: str) -> None:
    async with DiscordServer() as server:
        server.faults.close_code = code
        channel = quick_channel(server)
        async with channel:
            with pytest.raises(Rejected, match=advice):
                await channel.run(RecordingIntake())
            assert advice in channel.health().detail


async def test_a_wrong_token_is_rejected_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    async with DiscordServer() as server:
        settings = Settings.model_validate({"token": "wrong.secret.token", "base_url": server.base_url})
        channel = DiscordChannel(settings, ChannelContext(name=NAME, files=StoredFiles()))
        async with channel:
            with pytest.raises(Rejected, match="token") as caught:
                await channel.run(RecordingIntake())
        assert "wrong.secret" not in f"{caught.value!r} {caught.value.__cause__!r} {settings!r} {caplog.text}"


async def test_a_token_that_is_revoked_while_running_ends_the_run(discord: DiscordRig) -> None:
    discord.server.world.token = "a.new.token"
    discord.server.gateway.forget_sessions()
    await discord.server.gateway.close_all(4004)
    assert discord.running is not None
    with pytest.raises(Rejected, match="token"):
        await discord.running
    discord.running = None


# --- away, and back ------------------------------------------------------------------------------


@pytest.mark.requirement("P1")
@pytest.mark.requirement("P3")
async def test_everything_said_during_a_restart_is_read_once_and_in_order(discord: DiscordRig) -> None:
    where = thread_in(discord)
    private = await discord.channel.direct(discord.ada_account)  # type: ignore[arg-type]
    await discord.says(where, "thread 1")
    await discord.says(private, "direct 1")
    await discord.says(discord.room, "room 1")
    await discord.intake.wait_for(3)
    await discord.stop()
    for number in range(2, 252):
        await discord.says(where, f"thread {number}")
    await discord.says(private, "direct 2")
    await discord.says(discord.room, "room 2", mention=True)
    discord.channel = discord.new_channel()
    await discord.run()
    events = await discord.intake.wait_for(255)
    assert [e.text for e in events if e.where == where] == [f"thread {number}" for number in range(1, 252)]
    assert [e.text for e in events if e.where == private] == ["direct 1", "direct 2"]
    assert [e.text for e in events if e.where == discord.room] == ["room 1", "room 2"]
    await discord.reconnect()
    await discord.says(where, "end")
    assert len(await discord.intake.wait_for(256)) == 256


@pytest.mark.requirement("P2")
async def test_live_events_wait_behind_the_history_of_their_thread_and_no_other(discord: DiscordRig) -> None:
    where = thread_in(discord)
    await discord.says(where, "1")
    await discord.intake.wait_for(1)
    await discord.stop()
    await discord.says(where, "2")
    discord.server.faults.histories_wait_for = read = asyncio.Event()
    discord.channel = discord.new_channel()
    await discord.run()
    late = await discord.says(where, "3")
    await discord.edits(where, late, "3, changed")
    await discord.says(discord.room, "elsewhere")
    await discord.intake.wait_for(2)
    assert texts(discord.intake) == ["1", "elsewhere"]
    read.set()
    await discord.intake.wait_for(5)
    assert [(event.kind, event.text) for event in discord.intake.events if event.where == where] == [
        (Kind.MESSAGE, "1"),
        (Kind.MESSAGE, "2"),
        (Kind.MESSAGE, "3, changed"),  # as its history shows it
        (Kind.EDIT, "3, changed"),
    ]


@pytest.mark.slow
async def test_hundreds_of_threads_are_read_without_breaking_a_limit_or_holding_up_an_answer(
    discord: DiscordRig,
) -> None:
    threads = [thread_in(discord, f"thread {number}") for number in range(150)]
    for where in threads:
        await discord.says(where, "1")
    await discord.intake.wait_for(150)
    await discord.stop()
    for where in threads:
        await discord.says(where, "2")
    discord.server.limits.overall_per_second = 60
    discord.channel = discord.new_channel(requests_per_second=60)
    await discord.run()
    began = asyncio.get_running_loop().time()
    await discord.channel.send(Outbound(key=DeliveryKey("k"), to=discord.room, text="killed", control=True))
    assert asyncio.get_running_loop().time() - began < 1.5
    await discord.intake.wait_for(300)
    assert discord.server.limits.refused == 0
    assert texts(discord.intake) == ["1"] * 150 + ["2"] * 150


@pytest.mark.slow
async def test_history_is_tried_again_when_discord_falters(discord: DiscordRig) -> None:
    where = thread_in(discord)
    await discord.says(where, "1")
    await discord.intake.wait_for(1)
    await discord.stop()
    await discord.says(where, "2")
    discord.server.faults.next_histories.extend(["500"])
    discord.channel = discord.new_channel()
    await discord.run()
    await discord.intake.wait_for(2)
    assert texts(discord.intake) == ["1", "2"]


async def test_threads_that_were_archived_or_deleted_meanwhile_are_told_of(discord: DiscordRig) -> None:
    parked, gone = thread_in(discord), thread_in(discord)
    assert parked.thread is not None
    assert gone.thread is not None
    await discord.stop()
    discord.server.world.archives(parked.thread)
    discord.server.world.removes(gone.thread)
    discord.channel = discord.new_channel()
    await discord.run()
    events = await discord.intake.wait_for(2)
    assert {(event.kind, event.where) for event in events} == {
        (Kind.THREAD_ARCHIVED, parked),
        (Kind.THREAD_DELETED, gone),
    }
    await discord.reconnect()
    await discord.says(discord.room, "end")
    assert len(await discord.intake.wait_for(3)) == 3


@pytest.mark.requirement("P3")
async def test_prompts_that_were_edited_or_deleted_meanwhile_are_told_of_once(discord: DiscordRig) -> None:
    where = thread_in(discord)
    first = [await discord.says(where, f"{number}") for number in range(3)]
    await discord.intake.wait_for(3)
    await discord.edits(where, first[0], "0, changed while we listened")
    await discord.intake.wait_for(4)
    for number in range(150):  # between the open ones: more than a page of history
        await discord.says(where, f"more {number}")
    last, post = await discord.says(where, "last"), await discord.says(discord.room, "a post")
    await discord.intake.wait_for(156)
    prompts = [OpenPrompt(where=where, message_id=id) for id in (last, *reversed(first))]
    discord.intake.open = [OpenPrompt(where=discord.room, message_id=post), *prompts]
    await discord.stop()
    await discord.edits(where, first[1], "1, changed")
    await discord.deletes(where, first[2])
    await discord.deletes(where, last)
    await discord.edits(discord.room, post, "a better post")
    discord.channel = discord.new_channel()
    asked = len(discord.server.rest.calls)
    await discord.run()
    events = (await discord.intake.wait_for(160))[156:]
    await discord.edits(where, first[1], "1, changed again")
    events += (await discord.intake.wait_for(161))[160:]
    assert [(event.kind, event.message_id, event.text) for event in events if event.where == where] == [
        (Kind.EDIT, first[1], "1, changed"),
        (Kind.DELETE, first[2], ""),
        (Kind.DELETE, last, ""),
        (Kind.EDIT, first[1], "1, changed again"),
    ]
    asked_for = [path for _, path in discord.server.rest.calls[asked:] if "/messages" in path]
    assert len(asked_for) <= 8, "messages that stand together are looked up together"


async def test_prompts_in_a_closed_history_are_not_taken_for_deleted(discord: DiscordRig) -> None:
    where = thread_in(discord)
    message = await discord.says(where, "think")
    await discord.intake.wait_for(1)
    discord.intake.open = [OpenPrompt(where=where, message_id=message)]
    discord.server.world.may_not_read_history.add(where.room)
    await discord.reconnect()
    await discord.says(where, "still there?")
    assert [event.kind for event in await discord.intake.wait_for(2)] == [Kind.MESSAGE, Kind.MESSAGE]


async def test_commands_are_declared_once_and_again_when_they_change(discord: DiscordRig) -> None:
    world = discord.server.world
    await until(lambda: "commands" in discord.intake.cursors)
    assert [command["name"] for command in world.commands] == ["help", "spawn", "kill", "Hand to an agent"]
    await discord.reconnect()
    await discord.says(discord.room, "x")
    await discord.intake.wait_for(1)
    assert world.command_writes == 1
    del discord.intake.cursors["commands"]
    await discord.reconnect()
    await until(lambda: world.command_writes == 2)


class SlowSuggestions:
    """What is asked first is never answered, what is asked then fails."""

    def __init__(self) -> None:
        self.asked = 0

    async def suggest(self, *_: object) -> Sequence[Suggestion]:
        self.asked += 1
        if self.asked == 1:
            await asyncio.Event().wait()
        raise RuntimeError("the store is gone")


@pytest.mark.slow
@pytest.mark.requirement("P6")
async def test_typing_is_answered_in_time_however_long_it_takes_to_find_out_what_there_is() -> None:
    session = CommandOption(name="session", description="Which", choices=("all",), takes=Takes.SESSION)
    specs = (CommandSpec(name="kill", description="End it", options=(session,)),)
    async with DiscordServer() as server:
        settings = Settings.model_validate({"token": server.world.token, "base_url": server.base_url})
        context = ChannelContext(name=NAME, files=StoredFiles(), commands=specs, suggestions=SlowSuggestions())
        async with DiscordChannel(settings, context) as channel:
            running = asyncio.create_task(channel.run(intake := RecordingIntake()))
            await server.world.declared.wait()
            typed = [server.world.types(server.world.room, "kill", {"session": ""}, "session") for _ in range(2)]
            await until(lambda: all(server.world.interaction(each)["response"] for each in typed))
            offered = [server.world.interaction(each)["response"]["data"]["choices"] for each in typed]
            assert offered == [[{"name": "all", "value": "all"}]] * 2
            assert intake.events == []
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_two_channels_of_one_process_may_have_different_base_urls(discord: DiscordRig, tmp_path: Path) -> None:
    async with rig(tmp_path) as other:
        await other.says(other.room, "there")
        await discord.says(discord.room, "here")
        await other.intake.wait_for(1)
        await discord.intake.wait_for(1)
        assert (texts(discord.intake), texts(other.intake)) == (["here"], ["there"])


@pytest.mark.slow
async def test_a_long_outage_ends_the_run_and_the_next_one_reads_what_was_missed() -> None:
    async with DiscordServer() as server:
        intake = RecordingIntake()
        async with quick_channel(server, outage_seconds=0.3) as channel:
            running = asyncio.create_task(channel.run(intake))
            await channel.connected()
            server.world.says(server.world.room, "before")
            await intake.wait_for(1)
            server.faults.gateway_refuses = 1_000
            server.gateway.drop()
            with pytest.raises(Unavailable):
                await running
            server.faults.gateway_refuses = 0
            server.world.says(server.world.room, "meanwhile")
            running = asyncio.create_task(channel.run(intake))
            await intake.wait_for(2)
            assert texts(intake) == ["before", "meanwhile"]
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_a_preview_that_a_crash_left_behind_is_taken_away(discord: DiscordRig) -> None:
    await discord.stop()
    discord.channel = quick_channel(discord.server)
    await discord.run()
    identified = discord.server.gateway.identified
    where = thread_in(discord)
    await discord.says(where, "think")
    await discord.intake.wait_for(1)
    live = await discord.channel.live(where)
    await live.update("so far", "thinking")
    await until(lambda: len(discord.server.world.messages[where.thread or ""]) == 2)
    await discord.drop_connections()
    discord.server.gateway.forget_sessions()
    await discord.server.gateway.wait_until(lambda: discord.server.gateway.identified == identified + 1)
    await discord.says(where, "still there?")
    await discord.intake.wait_for(2)
    assert len(await discord.shown(where)) == 3  # it is still being written
    painter = live._painter  # type: ignore[attr-defined]
    painter.cancel()  # as a crash does
    await asyncio.gather(painter, return_exceptions=True)
    discord.intake.cursors[f"at/{where.thread}"] = (await discord.shown(where))[0].message_id
    await discord.reconnect()
    await until(lambda: len(discord.server.world.messages[where.thread or ""]) == 2)
    assert [message.by_bot for message in await discord.shown(where)] == [False, False]


def quick_channel(server: DiscordServer, **patience: float) -> DiscordChannel:
    """A channel that does not pause before it identifies anew."""
    settings = Settings.model_validate({"token": server.world.token, "base_url": server.base_url})
    context = ChannelContext(name=NAME, files=StoredFiles(), commands=COMMANDS)
    return DiscordChannel(settings, context, patience=Patience(identify_pause_seconds=(0.0, 0.01), **patience))
