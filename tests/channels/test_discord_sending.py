"""What we say on Discord appears once, keeps its rules, and fails by kind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from channels.base import (
    Account,
    Attachment,
    Button,
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
from channels.discord import Settings
from channels.discord.commands import STOP_BUTTON, AnswerHandle
from channels.discord.live import preview
from tests.conformance.harness import Fault
from tests.conformance.rig_discord import NAME, DiscordRig, rig
from tests.fakes.discord.world import EPHEMERAL, LOADING

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
async def discord(tmp_path: Path) -> AsyncIterator[DiscordRig]:
    async with rig(tmp_path) as made:
        yield made


def saying(where: ThreadRef, text: str = "hello", key: str = "k", **more: Any) -> Outbound:
    return Outbound(key=DeliveryKey(key), to=where, text=text, **more)


async def shown(discord: DiscordRig, where: ThreadRef) -> list[str]:
    """What stands there, also for one person alone."""
    return [str(message["content"]) for message in discord.server.world.messages[where.thread or where.room]]


async def until(happened: Callable[[], bool], timeout_seconds: float = 5.0) -> None:
    """Let the loop run until something is true that no event tells of."""
    async with asyncio.timeout(timeout_seconds):
        while not happened():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def another_room(discord: DiscordRig) -> ThreadRef:
    return replace(discord.room, room=discord.server.world.new_channel("other"))


# --- once, and harmless --------------------------------------------------------------------------


@pytest.mark.requirement("P3")
async def test_a_send_that_is_repeated_shows_one_message(discord: DiscordRig) -> None:
    first = await discord.channel.send(saying(discord.room))
    again = await discord.channel.send(saying(discord.room))
    assert first == again
    assert await shown(discord, discord.room) == ["hello"]


@pytest.mark.requirement("P3")
async def test_a_lost_answer_is_an_unknown_outcome_that_can_be_found_or_repeated(discord: DiscordRig) -> None:
    began = datetime.now(UTC) - timedelta(seconds=1)
    assert await discord.channel.find(saying(discord.room), began) is None
    await discord.fail(Fault.ANSWER_LOST)
    with pytest.raises(UnknownOutcome):
        await discord.channel.send(saying(discord.room))
    found = await discord.channel.find(saying(discord.room), began)
    assert found == await discord.channel.send(saying(discord.room))
    assert await shown(discord, discord.room) == ["hello"]
    assert await discord.channel.find(saying(discord.room), datetime.now(UTC) + timedelta(seconds=5)) is None


@pytest.mark.requirement("P3")
async def test_the_same_words_of_another_delivery_are_not_taken_for_this_one(discord: DiscordRig) -> None:
    await discord.channel.send(saying(discord.room, "Done.", key="first"))
    assert await discord.channel.find(saying(discord.room, "Done.", key="second"), LONG_AGO) is None
    assert await discord.channel.find(saying(discord.room, "Done.", key="first"), LONG_AGO) is not None


async def test_what_people_said_is_never_found_as_ours(discord: DiscordRig) -> None:
    await discord.says(discord.room, "hello")
    assert await discord.channel.find(saying(discord.room), LONG_AGO) is None


async def test_nothing_we_say_mentions_anybody_or_unfolds_a_link(discord: DiscordRig) -> None:
    text = "@everyone @here <@1> <@&2> https://example.org"
    receipt = await discord.channel.send(saying(discord.room, text))
    await discord.channel.edit(saying(discord.room, f"{text}!"), receipt.message_ids[0])
    for body in discord.server.rest.bodies:
        assert body["allowed_mentions"] == {"parse": [], "replied_user": False}
        assert body["flags"] & 4
    assert len(discord.server.rest.bodies) == 2


async def test_buttons_files_and_replies_arrive(discord: DiscordRig) -> None:
    asked = await discord.says(discord.room, "send it")
    file = await discord.stored_file(b"\x00\x01", "../../a\nb.bin", "application/octet-stream")
    buttons = tuple(Button(id=f"b{number}", label=f"B{number}") for number in range(7))
    part = saying(discord.room, "here", attachments=(file,), buttons=buttons, reply_to=asked)
    await discord.channel.send(part)
    message = (await discord.shown(discord.room))[-1]
    assert message.files == (("ab.bin", b"\x00\x01"),)
    assert message.buttons == tuple((button.id, button.label) for button in buttons)
    raw = discord.server.world.message(discord.room.room, message.message_id)
    assert raw["message_reference"]["message_id"] == asked


async def test_a_reply_to_a_message_that_is_gone_is_still_said(discord: DiscordRig) -> None:
    await discord.channel.send(saying(discord.room, reply_to="123456789"))
    assert await shown(discord, discord.room) == ["hello"]


async def test_what_may_not_be_a_reply_is_said_without_being_one(discord: DiscordRig) -> None:
    asked = await discord.says(discord.room, "question")
    discord.server.world.may_not_read_history.add(discord.room.room)
    await discord.channel.send(saying(discord.room, "answer", reply_to=asked))
    said = discord.server.world.messages[discord.room.room][-1]
    assert (said["content"], said.get("message_reference")) == ("answer", None)


async def test_a_long_text_is_a_beginning_and_a_file(discord: DiscordRig) -> None:
    text = "\n\n".join(f"Paragraph {number}. " + "word " * 100 for number in range(30))
    (only,) = discord.channel.split(saying(discord.room, text))
    await discord.channel.send(only)
    (message,) = await discord.shown(discord.room)
    assert message.text.startswith("Paragraph 0.")
    assert message.files == (("message.md", text.encode()),)


async def test_an_edit_replaces_text_and_buttons(discord: DiscordRig) -> None:
    receipt = await discord.channel.send(saying(discord.room, buttons=(Button(id="b", label="B"),)))
    await discord.channel.edit(saying(discord.room, "*new*"), receipt.message_ids[0])
    (message,) = await discord.shown(discord.room)
    assert (message.text, message.buttons) == ("*new*", ())


async def test_sending_works_while_the_gateway_does_not(discord: DiscordRig) -> None:
    await discord.stop()
    async with discord.new_channel() as channel:
        await channel.send(saying(discord.room))
    assert await shown(discord, discord.room) == ["hello"]


# --- threads -------------------------------------------------------------------------------------


@pytest.mark.requirement("P3")
@pytest.mark.parametrize("anchored", [True, False])
async def test_opening_a_thread_may_be_repeated(discord: DiscordRig, anchored: bool) -> None:
    anchor = await discord.says(discord.room, "please") if anchored else None
    request = OpenThread(key=DeliveryKey("t"), room=discord.room, title="Work", first_text="Begun.", anchor=anchor)
    where = await discord.channel.open_thread(request)
    assert await discord.channel.open_thread(request) == where
    assert where.in_room == discord.room
    assert await shown(discord, where) == ["Begun."]
    assert await shown(discord, discord.room) == (["please"] if anchored else ["🧵 **Work**"])
    if anchored:
        assert where.thread == anchor
    await discord.says(where, "hello in there")
    assert (await discord.intake.wait_for(1 + anchored))[-1].where == where


async def test_an_anchor_that_is_not_in_the_room_is_replaced_by_a_post_of_our_own(discord: DiscordRig) -> None:
    request = OpenThread(key=DeliveryKey("t"), room=discord.room, title="a_b", anchor="123456789")
    where = await discord.channel.open_thread(request)
    assert await discord.channel.open_thread(request) == where
    assert await shown(discord, discord.room) == ["🧵 **a_b**"]


async def test_a_thread_in_a_forum_is_a_post(discord: DiscordRig) -> None:
    forum = replace(discord.room, room=discord.server.world.forum)
    request = OpenThread(key=DeliveryKey("t"), room=forum, title="An idea", first_text="It is this.")
    where = await discord.channel.open_thread(request)
    assert where.room == forum.room
    assert await shown(discord, where) == ["It is this."]


async def test_where_there_are_no_threads_the_caller_is_told(discord: DiscordRig) -> None:
    private = await discord.channel.direct(Account(discord.ada_account))
    voice = replace(discord.room, room=discord.server.world.new_channel("voice", kind=2))
    for room in (private, voice):
        with pytest.raises(NoThreads):
            await discord.channel.open_thread(OpenThread(key=DeliveryKey("t"), room=room, title="x"))


async def test_speaking_opens_an_archived_thread_again_and_a_locked_one_refuses(discord: DiscordRig) -> None:
    where = await discord.channel.open_thread(OpenThread(key=DeliveryKey("t"), room=discord.room, title="x"))
    assert where.thread is not None
    discord.server.world.archives(where.thread)
    said = await discord.channel.send(saying(where))
    assert not discord.server.world.channels[where.thread]["thread_metadata"]["archived"]
    discord.server.world.archives(where.thread, locked=True)
    with pytest.raises(Rejected, match="archived"):
        await discord.channel.send(saying(where, key="k2"))
    with pytest.raises(Rejected, match="archived"):
        await discord.channel.edit(saying(where, key="k2"), said.message_ids[0])
    discord.server.world.archives(where.thread, archived=False, locked=True)
    with pytest.raises(Rejected, match="unlock"):
        await discord.channel.send(saying(where, key="k3"))


async def test_an_archived_thread_is_brought_back_by_an_answer_and_by_no_sign_or_preview(discord: DiscordRig) -> None:
    world = discord.server.world
    where = await discord.channel.open_thread(OpenThread(key=DeliveryKey("t"), room=discord.room, title="x"))
    assert where.thread is not None
    world.archives(where.thread)
    await discord.intake.wait_for(1)
    live = await discord.channel.live(where)
    await live.update("so far", "thinking")
    await discord.channel.typing(where)
    await live.close()
    assert (world.messages[where.thread], world.typing) == ([], [])
    assert world.channels[where.thread]["thread_metadata"]["archived"]
    await discord.channel.send(saying(where))
    assert not world.channels[where.thread]["thread_metadata"]["archived"]


async def test_a_thread_stays_in_the_list_for_as_long_as_its_room_says(discord: DiscordRig) -> None:
    world = discord.server.world
    for room in (world.room, world.forum):
        world.channels[room]["default_auto_archive_duration"] = 10080
    await discord.reconnect()
    rooms = [discord.room, ThreadRef(channel=NAME, space=world.guild_id, room=world.forum)]
    for number, place in enumerate(rooms):
        request = OpenThread(key=DeliveryKey(f"t{number}"), room=place, title="x", first_text="y")
        where = await discord.channel.open_thread(request)
        metadata = world.channels[where.thread or ""]["thread_metadata"]
        assert metadata["auto_archive_duration"] == 10080


async def test_a_post_in_a_forum_that_wants_tags_has_one_that_anybody_may_apply(discord: DiscordRig) -> None:
    world = discord.server.world
    forum = ThreadRef(channel=NAME, space=world.guild_id, room=world.forum)
    world.channels[world.forum] |= {"flags": 1 << 4, "available_tags": [{"id": "7", "name": "mine", "moderated": True}]}
    with pytest.raises(Rejected, match="need a tag"):
        await discord.channel.open_thread(OpenThread(key=DeliveryKey("t"), room=forum, title="x"))
    world.channels[world.forum]["available_tags"].append({"id": "8", "name": "any", "moderated": False})
    post = await discord.channel.open_thread(OpenThread(key=DeliveryKey("t"), room=forum, title="x"))
    assert world.channels[post.thread or ""]["applied_tags"] == ["8"]


async def test_a_private_thread_is_confined_and_so_is_one_of_which_nothing_is_known(discord: DiscordRig) -> None:
    world = discord.server.world

    def thread(id: str) -> ThreadRef:
        return ThreadRef(channel=NAME, space=world.guild_id, room=world.room, thread=id)

    public, private = (world.opens_thread(world.room, "x", kind=kind) for kind in (11, 12))
    world.says(private, "hello")
    await discord.intake.wait_for(1)
    places = [
        discord.room,
        thread(public),
        thread(private),
        thread("999"),
        thread("+s1"),
        await discord.channel.direct(Account(discord.ada_account)),
    ]
    assert [discord.channel.confined(where) for where in places] == [False, False, True, True, False, False]


# --- what goes wrong -----------------------------------------------------------------------------


async def test_refusals_are_given_up_and_say_what_to_do(discord: DiscordRig) -> None:
    await discord.fail(Fault.FORBIDDEN)
    with pytest.raises(Rejected, match="permission"):
        await discord.channel.send(saying(discord.room))
    with pytest.raises(Rejected, match="does not exist"):
        await discord.channel.send(saying(replace(discord.room, room="123456789")))
    lost = Attachment(name="x", media_type="text/plain", size_bytes=1, source="sha256:00")
    with pytest.raises(Rejected, match="attachment store"):
        await discord.channel.send(saying(discord.room, attachments=(lost,)))


async def test_a_person_who_takes_no_direct_messages_is_a_refusal(discord: DiscordRig) -> None:
    where = await discord.channel.direct(Account(discord.ada_account))
    discord.server.world.takes_no_direct_messages.add(discord.server.world.ada)
    with pytest.raises(Rejected, match="direct messages"):
        await discord.channel.send(saying(where))


@pytest.mark.parametrize("account", ["discord:123456789", "telegram:42", "discord:ada", "discord:"])
async def test_an_account_that_is_nobody_is_a_refusal(discord: DiscordRig, account: str) -> None:
    with pytest.raises(Rejected):
        await discord.channel.direct(Account(account))


async def test_an_outage_is_unavailable(discord: DiscordRig) -> None:
    await discord.fail(Fault.UNREACHABLE)
    with pytest.raises(Unavailable):
        await discord.channel.send(saying(discord.room))
    await discord.heal()
    await discord.channel.send(saying(discord.room))


async def test_an_error_of_the_server_is_temporary_while_the_gateway_lives_and_an_outage_when_not(
    discord: DiscordRig,
) -> None:
    discord.server.faults.next_posts.extend(["500", "502"])
    with pytest.raises(TemporaryFailure):
        await discord.channel.send(saying(discord.room))
    await discord.stop()
    async with discord.new_channel() as channel:
        with pytest.raises(Unavailable, match="502"):
            await channel.send(saying(discord.room))
    assert [path for method, path in discord.server.rest.calls if method == "POST"] == [
        f"/channels/{discord.room.room}/messages"
    ] * 2  # nothing is repeated behind our back


async def test_a_revoked_token_is_unavailable_and_never_shown(discord: DiscordRig) -> None:
    old, discord.server.world.token = discord.server.world.token, "another"
    with pytest.raises(Unavailable, match="token") as caught:
        await discord.channel.send(saying(discord.room))
    assert old not in f"{caught.value!r} {caught.value.__cause__!r}"


# --- rate limits ---------------------------------------------------------------------------------


async def test_a_refusal_for_speed_tells_when_to_come_again_and_is_kept(discord: DiscordRig) -> None:
    discord.server.faults.retry_after_seconds = 30.0
    discord.server.faults.next_posts.append("429")
    other = await another_room(discord)
    for _ in range(2):
        with pytest.raises(TemporaryFailure) as caught:
            await discord.channel.send(saying(discord.room))
        assert caught.value.retry_after is not None
        assert 29 < caught.value.retry_after.total_seconds() <= 30
    posts = [path for method, path in discord.server.rest.calls if method == "POST" and path.endswith("/messages")]
    assert len(posts) == 1
    await discord.channel.send(saying(other))
    assert await shown(discord, other) == ["hello"]


async def test_a_global_limit_stops_everything(discord: DiscordRig) -> None:
    discord.server.faults.retry_after_seconds = 30.0
    discord.server.faults.next_posts.append("429-global")
    for where in (discord.room, await another_room(discord)):
        with pytest.raises(TemporaryFailure):
            await discord.channel.send(saying(where))


@pytest.mark.slow
async def test_discords_own_limits_are_never_hit(discord: DiscordRig) -> None:
    """Ten messages at once into one room, twenty into others: what must wait long is given back, nothing is refused."""
    discord.server.limits.as_documented()
    discord.server.limits.rules["post"] = (5, 1.0)
    rooms = [discord.room] * 10 + [await another_room(discord) for _ in range(20)]
    sends = [discord.channel.send(saying(where, key=f"k{number}")) for number, where in enumerate(rooms)]
    results = await asyncio.gather(*sends, return_exceptions=True)
    assert all(not isinstance(result, BaseException) or isinstance(result, TemporaryFailure) for result in results)
    assert sum(not isinstance(result, BaseException) for result in results) >= 25
    assert discord.server.limits.refused == 0


@pytest.mark.slow
async def test_a_control_reply_goes_before_what_waits_for_the_same_room(discord: DiscordRig) -> None:
    discord.server.limits.rules["post"] = (1, 0.15)
    await discord.channel.send(saying(discord.room, "first", key="first"))
    waiting = [asyncio.create_task(discord.channel.send(saying(discord.room, f"w{n}", key=f"w{n}"))) for n in range(4)]
    await asyncio.sleep(0)
    began = time.monotonic()
    await discord.channel.send(saying(discord.room, "killed", key="control", control=True))
    assert time.monotonic() - began < 1.5
    await asyncio.gather(*waiting, return_exceptions=True)
    assert (await shown(discord, discord.room))[:2] == ["first", "killed"]


async def test_a_control_reply_waits_for_no_window_that_other_messages_have_used(discord: DiscordRig) -> None:
    discord.server.limits.as_documented()
    for number in range(4):
        await discord.channel.send(saying(discord.room, f"{number}", key=f"{number}"))
    with pytest.raises(TemporaryFailure):
        await discord.channel.send(saying(discord.room, "4", key="4"))
    began = time.monotonic()
    await discord.channel.send(saying(discord.room, "killed", key="control", control=True))
    assert time.monotonic() - began < 1.5
    assert discord.server.limits.refused == 0


# --- answers to interactions ---------------------------------------------------------------------


async def given(discord: DiscordRig, name: str = "help") -> tuple[str, dict[str, Any]]:
    """A command given by Ada and acknowledged: its answer handle and the platform's view of it."""
    world = discord.server.world
    await discord.declared.wait()
    interaction_id = world.gives_command(discord.room.room, name)
    await until(lambda: world.interaction(interaction_id)["response"] is not None)
    event = discord.intake.events[-1]
    assert event.kind is Kind.COMMAND
    assert event.answer_with is not None
    return event.answer_with, world.interaction(interaction_id)


