"""A kill is final, whatever the session was doing: running, waiting, queued, taken up after a crash, or deaf."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import BaseModel

from agents.base import Ended, Fenced, MailKey, MailKind, NewMail, State, StepKind
from agents.tools.base import Call
from channels.base import Account, ChannelName, EventId, Inbound, Kind, Sender, ThreadRef
from storage.inbox import Inbox
from tests.agents.world import World, profiles, world

FIFTY = [f"spawn researcher as c{number}: wait {300 + number * 4}ms then say Result {number}" for number in range(49)]


class Nothing(BaseModel):
    pass


class Deaf:
    """A tool that does not heed its cancellation, and writes to others when it is over."""

    name: ClassVar[str] = "deaf"
    description: ClassVar[str] = "Never listens."
    arguments: ClassVar[type[BaseModel]] = Nothing
    repeatable: ClassVar[bool] = True
    timeout_seconds: ClassVar[float] = 30.0

    def __init__(self) -> None:
        self.here: World | None = None
        self.begun = asyncio.Event()
        self.free = asyncio.Event()
        self.late: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

    async def run(self, call: Call, arguments: Nothing) -> str:
        self.begun.set()
        while not self.free.is_set():
            try:
                await self.free.wait()
            except asyncio.CancelledError:
                continue
        try:
            mail = NewMail(
                key=MailKey("late"),
                session=call.session.id,
                kind=MailKind.AGENT,
                text="late",
                from_session=call.session.id,
            )
            assert self.here is not None
            await self.here.team.post(mail)
        except Fenced as fenced:
            self.late.set_result(fenced)
        else:
            self.late.set_result(None)
        return "over"


async def effects(here: World) -> list[tuple[int, ...]]:
    """All that a session could still cause."""
    tables = ("mail", "steps", "deliveries", "sessions", "turns")
    return [tuple((await here.query(f"select count(*), max(rowid) from {table}"))[0]) for table in tables] + [
        tuple((await here.query("select coalesce(sum(calls), 0) from spending"))[0])
    ]


@pytest.mark.requirement("P4")
@pytest.mark.slow
async def test_a_tool_that_does_not_heed_its_cancellation_holds_up_neither_kill_nor_stop_nor_timeout(
    tmp_path: Path,
) -> None:
    tool = Deaf()
    async with world(tmp_path, agents=profiles(tools=("deaf",)), tools=[tool]) as here:
        tool.here = here
        session = await here.says("tool deaf {}")
        await tool.begun.wait()
        assert await here.team.stop(session.id)
        await here.at_rest()
        assert (await here.get(session)).state is State.IDLE
        tool.begun.clear()
        type(tool).timeout_seconds = 0.05
        await here.says("tool deaf {} then say gave up")
        await here.until(lambda: here.said_any("gave up"))
        assert any("took longer than 0.05 s" in text for text in await here.said())
        type(tool).timeout_seconds = 30.0
        tool.begun.clear()
        await here.says("tool deaf {}")
        await tool.begun.wait()
        began = time.monotonic()
        assert [each.id for each in (await here.team.kill(session.id, by="Ada")).sessions] == [session.id]
        assert time.monotonic() - began < 1.0
        await here.until(lambda: not here.engine.awake)
        before = await effects(here)
        tool.free.set()
        assert isinstance(await tool.late, Fenced), "its own writes for the session are refused"
        await here.at_rest()
        assert await effects(here) == before


@pytest.mark.requirement("P4")
@pytest.mark.slow
async def test_killing_a_tree_of_fifty_while_its_children_report_ends_all_of_it_at_once(tmp_path: Path) -> None:
    agents = profiles(max_children=100, spawns_per_minute=1000)
    agents["researcher"] = replace(agents["researcher"], max_running=20)
    async with world(tmp_path, agents=agents) as here:
        root = await here.says("\n".join([*FIFTY, "join", "say never said"]))
        reported = "select 1 from mail where kind = 'result' and (select count(*) from sessions) = 50 limit 1 offset 5"
        await here.until(lambda: here.query(reported), 15.0)
        states = {row[0] for row in await here.query("select distinct state from sessions")}
        assert states >= {"idle", "running", "ended"}, "queued, running and done; the parent waits or is told"
        assert here.runner.room.waiting
        began = time.monotonic()
        killed = (await here.team.kill(root.id, by="Ada")).sessions
        assert time.monotonic() - began < 2.0
        before = await effects(here)
        await here.until(lambda: not here.engine.awake)
        assert time.monotonic() - began < 2.0
        await here.at_rest()
        assert await effects(here) == before, "no message, spawn or spending after it"
        assert (await here.team.kill(root.id, by="Ada")).sessions == (), "killing twice ends nobody twice"
        ended = await here.query("select ended, count(*) from sessions group by 1")
        assert {row[0]: row[1] for row in ended} == {"killed": len(killed), "done": 50 - len(killed)}
        assert not await here.said_any("never said")
        assert not here.runner.room.waiting


@pytest.mark.requirement("P4")
async def test_a_session_killed_before_it_is_taken_up_after_a_crash_does_nothing_more(tmp_path: Path) -> None:
    async with world(tmp_path, agents=profiles(max_children=10)) as here:
        root = await here.says(
            "spawn researcher as one: (wait 30s then say a)\nspawn researcher: wait 30s\njoin\nsay b"
        )
        await here.turns_begun(3)
        await here.until(lambda: here.query("select 1 from sessions where state = 'waiting'"))
    async with world(tmp_path, holder="two", runs=False) as here:
        assert len(await here.journal.to_resume()) == 2
        assert len((await here.team.kill(root.id, by="Ada")).sessions) == 3
        before = await effects(here)
        running = asyncio.create_task(here.engine.run(here.runner.activate))
        await here.at_rest()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert await effects(here) == before
        assert {row[0] for row in await here.query("select ended from sessions")} == {Ended.KILLED.value}
        steps = [step.step.kind for step in await here.journal.history((await here.sessions.find("one")).id)]
        assert steps == [StepKind.INPUT], "its model was not asked again"


async def test_of_a_large_tree_in_one_room_the_first_threads_are_told_and_those_that_people_have_written_in(
    tmp_path: Path,
) -> None:
    """Fifty notices would take Telegram minutes."""
    room = ThreadRef(channel=ChannelName("telegram"), room="-100")
    async with world(tmp_path, agents=profiles(max_children=60)) as here:
        root = await here.says("\n".join(["spawn researcher: wait 30s"] * 49 + ["wait 30s"]))

        async def all_there() -> bool:
            return len(await here.sessions.living()) == 50

        await here.until(all_there, 20)
        children = await here.sessions.children(root.id)
        for number, child in enumerate(children):
            await here.sessions.bind(child.id, replace(room, thread=str(number)), here.now(), home=True)
        for thread, is_bot in (("40", False), ("45", True)):
            said = Inbound(
                id=EventId(thread),
                kind=Kind.MESSAGE,
                where=replace(room, thread=thread),
                sender=Sender(account=Account("telegram:42"), name="Ada", is_bot=is_bot),
                text="how is it going?",
                sent_at=here.now(),
            )
            await Inbox(here.database).accept(room.channel, [said], {}, here.now())
        killed = await here.team.kill(root.id, by="ada")
        assert len(killed.sessions) == 50
        told = [row[0] for row in await here.query("select lane from deliveries where key like 'killed:%'")]
        threads = [ThreadRef.parse(lane).thread for lane in told if lane.startswith("telegram:")]
        assert len(threads) == 11
        assert "40" in threads
        assert "45" not in threads, "only people count"
