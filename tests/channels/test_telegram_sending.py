"""What goes out to Telegram, through the unmodified library: said once, or it is told why not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from channels.base import (
    Attachment,
    Button,
    ChannelContext,
    ChannelError,
    ChannelName,
    DeliveryKey,
    Outbound,
    Rejected,
    TemporaryFailure,
    ThreadRef,
    Unavailable,
    UnknownOutcome,
)
from channels.telegram import Settings, create
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
    rig.world.deletes(ADA, int(message))
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


async def test_halves_of_characters_do_not_stop_a_message(rig):
    button = Button(id="b", label="\udc00 yes")
    await rig.channel.send(outbound("a\ud83d b \ud83d\ude00", buttons=(button,)))
    [shown] = await rig.shown(PRIVATE)
    assert (shown.text, shown.buttons) == ("a\ufffd b 😀", (("b", "\ufffd yes"),))


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


@pytest.mark.slow
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