async def test_an_answer_fills_in_the_reply_that_only_the_person_sees(discord: DiscordRig) -> None:
    handle, state = await given(discord)
    assert state["original"]["flags"] & LOADING
    answer = saying(discord.room, "# Help", answer_with=handle, private=True)
    receipt = await discord.channel.send(answer)
    assert await discord.channel.send(answer) == receipt
    assert receipt.message_ids == (state["original"]["id"],)
    assert state["original"]["content"] == "# Help"
    assert state["original"]["flags"] & (LOADING | EPHEMERAL) == EPHEMERAL
    assert await shown(discord, discord.room) == ["# Help"]
    await discord.channel.edit(replace(answer, text="edited"), receipt.message_ids[0])
    assert state["original"]["content"] == "edited"


async def test_an_answer_to_a_reply_that_was_dismissed_is_a_message_of_its_own(discord: DiscordRig) -> None:
    handle, state = await given(discord)
    discord.server.world.messages[discord.room.room].remove(state["original"])
    state["original"] = None
    await discord.channel.send(saying(discord.room, "still", answer_with=handle))
    assert await shown(discord, discord.room) == ["still"]


async def test_a_second_answer_is_a_message_of_its_own(discord: DiscordRig) -> None:
    handle, _ = await given(discord)
    await discord.channel.send(saying(discord.room, "one", answer_with=handle))
    await discord.channel.send(saying(discord.room, "two", key="k2", answer_with=handle))
    assert await shown(discord, discord.room) == ["one", "two"]
    assert discord.server.world.messages[discord.room.room][-1]["flags"] & EPHEMERAL


