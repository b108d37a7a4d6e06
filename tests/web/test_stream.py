"""The event stream: live, resumable without a gap, and gone with its reader."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.web.rig import Rig

PLACE = "web:/main/hello"


class Events:
    """A small reader of server-sent events."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines

    async def next(self, *kinds: str) -> tuple[str, Any, str | None]:
        """The next event of one of these kinds (of any, without kinds)."""
        async with asyncio.timeout(10):
            found: dict[str, str] = {}
            while True:
                line = await anext(self._lines)
                if line:
                    name, _, value = line.partition(": ")
                    found[name] = value
                elif "event" in found and (not kinds or found["event"] in kinds):
                    return found["event"], json.loads(found["data"]), found.get("id")
                else:
                    found = {}


@asynccontextmanager
async def events(rig: Rig, *, last: int | None = None, **query: str) -> AsyncIterator[Events]:
    headers = {} if last is None else {"last-event-id": str(last)}
    before = rig.hub.readers
    async with rig.client.stream("GET", "/api/v1/events", params=query, headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        await rig.readers(before + 1)
        yield Events(response.aiter_lines())


async def test_what_is_said_and_done_in_a_thread_comes_as_it_happens(rig: Rig) -> None:
    session = await rig.core.session("s1", PLACE)
    async with events(rig, thread=PLACE) as stream:
        await rig.core.say(PLACE, "first", "k1", "s1")
        kind, data, id = await stream.next()
        assert (kind, data["text"], int(id or 0)) == ("message", "first", data["n"])
        rig.hub.publish(session, "turn", {"turn": "t1"})
        rig.hub.publish(session, "text", {"text": "Hel"})
        rig.hub.publish(session, "text", {"text": "lo\n\nyou"})
        rig.hub.publish(session, "tool", {"call_id": "c", "name": "web_fetch", "arguments": {"url": "x"}})
        assert (await stream.next())[:2] == ("turn", {"session": "s1", "turn": "t1"})
        text = ""
        while len(text) < 10:
            kind, data, _ = await stream.next()
            assert kind == "text"
            text += data["text"]
        assert text == "Hello\n\nyou"
        assert (await stream.next())[1]["arguments"] == {"url": "x"}


async def test_a_thread_hears_nothing_of_others_but_of_a_session_that_comes_to_it(rig: Rig) -> None:
    other = await rig.core.session("s2", "web:/main/other")
    async with events(rig, thread=PLACE) as stream:
        rig.hub.publish(other, "turn", {"turn": "t"})
        rig.hub.publish(other, "text", {"text": "secret"})
        await rig.core.say("web:/main/other", "elsewhere", "k1", "s2")
        mine = await rig.core.session("s3", PLACE)
        rig.hub.publish(mine, "turn", {"turn": "t3"})
        rig.hub.publish(mine, "text", {"text": "at once "})
        assert (await stream.next())[:2] == ("turn", {"session": "s3", "turn": "t3"})
        assert (await stream.next())[1]["text"] == "at once "
        rig.hub.publish(mine, "text", {"text": "and after"})
        assert (await stream.next())[1]["text"] == "and after"


@pytest.mark.requirement("P2")
async def test_a_reader_that_was_away_misses_nothing_and_sees_nothing_twice(rig: Rig) -> None:
    async with events(rig, thread=PLACE) as stream:
        await rig.core.say(PLACE, "0", "k0")
        last = int((await stream.next("message"))[2] or 0)
    await rig.readers(0)
    for number in range(1, 1200):
        await rig.core.say(PLACE, str(number), f"k{number}") if number > 1190 else await _quietly(rig, number)
    async with events(rig, thread=PLACE, last=last) as stream:
        texts = [(await stream.next("message"))[1]["text"] for _ in range(1199)]
    assert texts == [str(number) for number in range(1, 1200)]


async def _quietly(rig: Rig, number: int) -> None:
    """Said while nobody looks; many at once are committed together."""
    if number % 100 == 1:
        batch = range(number, min(number + 100, 1191))
        await asyncio.gather(*(rig.core.say(PLACE, str(each), f"k{each}") for each in batch))


async def test_without_a_filter_everything_comes(rig: Rig) -> None:
    async with events(rig, after="0") as stream:
        await rig.core.say(PLACE, "one", "k1")
        await rig.core.say("slack:T/C/1", "two", "k2")
        assert [(await stream.next("message"))[1]["place"] for _ in range(2)] == [PLACE, "slack:T/C/1"]


async def test_one_sessions_events(rig: Rig) -> None:
    session = await rig.core.session("s1", PLACE)
    async with events(rig, session="assistant-s1") as stream:
        rig.hub.publish(session, "tool", {"call_id": "c", "name": "t", "arguments": {}})
        assert (await stream.next())[0] == "tool"


async def test_a_number_from_another_life_begins_now(rig: Rig) -> None:
    async with events(rig, thread=PLACE, last=10**9) as stream:
        await rig.core.say(PLACE, "hello", "k1")
        assert (await stream.next("message"))[1]["text"] == "hello"


async def test_a_page_gets_the_live_bubble_and_outlines_as_html(rig: Rig) -> None:
    session = await rig.core.session("s1", PLACE, state="running")
    rig.hub.publish(session, "turn", {"turn": "t1"})
    rig.hub.publish(session, "text", {"text": "so **far** <i>"})
    async with events(rig, thread=PLACE, view="page") as stream:
        _, data, _ = await stream.next("live")  # opened in the middle of a turn
        assert "so <strong>far</strong> &lt;i&gt;" in data["html"]
        rig.hub.publish(session, "tool", {"call_id": "c", "name": "web_fetch", "arguments": {"url": "<b>"}})
        _, data, _ = await stream.next("live")
        assert "&lt;b&gt;" in data["html"]
        rig.hub.publish(session, "cost", {"cost_usd": 0.1, "tokens": 5})
        await rig.core.say(PLACE, "so **far**", "k1", "s1")
        seen = [await stream.next("message", "live", "place", "facts", "session") for _ in range(4)]
        assert {"message", "place"} <= {kind for kind, _, _ in seen}
        message = next(data for kind, data, _ in seen if kind == "message")
        assert "<strong>far</strong>" in message["html"]
        rig.hub.publish(session, "turn_done", {"outcome": "done"})
        while (await stream.next("live"))[1]["html"]:
            pass


async def test_a_page_hears_of_threads_that_came_while_it_was_drawn(rig: Rig) -> None:
    await rig.core.say(PLACE, "before", "k1")
    await rig.core.say("web:/main/child", "I am the child", "k2")
    async with events(rig, thread=PLACE, view="page", after="1") as stream:
        _, data, _ = await stream.next("place")
        assert data["place"] == "web:/main/child"
        await stream.next("facts")
        async with events(rig, thread=PLACE, view="page", after="2") as later:
            assert (await later.next("waiting", "place"))[0] == "waiting"


async def test_a_page_sees_what_is_on_its_way_and_what_died(rig: Rig) -> None:
    async with events(rig, thread="slack:T/C/1", view="page") as stream:
        assert (await stream.next("waiting"))[1]["html"] == ""
        await rig.core.say("slack:T/C/1", "soon", "k1", state="pending")
        assert "on its way" in (await stream.next("waiting"))[1]["html"]


@pytest.mark.requirement("P8")
async def test_a_reader_that_leaves_is_forgotten(rig: Rig) -> None:
    async with events(rig, thread=PLACE), events(rig):
        assert rig.hub.readers == 2
    await rig.readers(0)


@pytest.mark.requirement("P8")
async def test_there_is_a_bound_for_readers(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.web.stream.READERS", 1)
    async with events(rig):
        refused = await rig.client.get("/api/v1/events")
        assert (refused.status_code, refused.headers["content-type"]) == (503, "application/problem+json")


async def test_stopping_ends_streams_and_long_polls_at_once(rig: Rig) -> None:
    polling = asyncio.create_task(rig.client.get("/api/v1/threads/x/messages", params={"after": 0, "wait": 60}))
    await rig.readers(1)
    async with events(rig) as stream:
        rig.hub.close()
        with pytest.raises(StopAsyncIteration):
            await stream.next()
    assert (await polling).json()["messages"] == []
