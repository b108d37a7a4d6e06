"""Topics, private chats and files at Telegram."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from channels.base import (
    Account,
    Attachment,
    ChannelContext,
    ChannelName,
    DeliveryKey,
    Kind,
    NoThreads,
    OpenThread,
    Outbound,
    Rejected,
    TemporaryFailure,
    ThreadRef,
    UnknownOutcome,
)
from channels.telegram import Settings, create
from tests.conformance.rig_telegram import StoredFiles, TelegramRig, joined
from tests.fakes.telegram import FakeTelegram
from tests.fakes.telegram.server import broken_gateway, lose_answer
from tests.fakes.telegram.world import ADA, EVE, FORUM, GROUP, Chat

NAME = ChannelName("telegram")
PRIVATE = ThreadRef(channel=NAME, room=str(ADA))
ROOM = ThreadRef(channel=NAME, room=str(FORUM))
PLAIN = -100500
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


@pytest.mark.slow
async def test_a_first_post_that_fails_does_not_open_a_second_topic(rig):
    rig.server.fail_next("sendMessage", broken_gateway())
    request = OpenThread(key=DeliveryKey("t"), room=ROOM, title="T", first_text="first")
    where = await rig.channel.open_thread(request)
    assert [shown.text for shown in await rig.shown(where)] == ["first"]
    assert len(rig.server.called("createForumTopic")) == 1


async def test_a_closed_topic_is_parked_and_says_so_to_who_sends(rig):
    topic = await rig.channel.open_thread(OpenThread(key=DeliveryKey("t"), room=ROOM, title="T"))
    rig.world.closes_topic(FORUM, int(topic.thread))
    [event] = await rig.intake.wait_for(1)
    assert (event.kind, event.where) == (Kind.THREAD_ARCHIVED, topic)
    await rig.channel.send(outbound(to=topic))  # an administrator may write all the same
    rig.world.chats[FORUM].bot_rights = {"send"}
    with pytest.raises(Rejected, match="reopen"):
        await rig.channel.send(outbound(to=topic))


async def test_a_person_who_blocks_the_bot_is_left_alone_until_they_let_it_in(rig):
    rig.world.blocks(ADA)
    [event] = await rig.intake.wait_for(1)
    assert (event.kind, event.where) == (Kind.THREAD_ARCHIVED, PRIVATE)
    with pytest.raises(Rejected, match="unblock"):
        await rig.channel.send(outbound())
    rig.world.blocks(ADA, lets_in=True)
    assert (await rig.intake.wait_for(2))[1].kind is Kind.THREAD_UNARCHIVED
    await rig.channel.send(outbound())


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


async def test_a_supergroup_without_topics_has_reply_chains(rig):
    plain = rig.world.chats[PLAIN] = Chat(PLAIN, "supergroup", "Plain")
    room = ThreadRef(channel=NAME, room=str(PLAIN))
    asked = rig.world.says(PLAIN, "a question")
    await rig.intake.wait_for(1)
    request = OpenThread(key=DeliveryKey("t"), room=room, title="T", first_text="", anchor=str(asked))
    chain = await rig.channel.open_thread(request)
    assert await rig.channel.open_thread(request) == chain
    assert rig.server.called("createForumTopic") == []
    [said] = (await rig.channel.send(outbound("an answer", to=chain))).message_ids
    assert plain.messages[int(said)]["reply_to_message"]["message_id"] == asked
    rig.world.says(PLAIN, "and further", reply_to=int(said))
    rig.world.says(PLAIN, "something else")
    _, further, other = await rig.intake.wait_for(3)
    assert (further.where, other.where) == (chain, room)
    await rig.channel.typing(chain)
    live = await rig.channel.live(chain)
    await live.update("being written", "")
    assert list(plain.messages.values())[-1]["reply_to_message"]["message_id"] == asked
    await live.close()
    assert await rig.channel.link(chain) == f"https://t.me/c/500/{asked}"

    rig.intake.bound.append(chain)
    await rig.reconnect()
    rig.world.says(PLAIN, "after a restart", reply_to=asked)
    assert (await rig.intake.wait_for(4))[3].where == chain


async def test_a_chain_may_begin_with_a_message_of_ours_also_where_nothing_was_heard(rig):
    rig.world.chats[PLAIN] = Chat(PLAIN, "supergroup", "Plain")
    room = ThreadRef(channel=NAME, room=str(PLAIN))
    rig.server.fail_next("sendMessage", broken_gateway())
    with pytest.raises(TemporaryFailure):
        await rig.channel.open_thread(OpenThread(key=DeliveryKey("t"), room=room, title="Look into it"))
    chain = await rig.channel.open_thread(
        OpenThread(key=DeliveryKey("t"), room=room, title="Look into it", first_text="word " * 1000)
    )
    begun, rest = rig.world.chats[PLAIN].messages.values()
    assert chain.thread == f"reply-{begun['message_id']}"
    assert rest["reply_to_message"]["message_id"] == begun["message_id"]
    assert rest["text"].startswith("word")


async def test_a_person_who_writes_to_a_channel_is_answered_in_his_topic(rig):
    chat = rig.world.chats[PLAIN] = Chat(PLAIN, "supergroup", "A channel's letters", direct_topics={ADA, EVE})
    rig.world.says(PLAIN, "hello", direct_messages_topic={"topic_id": ADA})
    rig.world.says(PLAIN, "hello", by=EVE, direct_messages_topic={"topic_id": EVE})
    ada, eve = await rig.intake.wait_for(2)
    assert (ada.where.key, eve.where.thread) == (f"telegram:/{PLAIN}/direct-{ADA}", f"direct-{EVE}")
    assert not ada.direct, "the channel's administrators read along"
    [said] = (await rig.channel.send(outbound("an answer", to=ada.where))).message_ids
    assert chat.messages[int(said)]["direct_messages_topic"] == {"topic_id": ADA}
    live = await rig.channel.live(eve.where)
    await live.update("being written", "")
    assert list(chat.messages.values())[-1]["direct_messages_topic"] == {"topic_id": EVE}
    await live.close()
    await rig.channel.typing(ada.where)
    assert "direct_messages_topic_id" not in rig.server.called("sendChatAction")[-1]
    assert await rig.channel.link(ada.where) is None
    with pytest.raises(Rejected):
        await rig.channel.send(outbound(to=ada.where.in_room))