@pytest.mark.requirement("P7")
async def test_after_fifteen_minutes_an_answer_is_a_message_and_a_private_one_stays_private(
    discord: DiscordRig,
) -> None:
    handle, _ = await given(discord)
    discord.server.rest.token_seconds = 0.0
    before = await shown(discord, discord.room)
    await discord.channel.send(saying(discord.room, "for all", answer_with=handle))
    assert await shown(discord, discord.room) == [*before, "for all"]
    await discord.channel.send(saying(discord.room, "for Ada", key="k2", answer_with=handle, private=True))
    assert await shown(discord, discord.room) == [*before, "for all"]
    private = await discord.channel.direct(Account(discord.ada_account))
    assert await shown(discord, private) == ["for Ada"]


async def test_a_pressed_button_is_answered_in_the_room_or_privately(discord: DiscordRig) -> None:
    world = discord.server.world
    receipt = await discord.channel.send(saying(discord.room, "Sure?", buttons=(Button(id="yes", label="Yes"),)))
    interaction_id = world.presses(discord.room.room, receipt.message_ids[0], "yes")
    await until(lambda: world.interaction(interaction_id)["response"] is not None)
    assert world.interaction(interaction_id)["response"] == {"type": 6}
    handle = discord.intake.events[-1].answer_with
    await discord.channel.send(saying(discord.room, "Done.", key="k2", answer_with=handle))
    await discord.channel.send(saying(discord.room, "Only you.", key="k3", answer_with=handle, private=True))
    flags = [message["flags"] & EPHEMERAL for message in world.messages[discord.room.room]]
    assert await shown(discord, discord.room) == ["Sure?", "Done.", "Only you."]
    assert flags == [0, 0, EPHEMERAL]


