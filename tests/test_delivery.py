"""The courier over the real outbox: said once, in order, wherever it can be said, and however the process ends."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from channels.base import (
    Capability,
    Channel,
    ChannelName,
    DeliveryKey,
    NoThreads,
    OpenThread,
    Outbound,
    Rejected,
    RoomMoved,
    TemporaryFailure,
    ThreadRef,
    Unavailable,
    UnknownOutcome,
)
from channels.delivery import Courier, CourierParts, Delivery, DeliveryState
from storage import outbox as functions
from storage.database import Database, opened
from storage.outbox import SqliteOutbox
from tests.platform import Platform, Trouble
from tests.stored import add_session

FAKE = ChannelName("fake")
OTHER = ChannelName("other")
HERE = ThreadRef(channel=FAKE, room="R", thread="1")
THERE = ThreadRef(channel=FAKE, room="R", thread="2")
DIRECT = ThreadRef(channel=OTHER, room="ada")


def now() -> datetime:
    return datetime.now(UTC)


def out(key: str, text: str | None = None, to: ThreadRef = HERE, **more: Any) -> Outbound:
    return Outbound(key=DeliveryKey(key), to=to, text=key if text is None else text, **more)


@dataclass
class World:
    """A store, platforms, and couriers that come and go."""

    database: Database
    platforms: dict[ChannelName, Channel]
    reach: list[ThreadRef] = field(default_factory=list)
    ended: list[tuple[str, DeliveryState, str]] = field(default_factory=list)
    written: asyncio.Event = field(default_factory=asyncio.Event)
    parts: dict[str, Any] = field(default_factory=dict)
    courier: Courier | None = None

    def __post_init__(self) -> None:
        write = self.database.write

        async def watched(work: Any, then: Any = None) -> Any:
            result = await write(work, then)
            self.written.set()
            return result

        self.database.write = watched  # type: ignore[method-assign]

    @property
    def outbox(self) -> SqliteOutbox:
        return SqliteOutbox(self.database)

    async def next_place(self, session: str | None, tried: Sequence[ThreadRef]) -> ThreadRef | None:
        if session is None:
            return None
        return next((place for place in self.reach if place not in tried), None)

    async def follow_room(self, room: ThreadRef, to: str) -> None:
        assert self.courier is not None
        for lane in await self.outbox.move_room(room, to):
            self.courier.notify(lane)

    def heard(self, delivery: Delivery, state: DeliveryState, why: str) -> None:
        self.ended.append((delivery.message.key, state, why))

    def courier_of(self, outbox: Any = None) -> Courier:
        parts = CourierParts(
            outbox=outbox or self.outbox,
            routes=self,
            channel=self.platforms.get,
            clock=now,
            fallback_after=timedelta(seconds=0.1),
            max_age=timedelta(hours=24),
            follow_room=self.follow_room,
            ended=self.heard,
            settle=timedelta(),
            chance=lambda: 0.0,
        )
        return Courier(replace(parts, **self.parts))

    @asynccontextmanager
    async def running(self, courier: Courier | None = None) -> AsyncIterator[Courier]:
        self.courier = courier or self.courier_of()
        task = asyncio.create_task(self.courier.run())
        try:
            yield self.courier
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def put(self, *messages: Outbound, session: str | None = None, turn: str | None = None) -> None:
        def work(tx: Any) -> None:
            for message in messages:
                assert functions.enqueue(tx, message, session=session, turn=turn, now=now())

        await self.database.write(work)
        for message in messages:
            if self.courier is not None:
                self.courier.notify(message.to.key)

    async def sessions(self, *ids: str, **changes: Any) -> None:
        def work(tx: Any) -> None:
            for id in ids:
                add_session(tx, id, **changes)

        await self.database.write(work)

    async def rows(self, query: str = "select * from deliveries order by n") -> list[dict[str, Any]]:
        return [dict(row) for row in await self.database.read(lambda tx: tx.execute(query).fetchall())]

    async def states(self) -> dict[str, str]:
        return {row["key"]: row["state"] for row in await self.rows()}

    async def until(self, holds: Callable[[dict[str, str]], bool]) -> None:
        """Wait until the states of all deliveries are as wanted."""
        async with asyncio.timeout(10):
            while True:
                self.written.clear()
                if holds(await self.states()):
                    return
                await self.written.wait()

    async def all_end(self) -> None:
        await self.until(lambda states: not {"pending", "sending"} & set(states.values()))


@pytest.fixture
async def fake() -> Platform:
    return Platform(name=FAKE)


@pytest.fixture
async def other() -> Platform:
    return Platform(name=OTHER)


@pytest.fixture
async def world(tmp_path: Path, fake: Platform, other: Platform) -> AsyncIterator[World]:
    async with opened(tmp_path) as database:
        yield World(database=database, platforms={FAKE: fake, OTHER: other})


# Order, receipts, lanes -----------------------------------------------------------------------------------------


@pytest.mark.requirement("P2")
async def test_a_place_hears_everything_in_order_and_the_timeline_says_so(world: World, fake: Platform) -> None:
    keys = [f"k{number}" for number in range(20)]
    async with world.running():
        await world.put(*[out(key) for key in keys[:10]])
        await world.put(*[out(key) for key in keys[10:]])
        await world.all_end()
    assert fake.texts(HERE.key) == keys
    shown = await world.rows("select d.key from timeline t join deliveries d on d.n = t.delivery order by t.n")
    assert [row["key"] for row in shown] == keys
    assert {row["message_ids"] for row in await world.rows()} == {f'["m{number}"]' for number in range(20)}
    assert [(key, state) for key, state, _ in world.ended] == [(key, DeliveryState.SENT) for key in keys]


async def test_a_key_is_said_once_however_often_it_is_put(world: World, fake: Platform) -> None:
    assert await world.outbox.put(out("k"), now=now())
    assert not await world.outbox.put(out("k", "another text"), now=now())
    async with world.running():
        await world.all_end()
        assert not await world.outbox.put(out("k"), now=now())
    assert fake.texts() == ["k"]


async def test_a_lane_with_nothing_to_say_has_no_worker(world: World, fake: Platform) -> None:
    async with world.running() as courier:
        courier.notify(HERE.key)
        await world.put(out("k"))
        await fake.until_said(1)
        workers = [task for task in asyncio.all_tasks() if task.get_name().startswith("lane-")]
        if workers:
            await asyncio.wait(workers, timeout=5)
        assert courier.busy_lanes == 0
        await world.put(out("again"))
        assert await fake.until_said(2) == ["k", "again"]


async def test_what_was_put_while_nobody_ran_is_said_at_the_start(world: World, fake: Platform) -> None:
    await world.put(out("a"), out("b", to=THERE))
    async with world.running():
        await world.all_end()
    assert sorted(fake.texts()) == ["a", "b"]


@pytest.mark.requirement("P8")
async def test_a_control_reply_goes_before_ten_thousand_that_wait(world: World, fake: Platform) -> None:
    fake.gates[HERE.key].clear()
    async with world.running():
        await world.put(*[out(f"k{number}") for number in range(10_000)])
        async with fake.said:
            await fake.said.wait_for(lambda: fake.calls == 1)
        await world.put(out("killed", control=True))
        fake.gates[HERE.key].set()
        assert (await fake.until_said(3))[:3] == ["k0", "killed", "k1"]


@pytest.mark.requirement("P6")
async def test_a_control_reply_passes_a_message_of_its_own_place_that_does_not_come_to_an_end(
    world: World, fake: Platform
) -> None:
    hangs = fake.gates[HERE.key]
    hangs.clear()
    async with world.running():
        await world.put(out("k0"), out("k1"))
        async with fake.said:
            await fake.said.wait_for(lambda: fake.calls == 1)
        del fake.gates[HERE.key]  # whoever comes now is let through
        await world.put(out("killed", control=True))
        assert await fake.until_said(1) == ["killed"]
        await world.until(lambda states: states["killed"] == "sent")
        await world.put(out("k2"))
        await world.put(out("status", control=True))
        assert await fake.until_said(2) == ["killed", "status"]
        hangs.set()
        assert await fake.until_said(5) == ["killed", "status", "k0", "k1", "k2"]
        await world.all_end()
    assert set((await world.states()).values()) == {"sent"}


@pytest.mark.requirement("P6")
async def test_a_lane_that_must_wait_holds_up_no_other(world: World, fake: Platform) -> None:
    slow = TemporaryFailure("slow down", retry_after=timedelta(hours=1))
    fake.always = lambda place: Trouble(error=slow) if place == HERE.key else None
    async with world.running():
        await world.put(out("a"), out("b"), out("c", to=THERE))
        assert await fake.until_said(1) == ["c"]
        fake.always = lambda _: None
        await world.put(out("reply", control=True))
        assert await fake.until_said(2) == ["c", "reply"], "control replies pass what waits"
        await world.until(lambda states: states["reply"] == "sent")
    assert await world.states() == {"a": "pending", "b": "pending", "c": "sent", "reply": "sent"}
    [a] = await world.rows("select * from deliveries where key = 'a'")
    assert (a["attempt"], a["error"]) == (1, "slow down")
    assert a["not_before"] - a["created_at"] > 3_500_000_000


async def test_a_control_reply_that_waits_holds_up_nothing_either(world: World, fake: Platform) -> None:
    fake.coming = [Trouble(error=TemporaryFailure("slow down", retry_after=timedelta(hours=1)))]
    async with world.running():
        await world.put(out("reply", control=True), out("k"))
        assert await fake.until_said(1) == ["k"]


@pytest.mark.requirement("P6")
async def test_a_channel_that_hangs_holds_up_no_other(world: World, fake: Platform, other: Platform) -> None:
    places = [replace(HERE, thread=str(number)) for number in range(200)]
    for place in places:
        fake.gates[place.key].clear()
    async with world.running():
        await world.put(*[out(f"k{number}", to=place) for number, place in enumerate(places)])
        async with fake.said:
            await fake.said.wait_for(lambda: fake.calls >= 64)
        await world.put(out("d", to=DIRECT))
        assert await other.until_said(1) == ["d"]
        await world.put(out("reply", to=replace(HERE, thread="new"), control=True))
        assert await fake.until_said(1) == ["reply"], "there is room for control replies on the same channel"
        await world.until(lambda states: states["reply"] == "sent")
        sending = [key for key, state in (await world.states()).items() if state == "sending"]
        assert len(sending) == 64, "only what was handed over is in doubt after a crash"


# Failures -------------------------------------------------------------------------------------------------------


async def test_a_temporary_failure_is_tried_again_in_order(world: World, fake: Platform) -> None:
    fake.coming = [Trouble(error=TemporaryFailure("busy"))] * 3
    async with world.running():
        await world.put(out("a"), out("b"))
        await world.all_end()
    assert fake.texts() == ["a", "b"]
    assert fake.calls == 5


async def test_what_is_rejected_is_a_dead_letter_that_a_person_can_retry_or_drop(world: World, fake: Platform) -> None:
    fake.coming = [Trouble(error=Rejected("the bot is blocked")), Trouble(error=Rejected("no such room"))]
    async with world.running() as courier:
        await world.put(out("a"), out("b"), out("c"))
        await world.all_end()
        assert await world.states() == {"a": "dead", "b": "dead", "c": "sent"}
        assert world.ended[:2] == [
            ("a", DeliveryState.DEAD, "the bot is blocked"),
            ("b", DeliveryState.DEAD, "no such room"),
        ]
        b, a = await world.outbox.dead()
        assert [a["key"], b["key"]] == ["a", "b"]
        assert await world.outbox.drop(b["n"])
        assert not await world.outbox.drop(b["n"])
        lane = await world.outbox.retry(a["n"], now())
        assert lane == HERE.key
        courier.notify(lane)
        await world.all_end()
    assert await world.states() == {"a": "sent", "b": "cancelled", "c": "sent"}
    assert fake.texts() == ["c", "a"]


async def test_what_cannot_be_said_for_a_day_is_a_dead_letter(world: World, fake: Platform) -> None:
    world.parts["max_age"] = timedelta(seconds=0.15)
    fake.always = lambda _: Trouble(error=TemporaryFailure("still busy"))
    async with world.running():
        await world.put(out("a"))
        await world.all_end()
    assert world.ended == [("a", DeliveryState.DEAD, "still busy")]


async def test_a_channel_that_is_not_configured_any_more_leaves_dead_letters(world: World) -> None:
    del world.platforms[FAKE]
    async with world.running():
        await world.put(out("a"))
        await world.all_end()
    assert world.ended[0][1:] == (
        DeliveryState.DEAD,
        "the channel fake is not configured any more: configure it, then retry",
    )


@pytest.mark.slow
@pytest.mark.requirement("P3")
@pytest.mark.parametrize("error", [ValueError("bug"), UnknownOutcome("lost"), TimeoutError()])
@pytest.mark.parametrize("shown", [True, False])
async def test_an_answer_that_is_lost_is_never_doubled_where_nobody_can_find_out(
    world: World, fake: Platform, error: Exception, shown: bool
) -> None:
    fake.coming = [Trouble(error=error, shown=shown)]
    async with world.running():
        await world.put(out("a"), out("b"))
        await world.all_end()
    assert await world.states() == {"a": "unknown", "b": "sent"}, "the lane goes on"
    assert fake.texts() == (["a", "b"] if shown else ["b"])
    assert world.ended[0][:2] == ("a", DeliveryState.UNKNOWN)


@pytest.mark.slow
@pytest.mark.requirement("P3")
@pytest.mark.parametrize("error", [ValueError("bug"), UnknownOutcome("lost")])
@pytest.mark.parametrize("shown", [True, False])
@pytest.mark.parametrize("can", [Capability.IDEMPOTENT_SEND, Capability.RECONCILE])
async def test_an_answer_that_is_lost_is_found_out(
    world: World, fake: Platform, error: Exception, shown: bool, can: Capability
) -> None:
    fake.capabilities = can
    fake.coming = [Trouble(error=error, shown=shown)]
    async with world.running():
        await world.put(out("a"), out("b"))
        await world.all_end()
    assert fake.texts() == ["a", "b"]
    assert await world.states() == {"a": "sent", "b": "sent"}


@pytest.mark.slow
async def test_an_adapter_that_always_fails_is_given_up_after_five_tries(world: World, fake: Platform) -> None:
    fake.capabilities = Capability.RECONCILE
    fake.always = lambda place: Trouble(error=KeyError("bug")) if place == HERE.key else None
    async with world.running():
        await world.put(out("a"), out("b", to=THERE))
        await world.all_end()
    assert await world.states() == {"a": "unknown", "b": "sent"}
    assert fake.calls == 6


@pytest.mark.slow
async def test_a_text_that_cannot_be_divided_is_tried_five_times_and_was_never_said(
    world: World, fake: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(message: Outbound) -> Sequence[Outbound]:
        raise RecursionError

    monkeypatch.setattr(fake, "split", broken)
    async with world.running():
        await world.put(out("a"))
        await world.all_end()
    assert (await world.states(), fake.calls) == ({"a": "dead"}, 0)


@pytest.mark.slow
async def test_a_listener_that_fails_does_not_repeat_the_message(world: World, fake: Platform) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the page is gone")

    world.parts["ended"] = broken
    async with world.running():
        await world.put(out("a"), out("b"))
        await world.all_end()
    assert fake.texts() == ["a", "b"]


@pytest.mark.slow
@pytest.mark.requirement("P3")
async def test_a_receipt_that_cannot_be_saved_is_saved_later_and_nothing_is_repeated(
    world: World, fake: Platform
) -> None:
    class FullDisk(SqliteOutbox):
        failures = 2

        async def said(self, *args: Any) -> Any:
            if self.failures:
                self.failures -= 1
                raise OSError("the disk is full")
            return await super().said(*args)

    async with world.running(world.courier_of(FullDisk(world.database))):
        await world.put(out("a"), out("b"))
        await world.all_end()
    assert fake.texts() == ["a", "b"]


async def test_a_preview_is_ended_before_the_text_and_never_holds_it_back(world: World, fake: Platform) -> None:
    finished: list[tuple[ThreadRef, list[str]]] = []

    async def finish(where: ThreadRef) -> None:
        finished.append((where, fake.texts()))
        raise RuntimeError("the preview is gone")

    world.parts["finish_live"] = finish
    async with world.running():
        await world.put(out("a"), out("reply", to=THERE, control=True))
        await world.all_end()
    assert finished in ([(HERE, [])], [(HERE, ["reply"])])
    assert sorted(fake.texts()) == ["a", "reply"]


async def test_stopping_lets_what_is_on_its_way_come_to_its_end(world: World, fake: Platform) -> None:
    fake.gates[HERE.key].clear()
    async with world.running() as courier:
        await world.put(out("a"), out("b"))
        async with fake.said:
            await fake.said.wait_for(lambda: fake.calls == 1)
        stopping = asyncio.create_task(courier.stop(timedelta(seconds=5)))
        await asyncio.sleep(0)
        fake.gates[HERE.key].set()
        assert await stopping
    assert await world.states() == {"a": "sent", "b": "pending"}
    assert fake.texts() == ["a"]


async def test_stopping_does_not_wait_for_ever(world: World, fake: Platform) -> None:
    fake.gates[HERE.key].clear()
    async with world.running() as courier:
        await world.put(out("a"))
        async with fake.said:
            await fake.said.wait_for(lambda: fake.calls == 1)
        assert not await courier.stop(timedelta(seconds=0.05))


# Parts ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_the_split_is_fixed_at_the_first_try(world: World, fake: Platform) -> None:
    fake.part_length = 4
    fake.coming = [
        Trouble(error=TemporaryFailure("busy")),
    ]
    world.parts["chance"] = lambda: 1.0
    async with world.running():
        await world.put(out("k", "aaaabbbbcc"))
        await world.until(lambda _: fake.calls == 1)
        await world.until(lambda states: states == {"k": "pending"})
    fake.part_length = 3
    async with world.running():
        await world.all_end()
    assert fake.texts() == ["aaaa", "bbbb", "cc"]
    assert sorted(fake.keys) == ["k#0", "k#1", "k#2"]
    [row] = await world.rows()
    assert (row["part"], row["message_ids"]) == (3, '["m0","m1","m2"]')


# The process ends anywhere --------------------------------------------------------------------------------------


class Crash:
    """Lets `count` calls through (the store's and the platform's together); in the next one the process ends, before
    or after its effect, and nothing else happens any more."""

    def __init__(self, count: int, *, after: bool) -> None:
        self.left = count
        self.after = after
        self.over = asyncio.Event()

    def around(self, inner: Any) -> Any:
        crash = self

        class Around:
            def __getattr__(self, name: str) -> Any:
                value = getattr(inner, name)
                if not asyncio.iscoroutinefunction(value):
                    return value

                async def call(*args: Any, **kwargs: Any) -> Any:
                    crash.left -= 1
                    if crash.left < 0 and (crash.over.is_set() or not crash.after):
                        crash.over.set()
                        await asyncio.Event().wait()
                    result = await value(*args, **kwargs)
                    if crash.left < 0:
                        crash.over.set()
                        await asyncio.Event().wait()
                    return result

                return call

        return Around()


@pytest.mark.requirement("P3")
@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("can", [Capability.NONE, Capability.IDEMPOTENT_SEND, Capability.RECONCILE])
async def test_killed_at_any_moment_nothing_is_lost_and_nothing_said_twice(
    tmp_path: Path, can: Capability, after: bool
) -> None:
    texts = ["one", "two two", "three"]
    pieces = ["one", "two ", "two", "thre", "e"]
    for count in itertools.count():
        fake = Platform(name=FAKE, capabilities=can, part_length=4)
        async with opened(tmp_path / str(count)) as database:
            crash = Crash(count, after=after)
            world = World(database=database, platforms={FAKE: crash.around(fake)})
            await world.put(*[out(f"k{number}", text) for number, text in enumerate(texts)])
            async with world.running(world.courier_of(crash.around(world.outbox))):
                done = asyncio.create_task(world.all_end())
                over = asyncio.create_task(crash.over.wait())
                await asyncio.wait([done, over], return_when=asyncio.FIRST_COMPLETED)
                for task in (done, over):
                    task.cancel()
            world.platforms = {FAKE: fake}
            async with world.running():
                await world.all_end()
            states = await world.states()
            if can is Capability.NONE:
                assert len(set(fake.texts())) == len(fake.texts()), f"said twice, crashed at {count}"
                assert sum(state == "unknown" for state in states.values()) <= 1
                for number, text in enumerate(texts):
                    if states[f"k{number}"] == "sent":
                        assert text.replace(" ", "") in "".join(fake.texts()).replace(" ", "")
                assert set(states.values()) <= {"sent", "unknown"}
            else:
                assert fake.texts() == pieces, f"crashed at {count}"
                assert set(states.values()) == {"sent"}
            timeline = await world.rows("select delivery from timeline order by n")
            sent = [row["n"] for row in await world.rows() if row["state"] == "sent"]
            assert [row["delivery"] for row in timeline] == sent, "each stands once in the timeline"
        if not crash.over.is_set():
            break
    assert count > 12


# Another place --------------------------------------------------------------------------------------------------


def is_away(platform: Platform) -> None:
    platform.always = lambda _: Trouble(error=Unavailable(f"{platform.name} cannot be reached"))


NOTE = "*Fake cannot be reached at the moment, so I go on here.*"


@pytest.mark.requirement("P7")
async def test_a_conversation_goes_on_elsewhere_in_order_and_says_so_once(
    world: World, fake: Platform, other: Platform
) -> None:
    is_away(fake)
    world.reach = [DIRECT]
    await world.sessions("s1", home=HERE.key, answer_to=HERE.key)
    async with world.running():
        await world.put(out("a", reply_to="m7", answer_with="token"), out("b", reply_to="m8"), session="s1")
        await world.put(out("stays"), session=None)
        await other.until_said(2)
        await world.put(out("c"), session="s1")
        assert await other.until_said(3) == [f"{NOTE}\n\na", "b", "c"]
        assert (await world.states())["stays"] == "pending", "what belongs to no session has nowhere else to go"
        assert (await world.rows("select place, session from bindings")) == [{"place": DIRECT.key, "session": "s1"}]
        [session] = await world.rows("select home, answer_to from sessions")
        assert session == {"home": HERE.key, "answer_to": DIRECT.key}
        moved = await world.rows("select * from deliveries where session = 's1' order by n")
        assert {row["lane"] for row in moved} == {DIRECT.key}
        assert all("m7" not in row["body"] and "token" not in row["body"] and "m8" not in row["body"] for row in moved)
        fake.always = lambda _: None
        assert await fake.until_said(1) == ["stays"]
        await world.put(out("d"), session="s1")
        assert await fake.until_said(2) == ["stays", "d"]


@pytest.mark.requirement("P7")
async def test_what_is_meant_for_somebody_else_waits_where_it_is_and_goes_to_no_other_place(
    world: World, fake: Platform, other: Platform
) -> None:
    is_away(fake)
    world.reach = [DIRECT]
    await world.sessions("s1")
    async with world.running():
        await world.put(out("bob is asked", to=THERE, stays=True), session="s1")
        await world.put(out("ada is told"), session="s1")
        assert await other.until_said(1) == [f"{NOTE}\n\nada is told"]
        fake.always = lambda _: None
        assert await fake.until_said(1) == ["bob is asked"]
    assert len(other.texts()) == 1


@pytest.mark.requirement("P7")
async def test_a_place_where_another_session_talks_is_passed_over(
    world: World, fake: Platform, other: Platform
) -> None:
    is_away(fake)
    second = replace(DIRECT, room="second")
    world.reach = [DIRECT, second]
    await world.sessions("s1", "s2")
    await world.database.write(
        lambda tx: tx.execute("insert into bindings values (?, 's2', 0)", (DIRECT.key,)).rowcount
    )
    async with world.running():
        await world.put(out("a"), session="s1")
        await other.until_said(1)
    assert other.texts(second.key) == [f"{NOTE}\n\na"]


async def test_only_what_was_not_said_yet_goes_elsewhere(world: World, fake: Platform, other: Platform) -> None:
    fake.part_length = 4
    world.reach = [DIRECT]
    await world.sessions("s1")
    away = Trouble(error=Unavailable("gone"))
    calls = itertools.count()
    fake.always = lambda _: away if next(calls) else None
    async with world.running():
        await world.put(out("k", "aaaabbbbcc"), session="s1")
        await other.until_said(1)
        await world.all_end()
    assert fake.texts() == ["aaaa"]
    assert other.texts() == [f"{NOTE}\n\nbbbb\n\ncc"]


@pytest.mark.requirement("P7")
async def test_when_the_second_place_is_away_too_one_note_is_enough(world: World, fake: Platform) -> None:
    other = Platform(name=OTHER)
    third = Platform(name=ChannelName("third"))
    world.platforms = {FAKE: fake, OTHER: other, third.name: third}
    is_away(fake)
    is_away(other)
    world.reach = [DIRECT, ThreadRef(channel=third.name, room="ada")]
    await world.sessions("s1")
    async with world.running():
        await world.put(out("a"), session="s1")
        assert await third.until_said(1) == ["*Other cannot be reached at the moment, so I go on here.*\n\na"]


@pytest.mark.requirement("P7")
@pytest.mark.parametrize("shown", [True, False])
async def test_what_is_in_doubt_when_a_platform_goes_away_is_looked_up_when_it_is_back(
    world: World, fake: Platform, other: Platform, shown: bool
) -> None:
    fake.capabilities = Capability.RECONCILE
    is_away(fake)
    fake.coming = [Trouble(error=UnknownOutcome("the connection broke"), shown=shown)]
    world.reach = [DIRECT]
    await world.sessions("s1")
    async with world.running():
        await world.put(out("a"), out("b"), session="s1")
        assert await other.until_said(1) == [f"{NOTE}\n\nb"]
        assert (await world.states())["a"] == "unknown"
        fake.always = lambda _: None
        await world.put(out("c", to=THERE))
        await world.all_end()
        await world.until(lambda states: set(states.values()) == {"sent"})
    assert sorted(fake.texts()) == ["a", "c"]
    assert other.texts() == [f"{NOTE}\n\nb"], "said once, at one of the two places"


async def test_without_another_place_everything_waits_for_the_platform(world: World, fake: Platform) -> None:
    is_away(fake)
    async with world.running():
        await world.put(out("a"), out("b"))
        await world.until(lambda _: fake.calls >= 5)
        fake.always = lambda _: None
        await world.all_end()
    assert fake.texts() == ["a", "b"]


# Kill -----------------------------------------------------------------------------------------------------------


async def kill(world: World, *sessions: str) -> list[str]:
    def work(tx: Any) -> list[str]:
        for session in sessions:
            tx.execute(
                "update sessions set state = 'ended', ended = 'killed', epoch = epoch + 1 where id = ?", (session,)
            )
        return functions.cancel_for(tx, sessions)

    return await world.database.write(work)


@pytest.mark.requirement("P4")
async def test_a_kill_takes_back_what_was_not_said_and_ends_the_wait(world: World, fake: Platform) -> None:
    fake.coming = [Trouble(error=TemporaryFailure("slow down", retry_after=timedelta(hours=1)))]
    await world.sessions("s1")
    async with world.running() as courier:
        await world.put(out("a"), out("b"), session="s1")
        await world.put(out("others"))
        await world.until(lambda _: fake.calls == 1)
        await world.until(lambda states: states["a"] == "pending")
        await world.put(out("killed", control=True), session="s1")
        lanes = await kill(world, "s1")
        assert lanes == [HERE.key]
        for lane in lanes:
            courier.notify(lane)
        await world.all_end()
    assert sorted(fake.texts()) == ["killed", "others"]
    assert await world.states() == {"a": "cancelled", "b": "cancelled", "others": "sent", "killed": "sent"}


@pytest.mark.requirement("P4")
async def test_what_a_killed_session_puts_all_the_same_is_not_said(world: World, fake: Platform) -> None:
    await world.sessions("s1", state="ended", ended="killed")
    async with world.running():
        await world.put(out("late"), out("reply", control=True), session="s1")
        await world.all_end()
    assert fake.texts() == ["reply"]
    assert (await world.states())["late"] == "cancelled"


@pytest.mark.requirement("P4")
async def test_a_kill_between_two_parts_ends_the_message(world: World, fake: Platform) -> None:
    fake.part_length = 4
    fake.gates[HERE.key].clear()
    await world.sessions("s1")
    async with world.running():
        await world.put(out("k", "aaaabbbbcc"), session="s1")
        async with fake.said:
            await fake.said.wait_for(lambda: fake.calls == 1)
        await kill(world, "s1")
        fake.gates[HERE.key].set()
        await world.all_end()
    assert fake.texts() == ["aaaa"]
    assert await world.states() == {"k": "cancelled"}


@pytest.mark.requirement("P4")
@pytest.mark.parametrize("shown", [True, False])
@pytest.mark.parametrize("can", [Capability.IDEMPOTENT_SEND, Capability.RECONCILE])
async def test_what_was_in_doubt_when_its_session_was_killed_is_not_sent_again(
    world: World, fake: Platform, can: Capability, shown: bool
) -> None:
    fake.capabilities = can
    world.parts["settle"] = timedelta(seconds=0.2)
    fake.coming = [Trouble(error=UnknownOutcome("lost"), shown=shown)]
    await world.sessions("s1")
    async with world.running():
        await world.put(out("a"), session="s1")
        await world.until(lambda _: fake.calls == 1)
        await kill(world, "s1")
        await world.all_end()
    assert fake.texts() == (["a"] if shown else [])
    [state] = (await world.states()).values()
    assert (
        state
        == {
            Capability.IDEMPOTENT_SEND: "unknown",
            Capability.RECONCILE: "sent" if shown else "cancelled",
        }[can]
    )


# Threads to be opened -------------------------------------------------------------------------------------------

ROOM = ThreadRef(channel=FAKE, room="R")
PLACEHOLDER = replace(ROOM, thread="+s2")


async def opening(world: World, first_text: str = "I am the child.") -> None:
    await world.sessions("s1", home=HERE.key)
    await world.sessions("s2", parent="s1", home=PLACEHOLDER.key, answer_to=PLACEHOLDER.key)
    request = OpenThread(key=DeliveryKey("open:s2"), room=ROOM, title="child", first_text=first_text)

    def work(tx: Any) -> None:
        tx.execute("insert into bindings values (?, 's2', 0)", (PLACEHOLDER.key,))
        assert functions.enqueue_opening(tx, request, PLACEHOLDER, session="s2", now=now())
        tx.execute(
            "insert into mail (key, session, kind, text, place, created_at) values ('m', 's2', 'person', 'x', ?, 0)",
            (PLACEHOLDER.key,),
        )

    await world.database.write(work)


async def addresses(world: World) -> dict[str, Any]:
    [session] = await world.rows("select home, answer_to from sessions where id = 's2'")
    [mail] = await world.rows("select place from mail")
    bound = await world.rows("select place from bindings where session = 's2'")
    return {**session, "mail": mail["place"], "bound": [row["place"] for row in bound]}


async def test_a_thread_is_opened_and_everything_follows_to_it(world: World, fake: Platform) -> None:
    await opening(world)
    await world.put(out("first", to=PLACEHOLDER), session="s2")
    async with world.running():
        await world.all_end()
        thread = replace(ROOM, thread="t0").key
        assert fake.texts(thread) == ["I am the child.", "first"]
        assert await addresses(world) == {"home": thread, "answer_to": thread, "mail": thread, "bound": [thread]}
        await world.put(out("late", to=PLACEHOLDER), session="s2")
        await fake.until_said(3)
        await world.all_end()
        assert fake.texts(thread)[-1] == "late", "a turn that began before still names the placeholder"
    shown = await world.rows("select place, delivery from timeline order by n")
    assert [(row["place"], row["delivery"]) for row in shown] == [(thread, 1), (thread, 2), (thread, 3)]


@pytest.mark.parametrize("error", [NoThreads("no threads here"), Rejected("may not open threads")])
async def test_where_there_are_no_threads_the_session_talks_in_the_room(
    world: World, fake: Platform, error: Rejected
) -> None:
    await opening(world)
    await world.put(out("first", to=PLACEHOLDER), session="s2")
    fake.coming = [Trouble(error=error)]
    async with world.running():
        await world.all_end()
    assert fake.texts(ROOM.key) == ["I am the child.", "first"]
    refused = [] if isinstance(error, NoThreads) else [("cancelled", str(error))]
    assert [(state.value, why) for _, state, why in world.ended if why] == refused
    assert await addresses(world) == dict.fromkeys(["home", "answer_to", "mail"], ROOM.key) | {"bound": [ROOM.key]}


async def test_where_the_room_is_taken_too_the_child_speaks_at_its_parents_home(world: World, fake: Platform) -> None:
    await opening(world)
    await world.database.write(lambda tx: tx.execute("insert into bindings values (?, 's1', 0)", (ROOM.key,)).rowcount)
    await world.put(out("first", to=PLACEHOLDER), session="s2")
    fake.coming = [Trouble(error=NoThreads("no threads here"))]
    async with world.running():
        await world.all_end()
    assert fake.texts(HERE.key) == ["I am the child.", "first"]
    assert await addresses(world) == {"home": None, "answer_to": None, "mail": HERE.key, "bound": []}


async def test_a_thread_that_cannot_be_opened_now_is_opened_later(world: World, fake: Platform) -> None:
    await opening(world)
    fake.coming = [Trouble(error=TemporaryFailure("busy")), Trouble(error=UnknownOutcome("lost"))]
    await world.put(out("first", to=PLACEHOLDER), session="s2")
    async with world.running():
        await world.all_end()
    assert fake.texts() == ["I am the child.", "first"]
    tried = [request.tried_at for request in fake.openings]
    assert tried[:2] == [None, None]
    assert tried[2] is not None, "the first try may have opened it, so the platform is told to look"


@pytest.mark.requirement("P7")
async def test_a_thread_whose_platform_is_away_is_replaced_by_another_place(
    world: World, fake: Platform, other: Platform
) -> None:
    await opening(world)
    await world.put(out("first", to=PLACEHOLDER), session="s2")
    is_away(fake)
    world.reach = [DIRECT]
    async with world.running():
        await world.all_end()
    assert other.texts(DIRECT.key) == [f"{NOTE}\n\nI am the child.", "first"]
    assert await addresses(world) == dict.fromkeys(["home", "answer_to", "mail"], DIRECT.key) | {"bound": [DIRECT.key]}


# Rooms that get another id ----------------------------------------------------------------------------------------


@pytest.mark.requirement("P2")
@pytest.mark.requirement("P3")
async def test_what_is_refused_because_its_room_moved_is_said_in_the_new_one_in_order(
    world: World, fake: Platform
) -> None:
    gone = RoomMoved("the room is R2 now", to="R2")
    fake.always = lambda place: Trouble(error=gone) if "/R/" in place or place.endswith(":R") else None
    async with world.running():
        opening = OpenThread(key=DeliveryKey("open"), room=HERE.in_room, title="T", first_text="", anchor=None)
        await world.put(out("a", reply_to="m7"), out("b"), out("c", to=THERE), out("d", to=HERE.in_room))
        await world.sessions("s1", home=replace(HERE, thread="+s1").key)
        await world.database.write(
            lambda tx: functions.enqueue_opening(tx, opening, replace(HERE, thread="+s1"), session="s1", now=now())
        )
        world.courier.notify(replace(HERE, thread="+s1").key)  # type: ignore[union-attr]
        await world.all_end()
    moved = [replace(place, room="R2").key for place in (HERE, THERE, HERE.in_room)]
    assert [fake.texts(place) for place in moved] == [["a", "b"], ["c"], ["d"]]
    assert len(fake.threads) == 1
    assert set((await world.states()).values()) == {"sent"}
    assert await world.outbox.moved_rooms() == {HERE.in_room: replace(HERE.in_room, room="R2")}
    bodies = await world.rows("select body from deliveries where key = 'a'")
    assert bodies == [{"body": "{}"}], "messages have other numbers there"


@pytest.mark.requirement("P8")
async def test_a_room_that_moves_on_and_on_ends_in_the_dead_letters(world: World, fake: Platform) -> None:
    others = itertools.count()
    world.parts = {"max_age": timedelta(seconds=0.2)}
    fake.always = lambda _: Trouble(error=RoomMoved("it moved again", to=f"R-{next(others)}"))
    async with world.running():
        await world.put(out("a"))
        await world.all_end()
    assert await world.states() == {"a": "dead"}
    assert 5 < fake.calls < 15, "the first at once, then slower"
