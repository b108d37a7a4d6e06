"""The loopback server, asked by the library's own Bot: what it tells must read as Telegram's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import telegram
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    Forbidden,
    InvalidToken,
    NetworkError,
    RetryAfter,
    TimedOut,
)

from tests.fakes.telegram import FakeTelegram
from tests.fakes.telegram.server import broken_gateway, lose_answer, refuse
from tests.fakes.telegram.world import ADA, FORUM, GROUP


@pytest.fixture
async def server() -> AsyncIterator[FakeTelegram]:
    async with FakeTelegram() as running:
        yield running


@pytest.fixture(autouse=True)
def _durations_as_the_library_will_tell_them(monkeypatch):
    monkeypatch.setenv("PTB_TIMEDELTA", "true")


@pytest.fixture
async def bot(server) -> AsyncIterator[telegram.Bot]:
    files = server.base_url.replace("/bot", "/file/bot")
    async with telegram.Bot(server.token, base_url=server.base_url, base_file_url=files) as running:
        yield running


async def test_every_update_is_one_that_the_library_reads(server, bot):
    world = server.world
    world.allowed = {"message", "edited_message", "callback_query", "message_reaction", "my_chat_member"}
    topic = world.open_topic(FORUM, "Topic", world.users[ADA])
    first = world.says(FORUM, "@threadmill_bot /help me", topic=topic)
    world.edits(FORUM, first, "better")
    world.presses(FORUM, first, "data")
    world.reacts(FORUM, first, "👍")
    world.blocks(ADA)
    world.closes_topic(FORUM, topic)
    world.sends_file(GROUP, "a.txt", b"abc", caption="a file")
    world.migrates(GROUP)
    updates = await bot.get_updates()
    kinds = [next(name for name in telegram.Update.ALL_TYPES if getattr(update, name)) for update in updates]
    assert kinds == [
        "message", "message", "edited_message", "callback_query", "message_reaction", "my_chat_member",
        "message", "message", "message", "message",
    ]  # fmt: skip
    assert updates[1].message.is_topic_message
    assert updates[1].message.reply_to_message.forum_topic_created.name == "Topic"
    assert [entity.type for entity in updates[1].message.entities] == ["mention", "bot_command"]
    assert updates[7].message.document.file_name == "a.txt"
    file = await updates[7].message.document.get_file()
    assert bytes(await file.download_as_bytearray()) == b"abc"
    assert updates[8].message.migrate_to_chat_id == updates[9].message.chat.id


async def test_offsets_confirm_and_a_future_one_counts_as_none(server, bot):
    for text in "abc":
        server.world.says(ADA, text)
    first = (await bot.get_updates())[0].update_id
    assert [update.message.text for update in await bot.get_updates(offset=first + 1)] == ["b", "c"]
    assert [update.message.text for update in await bot.get_updates(offset=first + 9999)] == ["b", "c"]
    assert [update.message.text for update in await bot.get_updates(offset=-1)] == ["c"]
    assert await bot.get_updates(offset=first + 3) == ()


async def test_a_second_poller_sends_the_first_away(server, bot):
    first = asyncio.create_task(bot.get_updates(timeout=20))
    await server.world.wait_until(lambda: server.poll_waits == 1)
    async with telegram.Bot(server.token, base_url=server.base_url) as rival:
        second = asyncio.create_task(rival.get_updates(timeout=20))
        with pytest.raises(Conflict):
            await first
        server.world.says(ADA, "hello")
        assert len(await second) == 1


async def test_the_rules_are_kept(server, bot):
    server.world.chats[FORUM].bot_rights = {"send"}
    with pytest.raises(BadRequest, match="too long"):
        await bot.send_message(ADA, "😀" * 2049)
    with pytest.raises(BadRequest, match="empty"):
        await bot.send_message(ADA, " \n ")
    long = telegram.InlineKeyboardMarkup([[telegram.InlineKeyboardButton("b", callback_data="é" * 33)]])
    with pytest.raises(BadRequest, match="utton_data_invalid"):
        await bot.send_message(ADA, "x", reply_markup=long)
    with pytest.raises(BadRequest, match="hread not found"):
        await bot.send_message(FORUM, "x", message_thread_id=1)
    with pytest.raises(BadRequest, match="ot enough rights"):
        await bot.create_forum_topic(FORUM, "T")
    with pytest.raises(BadRequest, match="_peer_invalid"):
        await bot.send_message_draft(FORUM, 1, "x")
    with pytest.raises(BadRequest, match="rong number"):
        await bot.send_media_group(ADA, [telegram.InputMediaDocument(b"x")])
    with pytest.raises(BadRequest, match="be edited"):
        await bot.edit_message_text("x", ADA, server.world.says(ADA, "mine"))
    server.world.blocks(ADA)
    with pytest.raises(Forbidden):
        await bot.send_message(ADA, "x")
    server.world.migrates(GROUP)
    with pytest.raises(ChatMigrated):
        await bot.send_message(GROUP, "x")
    stranger = telegram.Bot("5000000001:other", base_url=server.base_url)
    with pytest.raises(InvalidToken):
        await stranger.initialize()
    await stranger.shutdown()


async def test_flood_control_tells_how_long(server, bot):
    server.flood.enforced = True
    for number in range(20):
        await bot.send_message(GROUP, str(number))
    with pytest.raises(RetryAfter):
        await bot.send_message(GROUP, "too many")
    await bot.send_message(FORUM, "another chat")


async def test_a_draft_fades_and_gives_way_to_the_message(server, bot):
    now = 1000.0
    server.world.clock = lambda: now
    await bot.send_message_draft(ADA, 7, "so far")
    assert server.world.draft(ADA) == "so far"
    now += 31
    assert server.world.draft(ADA) is None
    await bot.send_message_draft(ADA, 7, "so far")
    await bot.send_message(ADA, "done")
    assert server.world.draft(ADA) is None


async def test_faults_look_as_they_do_in_life(server, bot):
    server.fail_next("sendMessage", lose_answer)
    with pytest.raises(NetworkError):
        await bot.send_message(ADA, "said all the same")
    assert len(server.world.in_topic(ADA, None)) == 1
    server.fail_next("sendMessage", broken_gateway())
    with pytest.raises(NetworkError, match="502"):
        await bot.send_message(ADA, "not said")
    server.fail_next("send", refuse(429, "Too Many Requests: retry after 7", retry_after=7))
    with pytest.raises(RetryAfter):
        await bot.send_document(ADA, b"x")
    await server.refuse_connections()
    with pytest.raises(NetworkError) as failure:
        await bot.send_message(ADA, "not said")
    assert not isinstance(failure.value, TimedOut)
    await server.accept_connections()
    await bot.send_message(ADA, "back")
    assert [message["text"] for message in server.world.in_topic(ADA, None)] == ["said all the same", "back"]
