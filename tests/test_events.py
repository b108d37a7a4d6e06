"""The event hub: what happens now, for readers fast and slow."""

from __future__ import annotations

import asyncio

import pytest

from agents.base import SessionId
from bot.events import EventHub

S1, S2 = SessionId("s1"), SessionId("s2")


def test_what_is_said_now_is_kept_until_it_is_committed_and_something_new_comes() -> None:
    hub = EventHub(lambda: 10.0)
    hub.publish(S1, "turn", {"turn": "t1"})
    hub.publish(S1, "text", {"text": "Hel"})
    hub.publish(S1, "text", {"text": "lo"})
    doing = hub.now_in(S1)
    assert doing is not None
    assert (doing.turn, doing.text, doing.said) == ("t1", "Hello", False)
    hub.publish(S1, "cost", {"cost_usd": 0.01, "tokens": 7, "model": "m"})
    assert (doing.text, doing.said, doing.tokens) == ("Hello", True, 7)
    hub.publish(S1, "text", {"text": "More"})
    assert (doing.text, doing.said) == ("More", False)
    hub.publish(S1, "restarted", {"reason": "fallback"})
    assert doing.text == ""
    hub.publish(S1, "turn_done", {"outcome": "done"})
    assert hub.now_in(S1) is None


def test_tools_are_timed_by_the_clock_that_was_given() -> None:
    now = 0.0
    hub = EventHub(lambda: now)
    hub.publish(S1, "turn", {"turn": "t1"})
    hub.publish(S1, "tool", {"call_id": "c1", "name": "web_fetch", "arguments": {"url": "x"}})
    hub.publish(S1, "tool", {"call_id": "c2", "name": "ask", "arguments": {}})
    now = 2.5
    hub.publish(S1, "tool_done", {"call_id": "c1", "name": "web_fetch", "error": True})
    doing = hub.now_in(S1)
    assert doing is not None
    assert [(run.name, run.seconds, run.error) for run in doing.tools] == [
        ("web_fetch", 2.5, True),
        ("ask", None, False),
    ]
    hub.ended(S1)
    assert hub.now_in(S1) is None


@pytest.mark.requirement("P8")
def test_memory_for_a_turn_has_a_bound() -> None:
    hub = EventHub()
    hub.publish(S1, "turn", {"turn": "t1"})
    for _ in range(30):
        hub.publish(S1, "text", {"text": "x" * 10_000})
        hub.publish(S1, "thinking", {"text": "y" * 10_000})
    for number in range(200):
        hub.publish(S1, "tool", {"call_id": str(number), "name": "t", "arguments": {}})
    doing = hub.now_in(S1)
    assert doing is not None
    assert (len(doing.text), len(doing.thinking), len(doing.tools)) == (200_000, 2_000, 50)
    assert doing.tools[-1].call_id == "199"
    for number in range(10_050):
        hub.publish(SessionId(f"x{number}"), "turn", {"turn": "t"})
    assert hub.now_in(S1) is None
    assert hub.now_in(SessionId("x10049")) is not None


async def test_a_reader_gets_its_places_and_sessions_and_nothing_else() -> None:
    hub = EventHub()
    with hub.subscribe(place="web:/main/a") as mine, hub.subscribe(everywhere=True, overview=True) as overview:
        mine.watch(S1)
        hub.changed("web:/main/b")
        hub.publish(S2, "text", {"text": "x"})
        assert await mine.wait(0) is None
        hub.changed("web:/main/a")
        hub.publish(S1, "text", {"text": "x"})
        news = await mine.wait(1)
        assert news is not None
        assert (set(news.places), set(news.sessions), news.events) == ({"web:/main/a"}, {S1}, ())
        all_news = await overview.wait(1)
        assert all_news is not None
        assert set(all_news.places) == {"web:/main/a", "web:/main/b"}
        assert not all_news.sessions
        hub.publish(S2, "turn_done", {"outcome": "done"})
        assert list(overview.take().sessions) == [S2]
    assert hub.readers == 0
    hub.changed("web:/main/a")
    hub.publish(S1, "text", {"text": "x"})


@pytest.mark.requirement("P8")
def test_a_slow_reader_loses_deltas_first_and_is_told_to_reload() -> None:
    hub = EventHub()
    with hub.subscribe(every_session=True, events=True) as slow:
        for _ in range(3_000):
            hub.publish(S1, "text", {"text": "x"})
        news = slow.take()
        assert [(event.kind, event.data["text"]) for event in news.events] == [("text", "x" * 3_000)]
        assert not news.reload
        hub.publish(S1, "turn", {"turn": "t1"})
        for number in range(1_200):
            hub.publish((S1, S2)[number % 2], "text", {"text": "x"})
        news = slow.take()
        assert news.reload
        assert news.events[0].kind == "turn"
        assert len(news.events) <= 1_000
        for number in range(5_000):
            hub.publish(S1, "tool", {"call_id": str(number), "name": "t", "arguments": {}})
        assert len(slow.take().events) <= 1_000


async def test_closing_wakes_every_reader_also_those_that_come_later() -> None:
    hub = EventHub()
    with hub.subscribe(place="a") as reader:
        waiting = asyncio.create_task(reader.wait(10))
        await asyncio.sleep(0)
        hub.close()
        news = await waiting
        assert news is not None
        assert news.closed
    with hub.subscribe(place="a") as late:
        news = await late.wait(10)
        assert news is not None
        assert news.closed
