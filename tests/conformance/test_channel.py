"""The conformance suite: what `channels.base.Channel` promises, asked of every adapter that has a rig.

A capability that an adapter does not declare is not asked for. One that it declares must be proven: where its rig
cannot show it, the test fails.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import pkgutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

import tests.conformance
from channels.base import (
    Account,
    Button,
    Capability,
    ChannelError,
    ChannelState,
    DeliveryKey,
    Inbound,
    Kind,
    Mark,
    OpenPrompt,
    OpenThread,
    Outbound,
    Rejected,
    TemporaryFailure,
    ThreadRef,
    Unavailable,
    UnknownOutcome,
)
from tests.conformance.harness import CannotDo, CommandRig, EphemeralRig, Fault, MarkRig, Rig, Shown, StreamingRig

RIGS = sorted(
    module.name.removeprefix("rig_")
    for module in pkgutil.iter_modules(tests.conformance.__path__)
    if module.name.startswith("rig_")
)
PROVEN: set[Capability] = set()
FAMILY = "👩‍👩‍👧‍👦"

Test = Callable[..., Awaitable[None]]


def conforms(proves: Capability = Capability.NONE, needs: Capability = Capability.NONE) -> Callable[[Test], Test]:
    """A test of the contract. It is run on adapters that declare `proves` and `needs`."""
    PROVEN.update(proves)

    def decorate(test: Test) -> Test:
        @functools.wraps(test)
        async def run(rig: Rig, **more: Any) -> None:
            missing = (proves | needs) & ~rig.channel.capabilities
            if missing:
                pytest.skip(f"{rig.channel.name} does not declare {missing.name}")
            try:
                await test(rig, **more)
            except CannotDo as error:
                if proves:
                    pytest.fail(f"{rig.channel.name} declares {proves.name}, and its rig cannot prove it: {error}")
                pytest.skip(str(error))

        return run

    return decorate


@pytest.fixture(params=RIGS)
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    module = importlib.import_module(f"tests.conformance.rig_{request.param}")
    async with module.rig(tmp_path) as made:
        yield made


def out(where: ThreadRef, text: str, key: str = "k1", **more: Any) -> Outbound:
    return Outbound(key=DeliveryKey(key), to=where, text=text, **more)


async def eventually(holds: Callable[[], Awaitable[bool]], seconds: float = 5.0) -> None:
    """Wait until what people see is as wanted; platforms show things a moment after they took them."""
    async with asyncio.timeout(seconds):
        for pause in iter(lambda: 0.01, None):
            if await holds():
                return
            await asyncio.sleep(pause)


async def by_bot(rig: Rig, where: ThreadRef) -> list[Shown]:
    return [message for message in await rig.shown(where) if message.by_bot]


async def a_place(rig: Rig) -> ThreadRef:
    """A thread to talk in: where a platform has threads, what is said in a room may begin one."""
    if Capability.THREADS in rig.channel.capabilities:
        return await rig.channel.open_thread(
            OpenThread(key=DeliveryKey("open-0"), room=rig.room, title="A place", first_text="Welcome.")
        )
    return rig.room


async def said(rig: Rig, where: ThreadRef, text: str) -> int:
    return sum(text in message.text for message in await by_bot(rig, where))


def test_there_are_rigs_and_every_capability_has_a_test() -> None:
    assert {"api", "console", "web"} <= set(RIGS)
    assert set(Capability) - PROVEN == set()


# Receiving ------------------------------------------------------------------------------------------------------


@conforms()
async def test_a_message_arrives_whole(rig: Rig) -> None:
    before = datetime.now(UTC)
    id = await rig.says(rig.room, "Hällo <b>you</b> & all 👋", mention=True)
    [event] = await rig.intake.wait_for(1)
    assert (event.kind, event.where, event.message_id) == (Kind.MESSAGE, rig.room, id)
    assert event.text == "Hällo <b>you</b> & all 👋"
    assert event.sender.account == rig.ada_account
    assert event.sender.name
    assert not event.sender.is_bot
    assert event.mentioned or event.direct
    assert abs(event.sent_at - before) < timedelta(minutes=5)


@conforms()
async def test_two_people_are_two_accounts(rig: Rig) -> None:
    await rig.says(rig.room, "from Ada", mention=True)
    await rig.says(rig.room, "from another", by=rig.stranger_account, mention=True)
    events = await rig.intake.wait_for(2)
    assert {event.text: event.sender.account for event in events} == {
        "from Ada": rig.ada_account,
        "from another": rig.stranger_account,
    }


@pytest.mark.requirement("P1")
@conforms()
async def test_an_event_is_acknowledged_once_it_is_committed(rig: Rig) -> None:
    id = await rig.says(rig.room, "hello", mention=True)
    await rig.intake.wait_for(1)
    await eventually(lambda: rig.acknowledged(id))


@pytest.mark.slow
@pytest.mark.requirement("P1")
@conforms()
async def test_what_cannot_be_committed_is_not_acknowledged_and_comes_again(rig: Rig) -> None:
    rig.intake.refuse = True
    id = await rig.says(rig.room, "hello", mention=True)
    await rig.intake.wait_until_refused()
    assert not await rig.acknowledged(id)
    assert rig.intake.events == []
    rig.intake.refuse = False
    try:
        await rig.intake.wait_for(1, 4)
    except TimeoutError:  # the platform sends it again after a minute, or to the next connection
        await rig.reconnect()
    [event] = await rig.intake.wait_for(1)
    assert event.text == "hello"
    await eventually(lambda: rig.acknowledged(id))


@pytest.mark.requirement("P3")
@conforms()
async def test_a_second_copy_of_an_event_has_the_same_id(rig: Rig) -> None:
    await rig.says(rig.room, "one", mention=True)
    await rig.intake.wait_for(1)
    await rig.repeat_last_event()
    await rig.says(rig.room, "two", mention=True)
    events = await rig.intake.wait_for(2)
    assert [event.text for event in events] == ["one", "two"]


@pytest.mark.requirement("P2")
@conforms()
async def test_a_thread_is_heard_in_order(rig: Rig) -> None:
    where = await a_place(rig)
    texts = [f"message {number}" for number in range(20)]
    for text in texts:
        await rig.says(where, text)
    events = await rig.intake.wait_for(20)
    assert [event.text for event in events] == texts
    assert {event.where for event in events} == {where}
    assert len({event.id for event in events}) == 20


@conforms()
async def test_an_edit_names_the_message_and_brings_the_new_text(rig: Rig) -> None:
    where = await a_place(rig)
    id = await rig.says(where, "frist")
    await rig.intake.wait_for(1)
    await rig.edits(where, id, "first")
    event = (await rig.intake.wait_for(2))[1]
    assert (event.kind, event.message_id, event.text, event.where) == (Kind.EDIT, id, "first", where)
    assert event.sender.account == rig.ada_account


@conforms()
async def test_a_deletion_names_the_message(rig: Rig) -> None:
    if Kind.DELETE in getattr(rig, "silent", ()):
        raise CannotDo(f"{rig.channel.name} tells its bots nothing of deletions")
    where = await a_place(rig)
    id = await rig.says(where, "oops")
    await rig.intake.wait_for(1)
    await rig.deletes(where, id)
    event = (await rig.intake.wait_for(2))[1]
    assert (event.kind, event.message_id, event.where) == (Kind.DELETE, id, where)


@conforms()
async def test_a_command_comes_in_the_one_grammar(rig: Rig) -> None:
    if not hasattr(rig, "commands"):
        raise CannotDo("the rig gives no commands")
    where = await a_place(rig)
    await cast(CommandRig, rig).commands(where, "/kill all")
    [event] = await rig.intake.wait_for(1)
    assert (event.kind, event.text, event.where) == (Kind.COMMAND, "/kill all", where)
    assert event.sender.account == rig.ada_account


@conforms()
async def test_the_bot_does_not_hear_itself(rig: Rig) -> None:
    where = await a_place(rig)
    await rig.channel.send(out(where, "I say something"))
    await rig.says(where, "and I answer")
    [event] = await rig.intake.wait_for(1)
    assert event.text == "and I answer"


@conforms(proves=Capability.ATTACHMENTS_IN)
async def test_a_file_comes_in_and_is_fetched_within_its_limit(rig: Rig) -> None:
    content = bytes(range(256)) * 40
    where = await a_place(rig)
    await rig.sends_file(where, "data.bin", content)
    [event] = await rig.intake.wait_for(1)
    [file] = event.attachments
    assert file.name == "data.bin"
    assert file.size_bytes in (None, len(content))
    assert b"".join([chunk async for chunk in rig.channel.fetch(file, len(content))]) == content
    with pytest.raises(Rejected):
        [chunk async for chunk in rig.channel.fetch(file, 100)]


@conforms(proves=Capability.BUTTONS)
async def test_a_button_that_is_pressed_comes_back_with_its_id(rig: Rig) -> None:
    where = await a_place(rig)
    buttons = (Button(id="b" * 60, label="Yes"), Button(id="c2", label="No", danger=True))
    receipt = await rig.channel.send(out(where, "Shall I?", buttons=buttons))
    [message] = [message for message in await by_bot(rig, where) if message.buttons]
    assert [label for _, label in message.buttons] == ["Yes", "No"]
    assert message.message_id in receipt.message_ids
    for position, button in enumerate(buttons):
        await rig.presses(where, message.message_id, message.buttons[position][0])
        event = (await rig.intake.wait_for(position + 1))[position]
        assert (event.kind, event.payload, event.where) == (Kind.BUTTON, button.id, where)
        assert event.sender.account == rig.ada_account


# Saying ---------------------------------------------------------------------------------------------------------


@conforms()
async def test_what_is_said_is_shown_and_the_receipt_names_it(rig: Rig) -> None:
    where = await a_place(rig)
    first = await rig.channel.send(out(where, "The first answer", "k1"))
    second = await rig.channel.send(out(where, "The second answer", "k2"))
    shown = [message for message in await by_bot(rig, where) if "answer" in message.text]
    assert ["The first answer" in shown[0].text, "The second answer" in shown[1].text] == [True, True]
    assert [message.message_id for message in shown] == [first.message_ids[0], second.message_ids[0]]
    assert abs(first.sent_at - datetime.now(UTC)) < timedelta(minutes=5)


LONG = "\n\n".join(
    [
        "# What was found",
        *[
            f"Paragraph {n} says **something** of [weight](https://example.org/{n}) {FAMILY} in word{n}."
            for n in range(30)
        ],
        "```python\n" + "\n".join(f"line_{n} = {n}  # comment" for n in range(60)) + "\n```",
        "| name | value |\n| --- | --- |\n" + "\n".join(f"| row{n} | {n * n} |" for n in range(30)),
        "> " + "\n> ".join(f"quoted{n}" for n in range(20)),
        "\n".join(f"{n}. item{n}" for n in range(1, 40)),
    ]
)
MARKS = [f"word{n}" for n in range(30)] + [f"line_{n}" for n in range(60)] + [f"row{n}" for n in range(30)]
MARKS += [f"quoted{n}" for n in range(20)] + [f"item{n}" for n in range(1, 40)]


def long_text(rig: Rig) -> str:
    """About two and a half messages of this platform."""
    limit = rig.channel.limits.text_units
    if limit > 100_000:
        raise CannotDo(f"{rig.channel.name} has no limit that a text meets")
    return "\n\n".join([LONG] * max(1, -(-5 * limit // (2 * len(LONG)))))[: int(2.5 * limit)]


@conforms()
async def test_a_long_text_is_divided_and_nothing_is_lost(rig: Rig) -> None:
    text = long_text(rig)
    button, file = Button(id="b", label="OK"), await rig.stored_file(b"content", "a.txt", "text/plain")
    message = out(rig.room, text, "k7", buttons=(button,), attachments=(file,), reply_to="5")
    parts = rig.channel.split(message)
    assert len(parts) > 1
    assert [part.key for part in parts] == [f"k7#{index}" for index in range(len(parts))]
    assert {part.to for part in parts} == {rig.room}
    assert [part.buttons for part in parts[:-1]] == [()] * (len(parts) - 1)
    assert parts[-1].buttons == (button,)
    assert file in parts[-1].attachments
    whole = "\n".join(part.text for part in parts)
    at = 0
    for word in text.replace("`", " ").split():
        if word.isidentifier():
            at = whole.index(word, at) + len(word)
    assert whole.count(FAMILY) == text.count(FAMILY), "no grapheme is cut"
    for part in parts:
        assert len(rig.channel.split(part)) == 1, "a part is one message"
        fences = [line for line in part.text.splitlines() if line.startswith("```")]
        assert len(fences) % 2 == 0, "each fence is closed where it was opened"
        assert all(fence in ("```python", "```") for fence in fences)


@pytest.mark.slow
@conforms()
async def test_the_parts_of_a_long_text_are_shown_in_order_within_the_limit(rig: Rig) -> None:
    where = await a_place(rig)
    parts = rig.channel.split(out(where, long_text(rig)))
    for part in parts:
        await rig.channel.send(part)
    shown = " ".join(message.text for message in await by_bot(rig, where))
    at = 0
    for mark in MARKS[:60]:
        at = shown.index(mark, at)


@conforms()
async def test_a_short_text_stays_one(rig: Rig) -> None:
    message = out(rig.room, "short", buttons=(Button(id="b", label="OK"),))
    assert list(rig.channel.split(message)) == [message]


@conforms(proves=Capability.EDIT)
async def test_what_was_said_can_be_changed(rig: Rig) -> None:
    where = await a_place(rig)
    receipt = await rig.channel.send(out(where, "Working on it"))
    await rig.channel.edit(out(where, "All is done"), receipt.message_ids[0])
    assert await said(rig, where, "Working on it") == 0
    assert await said(rig, where, "All is done") == 1


@conforms(proves=Capability.ATTACHMENTS_OUT)
async def test_a_file_goes_out_with_its_name_and_content(rig: Rig) -> None:
    where = await a_place(rig)
    content = bytes(range(256)) * 10
    file = await rig.stored_file(content, "result.bin", "application/octet-stream")
    await rig.channel.send(out(where, "Here it is", attachments=(file,)))

    async def there() -> bool:
        return [shown for message in await by_bot(rig, where) for shown in message.files] == [("result.bin", content)]

    await eventually(there)
    assert await said(rig, where, "Here it is") == 1


@conforms(needs=Capability.ATTACHMENTS_OUT)
async def test_a_file_that_is_gone_is_rejected(rig: Rig) -> None:
    where = await a_place(rig)
    file = await rig.stored_file(b"content", "a.txt", "text/plain")
    gone = replace(file, source="sha256:" + "0" * 64)
    if rig.channel.limits.text_units > 100_000:
        raise CannotDo("the page asks the store for a file when somebody opens it")
    with pytest.raises(Rejected):
        await rig.channel.send(out(where, "Here it is", attachments=(gone,)))


@conforms(proves=Capability.TYPING)
async def test_typing_is_shown(rig: Rig) -> None:
    where = await a_place(rig)
    await rig.channel.typing(where)
    await eventually(lambda: rig.typing_shown(where))


@conforms(proves=Capability.DIRECT)
async def test_a_person_has_a_private_place(rig: Rig) -> None:
    place = await rig.channel.direct(Account(rig.ada_account))
    assert place.channel == rig.channel.name
    assert await rig.channel.direct(Account(rig.ada_account)) == place
    receipt = await rig.channel.send(out(place, "Only for you"))
    assert receipt.message_ids
    with pytest.raises(Rejected):
        await rig.channel.direct(Account("elsewhere:1"))


@conforms(proves=Capability.STREAM)
async def test_a_text_is_shown_while_it_is_written(rig: Rig) -> None:
    where = await a_place(rig)
    try:
        live = await rig.channel.live(where)
    except Rejected:  # some platforms show it in private only
        where = await rig.channel.direct(Account(rig.ada_account))
        live = await rig.channel.live(where)
    await live.update("Once upon a time", "thinking")

    async def visible() -> bool:
        if hasattr(rig, "live_shown"):
            return "Once upon" in await cast(StreamingRig, rig).live_shown(where)
        return await said(rig, where, "Once upon") > 0

    await eventually(visible)
    await live.close()
    await rig.channel.send(out(where, "Once upon a time there was an end."))

    async def only_the_end() -> bool:
        return [await said(rig, where, "Once upon"), await said(rig, where, "there was an end")] == [1, 1]

    await eventually(only_the_end)


@conforms(proves=Capability.EPHEMERAL)
async def test_a_private_answer_is_seen_by_the_one_who_asked(rig: Rig) -> None:
    if not hasattr(rig, "shown_to"):
        raise CannotDo("it needs `commands` and `shown_to`, see harness.EphemeralRig")
    private = cast(EphemeralRig, rig)
    where = await a_place(rig)
    await private.commands(where, "/help")
    [event] = await rig.intake.wait_for(1)
    await rig.channel.send(out(where, "Only you see this", answer_with=event.answer_with, private=True))

    async def seen() -> bool:
        return any("Only you" in message.text for message in await private.shown_to(where, rig.ada_account))

    await eventually(seen)
    assert await said(rig, where, "Only you") == 0
    assert await private.shown_to(where, rig.stranger_account) == []


# Threads --------------------------------------------------------------------------------------------------------


@conforms(proves=Capability.THREADS)
async def test_a_thread_is_opened_and_talked_in(rig: Rig) -> None:
    request = OpenThread(
        key=DeliveryKey("o1"), room=rig.room, title="Research: *tides*", first_text="I am the researcher."
    )
    thread = await rig.channel.open_thread(request)
    another = await rig.channel.open_thread(replace(request, key=DeliveryKey("o2"), first_text=""))
    assert thread != another
    assert (thread.channel, thread.space, thread.in_room) == (rig.room.channel, rig.room.space, rig.room.in_room)
    assert thread.thread
    await eventually(lambda: _is_said(rig, thread, "I am the researcher."))
    await rig.channel.send(out(thread, "High at noon"))
    assert await said(rig, thread, "High at noon") == 1
    assert await said(rig, another, "High at noon") == 0
    await rig.says(thread, "and tomorrow?")
    [event] = await rig.intake.wait_for(1)
    assert (event.where, event.text) == (thread, "and tomorrow?")


async def _is_said(rig: Rig, where: ThreadRef, text: str) -> bool:
    return await said(rig, where, text) == 1


@conforms(needs=Capability.THREADS)
async def test_a_thread_under_a_message_is_the_same_one_when_it_is_opened_again(rig: Rig) -> None:
    id = await rig.says(rig.room, "please look into this", mention=True)
    await rig.intake.wait_for(1)
    request = OpenThread(key=DeliveryKey("o1"), room=rig.room, title="This", anchor=id)
    thread = await rig.channel.open_thread(request)
    await rig.channel.send(out(thread, "I look into it"))
    assert await said(rig, thread, "I look into it") == 1
    if Capability.IDEMPOTENT_SEND in rig.channel.capabilities or Capability.RECONCILE in rig.channel.capabilities:
        assert await rig.channel.open_thread(request) == thread


# What goes wrong ------------------------------------------------------------------------------------------------


async def failure(call: Awaitable[Any]) -> ChannelError | None:
    """What the channel raised, or None when all went well."""
    try:
        await call
    except ChannelError as error:
        return error
    return None


async def outcome(call: Awaitable[Any]) -> type[ChannelError] | None:
    error = await failure(call)
    if error is None:
        return None
    assert str(error), "an error says what happened"
    return type(error)


@pytest.mark.slow
@conforms()
async def test_a_limit_is_waited_for_or_told_with_its_time(rig: Rig) -> None:
    where = await a_place(rig)
    await rig.fail(Fault.RATE_LIMITED)
    error = await failure(rig.channel.send(out(where, "Patience")))
    if error is not None:
        assert isinstance(error, TemporaryFailure)
        assert error.retry_after is not None
        assert timedelta() < error.retry_after <= timedelta(seconds=5)
        assert await said(rig, where, "Patience") == 0
        await asyncio.sleep(error.retry_after.total_seconds())
        await rig.channel.send(out(where, "Patience"))
    assert await said(rig, where, "Patience") == 1


@conforms()
async def test_an_error_of_the_server_is_no_reason_to_give_up(rig: Rig) -> None:
    where = await a_place(rig)
    await rig.fail(Fault.SERVER_ERROR)
    kind = await outcome(rig.channel.send(out(where, "Once more")))
    assert kind is None or issubclass(kind, (TemporaryFailure, Unavailable, UnknownOutcome))
    await rig.heal()
    if kind is not None:
        await rig.channel.send(out(where, "Once more"))
    assert await said(rig, where, "Once more") == 1


@conforms()
@pytest.mark.parametrize("fault", [Fault.FORBIDDEN, Fault.UNKNOWN_ROOM], ids=lambda fault: fault.name.lower())
async def test_what_can_never_work_is_rejected(rig: Rig, fault: Fault) -> None:
    await rig.fail(fault)
    kind = await outcome(rig.channel.send(out(rig.room, "May I?")))
    assert kind is not None
    assert issubclass(kind, Rejected)
    assert await said(rig, rig.room, "May I?") == 0


@pytest.mark.slow
@pytest.mark.requirement("P7")
@conforms()
async def test_a_platform_that_is_away_is_unavailable_until_it_is_back(rig: Rig) -> None:
    where = await a_place(rig)
    await rig.fail(Fault.UNREACHABLE)
    for _ in range(2):
        assert await outcome(rig.channel.send(out(where, "Anybody there?"))) is Unavailable
    await rig.heal()

    async def goes() -> bool:
        return await outcome(rig.channel.send(out(where, "Back again"))) is None

    await eventually(goes, 10)
    assert await said(rig, where, "Anybody there?") == 0
    assert await said(rig, where, "Back again") == 1


@pytest.mark.requirement("P3")
@conforms()
async def test_an_answer_that_is_lost_never_doubles_the_message(rig: Rig) -> None:
    where = await a_place(rig)
    part = out(where, "Exactly once")
    began = datetime.now(UTC)
    await rig.fail(Fault.ANSWER_LOST)
    kind = await outcome(rig.channel.send(part))
    assert kind in (None, UnknownOutcome)
    await rig.heal()
    if kind is UnknownOutcome and Capability.RECONCILE in rig.channel.capabilities:
        found = await rig.channel.find(part, began - timedelta(minutes=1))
        assert found is not None
    if kind is UnknownOutcome and Capability.IDEMPOTENT_SEND in rig.channel.capabilities:
        await rig.channel.send(part)
    assert await said(rig, where, "Exactly once") == 1


@pytest.mark.requirement("P3")
@conforms(proves=Capability.IDEMPOTENT_SEND)
async def test_the_same_key_sent_twice_shows_one_message(rig: Rig) -> None:
    where = await a_place(rig)
    part = out(where, "Exactly once")
    first, second = await rig.channel.send(part), await rig.channel.send(part)
    assert first.message_ids == second.message_ids
    assert await said(rig, where, "Exactly once") == 1
    await rig.channel.send(replace(part, key=DeliveryKey("k2")))
    assert await said(rig, where, "Exactly once") == 2, "another key is another message, even with the same text"


@pytest.mark.requirement("P3")
@conforms(proves=Capability.RECONCILE)
async def test_a_message_is_found_by_its_key(rig: Rig) -> None:
    where = await a_place(rig)
    since = datetime.now(UTC) - timedelta(minutes=1)
    part = out(where, "Find me")
    assert await rig.channel.find(part, since) is None
    receipt = await rig.channel.send(part)
    await rig.says(where, "something between")
    found = await rig.channel.find(part, since)
    assert found is not None
    assert found.message_ids == receipt.message_ids
    assert await rig.channel.find(replace(part, key=DeliveryKey("another")), since) is None


# Connections ----------------------------------------------------------------------------------------------------


@conforms()
async def test_health_says_that_it_is_connected(rig: Rig) -> None:
    async def connected() -> bool:
        return rig.channel.health().state is ChannelState.CONNECTED

    await eventually(connected)
    assert rig.channel.health().since.tzinfo is not None


@pytest.mark.slow
@conforms()
async def test_health_says_what_is_wrong(rig: Rig) -> None:
    await rig.fail(Fault.UNREACHABLE)
    await outcome(rig.channel.send(out(rig.room, "Anybody there?")))

    async def told() -> bool:
        health = rig.channel.health()
        return health.state is not ChannelState.CONNECTED and bool(health.detail)

    await eventually(told, 10)
    await rig.heal()

    async def well() -> bool:
        return rig.channel.health().state is ChannelState.CONNECTED

    await eventually(well, 15)


@pytest.mark.requirement("P1")
@conforms()
async def test_a_connection_that_drops_loses_and_doubles_nothing(rig: Rig) -> None:
    where = await a_place(rig)
    rig.intake.bound.append(where)
    texts = [f"message {number}" for number in range(6)]
    for number, text in enumerate(texts):
        if number in (2, 4):
            await rig.drop_connections()
        await rig.says(where, text)
    events = await rig.intake.wait_for(6, 15)
    assert sorted(event.text for event in events) == texts


@conforms(proves=Capability.REACT)
async def test_a_message_carries_one_mark_of_ours_at_a_time(rig: Rig) -> None:
    marks = cast(MarkRig, rig).marks
    where = await a_place(rig)
    id = await rig.says(where, "do this too")
    await rig.intake.wait_for(1)
    react = functools.partial(rig.channel.react, where, id)
    await react(Mark.WAITING)
    waiting = await marks(where, id)
    await react(Mark.TAKEN_IN, Mark.WAITING)
    await react(Mark.TAKEN_IN, Mark.WAITING)  # its answer was lost, say
    taken_in = await marks(where, id)
    await react(Mark.REFUSED, Mark.TAKEN_IN)
    refused = await marks(where, id)
    assert [len(shown) for shown in (waiting, taken_in, refused)] == [1, 1, 1]
    assert len({*waiting, *taken_in, *refused}) == 3
    await react(None, Mark.REFUSED)
    assert await marks(where, id) == []
    await rig.says(where, "after")
    assert _texts(await rig.intake.wait_for(2)) == ["do this too", "after"]  # nobody is told of our own marks
    await rig.deletes(where, id)
    with pytest.raises(Rejected):
        await react(Mark.WAITING)


@conforms()
async def test_a_place_has_an_address_of_its_own_or_none(rig: Rig) -> None:
    one = await a_place(rig)
    other = await rig.channel.open_thread(OpenThread(key=DeliveryKey("open-1"), room=rig.room, title="Another"))
    links = [await rig.channel.link(where) for where in (one, other)]
    assert links == [None, None] or len(set(links)) == 2
    assert all(link is None or link.startswith(("https://", "/t/")) for link in links)


@pytest.mark.requirement("P1")
@conforms(proves=Capability.BACKFILL)
async def test_what_was_said_while_we_were_away_is_heard_after_the_restart(rig: Rig) -> None:
    where = await a_place(rig)
    rig.intake.bound.append(where)
    await rig.says(where, "before")
    await rig.intake.wait_for(1)
    await rig.stop()
    for number in range(3):
        await rig.says(where, f"while away {number}")
    await rig.reconnect()
    await rig.intake.wait_for(4, 15)
    await rig.says(where, "after")
    events = await rig.intake.wait_for(5, 15)
    assert _texts(events) == ["before", "while away 0", "while away 1", "while away 2", "after"]


@conforms(needs=Capability.BACKFILL)
async def test_what_became_of_an_open_prompt_while_we_were_away_is_told_once(rig: Rig) -> None:
    where = await a_place(rig)
    rig.intake.bound.append(where)
    kept, edited, deleted = [await rig.says(where, text) for text in ("one", "two", "three")]
    await rig.intake.wait_for(3)
    told = (
        {Kind.EDIT: edited} if Kind.DELETE in getattr(rig, "silent", ()) else {Kind.EDIT: edited, Kind.DELETE: deleted}
    )
    rig.intake.open = [OpenPrompt(where=where, message_id=id) for id in (deleted, edited, kept)]
    await rig.stop()
    await rig.edits(where, edited, "two, and more")
    if Kind.DELETE in told:
        await rig.deletes(where, deleted)
    for _ in range(2):
        await rig.reconnect()
        await rig.intake.wait_for(3 + len(told), 15)
    await rig.says(where, "end")
    events = (await rig.intake.wait_for(4 + len(told), 15))[3:]
    assert {event.kind: event.message_id for event in events[:-1]} == told
    assert next(event.text for event in events if event.kind is Kind.EDIT) == "two, and more"
    assert events[-1].text == "end"


def _texts(events: list[Inbound]) -> list[str]:
    return [event.text for event in events]


@conforms()
async def test_the_adapter_can_be_stopped_and_made_anew(rig: Rig) -> None:
    where = await a_place(rig)
    async with asyncio.timeout(10):
        await rig.reconnect()
    await rig.channel.send(out(where, "Here again"))
    assert await said(rig, where, "Here again") == 1
    await rig.says(where, "welcome back")
    [event] = await rig.intake.wait_for(1)
    assert event.text == "welcome back"