async def test_a_message_is_handed_to_an_agent_from_its_menu(discord: DiscordRig) -> None:
    world = discord.server.world
    await discord.declared.wait()
    message = await discord.says(discord.room, "fix the build")
    world.hands_over(discord.room.room, message, "Hand to an agent")
    event = (await discord.intake.wait_for(2))[-1]
    assert (event.kind, event.text, event.message_id) == (Kind.COMMAND, "/spawn -- fix the build", message)


def test_a_handle_is_read_back_and_a_broken_one_is_none() -> None:
    handle = AnswerHandle(interaction_id="5", application_id="2", user_id="9", token="a/b", command=False)
    assert AnswerHandle.parse(str(handle)) == handle
    assert AnswerHandle.parse("slack:whatever") is None
    assert AnswerHandle.parse("command/1") is None


# --- files that people sent ----------------------------------------------------------------------


async def test_a_file_is_read_up_to_the_limit(discord: DiscordRig) -> None:
    await discord.sends_file(discord.room, "data.bin", bytes(range(256)) * 1000)
    (attachment,) = (await discord.intake.wait_for(1))[0].attachments
    content = b"".join([chunk async for chunk in discord.channel.fetch(attachment, 256_000)])
    assert content == bytes(range(256)) * 1000
    for liar in (attachment, replace(attachment, size_bytes=1)):
        with pytest.raises(Rejected, match="255999"):
            _ = [chunk async for chunk in discord.channel.fetch(liar, 255_999)]


