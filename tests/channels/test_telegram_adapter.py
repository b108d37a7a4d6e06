"""The adapter against the loopback server, through the unmodified library."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from channels.base import (
    Account,
    Attachment,
    Button,
    ChannelContext,
    ChannelError,
    ChannelName,
    ChannelState,
    CommandOption,
    CommandSpec,
    DeliveryKey,
    Kind,
    NoThreads,
    OpenThread,
    Outbound,
    Rejected,
    TemporaryFailure,
    ThreadRef,
    Unavailable,
    UnknownOutcome,
)
from channels.telegram import Settings, create
from tests.conformance.harness import RecordingIntake
from tests.conformance.rig_telegram import StoredFiles, TelegramRig, joined
from tests.fakes.telegram import FakeTelegram
from tests.fakes.telegram.server import answer_with, broken_gateway, lose_answer, refuse
from tests.fakes.telegram.world import ADA, EVE, FORUM, GROUP

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


# --- taking in -----------------------------------------------------------------------------------


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


async def test_a_lost_answer_to_the_question_for_updates_is_asked_again(rig):
    for fault in (broken_gateway(), refuse(429, "Too Many Requests", retry_after=0)):
        rig.server.fail_next("getUpdates", fault)
    rig.server.drop_polls()
    await rig.says(PRIVATE, "still here")
    assert (await rig.intake.wait_for(1))[0].text == "still here"


async def test_an_update_that_nobody_can_read_blocks_nothing(rig):
    rig.world.updates.append({"update_id": rig.world.next_update_id, "message": {"text": 5}})
    rig.world.next_update_id += 1
    await rig.says(PRIVATE, "next")
    assert (await rig.intake.wait_for(1))[0].text == "next"
    await rig.world.wait_until(lambda: not rig.world.updates)


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


# --- sending -------------------------------------------------------------------------------------


async def test_text_goes_out_with_entities_and_without_previews(rig):
    receipt = await rig.channel.send(outbound("**Hi** [you](https://example.org) @ada"))
    [shown] = rig.world.in_topic(ADA, None)
    assert shown["text"] == "Hi you @\u2060ada"
    assert [entity["type"] for entity in shown["entities"]] == ["bold", "text_link"]
    assert shown["link_preview_options"] == {"is_disabled": True}
    assert receipt.message_ids == (str(shown["message_id"]),)
    assert abs(receipt.sent_at - datetime.now(UTC)) < timedelta(seconds=5)


async def test_a_reply_whose_message_is_gone_is_said_all_the_same(rig):
    message = await rig.says(PRIVATE, "question")
    await rig.channel.send(outbound("answer", reply_to=message))
    await rig.deletes(PRIVATE, message)
    await rig.channel.send(outbound("late answer", reply_to=message))
    answer, late = rig.world.in_topic(ADA, None)
    assert answer["reply_to_message"]["text"] == "question"
    assert "reply_to_message" not in late


async def test_the_general_topic_is_the_room_for_messages_and_has_its_number_for_typing(rig):
    await rig.says(ROOM, "so that the forum is known")
    await rig.intake.wait_for(1)
    await rig.channel.send(outbound(to=ThreadRef(channel=NAME, room=str(FORUM), thread="1")))
    await rig.channel.typing(ROOM)
    assert "message_thread_id" not in rig.server.called("sendMessage")[-1]
    assert rig.server.called("sendChatAction")[-1]["message_thread_id"] == "1"


async def test_a_picture_is_a_photo_unless_it_is_none(rig):
    png = rig.files.add(b"\x89PNG....", "chart.png", "image/png")
    fake = rig.files.add(b"not a png", "fake.png", "image/png")
    await rig.channel.send(outbound("a chart", attachments=(png,)))
    await rig.channel.send(outbound("", attachments=(fake,)))
    photo, document = rig.world.in_topic(ADA, None)
    assert photo["caption"] == "a chart"
    assert "photo" in photo
    assert document["document"]["file_name"] == "fake.png"


async def test_several_files_are_one_album(rig):
    files = tuple(rig.files.add(bytes([n + 65]), f"{n}.txt", "text/plain") for n in range(3))
    receipt = await rig.channel.send(outbound("all of them", attachments=files))
    shown = rig.world.in_topic(ADA, None)
    assert len(receipt.message_ids) == len(shown) == 3
    assert shown[-1]["caption"] == "all of them"
    assert len(rig.server.called("sendMediaGroup")) == 1


async def test_a_text_for_more_than_four_messages_ends_in_a_file(rig):
    text = "\n\n".join(f"Paragraph {n}: " + "word " * 100 for n in range(60))
    parts = rig.channel.split(outbound(text, buttons=(Button(id="b", label="B"),)))
    assert [part.key for part in parts] == ["k#0", "k#1"]
    for part in parts:
        await rig.channel.send(part)
    beginning, file = await rig.shown(PRIVATE)
    assert "whole answer is in the file" in beginning.text
    assert file.files == (("answer.md", text.encode()),)
    assert (beginning.buttons, file.buttons) == ((), (("b", "B"),))


@pytest.mark.parametrize("attachment_name", ["../../etc/passwd", "a\x00b\u202ecod.exe", "x" * 400 + ".txt", "...", ""])
async def test_names_of_files_are_made_safe(rig, attachment_name):
    file = rig.files.add(b"x", attachment_name, "text/plain")
    await rig.channel.send(outbound("", attachments=(file,)))
    [shown] = await rig.shown(PRIVATE)
    [(name, _)] = shown.files
    assert name
    assert len(name.encode()) <= 120
    assert name.isprintable()
    assert "/" not in name
    assert not name.startswith(".")


async def test_what_cannot_be_said_is_rejected_before_it_is_tried(rig):
    missing = Attachment(name="a", media_type="text/plain", size_bytes=1, source="sha256:00")
    empty = rig.files.add(b"", "empty.txt", "text/plain")
    for message in (outbound("  \n "), outbound("", attachments=(missing,)), outbound("", attachments=(empty,))):
        with pytest.raises(Rejected):
            await rig.channel.send(message)
    assert rig.server.called("sendMessage") == rig.server.called("sendDocument") == []


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (refuse(400, "Bad Request: chat not found"), Rejected, "must write to the bot first"),
        (refuse(403, "Forbidden: bot was blocked by the user"), Rejected, "unblock"),
        (refuse(400, "Bad Request: not enough rights to send text messages to the chat"), Rejected, "administrator"),
        (refuse(413, "Request Entity Too Large"), Rejected, "50 MB"),
        (refuse(401, "Unauthorized"), Unavailable, "token"),
        (refuse(404, "Not Found"), Unavailable, "base_url"),
        (refuse(500, "Internal Server Error"), TemporaryFailure, "500"),
        (broken_gateway(502), TemporaryFailure, "502"),
        (broken_gateway(504), UnknownOutcome, "may have been done"),
        (lose_answer, UnknownOutcome, "may have been done"),
        (answer_with(b"<html>"), UnknownOutcome, "may have been done"),
        (answer_with(b'{"ok": true}'), UnknownOutcome, "may have been done"),
        (answer_with(b'{"ok": false, "error_code": 400, "description": "Bad Request: x"}'), Rejected, "x"),
    ],
)
async def test_failures_say_what_to_do_and_never_the_token(rig, fault, kind, words):
    rig.server.fail_next("sendMessage", fault)
    with pytest.raises(ChannelError) as failure:
        await rig.channel.send(outbound())
    assert type(failure.value) is kind
    assert words in str(failure.value)
    error: BaseException | None = failure.value
    while error is not None:
        assert rig.server.token not in f"{error} {error!r}"
        error = error.__cause__
    assert len(rig.server.called("sendMessage")) == 1  # nothing is tried twice


async def test_a_message_that_was_said_has_a_receipt_even_when_the_answer_is_thin(rig):
    rig.server.fail_next("sendMessage", answer_with(b'{"ok": true, "result": {"message_id": 9, "new": {}}}'))
    assert (await rig.channel.send(outbound())).message_ids == ("9",)
    rig.server.fail_next("sendMessage", answer_with(b'{"ok": true, "result": true}'))
    assert (await rig.channel.send(outbound())).message_ids == ()


async def test_a_pause_that_the_server_asks_for_concerns_one_chat(rig):
    rig.server.fail_next("sendMessage", refuse(429, "Too Many Requests: retry after 300", retry_after=300))
    with pytest.raises(TemporaryFailure) as failure:
        await rig.channel.send(outbound())
    assert failure.value.retry_after == timedelta(seconds=300)
    with pytest.raises(TemporaryFailure) as failure:
        await rig.channel.send(outbound())
    assert failure.value.retry_after is not None
    assert failure.value.retry_after > timedelta(seconds=290)
    assert len(rig.server.called("sendMessage")) == 1
    await rig.channel.send(outbound(to=ROOM))


@pytest.mark.requirement("P4")
async def test_the_limits_are_kept_and_a_control_reply_passes_the_queue():
    async with joined(messages_per_second=30) as rig:
        rig.server.flood.enforced = True

        async def say(number: int) -> bool:
            try:
                await rig.channel.send(outbound(f"{number}", to=BASIC if number % 2 else PRIVATE))
            except TemporaryFailure:
                return False
            return True

        async with asyncio.TaskGroup() as tasks:
            said = [tasks.create_task(say(number)) for number in range(400)]
            await asyncio.sleep(0)
            async with asyncio.timeout(1.5):
                await rig.channel.send(outbound("killed", to=BASIC, control=True))
        assert rig.server.flood.refusals == 0
        assert sum(task.result() for task in said) >= 17 + 5


async def test_edits_replace_text_and_buttons_and_may_be_repeated(rig):
    receipt = await rig.channel.send(outbound("one", buttons=(Button(id="b", label="B"),)))
    [message_id] = receipt.message_ids
    await rig.channel.edit(outbound("**two**"), message_id)
    await rig.channel.edit(outbound("**two**"), message_id)
    [shown] = await rig.shown(PRIVATE)
    assert (shown.text, shown.buttons) == ("two", ())
    await rig.channel.edit(outbound("word " * 2000), message_id)
    [shown] = await rig.shown(PRIVATE)
    assert shown.text.endswith("…")
    with pytest.raises(Rejected, match="not found"):
        await rig.channel.edit(outbound("x"), "999")
    rig.server.fail_next("editMessageText", lose_answer)
    with pytest.raises(TemporaryFailure):
        await rig.channel.edit(outbound("three"), message_id)


async def test_the_text_under_a_file_can_be_edited(rig):
    file = rig.files.add(b"x", "a.txt", "text/plain")
    receipt = await rig.channel.send(outbound("one", attachments=(file,)))
    await rig.channel.edit(outbound("two"), receipt.message_ids[0])
    [shown] = await rig.shown(PRIVATE)
    assert shown.text == "two"


# --- threads, people, files ----------------------------------------------------------------------


async def test_a_topic_is_opened_in_a_forum_and_in_a_private_chat(rig):
    for room in (ROOM, PRIVATE):
        request = OpenThread(key=DeliveryKey("t"), room=room, title=" A\n title " + "x" * 200, first_text="**first**")
        where = await rig.channel.open_thread(request)
        assert where.in_room == room
        [first] = await rig.shown(where)
        assert first.text == "first"
        assert rig.server.called("createForumTopic")[-1]["name"].startswith("A title x")
        reply = await rig.channel.send(outbound("inside", to=where))
        assert [shown.message_id for shown in await rig.shown(where)][-1:] == list(reply.message_ids)


async def test_a_group_without_topics_and_a_bot_without_them_have_no_threads(rig):
    with pytest.raises(NoThreads):
        await rig.channel.open_thread(OpenThread(key=DeliveryKey("t"), room=BASIC, title="T"))
    rig.world.bot["has_topics_enabled"] = False
    await rig.reconnect()
    with pytest.raises(NoThreads, match="BotFather"):
        await rig.channel.open_thread(OpenThread(key=DeliveryKey("t"), room=PRIVATE, title="T"))


async def test_opening_a_topic_may_fail_in_every_way(rig):
    request = OpenThread(key=DeliveryKey("t"), room=ROOM, title="T")
    rig.server.fail_next("createForumTopic", lose_answer)
    with pytest.raises(UnknownOutcome):
        await rig.channel.open_thread(request)
    rig.world.chats[FORUM].bot_rights = {"send"}
    with pytest.raises(Rejected, match="administrator") as failure:
        await rig.channel.open_thread(request)
    assert not isinstance(failure.value, NoThreads)


async def test_a_first_post_that_fails_does_not_open_a_second_topic(rig):
    rig.server.fail_next("sendMessage", broken_gateway())
    request = OpenThread(key=DeliveryKey("t"), room=ROOM, title="T", first_text="first")
    where = await rig.channel.open_thread(request)
    assert [shown.text for shown in await rig.shown(where)] == ["first"]
    assert len(rig.server.called("createForumTopic")) == 1


async def test_a_private_place_exists_for_who_wrote_to_the_bot(rig):
    assert await rig.channel.direct(Account(f"telegram:{ADA}")) == PRIVATE
    for account in (f"telegram:{EVE}", f"telegram:{GROUP}", "slack:T1/U1", "telegram:x"):
        with pytest.raises(Rejected):
            await rig.channel.direct(Account(account))


async def test_files_come_in_within_the_limit(rig):
    content = bytes(range(256)) * 1000
    await rig.sends_file(PRIVATE, "in.bin", content)
    [event] = await rig.intake.wait_for(1)
    [file] = event.attachments
    assert b"".join([piece async for piece in rig.channel.fetch(file, 300_000)]) == content
    with pytest.raises(Rejected, match="larger"):
        [piece async for piece in rig.channel.fetch(file, 1000)]
    unsized = Attachment(name="in.bin", media_type="x/y", size_bytes=None, source=file.source)
    with pytest.raises(Rejected, match="larger"):
        [piece async for piece in rig.channel.fetch(unsized, 1000)]
    unknown = Attachment(name="in.bin", media_type="x/y", size_bytes=1, source="no such file")
    with pytest.raises(Rejected):
        [piece async for piece in rig.channel.fetch(unknown, 1000)]


@pytest.mark.parametrize("path", ["https://evil.example/x", "/etc/passwd", "a/../../../x", "//evil.example/x"])
async def test_files_are_fetched_from_the_servers_file_address_only(rig, path):
    document = rig.world.store_file("a.txt", b"x")
    rig.world.files[document["file_id"]] = (path, b"x")
    file = Attachment(name="a.txt", media_type="text/plain", size_bytes=1, source=document["file_id"])
    with pytest.raises(Rejected, match="outside"):
        [piece async for piece in rig.channel.fetch(file, 1000)]


# --- the rest ------------------------------------------------------------------------------------


async def test_the_menu_is_set_only_when_it_changed(server):
    commands = (
        CommandSpec(name="kill", description="End a session", options=(CommandOption(name="S", description=""),)),
    )

    async def run_once(commands: tuple[CommandSpec, ...]) -> None:
        context = ChannelContext(name=NAME, files=StoredFiles(), commands=commands)
        settings = Settings.model_validate({"token": server.token, "base_url": server.base_url})
        async with create(settings, context) as channel:
            waits = server.poll_waits
            running = asyncio.create_task(channel.run(intake))
            await server.world.wait_until(lambda: server.poll_waits > waits and "menu" in intake.cursors)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    intake = RecordingIntake()
    await run_once(commands)
    await run_once(commands)
    assert server.world.commands == [{"command": "kill", "description": "End a session · [S]"}]
    assert server.methods.menu_calls == 1
    await run_once((*commands, CommandSpec(name="help", description="Help")))
    assert server.methods.menu_calls == 2


async def test_a_menu_that_cannot_be_set_stops_nothing(server):
    server.fail_next("setMyCommands", refuse(429, "Too Many Requests", retry_after=60))
    commands = (CommandSpec(name="help", description="Help"),)
    context = ChannelContext(name=NAME, files=StoredFiles(), commands=commands)
    intake = RecordingIntake()
    async with create(
        Settings.model_validate({"token": server.token, "base_url": server.base_url}), context
    ) as channel:
        running = asyncio.create_task(channel.run(intake))
        server.world.says(ADA, "hello")
        await intake.wait_for(1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert "menu" not in intake.cursors


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
