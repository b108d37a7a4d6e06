"""Text shown while it is written: as a stream or by edits, whole at its end, and never twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from channels.base import Account, DeliveryKey, Kind, Outbound, TemporaryFailure, ThreadRef, UnknownOutcome
from channels.slack import live as live_module
from channels.slack import previews as previews_module
from channels.slack import speech as speech_module
from channels.slack import status as status_module
from tests.conformance.rig_slack import SlackRig, rig, seen_text
from tests.fakes.slack.faults import Fault

STREAMING = frozenset({"chat.startStream", "chat.appendStream", "chat.stopStream"})


@pytest.fixture
async def slack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SlackRig]:
    monkeypatch.setattr(live_module, "STREAM_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(live_module, "EDIT_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(previews_module, "STAYS_SECONDS", 0.2)
    async with rig(tmp_path) as joined:
        yield joined


@pytest.fixture
async def thread(slack: SlackRig) -> ThreadRef:
    """A thread in which Ada has just asked something."""
    root = await slack.says(slack.room, "please explain", mention=True)
    await slack.intake.wait_for(1)
    return ThreadRef(channel=slack.room.channel, space="T1", room="C1", thread=root)


def preview(slack: SlackRig) -> dict[str, Any]:
    return slack.slack.space.rooms["C1"].messages[-1]


def final(thread: ThreadRef, text: str, key: str = "k1") -> Outbound:
    return Outbound(key=DeliveryKey(key), to=thread, text=text)


async def test_a_stream_grows_and_becomes_the_delivered_message(slack: SlackRig, thread: ThreadRef):
    live = await slack.channel.live(thread)
    text = "It **works** like this: first one thing, then another. "
    for end in range(5, len(text) + 5, 5):
        await live.update(text[:end], "thinking")
    await slack.slack.until(lambda: "another" in preview(slack)["text"])
    assert preview(slack)["streaming_state"] == "in_progress"
    await live.update(text + "Done", "writing")
    await live.close()
    receipt = await slack.channel.send(final(thread, text + "Done."))
    _, message = slack.slack.space.rooms["C1"].messages
    assert receipt.message_ids == (message["ts"],)
    assert seen_text(message) == text + "Done."
    assert message["metadata"]["event_payload"] == {"key": "k1"}
    assert not slack.slack.methods.streams.open
    assert "chat.delete" not in [method for method, _ in slack.slack.calls]


async def test_no_empty_message_is_shown_before_there_is_a_whole_word(slack: SlackRig, thread: ThreadRef):
    await slack.channel.typing(thread)
    live = await slack.channel.live(thread)
    await live.update("It", "")
    for _ in range(20):  # the painter looks at it
        await asyncio.sleep(0)
    await live.update("It works", "")
    await slack.slack.until(lambda: preview(slack)["text"] == "It ")
    [begun] = [arguments for method, arguments in slack.slack.calls if method == "chat.startStream"]
    assert "It " in str(begun["chunks"])
    await live.close()


async def test_each_state_of_a_stream_is_a_beginning_of_the_text(slack: SlackRig, thread: ThreadRef):
    live = await slack.channel.live(thread)
    text = " ".join(f"word{number}" for number in range(200)) + " "
    for end in range(0, len(text) + 100, 100):
        await live.update(text[:end], "")
        await asyncio.sleep(0.002)
    await slack.slack.until(lambda: preview(slack).get("text") == text)
    await live.close()
    for _, shown in slack.slack.methods.streams.history:
        assert text.startswith(shown)


async def test_what_is_being_done_is_shown_as_task_cards(slack: SlackRig, thread: ThreadRef):
    live = await slack.channel.live(thread)
    await live.update("", "reading <!channel> pages")
    await slack.slack.until(lambda: slack.slack.methods.streams.open)
    [stream] = slack.slack.methods.streams.open.values()
    await live.update("Some text ", "comparing")
    await slack.slack.until(lambda: len(stream.tasks) == 2)
    assert [(task["title"].replace("\u2060", ""), task["status"]) for task in stream.tasks.values()] == [
        ("reading <!channel> pages", "complete"),
        ("comparing", "in_progress"),
    ]
    assert "<!channel>" not in stream.tasks["1"]["title"]
    await live.close()


async def test_a_mention_that_is_written_letter_by_letter_calls_nobody(slack: SlackRig, thread: ThreadRef):
    live = await slack.channel.live(thread)
    text = "Hello <!channel> and @here and <!subteam^S1|@the whole team> there "
    for end in range(1, len(text) + 1):
        await live.update(text[:end], "")
        await asyncio.sleep(0.001)
    await slack.slack.until(lambda: preview(slack).get("text", "").endswith("there "))
    for _, shown in slack.slack.methods.streams.history:
        assert "<!" not in shown
        assert "@here" not in shown
    await live.close()


@pytest.mark.requirement("P3")
async def test_an_addition_whose_answer_was_lost_is_not_added_twice(slack: SlackRig, thread: ThreadRef):
    live = await slack.channel.live(thread)
    await live.update("one ", "")
    await slack.slack.until(lambda: preview(slack).get("text") == "one ")
    slack.slack.fail(Fault(after_doing=True, methods=frozenset({"chat.appendStream"})))
    await live.update("one two ", "")
    await slack.slack.until(lambda: preview(slack).get("streaming_state") == "completed")
    await live.update("one two three ", "")
    await slack.slack.until(lambda: "three" in seen_text(preview(slack)))
    assert seen_text(preview(slack)).count("two") == 1
    await live.close()


async def test_a_stream_that_slack_has_closed_goes_on_by_edits(slack: SlackRig, thread: ThreadRef):
    live = await slack.channel.live(thread)
    await live.update("one ", "")
    await slack.slack.until(lambda: preview(slack).get("text") == "one ")
    slack.slack.methods.streams.life_seconds = 0.0
    await live.update("one two ", "a slow tool")
    await slack.slack.until(lambda: "two" in seen_text(preview(slack)))
    assert [button for button, _ in (await slack.shown(thread))[-1].buttons] == ["threadmill:stop"]
    await live.close()
    await slack.channel.send(final(thread, "one two three"))
    assert seen_text(preview(slack)) == "one two three"


async def test_a_stream_that_somebody_stopped_without_the_right_to_goes_on_by_edits(slack: SlackRig, thread: ThreadRef):
    live = await slack.channel.live(thread)
    await live.update("one ", "")
    await slack.slack.until(lambda: preview(slack).get("text") == "one ")
    slack.slack.methods.streams.click_stop("C1", thread.thread or "", user="U9")
    await live.update("one two ", "")
    await slack.slack.until(lambda: "two" in seen_text(preview(slack)))
    await live.close()
    await slack.channel.send(final(thread, "one two three"))
    assert [seen_text(message) for message in slack.slack.space.rooms["C1"].messages][1:] == ["one two three"]


async def test_text_that_begins_anew_is_rewritten(slack: SlackRig, thread: ThreadRef):
    live = await slack.channel.live(thread)
    await live.update("a first attempt ", "")
    await slack.slack.until(lambda: preview(slack).get("text") == "a first attempt ")
    await live.update("the second ", "")
    await slack.slack.until(lambda: "second" in seen_text(preview(slack)))
    assert "first" not in seen_text(preview(slack))
    await live.close()


async def test_where_slack_does_not_stream_a_message_is_edited_and_has_a_stop_button(
    slack: SlackRig, thread: ThreadRef
):
    slack.slack.methods.gone |= STREAMING
    live = await slack.channel.live(thread)
    await live.update("one", "thinking")
    await slack.slack.until(lambda: "one" in seen_text(preview(slack)))
    await live.update("one two", "thinking")
    await slack.slack.until(lambda: "one two" in seen_text(preview(slack)))
    assert "thinking" in seen_text(preview(slack))
    await slack.presses(thread, preview(slack)["ts"], "threadmill:stop")
    event = (await slack.intake.wait_for(2))[-1]
    assert (event.kind, event.text, event.where) == (Kind.COMMAND, "/stop", thread)
    await live.close()


async def test_slacks_own_stop_button_stops_the_session_of_its_thread(slack: SlackRig, thread: ThreadRef):
    await slack.channel.typing(thread)
    assert thread.thread is not None
    session = slack.slack.methods.streams.sessions[("C1", thread.thread)]
    assert session["status"] == "processing"
    slack.slack.methods.streams.click_stop("C1", thread.thread)
    event = (await slack.intake.wait_for(2))[-1]
    assert (event.kind, event.text, event.where) == (Kind.COMMAND, "/stop", thread)
    await slack.slack.until(lambda: session["status"] == "active")  # Slack leaves that to the app


async def test_a_preview_without_a_delivery_is_taken_away(slack: SlackRig, thread: ThreadRef):
    live = await slack.channel.live(thread)
    await live.update("never mind ", "")
    await slack.slack.until(lambda: len(slack.slack.space.rooms["C1"].messages) == 2)
    await live.close()
    await slack.slack.until(lambda: len(slack.slack.space.rooms["C1"].messages) == 1)


async def test_a_preview_that_is_open_when_the_channel_closes_is_taken_away(slack: SlackRig, thread: ThreadRef):
    live = await slack.channel.live(thread)
    await live.update("never mind ", "")
    await slack.slack.until(lambda: len(slack.slack.space.rooms["C1"].messages) == 2)
    await live.close()
    await slack.reconnect()
    assert len(slack.slack.space.rooms["C1"].messages) == 1


async def test_a_slack_that_hangs_does_not_hold_up_the_end_and_is_tidied_up_at_the_next_start(
    slack: SlackRig, thread: ThreadRef, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(speech_module, "CLOSING_SECONDS", 0.1)
    live = await slack.channel.live(thread)
    await live.update("never mind ", "")
    await slack.slack.until(lambda: len(slack.slack.space.rooms["C1"].messages) == 2)
    await live.close()
    slack.slack.fail(Fault(hang_seconds=1.0, methods=frozenset({"chat.stopStream", "chat.delete"})))
    async with asyncio.timeout(1.0):
        await slack.stop()
    slack.slack.faults.waiting.clear()
    await slack.start()
    await slack.slack.until(lambda: len(slack.slack.space.rooms["C1"].messages) == 1)


async def test_another_message_does_not_take_the_preview_over(slack: SlackRig, thread: ThreadRef):
    live = await slack.channel.live(thread)
    await live.update("a long explanation ", "")
    await slack.slack.until(lambda: preview(slack).get("text") == "a long explanation ")
    await slack.channel.send(final(thread, "a child reports"))
    assert [seen_text(message) for message in slack.slack.space.rooms["C1"].messages][-1] == "a child reports"
    assert slack.slack.methods.streams.open
    await live.close()
    await slack.channel.send(final(thread, "a long explanation of it", "k2"))
    texts = [seen_text(message) for message in slack.slack.space.rooms["C1"].messages]
    assert texts[1:] == ["a long explanation of it", "a child reports"]


@pytest.mark.slow
async def test_a_delivery_in_the_middle_of_a_turn_takes_what_was_shown_and_the_rest_begins_anew(
    slack: SlackRig, thread: ThreadRef
):
    live = await slack.channel.live(thread)
    await live.update("First this. ", "")
    await slack.slack.until(lambda: preview(slack).get("text") == "First this. ")
    await slack.channel.send(final(thread, "First this."))
    await live.update("First this. Then that. ", "")
    await slack.slack.until(lambda: len(slack.slack.space.rooms["C1"].messages) == 3)
    await slack.slack.until(lambda: preview(slack).get("text") == "Then that. ")
    await live.close()
    await slack.channel.send(final(thread, "Then that.", "k2"))
    texts = [seen_text(message) for message in slack.slack.space.rooms["C1"].messages]
    assert texts[1:] == ["First this.", "Then that."]


@pytest.mark.requirement("P3")
async def test_a_final_text_whose_answer_was_lost_is_found_and_repeated_at_the_same_message(
    slack: SlackRig, thread: ThreadRef
):
    live = await slack.channel.live(thread)
    await live.update("answer ", "")
    await slack.slack.until(lambda: preview(slack).get("text") == "answer ")
    await live.close()
    part = final(thread, "answer.")
    slack.slack.fail(Fault(word="ratelimited", status=429, retry_after="0", methods=frozenset({"chat.update"})))
    with pytest.raises(TemporaryFailure):
        await slack.channel.send(part)
    slack.slack.fail(Fault(after_doing=True, methods=frozenset({"chat.update"})))
    with pytest.raises(UnknownOutcome):
        await slack.channel.send(part)
    found = await slack.channel.find(part, datetime.now(UTC))
    assert found is not None
    assert found.message_ids == (preview(slack)["ts"],)
    assert len(slack.slack.space.rooms["C1"].messages) == 2


async def test_a_preview_that_somebody_deleted_does_not_cost_the_answer(slack: SlackRig, thread: ThreadRef):
    live = await slack.channel.live(thread)
    await live.update("answer ", "")
    await slack.slack.until(lambda: preview(slack).get("text") == "answer ")
    await live.close()
    slack.slack.space.rooms["C1"].messages.pop()
    await slack.channel.send(final(thread, "answer."))
    assert seen_text(preview(slack)) == "answer."


async def test_a_preview_never_raises_and_costs_no_answer_when_slack_is_away(slack: SlackRig, thread: ThreadRef):
    live = await slack.channel.live(thread)
    await slack.slack.go_away()
    await live.update("answer ", "")
    await asyncio.wait_for(live.close(), 5)
    await slack.heal()
    await slack.channel.send(final(thread, "answer."))
    assert seen_text(preview(slack)) == "answer."


async def test_the_status_is_slacks_own_and_ends_with_the_answer(slack: SlackRig, thread: ThreadRef):
    sessions = slack.slack.methods.streams.sessions
    for _ in range(5):
        await slack.channel.typing(thread)
    assert [method for method, _ in slack.slack.calls].count("agents.sessions.setStatus") == 1
    assert sessions[("C1", thread.thread or "")]["status"] == "processing"
    await slack.channel.send(final(thread, "answer"))
    await slack.slack.until(lambda: sessions[("C1", thread.thread or "")]["status"] == "active")


async def test_an_app_that_is_no_agent_shows_the_older_status(slack: SlackRig, thread: ThreadRef):
    slack.slack.methods.streams.is_agent = False
    await slack.channel.typing(thread)
    assert slack.slack.space.statuses == {("C1", thread.thread): "is working on it…"}
    await slack.channel.send(final(thread, "answer"))
    assert slack.slack.space.statuses == {}
    await slack.channel.typing(thread)
    assert [method for method, _ in slack.slack.calls].count("agents.sessions.setStatus") == 1


async def test_outside_of_threads_the_message_that_is_being_answered_carries_a_sign(
    slack: SlackRig, monkeypatch: pytest.MonkeyPatch
):
    direct = await slack.channel.direct(Account(slack.ada_account))
    asked = await slack.says(direct, "think about it")
    await slack.intake.wait_for(1)
    signs = slack.slack.methods.reactions
    for _ in range(2):
        await slack.channel.typing(direct)
    assert signs[(direct.room, asked)] == ["thought_balloon"]
    await slack.channel.send(final(direct, "answer"))
    await slack.slack.until(lambda: not signs[(direct.room, asked)])
    await slack.channel.typing(direct)
    async with slack.intake.arrived:
        await slack.intake.arrived.wait_for(lambda: asked in slack.intake.cursors["standing"])
    await slack.crash()
    await slack.start()
    await slack.slack.until(lambda: not signs[(direct.room, asked)])
    monkeypatch.setattr(status_module, "STALE_SECONDS", 0.1)  # a turn that is stopped says nothing
    await slack.reconnect()
    asked = await slack.says(direct, "and this")
    await slack.intake.wait_for(2)
    await slack.channel.typing(direct)
    await slack.slack.until(lambda: not signs[(direct.room, asked)])
    slack.slack.methods.scopes.discard("reactions:write")
    calls = [method for method, _ in slack.slack.calls].count("reactions.add")
    for _ in range(3):
        await slack.channel.typing(direct)
    assert [method for method, _ in slack.slack.calls].count("reactions.add") == calls + 1


async def test_an_app_without_slacks_status_shows_the_sign_in_threads_too(slack: SlackRig, thread: ThreadRef):
    slack.slack.methods.gone |= {"agents.sessions.setStatus", "assistant.threads.setStatus"}
    signs = slack.slack.methods.reactions
    await slack.channel.typing(thread)
    assert signs[("C1", thread.thread or "")] == ["thought_balloon"]
    await slack.channel.send(final(thread, "answer"))
    await slack.slack.until(lambda: not signs[("C1", thread.thread or "")])


async def test_a_session_is_called_by_what_was_asked_first(slack: SlackRig, thread: ThreadRef):
    await slack.says(thread, "and something else")
    await slack.intake.wait_for(2)
    await slack.channel.typing(thread)
    assert slack.slack.methods.streams.sessions[("C1", thread.thread or "")]["title"] == "please explain"


async def test_an_app_that_is_no_agent_names_threads_of_direct_messages_the_older_way(slack: SlackRig):
    slack.slack.methods.streams.is_agent = False
    direct = await slack.channel.direct(Account(slack.ada_account))
    root = await slack.says(direct, "plan <my> week " * 30)
    await slack.intake.wait_for(1)
    for _ in range(2):
        await slack.channel.typing(replace(direct, thread=root))
    title = slack.slack.space.titles[(direct.room, root)]
    assert title.startswith("plan <my> week")
    assert (len(title), title[-1]) == (200, "…")
    assert [method for method, _ in slack.slack.calls].count("assistant.threads.setTitle") == 1


async def test_a_place_that_takes_no_session_costs_no_other_its_stop_button(slack: SlackRig, thread: ThreadRef):
    slack.slack.fail(Fault(word="user_not_in_channel", methods=frozenset({"agents.sessions.setStatus"})))
    await slack.channel.typing(thread)
    assert slack.slack.space.statuses == {("C1", thread.thread): "is working on it…"}
    live = await slack.channel.live(thread)
    await live.update("one ", "")
    await slack.slack.until(lambda: preview(slack).get("text") == "one ")
    assert [button for button, _ in (await slack.shown(thread))[-1].buttons] == ["threadmill:stop"]
    await live.close()
    other = replace(thread, thread=await slack.says(slack.room, "another", mention=True))
    await slack.channel.typing(other)
    assert slack.slack.methods.streams.sessions[("C1", other.thread or "")]["status"] == "processing"


async def test_a_hundred_streams_at_once_keep_to_the_workspaces_pace(slack: SlackRig):
    slack.slack.limits.on = True
    roots = [slack.slack.space.say("C1", "U1", f"question {number}")["ts"] for number in range(100)]
    await slack.intake.wait_for(100)
    places = [ThreadRef(channel=slack.room.channel, space="T1", room="C1", thread=root) for root in roots]
    lives = [await slack.channel.live(place) for place in places]
    for step in range(5):
        for live in lives:
            await live.update("word " * (step + 1), "working")
        await asyncio.sleep(0.02)
    for live in lives:
        await live.close()
    assert slack.slack.limits.refused == 0


async def test_a_turn_that_ends_without_a_word_does_not_stay_at_work(
    slack: SlackRig, thread: ThreadRef, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(status_module, "STALE_SECONDS", 0.1)
    await slack.reconnect()
    await slack.channel.typing(thread)
    session = slack.slack.methods.streams.sessions[("C1", thread.thread or "")]
    assert session["status"] == "processing"
    await slack.slack.until(lambda: session["status"] == "active")
    slack.slack.methods.streams.is_agent = False
    await slack.channel.typing(thread)
    assert slack.slack.space.statuses
    await slack.slack.until(lambda: not slack.slack.space.statuses)


async def test_a_tool_that_takes_long_is_one_card_whose_time_goes_on(slack: SlackRig, thread: ThreadRef):
    live = await slack.channel.live(thread)
    for status in ("running fetch …", "running fetch (8 s) …", "running fetch (12 s) …", "running shell …"):
        await live.update("", status)
        await slack.slack.until(lambda: any(status in str(args) for _, args in slack.slack.calls))  # noqa: B023
    [stream] = slack.slack.methods.streams.open.values()
    await slack.slack.until(lambda: len(stream.tasks) == 2)
    assert [(task["title"], task["status"]) for task in stream.tasks.values()] == [
        ("running fetch (12 s) …", "complete"),
        ("running shell …", "in_progress"),
    ]
    await live.close()


@pytest.mark.parametrize("streams", [True, False])
async def test_a_preview_that_a_crash_left_is_taken_away_and_an_answer_is_not(
    slack: SlackRig, thread: ThreadRef, streams: bool
):
    if not streams:
        slack.slack.methods.gone |= STREAMING
    messages = slack.slack.space.rooms["C1"].messages
    other = ThreadRef(
        channel=slack.room.channel, space="T1", room="C1", thread=await slack.says(slack.room, "and this?")
    )
    await slack.intake.wait_for(2)
    unfinished, answered = await slack.channel.live(thread), await slack.channel.live(other)
    await unfinished.update("half an ", "")
    await answered.update("the answer ", "")
    await slack.slack.until(lambda: len(messages) == 4 and all("answer" in seen_text(m) for m in messages[3:]))
    async with slack.intake.arrived:
        await slack.intake.arrived.wait_for(
            lambda: all(message["ts"] in slack.intake.cursors.get("standing", "") for message in messages[2:])
        )
    listed = slack.intake.cursors["standing"]
    await answered.close()
    await slack.channel.send(final(other, "the answer"))
    slack.intake.cursors["standing"] = listed  # it died before it could note that
    await slack.crash()
    await slack.start()
    await slack.slack.until(lambda: len(messages) == 3)
    assert [seen_text(message) for message in messages[1:]] == ["and this?", "the answer"]
    assert not slack.slack.methods.streams.open
    await slack.reconnect()
    assert slack.intake.cursors["standing"] == "{}"
    await unfinished.close()


@pytest.mark.requirement("P3")
@pytest.mark.parametrize("method", ["chat.startStream", "chat.postMessage"])
async def test_a_preview_whose_beginning_got_no_answer_is_not_begun_twice(
    slack: SlackRig, thread: ThreadRef, method: str
):
    if method == "chat.postMessage":
        slack.slack.methods.gone |= STREAMING
    slack.slack.fail(Fault(after_doing=True, methods=frozenset({method})))
    live = await slack.channel.live(thread)
    await live.update("one two ", "")
    await live.update("one two three ", "")
    await slack.slack.until(lambda: "three" in seen_text(preview(slack)))
    await live.close()
    await slack.channel.send(final(thread, "one two three"))
    assert [seen_text(message) for message in slack.slack.space.rooms["C1"].messages][1:] == ["one two three"]


async def test_a_preview_that_is_too_old_to_be_found_by_its_key_is_replaced(
    slack: SlackRig, thread: ThreadRef, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(previews_module, "TAKEOVER_SECONDS", 0.0)
    live = await slack.channel.live(thread)
    await live.update("answer ", "")
    await slack.slack.until(lambda: preview(slack).get("text") == "answer ")
    await live.close()
    await slack.channel.send(final(thread, "answer"))
    assert [seen_text(message) for message in slack.slack.space.rooms["C1"].messages][1:] == ["answer"]
    assert preview(slack)["metadata"]["event_payload"] == {"key": "k1"}