async def test_an_expired_address_is_asked_for_again(discord: DiscordRig) -> None:
    await discord.sends_file(discord.room, "data.bin", b"content")
    (attachment,) = (await discord.intake.wait_for(1))[0].attachments
    ids, _, address = attachment.source.partition(" ")
    expired = replace(attachment, source=f"{ids} {address.rsplit('/', 2)[0]}/999/data.bin")
    assert b"".join([chunk async for chunk in discord.channel.fetch(expired, 100)]) == b"content"


@pytest.mark.parametrize(
    "address", ["http://169.254.169.254/latest", "file:///etc/passwd", "https://evil.example/x", ""]
)
async def test_files_are_asked_of_no_other_host(discord: DiscordRig, address: str) -> None:
    attachment = Attachment(name="x", media_type="x/y", size_bytes=1, source=f"1/2/3 {address}")
    with pytest.raises(Rejected, match="file servers"):
        _ = [chunk async for chunk in discord.channel.fetch(attachment, 100)]


# --- while it is written -------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_preview_grows_to_the_newest_text_and_goes_away(discord: DiscordRig) -> None:
    live = await discord.channel.live(discord.room)
    for number in range(50):
        await live.update(f"text {number}", "thinking")
    await until(lambda: len(discord.server.world.messages[discord.room.room]) == 1)
    (message,) = await discord.shown(discord.room)
    assert message.text.endswith("-# thinking")
    assert message.buttons == ((STOP_BUTTON, "Stop"),)
    await live.update("text 50", "searching")
    await until(lambda: "text 50" in discord.server.world.messages[discord.room.room][0]["content"])
    assert len(discord.server.rest.bodies) <= 3
    await live.close()
    assert await shown(discord, discord.room) == []


