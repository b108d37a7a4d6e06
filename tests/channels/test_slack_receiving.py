"""Slack's events on their way in: committed before they are acknowledged, in order, once, across reconnects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from channels.base import (
    Account,
    ChannelState,
    DeliveryKey,
    EventId,
    Inbound,
    Kind,
    OpenPrompt,
    Outbound,
    Rejected,
    ThreadRef,
    Unavailable,
)
from channels.slack import backfill as backfill_module
from channels.slack import socket as socket_module
from tests.conformance.rig_slack import SlackRig, rig
from tests.fakes.slack import BOT, BOT_TOKEN
from tests.fakes.slack.faults import Fault
from tests.fakes.slack.workspace import Room


@pytest.fixture
async def slack(tmp_path: Path) -> AsyncIterator[SlackRig]:
    async with rig(tmp_path) as joined:
        yield joined


async def test_bolt_acknowledges_after_the_commit_and_not_before(slack: SlackRig):
    committing, go_on = asyncio.Event(), asyncio.Event()
    accept = slack.intake.accept

    async def slow(events: Sequence[Inbound], *, cursors: Mapping[str, str] = {}) -> frozenset[EventId]:
        committing.set()
        await go_on.wait()
        return await accept(events, cursors=cursors)

    slack.intake.accept = slow  # type: ignore[method-assign]
    ts = await slack.says(slack.room, "hello")
    await committing.wait()
    assert not await slack.acknowledged(ts)
    go_on.set()
    [delivery] = slack.slack.deliveries_of(ts)
    await asyncio.wait_for(delivery.acknowledged.wait(), 5)


@pytest.mark.requirement("P1")
async def test_what_was_not_committed_is_not_acknowledged_and_comes_again(slack: SlackRig):
    slack.slack.post.ack_seconds = 0.1
    slack.slack.post.retry_after_seconds = (0.0, 0.2, 60.0)
    slack.intake.refuse = True
    ts = await slack.says(slack.room, "hello")
    [delivery] = slack.slack.deliveries_of(ts)
    await asyncio.wait_for(delivery.repeated.wait(), 5)
    assert not delivery.acknowledged.is_set()
    slack.intake.refuse = False
    await asyncio.wait_for(delivery.acknowledged.wait(), 5)
    assert [event.text for event in slack.intake.events] == ["hello"]


@pytest.mark.requirement("P3")
async def test_message_and_app_mention_of_one_post_arrive_as_one(slack: SlackRig):
    ts = await slack.says(slack.room, "look at this", mention=True)
    deliveries = slack.slack.deliveries_of(ts)
    assert [delivery.payload["event"]["type"] for delivery in deliveries] == ["message", "app_mention"]
    for delivery in deliveries:
        await asyncio.wait_for(delivery.acknowledged.wait(), 5)
    [event] = slack.intake.events
    assert (event.text, event.mentioned, event.sender.name) == ("look at this", True, "Ada")


@pytest.mark.requirement("P2")
async def test_events_of_a_room_that_arrive_together_are_committed_in_slacks_order(slack: SlackRig):
    slack.slack.post.pause()
    for number in range(20):
        await slack.says(slack.room, f"number {number}")
    slack.slack.post.release(reverse=True)
    events = await slack.intake.wait_for(20)
    assert [event.text for event in events] == [f"number {number}" for number in range(20)]


@pytest.mark.requirement("P6")
async def test_a_room_whose_commit_hangs_holds_up_no_other(slack: SlackRig):
    other = slack.slack.space.open_direct("U9").id
    accept = slack.intake.accept
    go_on = asyncio.Event()

    async def hang(events: Sequence[Inbound], *, cursors: Mapping[str, str] = {}) -> frozenset[EventId]:
        if any(event.where.room == "C1" for event in events):
            await go_on.wait()
        return await accept(events, cursors=cursors)

    slack.intake.accept = hang  # type: ignore[method-assign]
    await slack.says(slack.room, "stuck")
    slack.slack.space.say(other, "U9", "free")
    [event] = await slack.intake.wait_for(1)
    assert (event.text, event.direct) == ("free", True)
    go_on.set()
    assert len(await slack.intake.wait_for(2)) == 2


async def test_an_intake_that_fails_in_a_way_nobody_thought_of_is_asked_again(slack: SlackRig):
    slack.slack.post.ack_seconds = 0.05
    accept = slack.intake.accept
    failed: list[bool] = []

    async def break_once(events: Sequence[Inbound], *, cursors: Mapping[str, str] = {}) -> frozenset[EventId]:
        if not failed:
            failed.append(True)
            raise RuntimeError("a bug")
        return await accept(events, cursors=cursors)

    slack.intake.accept = break_once  # type: ignore[method-assign]
    await slack.says(slack.room, "hello")
    assert [event.text for event in await slack.intake.wait_for(1)] == ["hello"]


async def test_the_bots_own_posts_come_back_and_are_not_taken_in(slack: SlackRig):
    message = slack.slack.space.post({"channel": "C1", "text": "from the bot"})
    [delivery] = slack.slack.deliveries_of(message["ts"])
    await asyncio.wait_for(delivery.acknowledged.wait(), 5)
    assert slack.intake.events == []


async def test_a_new_connection_that_slack_asks_for_is_open_before_the_old_one_closes(slack: SlackRig):
    sockets = slack.slack.post
    await sockets.ask_to_leave("warning")
    await asyncio.wait_for(sockets.until_opened(2), 5)
    assert slack.channel.health().state is ChannelState.CONNECTED
    for number in range(2):  # one for each socket
        await slack.says(slack.room, f"in between {number}")
    assert [event.text for event in await slack.intake.wait_for(2)] == ["in between 0", "in between 1"]
    await sockets.close_oldest()
    await asyncio.wait_for(sockets.until_sockets(1), 5)
    await slack.says(slack.room, "after")
    assert (await slack.intake.wait_for(3))[-1].text == "after"
    assert all(len(delivery.envelopes) == 1 for delivery in sockets.deliveries)
    assert slack.slack.calls.count(("auth.test", {})) == 1


@pytest.mark.requirement("P1")
async def test_what_was_said_in_a_bound_thread_during_a_long_outage_is_read_back_once_and_in_order(slack: SlackRig):
    slack.slack.post.retry_after_seconds = ()
    root = await slack.says(slack.room, "the root")
    thread = ThreadRef(channel=slack.room.channel, space="T1", room="C1", thread=root)
    await slack.says(thread, "before")
    await slack.intake.wait_for(2)
    slack.intake.bound = [thread]
    await slack.stop()
    for number in range(3):
        await slack.says(thread, f"missed {number}")
    slack.slack.space.post({"channel": "C1", "text": "not this one", "thread_ts": root})
    slack.slack.space.say("C1", "U1", "nor this", subtype="channel_topic", thread=root)
    await slack.start()
    await slack.says(thread, "live")
    events = await slack.intake.wait_for(6)
    assert [event.text for event in events] == ["the root", "before", "missed 0", "missed 1", "missed 2", "live"]


async def test_reading_back_waits_when_slack_asks_for_it(slack: SlackRig):
    slack.slack.post.retry_after_seconds = ()
    direct = await slack.channel.direct(Account(slack.ada_account))
    await slack.says(direct, "before")
    await slack.intake.wait_for(1)
    slack.intake.bound = [direct]
    await slack.stop()
    await slack.says(direct, "missed")
    history = frozenset({"conversations.history"})
    slack.slack.fail(Fault(word="ratelimited", status=429, retry_after="0.1", methods=history))
    await slack.start()
    events = await slack.intake.wait_for(2)
    assert [(event.text, event.direct) for event in events] == [("before", True), ("missed", True)]


async def test_what_an_unbound_room_said_long_ago_is_not_dug_out(slack: SlackRig):
    slack.slack.post.retry_after_seconds = ()
    await slack.says(slack.room, "before")
    await slack.intake.wait_for(1)
    await slack.stop()
    await slack.says(slack.room, "missed")
    await slack.start()
    await slack.says(slack.room, "live")
    events = await slack.intake.wait_for(2)
    assert [event.text for event in events] == ["before", "live"]
    assert not any(method.startswith("conversations.") for method, _ in slack.slack.calls)


async def test_a_watched_room_is_read_back_within_its_bound_and_only_since_the_bot_came(
    slack: SlackRig, monkeypatch: pytest.MonkeyPatch
):
    slack.slack.post.retry_after_seconds = ()
    space = slack.slack.space
    space.rooms["C2"] = Room("C2", "support", {"U1", "U9"})
    space.say("C2", "U1", "before the bot came")
    space.rooms["C2"].members.add(BOT)
    space.say("C2", BOT, "joined", subtype="channel_join")
    seen = await slack.says(slack.room, "seen")
    await slack.intake.wait_for(1)
    slack.intake.bound = [ThreadRef(channel=slack.room.channel, space="T1", room="C1", thread=seen)]
    slack.intake.watched = [slack.room, ThreadRef(channel=slack.room.channel, room="C2")]
    await slack.stop()
    monkeypatch.setattr(backfill_module, "MOST_POSTS", 4)
    space.say("C1", "U1", "too many by one")
    root = space.say("C1", "U1", "help, please")["ts"]
    space.say("C1", "U9", "me too", root)
    space.say("C1", BOT, "mine", bot_id="BBOT")
    space.say("C1", "U9", "in the bound thread", seen)
    space.say("C1", "U1", "the last one")
    space.say("C1", "U1", "set the topic", subtype="channel_topic")
    space.say("C2", "U1", "hello bot")
    await slack.start()
    await slack.intake.wait_for(6)
    live = space.say("C2", "U1", "live")["ts"]
    await slack.intake.wait_for(7)
    found = {event.message_id: (event.where.room, event.text) for event in slack.intake.events}
    assert found.pop(seen) == ("C1", "seen")
    assert found.pop(live) == ("C2", "live")
    assert sorted(found.values()) == [
        ("C1", "help, please"),
        ("C1", "in the bound thread"),
        ("C1", "me too"),
        ("C1", "the last one"),
        ("C2", "hello bot"),
    ]
    assert {event.where.space for event in slack.intake.events} == {"T1"}


async def test_how_far_back_is_a_choice(slack: SlackRig):
    await slack.says(slack.room, "seen")
    await slack.intake.wait_for(1)
    slack.intake.watched = [slack.room]
    await slack.stop()
    slack.slack.space.say("C1", "U1", "missed")
    await slack.start(look_back_minutes=0)
    await slack.says(slack.room, "live")
    events = await slack.intake.wait_for(2)
    assert [event.text for event in events] == ["seen", "live"]


@pytest.mark.requirement("P3")
async def test_what_became_of_open_messages_meanwhile_is_told_once_and_as_slack_would_have(slack: SlackRig):
    slack.slack.post.retry_after_seconds = ()
    space, room = slack.slack.space, slack.room
    root = await slack.says(room, "root")
    thread = ThreadRef(channel=room.channel, space="T1", room="C1", thread=root)
    posts = {text: await slack.says(thread, text) for text in ("changed", "gone", "kept")}
    answered = await slack.says(room, "with replies")
    await slack.says(ThreadRef(channel=room.channel, space="T1", room="C1", thread=answered), "a reply")
    await slack.intake.wait_for(6)
    slack.intake.open = [OpenPrompt(where=thread, message_id=ts) for ts in posts.values()]
    slack.intake.open += [OpenPrompt(where=room, message_id=ts) for ts in (root, answered)]
    await slack.stop()
    space.edit("C1", posts["changed"], "changed &amp; better", "U1")
    space.edit("C1", root, "a better root", "U1")
    space.delete("C1", posts["gone"])
    space.delete("C1", answered)  # a tombstone: it has a reply
    missed = slack.slack.post.deliveries[-4:]
    await slack.start()
    events = (await slack.intake.wait_for(10))[6:]
    told = {(event.kind, event.where.thread, event.message_id, event.text) for event in events}
    assert told == {
        (Kind.EDIT, root, posts["changed"], "changed & better"),
        (Kind.DELETE, root, posts["gone"], ""),
        (Kind.EDIT, None, root, "a better root"),
        (Kind.DELETE, None, answered, ""),
    }
    assert {event.sender.account for event in events if event.kind is Kind.EDIT} == {"slack:T1/U1"}
    for delivery in missed:  # had Slack told it after all
        slack.slack.post.repeat(delivery)
    await slack.says(room, "live")
    assert len(await slack.intake.wait_for(11)) == 11
    assert slack.intake.events[-1].text == "live"


@pytest.mark.requirement("P1")
async def test_a_history_that_shows_nothing_deletes_no_message(slack: SlackRig):
    asked = await slack.says(slack.room, "please")
    thread = ThreadRef(channel=slack.room.channel, space="T1", room="C1", thread=asked)
    reply = await slack.says(thread, "and this")
    await slack.intake.wait_for(2)
    slack.intake.open = [OpenPrompt(where=slack.room, message_id=asked), OpenPrompt(where=thread, message_id=reply)]
    await slack.stop()
    empty = Fault(body='{"ok": true, "messages": []}', content_type="application/json", times=10)
    slack.slack.fail(replace(empty, methods=frozenset({"conversations.history", "conversations.replies"})))
    await slack.start()
    await slack.slack.until(lambda: [method for method, _ in slack.slack.calls].count("chat.getPermalink") == 2)
    await slack.says(slack.room, "live")
    assert [event.kind for event in await slack.intake.wait_for(3)] == [Kind.MESSAGE] * 3


async def test_a_thread_that_is_gone_takes_its_open_messages_with_it(slack: SlackRig):
    slack.slack.post.retry_after_seconds = ()
    root = await slack.says(slack.room, "root")
    thread = ThreadRef(channel=slack.room.channel, space="T1", room="C1", thread=root)
    reply = await slack.says(thread, "reply")
    await slack.intake.wait_for(2)
    slack.intake.open = [OpenPrompt(where=thread, message_id=reply)]
    await slack.stop()
    slack.slack.space.rooms["C1"].messages.clear()
    await slack.start()
    event = (await slack.intake.wait_for(3))[-1]
    assert (event.kind, event.message_id, event.where) == (Kind.DELETE, reply, thread)


async def test_slash_commands_buttons_and_shortcuts_arrive_and_are_acknowledged(slack: SlackRig):
    command = slack.slack.command("C1", "kill all")
    await asyncio.wait_for(command.acknowledged.wait(), 5)
    ts = await slack.says(slack.room, "the build is slow")
    shortcut = slack.slack.shortcut("C1", ts, "threadmill_hand_over")
    await asyncio.wait_for(shortcut.acknowledged.wait(), 5)
    events = await slack.intake.wait_for(3)
    found = {(event.kind, event.text) for event in events}
    assert (Kind.COMMAND, "/kill all") in found
    assert (Kind.COMMAND, "/spawn -- the build is slow") in found


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"type": "event_callback", "event": "not an object"},
        {"type": "event_callback", "event": {"type": "message", "channel": 7, "user": {}}},
        {"type": "block_actions", "user": None, "actions": [None]},
        {"type": "something_new", "container": {"a": 1}},
    ],
)
async def test_a_malformed_payload_stops_nothing(slack: SlackRig, payload: dict[str, object]):
    slack.slack.post.ack_seconds, slack.slack.post.retry_after_seconds = 0.05, ()
    strange = slack.slack.post.deliver("events_api", payload)
    done = [asyncio.ensure_future(event.wait()) for event in (strange.acknowledged, strange.given_up)]
    await asyncio.wait(done, return_when=asyncio.FIRST_COMPLETED, timeout=5)
    for task in done:
        task.cancel()
    await slack.says(slack.room, "still here")
    assert [event.text for event in await slack.intake.wait_for(1)] == ["still here"]


async def test_a_refused_token_is_said_with_what_to_do_and_ends_the_run(slack: SlackRig):
    await slack.stop()
    slack.slack.tokens[BOT_TOKEN] = "token_revoked"
    async with slack.fresh() as channel:
        with pytest.raises(Rejected, match="revoked"):
            await channel.run(slack.intake)
        assert channel.health().state is ChannelState.DOWN
        assert "install the app again" in channel.health().detail
    slack.slack.tokens[BOT_TOKEN] = ""
    await slack.start()


async def test_socket_mode_that_is_switched_off_needs_a_person(slack: SlackRig):
    await slack.stop()
    async with slack.fresh() as channel:
        running = asyncio.create_task(channel.run(slack.intake))
        await slack.slack.post.until_sockets(1)
        await slack.slack.post.ask_to_leave("link_disabled")
        with pytest.raises(Rejected, match="Socket Mode is switched off"):
            await asyncio.wait_for(running, 5)
    await slack.start()


async def test_no_error_and_no_log_shows_a_token(slack: SlackRig, caplog: pytest.LogCaptureFixture):
    caplog.set_level("DEBUG")
    await slack.says(slack.room, "hello")
    await slack.intake.wait_for(1)
    slack.slack.fail(Fault(word="fatal_error", methods=frozenset({"auth.test"})))
    await slack.reconnect()
    assert BOT_TOKEN not in caplog.text
    assert "xapp-" not in caplog.text
    assert BOT not in slack.channel.health().detail


@pytest.mark.slow
async def test_a_half_open_socket_is_noticed_and_replaced(slack: SlackRig, monkeypatch: pytest.MonkeyPatch):
    await slack.stop()
    monkeypatch.setattr(socket_module, "HEARTBEAT_SECONDS", 0.2)
    slack.slack.post.silent = True
    await slack.start()
    await asyncio.wait_for(slack.slack.post.until_opened(3), 10)
    slack.slack.post.silent = False
    await asyncio.wait_for(slack.slack.post.until_opened(slack.slack.post.sockets_opened + 1), 10)
    await slack.says(slack.room, "after the silence")
    assert [event.text for event in await slack.intake.wait_for(1)] == ["after the silence"]


async def test_sockets_that_end_at_once_are_not_opened_in_a_hot_loop(slack: SlackRig):
    await slack.stop()
    async with slack.fresh() as channel:
        running = asyncio.create_task(channel.run(slack.intake))
        await slack.slack.post.until_sockets(1)
        await slack.slack.post.ask_to_leave("too_many_websockets")
        with pytest.raises(Unavailable, match="as soon as it is open"):
            await asyncio.wait_for(running, 5)
    await slack.start()


async def test_a_socket_without_a_hello_is_not_waited_for_for_ever(slack: SlackRig, monkeypatch: pytest.MonkeyPatch):
    await slack.stop()
    monkeypatch.setattr(socket_module, "HELLO_SECONDS", 0.1)
    slack.slack.post.hello = False
    async with slack.fresh() as channel:
        with pytest.raises(Unavailable, match="cannot be opened"):
            await asyncio.wait_for(channel.run(slack.intake), 5)
    slack.slack.post.hello = True
    await slack.start()


async def test_a_platform_that_is_down_at_the_start_is_unavailable_and_says_so(slack: SlackRig):
    await slack.stop()
    await slack.slack.go_away()
    async with slack.fresh() as channel:
        with pytest.raises(Unavailable, match="cannot be reached"):
            await channel.run(slack.intake)
        assert channel.health().state is ChannelState.DOWN
    await slack.slack.come_back()
    await slack.start()


@pytest.mark.requirement("P3")
async def test_an_event_that_slack_repeats_after_a_reconnect_is_one_event(slack: SlackRig):
    await slack.says(slack.room, "once")
    await slack.intake.wait_for(1)
    await slack.drop_connections()
    for _ in range(3):
        await slack.repeat_last_event()
    await slack.says(slack.room, "twice")
    events = await slack.intake.wait_for(2)
    assert [event.text for event in events] == ["once", "twice"]


@pytest.mark.slow
@pytest.mark.requirement("P2")
async def test_two_thousand_messages_at_once_arrive_whole_and_in_order(slack: SlackRig):
    for number in range(2000):
        await slack.says(slack.room, f"{number}")
    events = await slack.intake.wait_for(2000, timeout_seconds=20)
    assert [event.text for event in events] == [str(number) for number in range(2000)]
    assert all(len(delivery.envelopes) == 1 for delivery in slack.slack.post.deliveries)


@pytest.mark.slow
async def test_a_name_that_cannot_be_had_holds_nothing_up(slack: SlackRig):
    slack.slack.fail(Fault(hang_seconds=30, word="fatal_error", methods=frozenset({"users.info"}), times=9))
    await slack.says(slack.room, "hello", by=slack.stranger_account)
    async with asyncio.timeout(2.5):
        [event] = await slack.intake.wait_for(1)
    assert event.sender.name == "U9"


async def test_a_removed_app_shows_in_the_health_before_anything_is_said(slack: SlackRig):
    delivery = slack.slack.post.deliver("events_api", {"type": "event_callback", "event": {"type": "app_uninstalled"}})
    await asyncio.wait_for(delivery.acknowledged.wait(), 5)
    assert slack.channel.health().state is ChannelState.DOWN
    assert "install it again" in slack.channel.health().detail


async def test_a_token_that_is_revoked_while_running_ends_the_run_until_it_is_good_again(slack: SlackRig):
    slack.slack.tokens[BOT_TOKEN] = "token_revoked"
    slack.slack.post.deliver("events_api", {"type": "event_callback", "event": {"type": "tokens_revoked"}})
    await slack.slack.post.until_sockets(0)
    assert slack.channel.health().state is not ChannelState.CONNECTED
    slack.slack.tokens[BOT_TOKEN] = ""
    await slack.slack.post.until_sockets(1)
    await slack.says(slack.room, "back again")
    assert (await slack.intake.wait_for(1))[-1].text == "back again"
    assert slack.channel.health().state is ChannelState.CONNECTED


async def test_one_methods_refusal_of_our_token_does_not_end_the_connection(slack: SlackRig):
    slack.slack.fail(Fault(word="not_allowed_token_type", methods=frozenset({"chat.postMessage"})))
    with pytest.raises(Rejected):
        await slack.channel.send(Outbound(key=DeliveryKey("k1"), to=slack.room, text="hello"))
    await slack.slack.until(lambda: [method for method, _ in slack.slack.calls].count("auth.test") == 2)
    await slack.says(slack.room, "still there")
    assert (await slack.intake.wait_for(1))[-1].text == "still there"
    assert slack.slack.post.sockets_opened == 1
    assert slack.channel.health().state is ChannelState.CONNECTED


async def test_a_conversation_that_somebody_opens_offers_commands(slack: SlackRig):
    slack.slack.methods.prompts.clear()
    opened = {"type": "assistant_thread_started", "assistant_thread": {"channel_id": "DU1", "thread_ts": "1.5"}}
    slack.slack.space.open_direct("U1")
    slack.slack.post.deliver("events_api", {"type": "event_callback", "event": opened})
    await slack.slack.until(lambda: slack.slack.methods.prompts)
    assert slack.slack.methods.prompts == [{"title": "What runs here", "message": "!agents"}]


async def test_edits_and_deletions_follow_their_message(slack: SlackRig):
    root = await slack.says(slack.room, "root")
    thread = ThreadRef(channel=slack.room.channel, space="T1", room="C1", thread=root)
    reply = await slack.says(thread, "wrnog")
    await slack.intake.wait_for(2)
    await slack.edits(thread, reply, "right & <good>")
    await slack.intake.wait_for(3)
    await slack.deletes(thread, reply)
    edit, deletion = (await slack.intake.wait_for(4))[2:]
    assert (edit.kind, edit.where, edit.message_id, edit.text) == (Kind.EDIT, thread, reply, "right & <good>")
    assert (deletion.kind, deletion.where, deletion.message_id) == (Kind.DELETE, thread, reply)
    assert edit.sender.account == deletion.sender.account == slack.ada_account


async def test_a_root_that_is_deleted_under_its_replies_is_told_as_deleted(slack: SlackRig):
    root = await slack.says(slack.room, "root")
    thread = ThreadRef(channel=slack.room.channel, space="T1", room="C1", thread=root)
    await slack.says(thread, "a reply")
    await slack.deletes(slack.room, root)
    event = (await slack.intake.wait_for(3))[-1]
    assert (event.kind, event.message_id, event.where) == (Kind.DELETE, root, slack.room)
