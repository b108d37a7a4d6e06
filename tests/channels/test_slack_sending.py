"""What we say on Slack: how it looks, whom it calls (nobody), how it fails, and how a lost answer is found out."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from channels.base import (
    Account,
    Attachment,
    Button,
    ChannelError,
    ChannelState,
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
from tests.conformance.rig_slack import SlackRig, rig, seen_text
from tests.fakes.slack import BOT_TOKEN
from tests.fakes.slack.faults import Fault
from tests.fakes.slack.workspace import calls_in


@pytest.fixture
async def slack(tmp_path: Path) -> AsyncIterator[SlackRig]:
    async with rig(tmp_path) as joined:
        yield joined


def said(slack: SlackRig, text: str = "hello", key: str = "k1", **more: object) -> Outbound:
    return Outbound(key=DeliveryKey(key), text=text, **({"to": slack.room} | more))  # type: ignore[arg-type]


def mrkdwn_of(message: dict[str, object]) -> str:
    return str(message["text"])


def last(slack: SlackRig, room: str = "C1") -> dict[str, object]:
    return slack.slack.space.rooms[room].messages[-1]


async def test_a_message_goes_out_as_native_markdown_with_its_text_as_fallback(slack: SlackRig):
    receipt = await slack.channel.send(said(slack, "**bold** & [link](https://example.org)\n\n```python\na < b\n```"))
    message = last(slack)
    assert message["ts"] == receipt.message_ids[0]
    assert message["blocks"] == [
        {"type": "markdown", "text": "**bold** & [link](https://example.org)\n\n```python\na < b\n```"}
    ]
    assert message["text"] == "*bold* &amp; <https://example.org|link>\n\n```\na &lt; b\n```"
    assert "thread_ts" not in message
    arguments = slack.slack.calls[-1][1]
    assert arguments["unfurl_links"] is False
    assert arguments["unfurl_media"] is False


@pytest.mark.parametrize(
    "text",
    [
        "<!channel> <!here|here> <!everyone>",
        "<@U9> <@U9|mallory> and <!subteam^S1|@team>",
        "`<!channel>` and\n\n```\n<!here>\n```",
        "&lt;!channel&gt; \\<!channel>",
        "[<!channel>](https://example.org) **<@U9>**",
        "| a |\n|---|\n| <!here> |",
    ],
)
async def test_nobody_is_called_by_what_an_agent_writes(slack: SlackRig, text: str):
    await slack.channel.send(said(slack, text, buttons=(Button(id="b", label="<!channel>"),)))
    message = last(slack)
    assert calls_in(message) == []
    assert calls_in({"text": message["text"]}) == []
    assert "@here" not in str(message["text"])


async def test_a_word_like_here_keeps_its_look_and_loses_its_bell(slack: SlackRig):
    await slack.channel.send(said(slack, "@here @channel me@here.example"))
    assert "@here" not in str(last(slack)["blocks"]).replace("me@here", "")
    assert seen_text(last(slack)) == "@here @channel me@here.example"


async def test_markup_and_code_of_other_kinds_stay_as_they_are(slack: SlackRig):
    text = "```html\n<!DOCTYPE html>\n<!-- a -->\n@decorator\n```\n\na < b > c"
    await slack.channel.send(said(slack, text))
    assert last(slack)["blocks"] == [{"type": "markdown", "text": text}]


async def test_a_server_that_takes_no_blocks_at_all_gets_the_text(slack: SlackRig):
    slack.slack.fail(Fault(word="invalid_blocks", times=2))
    await slack.channel.send(said(slack, "**still** said"))
    assert [message.text for message in await slack.shown(slack.room)] == ["*still* said"]


async def test_a_block_that_slack_refuses_is_said_in_plain_sections_instead(slack: SlackRig):
    slack.slack.fail(Fault(word="invalid_blocks"))
    await slack.channel.send(said(slack, "**still** said", buttons=(Button(id="b1", label="Yes", danger=True),)))
    [message] = slack.slack.space.rooms["C1"].messages
    assert [block["type"] for block in message["blocks"]] == ["section", "actions"]
    assert seen_text(message) == "still said"
    assert message["blocks"][1]["elements"][0]["style"] == "danger"


@pytest.mark.requirement("P3")
async def test_a_post_whose_answer_was_lost_is_said_once_and_found_by_its_key(slack: SlackRig):
    since = datetime.now(UTC)
    await slack.channel.send(said(slack, "one", "k0"))
    slack.slack.fail(Fault(after_doing=True))
    with pytest.raises(UnknownOutcome):
        await slack.channel.send(said(slack, "two", "k1"))
    assert [message["text"] for message in slack.slack.space.rooms["C1"].messages] == ["one", "two"]
    found = await slack.channel.find(said(slack, "two", "k1"), since)
    assert found is not None
    assert found.message_ids == (last(slack)["ts"],)
    assert await slack.channel.find(said(slack, "three", "k2"), since) is None


@pytest.mark.requirement("P3")
async def test_a_post_of_a_thread_is_found_there_also_behind_a_page_of_others(slack: SlackRig):
    root = await slack.says(slack.room, "root")
    thread = ThreadRef(channel=slack.room.channel, space="T1", room="C1", thread=root)
    for number in range(250):
        slack.slack.space.say("C1", "U1", f"{number}", root)
    receipt = await slack.channel.send(said(slack, to=thread))
    found = await slack.channel.find(said(slack, to=thread), datetime.now(UTC) - timedelta(hours=1))
    assert found is not None
    assert found.message_ids == receipt.message_ids
    assert [method for method, _ in slack.slack.calls].count("conversations.replies") == 2


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (Fault(word="ratelimited", status=429, retry_after="7"), TemporaryFailure, "more slowly"),
        (Fault(word="message_limit_exceeded"), TemporaryFailure, "more slowly"),
        (Fault(word="service_unavailable", status=503), TemporaryFailure, "just now"),
        (Fault(word="", status=502, body="<html>Bad gateway</html>"), TemporaryFailure, "502"),
        (Fault(word="fatal_error"), UnknownOutcome, "half-way"),
        (Fault(word="internal_error", status=500), UnknownOutcome, "half-way"),
        (Fault(status=200, body="<html>Welcome to the hotel</html>"), UnknownOutcome, "could not be read"),
        (Fault(body="{not json", content_type="application/json"), UnknownOutcome, "could not be read"),
        (Fault(body="ok", content_type="text/plain"), UnknownOutcome, "could not be read"),
        (Fault(body="[]", content_type="application/json"), UnknownOutcome, "could not be read"),
        (Fault(status=429, body="slow down", retry_after="soon"), TemporaryFailure, "more slowly"),
        (Fault(status=404, body="no such method"), Rejected, "404"),
        (Fault(word="channel_not_found"), Rejected, "invite the bot"),
        (Fault(word="not_in_channel"), Rejected, "invite it"),
        (Fault(word="is_archived"), Rejected, "archived"),
        (Fault(word="restricted_action"), Rejected, "forbids"),
        (Fault(word="a_word_from_next_year"), Rejected, "a_word_from_next_year"),
        (Fault(word="restricted_action_non_threadable_channel"), NoThreads, "no threads"),
    ],
)
async def test_errors_say_what_to_do(slack: SlackRig, fault: Fault, kind: type[ChannelError], words: str):
    slack.slack.fail(fault)
    with pytest.raises(ChannelError, match=words) as caught:
        await slack.channel.send(said(slack))
    assert type(caught.value) is kind
    assert len([method for method, _ in slack.slack.calls if method == "chat.postMessage"]) == 1
    assert BOT_TOKEN not in str(caught.value)
    assert BOT_TOKEN not in repr(caught.value.__cause__)


async def test_retry_after_is_passed_on_and_kept(slack: SlackRig):
    slack.slack.fail(Fault(word="ratelimited", status=429, retry_after="30"))
    with pytest.raises(TemporaryFailure) as caught:
        await slack.channel.send(said(slack))
    assert caught.value.retry_after == timedelta(seconds=30)
    with pytest.raises(TemporaryFailure) as again:
        await slack.channel.send(said(slack, key="k2"))
    assert again.value.retry_after is not None
    assert timedelta(seconds=28) < again.value.retry_after <= timedelta(seconds=30)
    assert [method for method, _ in slack.slack.calls].count("chat.postMessage") == 1


@pytest.mark.requirement("P6")
async def test_one_rooms_long_pause_holds_up_no_other(slack: SlackRig):
    slack.slack.fail(Fault(word="ratelimited", status=429, retry_after="3600"))
    with pytest.raises(TemporaryFailure):
        await slack.channel.send(said(slack))
    other = await slack.channel.direct(Account(slack.stranger_account))
    assert (await slack.channel.send(said(slack, to=other))).message_ids


async def test_an_unreachable_slack_is_unavailable_and_nothing_was_said(slack: SlackRig):
    await slack.slack.go_away()
    with pytest.raises(Unavailable):
        await slack.channel.send(said(slack))
    await slack.heal()
    assert (await slack.channel.send(said(slack))).message_ids


async def test_a_token_that_is_revoked_while_running_shows_in_the_health(slack: SlackRig):
    slack.slack.tokens[BOT_TOKEN] = "account_inactive"
    with pytest.raises(Rejected, match="install it again"):
        await slack.channel.send(said(slack))
    assert slack.channel.health().state is ChannelState.DOWN
    assert "install it again" in slack.channel.health().detail
    slack.slack.tokens[BOT_TOKEN] = ""


async def test_a_missing_scope_is_named(slack: SlackRig):
    slack.slack.methods.scopes.discard("chat:write")
    with pytest.raises(Rejected, match="chat:write"):
        await slack.channel.send(said(slack))


async def test_an_empty_message_is_rejected_here(slack: SlackRig):
    with pytest.raises(Rejected, match="nothing to say"):
        await slack.channel.send(said(slack, " \n"))
    assert "chat.postMessage" not in [method for method, _ in slack.slack.calls]


async def test_a_thread_under_an_anchor_costs_no_call(slack: SlackRig):
    anchor = await slack.says(slack.room, "please help")
    before = len(slack.slack.calls)
    request = OpenThread(key=DeliveryKey("k"), room=slack.room, title="Help", anchor=anchor)
    thread = await slack.channel.open_thread(request)
    assert thread.key == f"slack:T1/C1/{anchor}"
    assert len(slack.slack.calls) == before


async def test_a_thread_without_an_anchor_hangs_under_its_own_first_post(slack: SlackRig):
    request = OpenThread(key=DeliveryKey("k"), room=slack.room, title="Fix *this*\nnow", first_text="I am on it.")
    thread = await slack.channel.open_thread(request)
    [root] = slack.slack.space.rooms["C1"].messages
    assert thread.thread == root["ts"]
    assert root["blocks"] == [{"type": "markdown", "text": "**Fix \\*this\\* now**\n\nI am on it."}]
    assert root["text"] == "Fix *this* now\n\nI am on it."


async def test_a_command_is_answered_at_its_own_address_for_the_asker_only(slack: SlackRig):
    slack.slack.command("C1", "status")
    [event] = await slack.intake.wait_for(1)
    await slack.channel.send(said(slack, "all **well**", control=True, answer_with=event.answer_with))
    [answer] = await slack.slack.until_answered(1)
    assert answer["response_type"] == "ephemeral"
    assert answer["replace_original"] is False
    assert answer["text"] == "all *well*"
    assert slack.slack.space.rooms["C1"].messages == []


async def test_a_command_where_the_bot_is_no_member_is_answered_all_the_same(slack: SlackRig):
    slack.slack.space.rooms["C1"].members.discard("UBOT")
    slack.slack.command("C1", "spawn a researcher")
    [event] = await slack.intake.wait_for(1)
    await slack.channel.send(said(slack, "it is on its way", answer_with=event.answer_with))
    [answer] = await slack.slack.until_answered(1)
    assert answer["response_type"] == "in_channel"


async def test_an_answer_address_that_is_used_up_is_rejected(slack: SlackRig):
    slack.slack.command("C1", "status")
    [event] = await slack.intake.wait_for(1)
    for number in range(5):
        await slack.channel.send(said(slack, f"{number}", control=True, answer_with=event.answer_with))
    with pytest.raises(Rejected, match="no longer takes an answer"):
        await slack.channel.send(said(slack, "6", control=True, answer_with=event.answer_with))


async def test_files_go_out_in_one_message_with_the_text(slack: SlackRig):
    files = [
        await slack.stored_file(b"abc", "../../a b.txt", "text/plain"),
        await slack.stored_file(b"x", "x.bin", "a/b"),
    ]
    receipt = await slack.channel.send(said(slack, "**two** files", attachments=tuple(files)))
    [shown] = await slack.shown(slack.room)
    assert receipt.message_ids == (shown.message_id,)
    assert shown.files == (("a b.txt", b"abc"), ("x.bin", b"x"))
    assert shown.text == "*two* files"


@pytest.mark.requirement("P3")
async def test_files_whose_sharing_got_no_answer_are_found_and_not_shared_twice(slack: SlackRig):
    file = await slack.stored_file(b"abc", "a.txt", "text/plain")
    part = said(slack, "here", attachments=(file,))
    slack.slack.fail(Fault(after_doing=True))
    with pytest.raises(UnknownOutcome):
        await slack.channel.send(part)
    found = await slack.channel.find(part, datetime.now(UTC))
    assert found is not None
    assert found.message_ids == (last(slack)["ts"],)


@pytest.mark.requirement("P3")
async def test_files_with_buttons_stay_single_when_the_post_after_them_is_repeated(slack: SlackRig):
    file = await slack.stored_file(b"abc", "a.txt", "text/plain")
    part = said(slack, "choose", attachments=(file,), buttons=(Button(id="b1", label="Yes"),))
    slack.slack.fail(Fault(word="service_unavailable", status=503, methods=frozenset({"chat.postMessage"})))
    with pytest.raises(TemporaryFailure):
        await slack.channel.send(part)
    assert await slack.channel.find(part, datetime.now(UTC)) is None
    await slack.channel.send(part)
    shown = await slack.shown(slack.room)
    assert [message.files for message in shown] == [(("a.txt", b"abc"),), ()]
    assert shown[1].buttons == (("b1", "Yes"),)
    assert await slack.channel.find(part, datetime.now(UTC)) is not None


async def test_a_file_that_is_too_large_or_elsewhere_is_not_fetched(slack: SlackRig):
    await slack.sends_file(slack.room, "in.txt", b"0123456789")
    [event] = await slack.intake.wait_for(1)
    [attachment] = event.attachments
    with pytest.raises(Rejected, match="more than 5"):
        [chunk async for chunk in slack.channel.fetch(attachment, 5)]
    unsized = Attachment(name="in.txt", media_type="text/plain", size_bytes=None, source=attachment.source)
    with pytest.raises(Rejected, match="larger than 5"):
        [chunk async for chunk in slack.channel.fetch(unsized, 5)]
    for elsewhere in (
        "https://slack.com.evil.example/x",
        "https://evil.example/files.slack.com",
        "ftp://files.slack.com/x",
    ):
        away = Attachment(name="x", media_type="a/b", size_bytes=1, source=elsewhere)
        with pytest.raises(Rejected, match="not Slack's"):
            [chunk async for chunk in slack.channel.fetch(away, 5)]


async def test_a_file_without_an_address_is_looked_up(slack: SlackRig):
    file = slack.slack.space.upload("in.txt", b"abc", "text/plain")
    attachment = Attachment(name="in.txt", media_type="text/plain", size_bytes=3, source=f"file:{file['id']}")
    assert b"".join([chunk async for chunk in slack.channel.fetch(attachment, 5)]) == b"abc"


async def test_a_sign_in_page_is_not_taken_for_the_file(slack: SlackRig):
    await slack.sends_file(slack.room, "in.txt", b"abc")
    [event] = await slack.intake.wait_for(1)
    slack.slack.methods.scopes.discard("files:read")
    with pytest.raises(Rejected, match="files:read"):
        [chunk async for chunk in slack.channel.fetch(event.attachments[0], 100)]


async def test_direct_is_asked_once_and_refused_for_strangers_to_slack(slack: SlackRig):
    first = await slack.channel.direct(Account(slack.ada_account))
    assert await slack.channel.direct(Account(slack.ada_account)) == first
    assert [method for method, _ in slack.slack.calls].count("conversations.open") == 1
    for account in ("slack:T1/U404", "telegram:42", "slack:"):
        with pytest.raises(Rejected):
            await slack.channel.direct(Account(account))


async def test_typing_never_raises(slack: SlackRig):
    root = await slack.says(slack.room, "root")
    thread = ThreadRef(channel=slack.room.channel, space="T1", room="C1", thread=root)
    await slack.channel.typing(slack.room)
    slack.slack.methods.scopes.clear()
    await slack.channel.typing(thread)
    await slack.slack.go_away()
    await slack.channel.typing(thread)
    assert not await slack.typing_shown(thread)


@pytest.mark.slow
async def test_a_busy_room_is_told_when_to_come_back_and_a_kills_answer_is_not(slack: SlackRig):
    slack.slack.limits.on = True
    outcomes = await asyncio.gather(
        *(slack.channel.send(said(slack, f"{number}", f"k{number}")) for number in range(40)), return_exceptions=True
    )
    held = [outcome for outcome in outcomes if isinstance(outcome, TemporaryFailure)]
    assert held
    assert all(outcome.retry_after is not None for outcome in held)
    async with asyncio.timeout(1.5):
        await slack.channel.send(said(slack, "killed", "control", control=True))
    assert slack.slack.limits.refused == 0


async def test_a_commands_reply_with_a_file_goes_to_the_room(slack: SlackRig):
    slack.slack.command("C1", "history")
    [event] = await slack.intake.wait_for(1)
    file = await slack.stored_file(b"steps", "history.md", "text/markdown")
    await slack.channel.send(said(slack, "here", control=True, answer_with=event.answer_with, attachments=(file,)))
    [shown] = await slack.shown(slack.room)
    assert shown.files == (("history.md", b"steps"),)


async def test_an_edit_replaces_text_and_buttons(slack: SlackRig):
    receipt = await slack.channel.send(said(slack, "Allow?", buttons=(Button(id="b1", label="Yes"),)))
    await slack.channel.edit(said(slack, "Allowed by **Ada** <!here>"), receipt.message_ids[0])
    [shown] = await slack.shown(slack.room)
    assert (shown.text, shown.buttons) == ("Allowed by **Ada** <!here>", ())
    assert calls_in(last(slack)) == []
    await slack.channel.edit(said(slack, "Again?", buttons=(Button(id="b2", label="No"),)), receipt.message_ids[0])
    [shown] = await slack.shown(slack.room)
    assert (shown.text, shown.buttons) == ("Again?", (("b2", "No"),))
    assert slack.intake.events == []


async def test_an_edit_of_what_is_gone_or_not_ours_is_rejected(slack: SlackRig):
    theirs = await slack.says(slack.room, "mine")
    for message_id in (theirs, "1.5"):
        with pytest.raises(Rejected):
            await slack.channel.edit(said(slack, "hijacked"), message_id)
    assert [message.text for message in await slack.shown(slack.room)] == ["mine"]


async def test_an_edit_that_is_held_back_holds_up_no_post(slack: SlackRig):
    receipt = await slack.channel.send(said(slack, "one"))
    slack.slack.fail(Fault(word="ratelimited", status=429, retry_after="30", methods=frozenset({"chat.update"})))
    with pytest.raises(TemporaryFailure):
        await slack.channel.edit(said(slack, "two"), receipt.message_ids[0])
    assert (await slack.channel.send(said(slack, "three", "k2"))).message_ids


async def test_an_edit_whose_answer_was_lost_may_simply_be_repeated(slack: SlackRig):
    receipt = await slack.channel.send(said(slack, "one"))
    slack.slack.fail(Fault(after_doing=True, methods=frozenset({"chat.update"})))
    with pytest.raises(Unavailable):
        await slack.channel.edit(said(slack, "two"), receipt.message_ids[0])
    await slack.channel.edit(said(slack, "two"), receipt.message_ids[0])
    assert [message.text for message in await slack.shown(slack.room)] == ["two"]


async def test_a_private_answer_to_a_command_in_a_thread_is_seen_by_the_asker_only(slack: SlackRig):
    root = await slack.says(slack.room, "root")
    thread = ThreadRef(channel=slack.room.channel, space="T1", room="C1", thread=root)
    await slack.says(thread, "!cost")
    event = (await slack.intake.wait_for(2))[-1]
    await slack.channel.send(said(slack, "3 cents", to=thread, private=True, answer_with=event.answer_with))
    [whisper] = slack.slack.space.ephemerals
    assert (whisper["user"], whisper["thread_ts"], whisper["text"]) == ("U1", root, "3 cents")
    await slack.channel.send(said(slack, "killed", to=thread, control=True, answer_with=event.answer_with))
    assert last(slack)["text"] == "killed"


async def test_a_private_answer_in_a_direct_message_is_said_for_good(slack: SlackRig):
    direct = await slack.channel.direct(Account(slack.ada_account))
    await slack.says(direct, "!cost")
    [event] = await slack.intake.wait_for(1)
    await slack.channel.send(said(slack, "3 cents", to=direct, private=True, answer_with=event.answer_with))
    assert last(slack, direct.room)["text"] == "3 cents"


async def test_a_server_that_cannot_whisper_gets_the_answer_said_aloud(slack: SlackRig):
    slack.slack.methods.gone.add("chat.postEphemeral")
    root = await slack.says(slack.room, "root")
    thread = ThreadRef(channel=slack.room.channel, space="T1", room="C1", thread=root)
    await slack.channel.send(said(slack, "killed", to=thread, private=True, answer_with="user:U1"))
    assert (await slack.shown(thread))[-1].text == "killed"


async def test_a_private_answer_with_files_names_what_it_cannot_show(slack: SlackRig):
    slack.slack.command("C1", "history")
    [event] = await slack.intake.wait_for(1)
    file = await slack.stored_file(b"secret", "history.md", "text/markdown")
    await slack.channel.send(said(slack, "here", private=True, answer_with=event.answer_with, attachments=(file,)))
    [answer] = await slack.slack.until_answered(1)
    assert answer["response_type"] == "ephemeral"
    assert "history.md" in str(answer["text"])
    assert slack.slack.space.rooms["C1"].messages == []


@pytest.mark.parametrize("in_thread", [False, True])
async def test_an_answer_for_one_person_that_was_lost_is_said_again_and_says_so(slack: SlackRig, in_thread: bool):
    root = await slack.says(slack.room, "root")
    thread = replace(slack.room, thread=root)
    await (slack.says(thread, "!status") if in_thread else slack.commands(slack.room, "/status"))
    [event] = [event for event in await slack.intake.wait_for(2) if event.kind is Kind.COMMAND]
    part = said(slack, "fine", to=event.where, control=True, private=True, answer_with=event.answer_with)
    slack.slack.fail(Fault(after_doing=True))
    with pytest.raises(UnknownOutcome):
        await slack.channel.send(part)
    await slack.reconnect()
    assert await slack.channel.find(part, datetime.now(UTC)) is None
    await slack.channel.send(part)
    await slack.channel.send(replace(part, key=DeliveryKey("k2"), text="another"))
    first, second, other = [shown.text for shown in await slack.shown_to(event.where, slack.ada_account)]
    assert (first, other) == ("fine", "another")
    assert second.startswith("fine\n\n")
    assert "twice" in second


@pytest.mark.requirement("P3")
async def test_a_thread_whose_opening_got_no_answer_is_not_opened_twice(slack: SlackRig):
    request = OpenThread(key=DeliveryKey("open"), room=slack.room, title="Research", first_text="word " * 3000)
    slack.slack.fail(Fault(after_doing=True))
    with pytest.raises(UnknownOutcome):
        await slack.channel.open_thread(request)
    await slack.reconnect()  # a restart in between: nothing is remembered but when it was tried
    again = replace(request, tried_at=datetime.now(UTC))
    thread = await slack.channel.open_thread(again)
    assert await slack.channel.open_thread(again) == thread
    root, *rest = slack.slack.space.rooms["C1"].messages
    assert {message["thread_ts"] for message in rest} == {root["ts"]} == {thread.thread}
    assert sum(seen_text(message).count("word") for message in (root, *rest)) == 3000


@pytest.mark.requirement("P3")
async def test_the_first_post_under_an_anchor_is_not_said_twice(slack: SlackRig):
    anchor = await slack.says(slack.room, "look into this")
    request = OpenThread(key=DeliveryKey("open"), room=slack.room, title="This", first_text="On it.", anchor=anchor)
    slack.slack.fail(Fault(after_doing=True))
    with pytest.raises(UnknownOutcome):
        await slack.channel.open_thread(request)
    await slack.channel.open_thread(replace(request, tried_at=datetime.now(UTC)))
    assert len(slack.slack.space.rooms["C1"].messages) == 2


@pytest.mark.requirement("P3")
async def test_a_file_of_the_same_name_is_not_taken_for_one_that_was_lost(slack: SlackRig):
    first = await slack.stored_file(b"the first answer", "message.md", "text/markdown")
    second = await slack.stored_file(b"the second", "message.md", "text/markdown")
    await slack.channel.send(said(slack, "one", "k1", attachments=(first,)))
    part = said(slack, "two", "k2", attachments=(second,))
    assert await slack.channel.find(part, datetime.now(UTC)) is None
    slack.slack.fail(Fault(word="service_unavailable", status=503))
    with pytest.raises(TemporaryFailure):
        await slack.channel.send(part)
    assert await slack.channel.find(part, datetime.now(UTC)) is None
    await slack.channel.send(part)
    assert [message.files[0][1] for message in await slack.shown(slack.room)] == [b"the first answer", b"the second"]


@pytest.mark.requirement("P3")
async def test_files_that_were_shared_before_a_restart_are_found_by_name_and_size(slack: SlackRig):
    file = await slack.stored_file(b"abc", "a.txt", "text/plain")
    part = said(slack, "here", attachments=(file,))
    slack.slack.fail(Fault(after_doing=True))
    with pytest.raises(UnknownOutcome):
        await slack.channel.send(part)
    await slack.reconnect()
    found = await slack.channel.find(part, datetime.now(UTC))
    assert found is not None
    assert found.message_ids == (last(slack)["ts"],)


@pytest.mark.slow
@pytest.mark.requirement("P2")
@pytest.mark.requirement("P3")
async def test_whatever_goes_wrong_each_message_appears_once_and_in_order(slack: SlackRig):
    chance = random.Random(7)
    faults = (
        Fault(word="ratelimited", status=429, retry_after="0"),
        Fault(word="service_unavailable", status=503),
        Fault(word="internal_error", status=500),
        Fault(after_doing=True),
        Fault(body="<html>Bad gateway</html>", status=502),
    )
    await slack.stop()
    async with slack.fresh(posts_per_second=10_000.0) as channel:
        for number in range(60):
            for _ in range(chance.randint(0, 3)):
                slack.slack.fail(replace(chance.choice(faults)))
            part, since, in_doubt = said(slack, f"number {number}", f"k{number}"), datetime.now(UTC), False
            for _ in range(20):
                try:
                    if not in_doubt or await channel.find(part, since) is None:
                        await channel.send(part)
                    break
                except UnknownOutcome:
                    in_doubt = True
                except (TemporaryFailure, Unavailable):
                    continue
    assert [seen_text(message) for message in slack.slack.space.rooms["C1"].messages] == [
        f"number {number}" for number in range(60)
    ]
    await slack.start()


async def test_what_is_said_of_commands_is_said_in_slacks_form(slack: SlackRig):
    text = "`/kill` ends me, `/agents` lists us, `/etc/hosts` and `/unknown` are no commands."
    request = OpenThread(key=DeliveryKey("k"), room=slack.room, title="Child", first_text=text)
    thread = await slack.channel.open_thread(request)
    [root] = await slack.shown(thread)
    assert root.text.endswith("`!kill` ends me, `!agents` lists us, `/etc/hosts` and `/unknown` are no commands.")
    await slack.channel.send(said(slack, "Try `/kill all`.", control=True))
    assert (await slack.shown(slack.room))[-1].text == "Try `/threadmill kill all`."
    await slack.channel.send(said(slack, "An agent quotes `/kill all`.", "k2"))
    assert (await slack.shown(slack.room))[-1].text == "An agent quotes `/kill all`."
    await slack.channel.send(said(slack, "*It failed. /kill ends it. See /etc/hosts, and/kill.*", "k3", ours=True))
    assert "_It failed. /threadmill kill ends it. See /etc/hosts, and/kill._" in mrkdwn_of(last(slack))
    asked = "May it run?\n\n```json\n{}\n /kill\n```\n\nWrite `/agents q1`, or /kill q1."
    await slack.channel.send(said(slack, asked, "k4", buttons=(Button(id="b1", label="Yes"),), to=thread))
    shown = seen_text(last(slack))
    assert " /kill\n```" in shown, "what somebody is asked to allow is shown as it is"
    assert "Write `!agents q1`, or !kill q1." in shown
