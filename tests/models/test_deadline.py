"""The time limit that counts a generator's own time only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from agents.models.deadline import within


async def counting(*waits: float) -> AsyncGenerator[int, None]:
    for number, seconds in enumerate(waits):
        await asyncio.sleep(seconds)
        yield number


async def test_what_is_in_time_passes() -> None:
    assert [number async for number in within(5.0, counting(0, 0, 0))] == [0, 1, 2]


async def test_what_takes_too_long_ends_with_a_timeout_and_the_generator_is_told() -> None:
    ended = asyncio.Event()

    async def hanging() -> AsyncGenerator[int, None]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            ended.set()

    events = within(0.02, hanging())
    assert await anext(events) == 1
    with pytest.raises(TimeoutError, match=r"longer than 0\.02 s"):
        await anext(events)
    assert ended.is_set()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_many_short_steps_are_added_up() -> None:
    with pytest.raises(TimeoutError):
        [number async for number in within(0.05, counting(*[0.01] * 1000))]


async def test_the_reader_s_time_does_not_count() -> None:
    seen = []
    async for number in within(0.05, counting(0, 0, 0)):
        await asyncio.sleep(0.06)
        seen.append(number)
    assert seen == [0, 1, 2]


async def test_a_cancellation_from_outside_stays_one() -> None:
    async def read() -> None:
        async for _ in within(60.0, counting(3600.0)):
            pass

    task = asyncio.ensure_future(read())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_timeout_of_the_caller_s_own_is_not_swallowed() -> None:
    caught = None
    try:
        async with asyncio.timeout(0.02):
            await anext(within(60.0, counting(3600.0)))
    except TimeoutError as error:
        caught = error
    assert caught is not None
    assert "took longer" not in str(caught)