async def test_the_stop_button_of_a_preview_is_the_stop_command(discord: DiscordRig) -> None:
    live = await discord.channel.live(discord.room)
    await live.update("text", "")
    await until(lambda: bool(discord.server.world.messages[discord.room.room]))
    (message,) = await discord.shown(discord.room)
    await discord.presses(discord.room, message.message_id, STOP_BUTTON)
    event = (await discord.intake.wait_for(1))[0]
    assert (event.kind, event.text, event.where) == (Kind.COMMAND, "/stop", discord.room)
    await live.close()


async def test_a_preview_that_cannot_be_shown_harms_nothing(discord: DiscordRig) -> None:
    await discord.fail(Fault.FORBIDDEN)
    live = await discord.channel.live(discord.room)
    await live.update("text", "")
    await until(lambda: bool(discord.server.rest.calls) and discord.server.rest.calls[-1][0] == "POST")
    await live.close()


def test_a_preview_shows_the_end_of_a_long_text_with_its_fence_open() -> None:
    shown_text = preview("intro\n\n```py\n" + "x = 1\n" * 1000, "running a tool")
    assert shown_text.startswith("…\n```py\n")
    assert shown_text.endswith("```\n\n-# running a tool")
    assert len(shown_text) <= 2000


async def test_typing_is_shown_and_never_raises(discord: DiscordRig) -> None:
    await discord.channel.typing(discord.room)
    assert await discord.typing_shown(discord.room)
    await discord.channel.typing(replace(discord.room, room="123456789"))
    await discord.fail(Fault.UNREACHABLE)
    await discord.channel.typing(discord.room)


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given_settings",
    [{}, {"token": " "}, {"token": "a b"}, {"token": "x", "base_url": "discord.com"}, {"token": "x", "y": 1}],
)
def test_settings_that_cannot_work_are_refused(given_settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Settings.model_validate(given_settings)


def test_the_token_is_no_part_of_what_settings_show() -> None:
    assert "secret" not in repr(Settings.model_validate({"token": "very.secret.token"}))
    assert NAME == "discord"
