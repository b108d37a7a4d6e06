"""Monitors at work: what wakes the agent, what is said where, and that no crash loses or doubles it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agents.base import AgentName
from agents.monitors.base import Check, MonitorName, Source
from agents.monitors.schedule import Missed
from channels.base import Account, ThreadRef
from storage.database import Database
from storage.outbox import SqliteOutbox
from tests.agents.world import profiles
from tests.fakes.website import Website, website
from tests.monitors.rig import PLACES, ROOM, START, THREAD, Rig, monitor, rig

ALL_WELL = "All systems work as they should, and have done so for ninety days."
INCIDENT = "There is an incident: the database answers slowly since nine o'clock."


@pytest.fixture
async def site() -> AsyncIterator[Website]:
    async with website() as made:
        made.page("/", ALL_WELL)
        yield made


def watching(site: Website, **changes: Any) -> Any:
    return {"monitors": [monitor(site.url("/"), **changes)]}


async def test_the_first_look_and_an_unchanged_page_say_nothing(tmp_path: Path, site: Website) -> None:
    async with rig(tmp_path, **watching(site)) as at:
        site.page("/", ALL_WELL, noise="something that nobody reads")
        await at.passes(minutes=5)
        assert await at.firings() == [("done", "seen for the first time"), ("done", "unchanged")]
        assert await at.said(THREAD) == await at.said(ROOM) == []
        assert await at.world.query("select 1 from sessions") == []


@pytest.mark.requirement("P3")
async def test_a_change_wakes_the_agent_with_the_difference_and_is_reported_once_in_every_place(
    tmp_path: Path, site: Website
) -> None:
    async with rig(tmp_path, **watching(site)) as at:
        site.page("/", ALL_WELL, INCIDENT)
        await at.passes(minutes=5)
        await at.passes(minutes=5)
        for place in PLACES:
            (report,) = await at.said(place)
            assert report.startswith("News")
            assert f"+{INCIDENT}" in report
            assert ALL_WELL not in report
        (session,) = await at.world.sessions.living()
        assert (session.label, session.home, session.owner) == ("monitor-page", THREAD, "monitor:page")


async def test_people_answer_a_report_in_its_thread_and_only_there(tmp_path: Path, site: Website) -> None:
    async with rig(tmp_path, **watching(site)) as at:
        site.page("/", INCIDENT)
        await at.passes(minutes=5)
        session = await at.world.says("say It was a disk", THREAD)
        await at.at_rest()
        assert session.label == "monitor-page"
        assert (await at.said(THREAD))[1:] == ["It was a disk"]
        assert len(await at.said(ROOM)) == 1
        assert await at.world.sessions.bound(ROOM) is None  # or it would answer everything that is said there


async def test_a_thread_that_belongs_to_another_session_gets_the_report_and_stays_that_session_s(
    tmp_path: Path, site: Website
) -> None:
    async with rig(tmp_path, **watching(site)) as at:
        other = await at.world.says("say hello", THREAD)
        site.page("/", INCIDENT)
        await at.passes(minutes=5)
        assert INCIDENT in (await at.said(THREAD))[1]
        bound = await at.world.sessions.bound(THREAD)
        assert bound is not None
        assert bound.id == other.id


@pytest.mark.parametrize("answer", ["say NOTHING", "say *NOTHING*."])
async def test_an_agent_that_answers_nothing_reports_nothing(tmp_path: Path, answer: str) -> None:
    async with rig(tmp_path, [monitor(prompt=answer)]) as at:
        await at.passes(minutes=5)
        assert await at.firings() == [("done", "woken")]
        assert await at.said(THREAD) == await at.said(ROOM) == []


async def test_only_the_last_answer_of_a_report_is_said(tmp_path: Path) -> None:
    async with rig(tmp_path, [monitor(prompt="say I look around then agents then say All is quiet")]) as at:
        await at.passes(minutes=5)
        for place in PLACES:
            (report,) = await at.said(place)
            assert "All is quiet" in report
            assert "I look around" not in report


async def test_a_monitor_without_a_check_wakes_its_agent_each_time_in_one_session(tmp_path: Path) -> None:
    async with rig(tmp_path, [monitor()]) as at:
        await at.passes(minutes=5)
        await at.passes(minutes=5)
        assert await at.said(ROOM) == ["News", "News"]
        assert len(await at.world.sessions.living()) == 1


async def test_a_monitor_that_looks_each_time_gives_what_is_there(tmp_path: Path, site: Website) -> None:
    check = Check(url=site.url("/"), changed=False)
    async with rig(tmp_path, **watching(site, check=check)) as at:
        await at.passes(minutes=5)
        (first, second) = await at.said(THREAD)
        assert ALL_WELL in first
        assert "Unchanged" in second
        assert ALL_WELL in second


async def test_json_with_other_order_is_no_change_and_an_etag_spares_the_page(tmp_path: Path, site: Website) -> None:
    site.json("/json", {"a": 1, "b": 2})
    site.tagged("/tagged", "text", "v1")
    monitors = [
        monitor(site.url("/json"), name=MonitorName("json")),
        monitor(site.url("/tagged"), name=MonitorName("tagged")),
    ]
    async with rig(tmp_path, monitors, hosts=[site.host]) as at:
        site.json("/json", {"b": 2, "a": 1})
        await at.passes(minutes=5)
        assert [outcome for _, outcome in await at.firings()][2:] == ["unchanged", "unchanged"]
        assert site.requests[-1].headers.get("if-none-match") == '"v1"' or site.requests[-2].headers.get(
            "if-none-match"
        )


async def test_three_failures_in_a_row_are_told_once_and_so_is_the_recovery(tmp_path: Path, site: Website) -> None:
    async with rig(tmp_path, **watching(site)) as at:
        site.breaks("/")
        for _ in range(6):
            await at.passes(minutes=5)
        for place in PLACES:
            (told,) = await at.said(place)
            assert "cannot be checked" in told
            assert "503" in told
        (record,) = await at.monitors.records()
        assert "503" in (record.last_error or "")
        site.mends("/")
        await at.passes(minutes=5)
        assert (await at.said(ROOM))[1:] == ["**page** can be checked again."]
        await at.passes(minutes=5)
        assert len(await at.said(ROOM)) == 2
        (record,) = await at.monitors.records()
        assert record.last_error is None


async def test_what_changed_while_it_could_not_be_checked_is_found_afterwards(tmp_path: Path, site: Website) -> None:
    async with rig(tmp_path, **watching(site)) as at:
        site.breaks("/")
        await at.passes(minutes=5)
        site.page("/", INCIDENT)
        site.mends("/")
        await at.passes(minutes=5)
        (report,) = await at.said(ROOM)
        assert f"-{ALL_WELL}" in report
        assert f"+{INCIDENT}" in report


@pytest.mark.requirement("P8")
async def test_a_flood_of_reports_is_held_back_told_once_and_summed_up_later(tmp_path: Path, site: Website) -> None:
    async with rig(tmp_path, **watching(site), limit=2) as at:
        for number in range(8):
            site.page("/", f"Number {number} is shown here, and it is another one each time.")
            await at.passes(minutes=5)
        first, second, told = await at.said(ROOM)
        assert "Number 0" in first
        assert "Number 1" in second
        assert "as often as it may (2)" in told
        await at.passes(hours=1)
        last = (await at.said(ROOM))[3]
        assert "-Number 1" in last
        assert "+Number 7" in last


@pytest.mark.requirement("P6")
async def test_a_page_that_hangs_holds_up_no_other_monitor(tmp_path: Path, site: Website) -> None:
    site.stalls("/hangs")
    hanging = monitor(site.url("/hangs"), name=MonitorName("hangs"))
    async with rig(tmp_path, hosts=[site.host]) as at:
        await at.monitors.configure([hanging, monitor(name=MonitorName("other"))])
        await site.until_asked("/hangs")
        at.now += timedelta(minutes=5)
        at.timetable.tell(at.now)
        await at.world.until(lambda: at.world.said_any("News", ROOM))
        assert at.monitors.busy == 1


@pytest.mark.slow
async def test_what_is_found_while_a_report_is_written_waits_and_comes_as_one(tmp_path: Path) -> None:
    async with rig(tmp_path, [monitor(prompt="wait 300ms then say News")]) as at:
        for _ in range(4):
            at.now += timedelta(minutes=5)
            at.timetable.tell(at.now)
            await at.world.until(lambda: at.monitors.busy == 0)
        await at.at_rest()
        outcomes = [outcome for _, outcome in await at.firings()]
        assert outcomes[0] == "woken"
        assert "the agent has not taken in the last one yet" in outcomes
        assert 1 <= len(await at.said(ROOM)) <= 2


async def test_what_was_missed_while_nothing_ran_is_one_firing_or_none(tmp_path: Path) -> None:
    plans = [monitor(name=MonitorName("once")), monitor(name=MonitorName("skip"), missed=Missed.SKIP)]
    async with rig(tmp_path, plans):
        pass
    async with rig(tmp_path, plans, now=START + timedelta(hours=8, minutes=2)) as at:
        await at.at_rest()
        rows = await at.world.query("select key, state from firings order by key")
        assert [(row["key"], row["state"]) for row in rows] == [
            ("monitor:once:2026-11-21T17:00:00.000000Z", "done"),
            ("monitor:skip:2026-11-21T17:00:00.000000Z", "skipped"),
        ]
        assert at.timetable.planned[MonitorName("skip")][1] == START + timedelta(hours=8, minutes=5)


async def test_a_clock_that_is_set_back_repeats_nothing(tmp_path: Path) -> None:
    async with rig(tmp_path, [monitor()]) as at:
        await at.passes(minutes=5)
        await at.passes(minutes=5)
        at.now -= timedelta(minutes=7)
        at.timetable.jumped()
        await at.at_rest()
        await at.passes(minutes=2)
        assert len(await at.said(ROOM)) == 2
        await at.passes(minutes=10)
        assert len(await at.said(ROOM)) == 3


async def test_edits_take_effect_and_leave_what_they_do_not_touch(tmp_path: Path, site: Website) -> None:
    other = monitor(name=MonitorName("other"), prompt="say NOTHING")
    async with rig(tmp_path, [monitor(site.url("/")), other], hosts=[site.host]) as at:
        at.now += timedelta(minutes=2)
        await at.monitors.configure([monitor(site.url("/"), prompt="say Read this", report_to=(ROOM,)), other])
        assert {next_at for _, next_at in at.timetable.planned.values()} == {START + timedelta(minutes=5)}
        site.page("/", INCIDENT)
        await at.passes(minutes=3)
        assert (await at.said(ROOM))[0].startswith("Read this")
        assert await at.said(THREAD) == []
        await at.monitors.configure([monitor(site.url("/"), every=timedelta(hours=1))])
        assert at.timetable.planned[MonitorName("page")][1] == at.now + timedelta(hours=1)
        assert MonitorName("other") not in at.timetable.planned
        assert [session.label for session in await at.world.sessions.living()] == ["monitor-page"]


async def test_another_agent_works_in_a_session_of_its_own(tmp_path: Path) -> None:
    async with rig(tmp_path, [monitor()]) as at:
        await at.passes(minutes=5)
        await at.monitors.configure([monitor(agent=AgentName("researcher"))])
        await at.passes(minutes=5)
        (session,) = await at.world.sessions.living()
        assert (session.agent, session.label) == ("researcher", "monitor-page")
        assert len(await at.said(ROOM)) == 2


async def test_a_killed_session_stays_dead_and_the_monitor_goes_on_with_a_new_one(tmp_path: Path) -> None:
    async with rig(tmp_path, [monitor()]) as at:
        await at.passes(minutes=5)
        (first,) = await at.world.sessions.living()
        await at.world.team.kill(first.id, by="Ada")
        await at.passes(minutes=5)
        (second,) = await at.world.sessions.living()
        assert second.id != first.id
        assert await at.said(ROOM) == ["News"]  # the killed one's, which was not sent yet, is not said any more


async def test_paused_means_silent_and_what_was_due_meanwhile_is_left_out(tmp_path: Path) -> None:
    async with rig(tmp_path, [monitor()]) as at:
        assert await at.monitors.pause("page", True, by="web:ada")
        await at.passes(hours=1)
        assert await at.firings() == []
        assert await at.monitors.pause("page", False, by="web:ada")
        await at.at_rest()
        assert await at.firings() == []
        await at.passes(minutes=5)
        assert len(await at.said(ROOM)) == 1
        assert not await at.monitors.pause("none", True, by="web:ada")
    async with rig(tmp_path, [monitor()]) as at:
        (record,) = await at.monitors.records()
        assert not record.paused


async def test_a_monitor_of_the_chat_is_made_once_kept_and_removed(tmp_path: Path, site: Website) -> None:
    made = replace(monitor(site.url("/")), owner=Account("web:ada"), owner_name="Ada")
    async with rig(tmp_path, hosts=[site.host]) as at:
        first = await at.monitors.add(made, "in:web:1")
        again = await at.monitors.add(made, "in:web:1")
        second = await at.monitors.add(made, "in:web:2")
        assert (first.new, again.new, again.name, second.name) == (True, False, "page", "page-2")
        await at.at_rest()
        assert site.asked("/") == 2  # looked at as soon as it was made
    async with rig(tmp_path, hosts=[site.host]) as at:
        assert [record.source for record in await at.monitors.records()] == [Source.CHAT, Source.CHAT]
        site.page("/", INCIDENT)
        await at.passes(minutes=5)
        owners = {session.owner for session in await at.world.sessions.living()}
        assert owners == {"web:ada"}
        assert len(await at.said(ROOM)) == 2
        assert await at.monitors.remove("page", by="web:ada")
        assert not await at.monitors.remove("page", by="web:ada")
        assert list(at.timetable.planned) == ["page-2"]


async def test_run_fires_at_once_and_only_once_for_one_cause(tmp_path: Path) -> None:
    async with rig(tmp_path, [monitor()]) as at:
        await at.monitors.fire_now(MonitorName("page"), "in:web:7")
        await at.monitors.fire_now(MonitorName("page"), "in:web:7")
        await at.at_rest()
        assert await at.said(ROOM) == ["News"]
        await at.passes(minutes=5)
        assert len(await at.said(ROOM)) == 2  # its own time is not used up


@pytest.mark.requirement("P3")
async def test_of_two_that_claim_a_firing_one_gets_in(tmp_path: Path) -> None:
    async with rig(tmp_path, [monitor()]) as at:
        at.now += timedelta(minutes=5)
        for _ in range(3):  # as three processes would
            at.timetable._due(MonitorName("page"), at.now)  # type: ignore[misc]
        await at.at_rest()
        assert len(await at.said(ROOM)) == 1


class _Crash:
    """Stops the world at one write of the database: before it, or after it is on the disk."""

    def __init__(self, database: Database, number: int, *, after: bool) -> None:
        self._write = database.write
        self._left = number
        self._after = after
        self.happened = asyncio.Event()
        database.write = self.write  # type: ignore[method-assign]

    async def write(self, work: Any, then: Any = None) -> Any:
        if self.happened.is_set():
            await asyncio.Event().wait()
        self._left -= 1
        crashes = self._left == 0
        if crashes and not self._after:
            self.happened.set()
            await asyncio.Event().wait()
        result = await self._write(work, then)
        if crashes:
            self.happened.set()
            await asyncio.Event().wait()
        return result


async def _one_change(at: Rig) -> None:
    at.now = START + timedelta(minutes=5)
    at.timetable.tell(at.now)
    await at.at_rest()


@pytest.mark.slow
@pytest.mark.requirement("P3")
@pytest.mark.parametrize("after", [False, True], ids=["before a write", "after a write"])
async def test_a_change_is_reported_once_in_every_place_wherever_it_was_cut_off(
    tmp_path: Path, site: Website, after: bool
) -> None:
    for number in range(1, 40):
        folder = tmp_path / str(number)
        site.page("/", ALL_WELL)
        async with rig(folder, **watching(site)) as at:
            await at.at_rest()
        site.page("/", INCIDENT)
        async with rig(folder, **watching(site), holder="two") as at:
            crash = _Crash(at.world.database, number, after=after)
            work = asyncio.create_task(_one_change(at))
            stopped = asyncio.create_task(crash.happened.wait())
            await asyncio.wait([work, stopped], return_when=asyncio.FIRST_COMPLETED)
            crashed = crash.happened.is_set()
            for task in (work, stopped):
                task.cancel()
            await asyncio.gather(work, stopped, return_exceptions=True)
        async with rig(folder, **watching(site), holder="three", now=START + timedelta(minutes=6)) as at:
            await at.at_rest()
            for place in PLACES:
                said = await at.said(place)
                assert len(said) == 1, (number, after, said)
                assert INCIDENT in said[0]
        if not crashed:
            assert number == 5  # every cut was tried: claimed, found, begun, answered
            return
    pytest.fail("it never came to an end")


async def test_an_agent_with_less_than_it_needs_is_said_so_in_every_place(tmp_path: Path) -> None:
    async with rig(tmp_path, [monitor()], agents=profiles(budget_usd=0.0)) as at:
        await at.passes(minutes=5)
        for place in PLACES:
            (told,) = await at.said(place)
            assert "budget_usd" in told


async def test_a_report_follows_a_room_to_its_new_id(tmp_path: Path) -> None:
    old, new = ThreadRef.parse("telegram:-42"), ThreadRef.parse("telegram:-100")
    made = monitor(report_to=(THREAD, old), owner=Account("telegram:7"))
    async with rig(tmp_path) as at:
        await at.monitors.add(made, "in:1")
        await at.passes(minutes=5)
        await SqliteOutbox(at.world.database).move_room(old, "-100")
        await at.passes(minutes=5)
        assert await at.said(old) == []
        assert await at.said(new) == ["News", "News"]
        (record,) = await at.monitors.records()
        assert record.monitor.report_to == (THREAD, new)


@pytest.mark.requirement("P9")
async def test_a_private_page_is_looked_at_when_the_configuration_names_it_and_else_only_when_it_is_let_in(
    tmp_path: Path, site: Website
) -> None:
    async with website() as inside:
        inside.page("/", "internal")
        site.redirects("/out", inside.url("/"))
        plans = [monitor(site.url("/")), monitor(site.url("/out"), name=MonitorName("out"))]
        async with rig(tmp_path, plans) as at:
            await at.monitors.add(monitor(site.url("/"), name=MonitorName("chat"), owner=Account("web:ada")), "in:1")
            await at.at_rest()
            errors = {str(record.monitor.name): record.last_error for record in await at.monitors.records()}
            assert errors["page"] is None
            assert "only the ports" in str(errors["out"])
            assert "only the ports" in str(errors["chat"])
        assert inside.server.connected == 0


async def test_firings_that_found_nothing_are_kept_for_a_day_and_others_longer(tmp_path: Path, site: Website) -> None:
    async with rig(tmp_path, **watching(site)) as at:
        await at.passes(minutes=5)
        site.page("/", INCIDENT)
        await at.passes(minutes=5)
        await at.passes(hours=30)
        await at.passes(minutes=5)
        outcomes = [outcome for _, outcome in await at.firings()]
        assert outcomes == ["changed", "unchanged", "unchanged"]


async def test_a_monitor_that_is_removed_while_it_looks_reports_nothing(tmp_path: Path, site: Website) -> None:
    site.stalls("/hangs")
    async with rig(tmp_path) as at:
        await at.monitors.configure([monitor(site.url("/hangs"))])
        await site.until_asked("/hangs")
        await at.monitors.configure([])
        assert await at.monitors.records() == []
        assert await at.firings() == [("skipped", "its monitor was removed")]
    async with rig(tmp_path) as at:
        assert at.monitors.busy == 0
