"""Turns, teams, steering, stopping and killing, on the real store and engine."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

from agents.base import (
    Claim,
    Ended,
    Epoch,
    Fenced,
    MailKey,
    MailKind,
    NewMail,
    NewStep,
    Outcome,
    Posted,
    QueueMode,
    State,
    StepKind,
)
from agents.tools.base import Call
from tests.agents.world import ADA, HOME, profiles, world


async def test_a_message_is_answered_at_home(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        session = await here.says("say hello")
        await here.at_rest()
        assert await here.said() == ["hello"]
        assert (await here.get(session)).state is State.IDLE


@pytest.mark.requirement("P2")
async def test_messages_of_one_thread_are_answered_in_order(tmp_path: Path) -> None:
    async with world(tmp_path, agents=profiles(queue=QueueMode.FOLLOWUP)) as here:
        for number in range(20):
            await here.says(f"say {number}")
        await here.at_rest()
        assert await here.said() == [str(number) for number in range(20)]


@pytest.mark.slow
@pytest.mark.requirement("P5")
async def test_a_steering_note_joins_the_running_turn_and_skips_calls_that_have_not_begun(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        session = await here.says("wait 300ms then tool sessions_list {} then say end")
        await here.until(lambda: any(kind == "turn" for _, kind, _ in here.events))
        await here.team.steer(await here.get(session), "go left", by="Ada", key="note")
        await here.at_rest()
        results = [
            step.step.body for step in await here.journal.history(session.id) if step.step.kind is StepKind.RESULT
        ]
        assert [result["skipped"] for result in results] == [True]
        assert any("go left" in said for said in await here.said())
        assert (await here.get(session)).turns == 1, "the note joined the turn"


@pytest.mark.requirement("P5")
async def test_a_note_that_comes_with_the_last_token_still_takes_effect(tmp_path: Path) -> None:
    async with world(tmp_path, runs=False) as here:
        session = await here.says("say first")
        now = here.now()
        activation = await here.journal.activate(session.id, now)
        assert activation is not None
        await here.mailbox.post(
            NewMail(key=MailKey("b"), session=session.id, kind=MailKind.STEER, text="wait!", sender_name="Ada"), now
        )
        answer = NewStep(kind=StepKind.MODEL, body={"blocks": [], "stop": "end", "detail": ""}, started_at=now)
        goes_on = await here.journal.end_turn(activation.claim, Outcome.DONE, [answer], now)
        assert goes_on is not None
        assert goes_on.taken[0].step.body["mail"][0]["text"] == "wait!"


async def test_stop_ends_the_turn_at_once_and_keeps_the_session(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        session = await here.says("wait 30s then say never")
        await here.until(lambda: any(kind == "turn" for _, kind, _ in here.events))
        began = time.monotonic()
        assert await here.team.stop(session.id)
        await here.at_rest()
        assert time.monotonic() - began < 1.0
        assert (await here.get(session)).state is State.IDLE
        await here.says("say again")
        await here.at_rest()
        assert (await here.said())[-1] == "again"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "turns"), [(QueueMode.STEER, 1), (QueueMode.FOLLOWUP, 4), (QueueMode.COLLECT, 2), (QueueMode.INTERRUPT, 4)]
)
async def test_queue_modes_decide_what_becomes_of_messages_while_a_turn_runs(
    tmp_path: Path, mode: QueueMode, turns: int
) -> None:
    async with world(tmp_path, agents=profiles(queue=mode)) as here:
        session = await here.says("wait 400ms then say one")
        for count, text in enumerate(("say two", "say three", "say four"), start=1):
            begun = count if mode is QueueMode.INTERRUPT else 1
            await here.turns_begun(begun)
            await here.says(f"wait 100ms then {text}")
        await here.at_rest()
        assert (await here.get(session)).turns == turns
        assert "four" in (await here.said())[-1]


async def test_a_full_queue_stores_nothing_and_says_so(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        session = await here.says("wait 30s")
        await here.until(lambda: any(kind == "turn" for _, kind, _ in here.events))
        here.agents["assistant"] = replace(here.agents["assistant"], queue_limit=2)
        posted = [
            await here.team.post(
                NewMail(
                    key=MailKey(str(number)),
                    session=session.id,
                    kind=MailKind.PERSON,
                    text="x",
                    mode=QueueMode.FOLLOWUP,
                )
            )
            for number in range(3)
        ]
        assert posted == [Posted.QUEUED, Posted.QUEUED, Posted.FULL]


@pytest.mark.requirement("P3")
async def test_the_same_mail_is_stored_once(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        session = await here.says("say hello")
        mail = NewMail(key=MailKey("once"), session=session.id, kind=MailKind.PERSON, text="say twice?")
        assert [await here.team.post(mail), await here.team.post(mail)] == [Posted.QUEUED, Posted.KNOWN]
        await here.at_rest()
        assert sum("twice" in text for text in await here.said()) == 1


@pytest.mark.requirement("P3")
async def test_a_childs_result_reaches_its_parent_exactly_once(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        parent = await here.says("spawn researcher: say found it")
        await here.at_rest()
        results = await here.query("select * from mail where session = ? and kind = 'result'", parent.id)
        assert len(results) == 1
        assert "found it" in results[0]["text"]
        assert "is done" in results[0]["text"]


@pytest.mark.slow
async def test_a_parent_that_waits_holds_no_task_and_goes_on_when_all_have_ended(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.says(
            "spawn researcher: wait 300ms\n"
            "spawn researcher: wait 500ms\n"
            'tool subagents {"action": "wait", "target": "all"}\n'
            "say all are back"
        )
        await here.until(
            lambda: any(data.get("state") == "waiting" for _, kind, data in here.events if kind == "state")
        )
        await here.until(lambda: here.engine.awake == 2)
        await here.at_rest()
        assert "all are back" in (await here.said())[-1]


@pytest.mark.slow
async def test_waiting_ends_when_its_time_is_over(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        parent = await here.says(
            'spawn researcher: wait 30s\ntool subagents {"action": "wait", "timeout_seconds": 1}\nsay on'
        )
        await here.until(lambda: any(kind == "state" for _, kind, _ in here.events))
        due, following = await here.journal.due(here.now())
        assert due == []
        assert following is not None
        assert following - here.now() <= timedelta(seconds=1)
        await here.until(lambda: here.now() >= following)
        assert (await here.journal.due(here.now()))[0] == [parent.id]
        here.engine.wake(parent.id)
        await here.until(lambda: here.said_any("on"))


@pytest.mark.requirement("P4")
async def test_a_kill_ends_the_whole_tree_within_a_second_and_nothing_is_said_after_it(tmp_path: Path) -> None:
    agents = profiles(max_children=60)
    async with world(tmp_path, agents=agents) as here:
        spawns = "\n".join("spawn researcher: wait 30s then say never" for _ in range(50))
        parent = await here.says(spawns + "\nwait 30s")

        async def all_run() -> bool:
            return len(await here.sessions.living()) == 51

        await here.until(all_run, 20)
        began = time.monotonic()
        killed = await here.team.kill(parent.id, by="Ada")
        await here.until(lambda: here.engine.awake == 0)
        assert time.monotonic() - began < 2.0
        assert len(killed.sessions) == 51
        before = await here.said()
        assert not await here.sessions.living()
        assert [child.ended for child in await here.sessions.children(parent.id)] == [Ended.KILLED] * 50
        assert (await here.team.kill(parent.id, by="Ada")).sessions == (), "killing twice does nothing"
        assert await here.said() == before


@pytest.mark.requirement("P4")
async def test_every_write_of_an_older_epoch_is_refused(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        session = await here.says("wait 30s")
        await here.until(lambda: any(kind == "turn" for _, kind, _ in here.events))
        now = here.now()
        current = await here.get(session)
        stale = Claim(session=session.id, epoch=Epoch(current.epoch - 1), turn=f"{session.id}.t1")  # type: ignore[arg-type]
        note = NewStep(kind=StepKind.NOTE, body={"text": "too late"}, started_at=now)
        with pytest.raises(Fenced):
            await here.journal.commit(stale, [note], now)
        held = replace(stale, epoch=current.epoch)
        await here.team.kill(session.id, by="Ada")
        with pytest.raises(Fenced):
            await here.journal.commit(held, [note], now)
        with pytest.raises(Fenced):
            await here.journal.end_turn(held, Outcome.DONE, [note], now)
        assert "too late" not in str([step.step.body for step in await here.journal.history(session.id)])


class _Once(BaseModel):
    pass


class _Button:
    """A tool that must not be pressed twice."""

    name: ClassVar[str] = "press"
    description: ClassVar[str] = "Press the button."
    arguments: ClassVar[type[BaseModel]] = _Once
    repeatable: ClassVar[bool] = False
    timeout_seconds: ClassVar[float] = 30.0

    def __init__(self, hang: bool) -> None:
        self.hang = hang
        self.pressed = 0

    async def run(self, call: Call, arguments: Any) -> str:
        self.pressed += 1
        if self.hang:
            await asyncio.Event().wait()
        return "pressed"


@pytest.mark.requirement("P3")
async def test_a_tool_that_must_not_be_repeated_is_reported_as_interrupted_after_a_crash(tmp_path: Path) -> None:
    agents = profiles(tools=("press",))
    hanging, later = _Button(hang=True), _Button(hang=False)
    async with world(tmp_path, holder="one", agents=agents, tools=[hanging]) as before:
        await before.says("tool press {}\nsay after")
        await before.until(lambda: hanging.pressed == 1)
    async with world(tmp_path, holder="two", agents=agents, tools=[later]) as after:
        await after.at_rest()
        assert later.pressed == 0
        assert any("interrupted" in text for text in await after.said())


@pytest.mark.requirement("P3")
async def test_a_finished_tool_call_is_not_run_again_after_a_crash(tmp_path: Path) -> None:
    agents = profiles(tools=("press",))
    first, second = _Button(hang=False), _Button(hang=False)
    async with world(tmp_path, holder="one", agents=agents, tools=[first]) as before:
        session = await before.says("tool press {}\nwait 20s\nsay done")
        await before.until(lambda: any(kind == "tool_done" for _, kind, _ in before.events))

        async def journalled() -> bool:
            return any(step.step.kind is StepKind.RESULT for step in await before.journal.history(session.id))

        await before.until(journalled)
    async with world(tmp_path, holder="two", agents=agents, tools=[second]) as after:
        await after.until(lambda: any(kind == "turn" for _, kind, _ in after.events))
        assert (first.pressed, second.pressed) == (1, 0)
        resumed = await after.get(session)
        assert (resumed.crashes, resumed.turns) == (1, 1)


async def test_three_crashes_on_one_step_park_the_session_and_tell_the_person(tmp_path: Path) -> None:
    for holder in ("one", "two", "three"):
        async with world(tmp_path, holder=holder) as here:
            if holder == "one":
                await here.says("wait 30s then say never")
            await here.until(lambda: any(kind == "turn" for _, kind, _ in here.events))
    async with world(tmp_path, holder="four") as here:
        await here.at_rest()
        assert "stopped 3 times in a row" in (await here.said())[-1]


async def test_what_a_model_refuses_is_said_and_the_session_goes_on(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.says("fail refused")
        await here.at_rest()
        assert "The model gave no answer" in (await here.said())[-1]
        await here.says("say fine")
        await here.at_rest()
        assert (await here.said())[-1] == "fine"


async def test_a_turn_that_takes_too_long_is_ended_and_says_so(tmp_path: Path) -> None:
    async with world(tmp_path, agents=profiles(turn_timeout_seconds=0.2)) as here:
        await here.says("wait 30s")
        await here.at_rest()
        assert "longer than 0.2 s" in (await here.said())[-1]


@pytest.mark.requirement("P9")
async def test_a_child_has_no_tool_that_its_parent_lacks(tmp_path: Path) -> None:
    agents = profiles()
    agents["assistant"] = replace(agents["assistant"], tools=("sessions_spawn", "subagents"))
    async with world(tmp_path, agents=agents) as here:
        parent = await here.says("spawn researcher: tool sessions_list {}")
        await here.at_rest()
        (child,) = await here.sessions.children(parent.id)
        results = [step.step.body for step in await here.journal.history(child.id) if step.step.kind is StepKind.RESULT]
        assert not results or all(result["error"] for result in results)


@pytest.mark.requirement("P9")
async def test_limits_refuse_a_spawn_and_name_the_limit(tmp_path: Path) -> None:
    async with world(tmp_path, agents=profiles(max_children=1)) as here:
        parent = await here.says("spawn researcher: wait 20s\nspawn researcher: wait 20s")
        await here.until(lambda: here.said_any("max_children"))
        assert len(await here.sessions.children(parent.id)) == 1


@pytest.mark.requirement("P9")
async def test_an_agent_spawns_only_those_that_its_profile_names(tmp_path: Path) -> None:
    agents = profiles()
    agents["assistant"] = replace(agents["assistant"], spawns=())
    async with world(tmp_path, agents=agents) as here:
        parent = await here.says("spawn researcher: say hi")
        await here.at_rest()
        assert await here.sessions.children(parent.id) == []
        assert any("may not spawn" in text for text in await here.said())


@pytest.mark.requirement("P6")
async def test_a_session_that_hangs_holds_up_no_other(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        for number in range(100):
            await here.says("wait 30s", replace(HOME, thread=f"slow-{number}"))
        began = time.monotonic()
        await here.says("say quick", replace(HOME, thread="quick"))
        await here.until(lambda: here.said_any("quick", replace(HOME, thread="quick")))
        assert time.monotonic() - began < 2.0


@pytest.mark.requirement("P10")
async def test_spawns_turns_and_kills_stand_in_the_audit_log(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        session = await here.says("say hello")
        await here.at_rest()
        await here.team.kill(session.id, by="Ada")
        actions = [row["action"] for row in await here.query("select action from audit order by n")]
        assert actions == ["spawn", "model", "ended", "kill"]


async def test_the_answer_goes_to_where_the_last_message_came_from(tmp_path: Path) -> None:
    elsewhere = replace(HOME, thread="elsewhere")
    async with world(tmp_path) as here:
        session = await here.says("say one")
        await here.at_rest()
        await here.sessions.bind(session.id, elsewhere, here.now())
        await here.says("say two", elsewhere)
        await here.at_rest()
        assert (await here.said(), await here.said(elsewhere)) == (["one"], ["two"])
        assert session.owner == ADA


@pytest.mark.slow
async def test_messages_written_one_after_the_other_are_taken_together_where_the_profile_waits(tmp_path: Path) -> None:
    async with world(tmp_path, agents=profiles(debounce_seconds=0.2)) as here:
        session = await here.says("say one")
        await here.says("say two")
        await here.at_rest()
        assert (await here.get(session)).turns == 1
        assert "one" in (await here.said())[0]
        assert "two" in (await here.said())[0]


async def test_sessions_that_nobody_used_are_found_and_end_as_expired(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        old, busy = await here.says("say old"), await here.says("wait 20s", replace(HOME, thread="busy"))
        await here.until(lambda: here.said_any("old"))
        later = here.now() + timedelta(hours=1)

        async def rests() -> bool:
            return (await here.get(old)).state is State.IDLE

        await here.until(rests)
        assert await here.sessions.idle_since(old.agent, later) == [old.id]
        await here.sessions.end(old.id, Ended.EXPIRED, "nobody used it", later)
        assert (await here.get(old)).ended is Ended.EXPIRED
        assert (await here.get(busy)).ended is None
