"""What every engine must do, whatever it runs on. A second form joins by adding itself to ENGINES."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from agents.base import SessionId
from agents.engine import EmbeddedEngine
from agents.ports import Engine

ENGINES: dict[str, Callable[[], Engine]] = {"embedded": EmbeddedEngine}
ONE, TWO = SessionId("sone"), SessionId("stwo")


@asynccontextmanager
async def running(engine: Engine, activate: Callable[[SessionId], Awaitable[None]]) -> AsyncIterator[None]:
    task = asyncio.create_task(engine.run(activate))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(params=list(ENGINES))
def engine(request: pytest.FixtureRequest) -> Engine:
    return ENGINES[request.param]()


async def settled(engine: Engine) -> None:
    for _ in range(5_000):
        await asyncio.sleep(0.001)
        if not engine.awake:
            return
    raise AssertionError("the engine does not come to rest")


async def test_a_session_that_was_woken_before_the_engine_runs_is_activated(engine: Engine) -> None:
    activated = asyncio.Event()

    async def activate(_: SessionId) -> None:
        activated.set()

    engine.wake(ONE)
    async with running(engine, activate), asyncio.timeout(5):
        await activated.wait()


@pytest.mark.requirement("P2")
async def test_one_activation_of_a_session_runs_at_a_time(engine: Engine) -> None:
    inside: Counter[SessionId] = Counter()
    most: Counter[SessionId] = Counter()

    async def activate(session: SessionId) -> None:
        inside[session] += 1
        most[session] = max(most[session], inside[session])
        await asyncio.sleep(0.002)
        inside[session] -= 1

    async with running(engine, activate):
        for _ in range(20):
            engine.wake(ONE)
            engine.wake(TWO)
            await asyncio.sleep(0.001)
        await settled(engine)
    assert most == {ONE: 1, TWO: 1}


async def test_an_activation_that_begins_after_the_wake_sees_what_was_there_before_it(engine: Engine) -> None:
    written = 0
    seen: list[int] = []
    first, release = asyncio.Event(), asyncio.Event()

    async def activate(_: SessionId) -> None:
        seen.append(written)
        first.set()
        if len(seen) == 1:
            await release.wait()

    async with running(engine, activate), asyncio.timeout(5):
        engine.wake(ONE)
        await first.wait()
        written = 1
        engine.wake(ONE)  # while it runs: it must run once more
        release.set()
        await settled(engine)
    assert seen[-1] == 1


async def test_wakes_that_come_together_are_taken_together(engine: Engine) -> None:
    count = 0

    async def activate(_: SessionId) -> None:
        nonlocal count
        count += 1
        await asyncio.sleep(0.01)

    async with running(engine, activate):
        for _ in range(100):
            engine.wake(ONE)
        await settled(engine)
    assert count <= 2


@pytest.mark.requirement("P4")
async def test_an_abort_cancels_the_activation_and_the_next_one_finds_out_why(engine: Engine) -> None:
    begun, cancelled, again = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def activate(_: SessionId) -> None:
        if cancelled.is_set():
            again.set()
            return
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with running(engine, activate), asyncio.timeout(5):
        engine.wake(ONE)
        await begun.wait()
        engine.abort(ONE)
        await again.wait()
        await settled(engine)


@pytest.mark.requirement("P4")
async def test_an_abort_passes_through_time_outs_and_shields_nothing(engine: Engine) -> None:
    begun, runs = asyncio.Event(), 0

    async def activate(_: SessionId) -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            begun.set()
            async with asyncio.timeout(60), asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(60))

    async with running(engine, activate), asyncio.timeout(5):
        engine.wake(ONE)
        await begun.wait()
        engine.abort(ONE)
        await settled(engine)
    assert runs == 2


@pytest.mark.requirement("P6")
async def test_an_activation_that_fails_or_hangs_stops_no_other(engine: Engine) -> None:
    done = asyncio.Event()

    async def activate(session: SessionId) -> None:
        if session == ONE:
            raise RuntimeError("a bug")
        if session == "shang":
            await asyncio.Event().wait()
        done.set()

    async with running(engine, activate), asyncio.timeout(5):
        engine.wake(SessionId("shang"))
        engine.wake(ONE)
        engine.wake(TWO)
        await done.wait()


@pytest.mark.requirement("P6")
async def test_a_session_that_is_aborted_before_its_activation_has_begun_is_activated_all_the_same() -> None:
    engine = EmbeddedEngine()
    activated = asyncio.Event()

    async def activate(_: SessionId) -> None:
        activated.set()

    async with running(engine, activate), asyncio.timeout(5):
        engine.wake(ONE)
        while not engine.awake:  # its task is made, and has run no line yet
            assert not activated.is_set()
            await asyncio.sleep(0)
            engine.abort(ONE)
        await activated.wait()
        await settled(engine)


async def test_an_abort_does_not_hide_that_the_engine_is_stopped(engine: Engine) -> None:
    begun = asyncio.Event()

    async def activate(_: SessionId) -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(engine.run(activate))
    engine.wake(ONE)
    await begun.wait()
    task.cancel()
    await asyncio.sleep(0)  # the engine has passed the cancellation on
    engine.abort(ONE)
    done, _ = await asyncio.wait((task,), timeout=2)
    if not done:
        task.cancel()
    assert done


@pytest.mark.requirement("P6")
async def test_a_cancellation_that_nobody_asked_for_is_a_failure_like_any_other(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = asyncio.Event()
    wake = engine.wake

    def woken(session: SessionId, *, after_seconds: float = 0.0) -> None:
        if after_seconds:
            failed.set()
        wake(session)

    monkeypatch.setattr(engine, "wake", woken)
    runs = 0

    async def activate(_: SessionId) -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise asyncio.CancelledError  # as a library does that cancels its own future

    async with running(engine, activate), asyncio.timeout(5):
        engine.wake(ONE)
        await failed.wait()
        await settled(engine)
    assert runs == 2


async def test_aborting_a_session_that_does_not_run_does_nothing(engine: Engine) -> None:
    async def activate(_: SessionId) -> None: ...

    async with running(engine, activate):
        engine.abort(ONE)
        engine.wake(ONE)
        await settled(engine)
        engine.abort(ONE)
    assert engine.awake == 0


async def test_a_wake_can_be_put_off(engine: Engine) -> None:
    at: list[float] = []
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    async def activate(_: SessionId) -> None:
        at.append(loop.time())
        done.set()

    async with running(engine, activate), asyncio.timeout(5):
        began = loop.time()
        engine.wake(ONE, after_seconds=0.05)
        await done.wait()
    assert at[0] - began >= 0.045


async def test_the_embedded_engine_keeps_no_task_for_a_session_that_rests_and_bounds_those_that_run() -> None:
    engine = EmbeddedEngine(max_awake=10)
    most = 0

    async def activate(_: SessionId) -> None:
        nonlocal most
        most = max(most, engine.awake)
        await asyncio.sleep(0.001)

    async with running(engine, activate):
        before = len(asyncio.all_tasks())
        for number in range(200):
            engine.wake(SessionId(f"s{number}"))
        for _ in range(100):
            await settled(engine)
            if not engine.queued:
                break
        assert len(asyncio.all_tasks()) == before
    assert most == 10
