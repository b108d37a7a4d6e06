"""Questions to people and leave for tool calls: parked, durable, answered once, and only by those who may."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

from agents.base import QueueMode, Session, State, StepKind
from agents.questions import ALWAYS, DENY, ONCE, Given, Question, Taken
from agents.tools.approvals import arguments_hash
from agents.tools.base import Call
from bot.access import Principal, Role
from bot.asking import AnswerDesk
from channels.base import Account
from storage.audit import AuditLog
from tests.agents.world import ADA, BOB, BOBS, HOME, World, profiles, world


def person(account: Account = ADA, role: Role = Role.USER) -> Principal:
    name = account.partition(":")[2].capitalize()
    return Principal(account=account, person=name, name=name, role=role, accounts=frozenset((account,)))


def desk(here: World) -> AnswerDesk:
    return AnswerDesk(here.questions, here.sessions, AuditLog(here.database))


async def asked(here: World, session: Session, number: int = 1) -> Question:
    """The newest question of the session, once the session waits for its answer."""

    async def waits() -> bool:
        rows = await here.query("select id from questions where session = ?", session.id)
        return len(rows) >= number and (await here.get(session)).state is State.WAITING and not here.engine.awake

    await here.until(waits)
    rows = await here.query("select id from questions where session = ? order by created_at desc", session.id)
    found = await here.questions.find(rows[0]["id"])
    assert found is not None
    return found


async def results(here: World, session: Session) -> list[str]:
    steps = await here.journal.history(session.id)
    return [step.step.body["text"] for step in steps if step.step.kind is StepKind.RESULT]


ASK = 'tool ask_human {"question": "Blue or red?", "choices": ["Blue", "Red"]}\nsay painted'


async def test_a_question_with_choices_is_said_with_buttons_and_holds_nothing_until_one_is_pressed(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as here:
        session = await here.says(ASK)
        question = await asked(here, session)
        assert [button.label for button in question.choices] == ["Blue", "Red"]
        assert "Blue or red?" in (await here.said())[0]
        assert here.engine.awake == 0
        told = await desk(here).press(question.choices[1].id, person(), here.now())
        assert (told.done, told.text) == (True, "Ada answered: Red")
        await here.at_rest()
        said = (await here.said())[-1]
        assert "Answer from Ada: Red" in said
        assert "painted" in said
        assert await results(here, session) == ["Ada has answered: the answer follows as a message."]


@pytest.mark.requirement("P3")
async def test_a_question_survives_a_restart_and_is_said_once(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        session = await here.says(ASK)
        question = await asked(here, session)
    async with world(tmp_path, holder="two") as here:
        await here.later(minutes=1)
        assert len(await here.said()) == 1
        await desk(here).press(question.choices[0].id, person(), here.now())
        await here.at_rest()
        assert "Answer from Ada: Blue" in (await here.said())[-1]
        assert (await here.get(session)).turns == 1


async def test_only_the_first_press_counts_and_the_second_is_told_who_was_first(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        question = await asked(here, await here.says(ASK))
        answers = desk(here)
        await answers.press(question.choices[0].id, person(), here.now())
        second = await answers.press(question.choices[1].id, person(), here.now())
        assert (second.done, second.text) == (False, "Ada was first: this is answered already.")
        await here.at_rest()
        assert len(await here.query("select 1 from mail where kind = 'answer'")) == 1
        used = await here.query("select count(*) from buttons where used_by = ?", ADA)
        assert used[0][0] == 2, "both buttons are spent"
        assert (await answers.press("bunknown", person(), here.now())).text == "This button is not valid any more."


async def test_somebody_who_may_not_answer_is_refused_and_that_is_recorded(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        question = await asked(here, await here.says(ASK))
        told = await desk(here).press(question.choices[0].id, person(BOB), here.now())
        assert "belongs to somebody else" in told.text
        assert not await here.query("select 1 from mail where kind = 'answer'")
        refused = await here.query("select resource from audit where action = 'denied' and actor = ?", BOB)
        assert [row[0] for row in refused] == [f"answer:{question.id}"]
        operator = await desk(here).press(question.choices[0].id, person(BOB, Role.OPERATOR), here.now())
        assert operator.done


async def test_an_unanswered_question_is_reminded_of_once_then_goes_to_the_next_person_then_ends(
    tmp_path: Path,
) -> None:
    agents = profiles(escalate_to=("bob",), ask_timeout_seconds=600.0)
    async with world(tmp_path, agents=agents) as here:
        session = await here.says(ASK)
        await asked(here, session)
        for _ in range(2):
            await here.later(minutes=5, seconds=1)
            await here.until(lambda: here.said_any("A reminder"))
            await asked(here, session)
            if await here.said(BOBS):
                break
        assert sum("A reminder" in text for text in await here.said()) == 1
        assert "has had no answer so far, so I ask Bob" in (await here.said(BOBS))[0]
        await here.later(minutes=10)
        await here.at_rest()
        assert (await results(here, session))[0].startswith("Nobody answered in time (asked: Ada, bob).")


async def test_the_person_who_was_asked_next_may_answer_though_the_session_is_not_his(tmp_path: Path) -> None:
    agents = profiles(escalate_to=("bob",), ask_timeout_seconds=600.0)
    async with world(tmp_path, agents=agents) as here:
        session = await here.says(ASK)
        question = await asked(here, session)
        assert not (await desk(here).press(question.choices[0].id, person(BOB), here.now())).done
        await here.later(minutes=10, seconds=1)
        await here.until(lambda: here.said_any("I ask Bob", BOBS))
        assert (await desk(here).press(question.choices[0].id, person(BOB), here.now())).done
        await here.at_rest()
        assert "Answer from Bob: Blue" in (await here.said())[-1]


async def test_nobody_waits_any_more_after_a_stop_and_the_button_says_so(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        session = await here.says(ASK)
        question = await asked(here, session)
        await here.team.stop(session.id)
        await here.at_rest()
        told = await desk(here).press(question.choices[0].id, person(), here.now())
        assert "Nobody waits for this answer any more" in told.text
        given = Given(text="Blue", by=ADA, name="Ada")
        assert await here.questions.answer(question.id, given, here.now()) is Taken.OVER


@pytest.mark.requirement("P4")
async def test_a_killed_session_takes_no_answer(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        session = await here.says(ASK)
        question = await asked(here, session)
        await here.team.kill(session.id, by="Ada")
        assert not (await desk(here).press(question.choices[0].id, person(), here.now())).done
        await here.at_rest()
        assert not await here.query("select 1 from mail where kind = 'answer'")


async def test_somebody_who_does_not_exist_cannot_be_asked_and_the_model_is_told(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        session = await here.says('tool ask_human {"question": "Well?", "to": "zoe"}')
        await here.at_rest()
        assert await results(here, session) == ["there is nobody called 'zoe' to ask"]


class Note(BaseModel):
    text: str


class WriteNote:
    """A tool that must not run twice, nor unasked."""

    name: ClassVar[str] = "write_note"
    description: ClassVar[str] = "Writes."
    arguments: ClassVar[type[BaseModel]] = Note
    repeatable: ClassVar[bool] = False
    timeout_seconds: ClassVar[float] = 5.0

    def __init__(self) -> None:
        self.written: list[str] = []

    async def run(self, call: Call, arguments: Any) -> str:
        self.written.append(arguments.text)
        return "written"


def careful(**changes: Any) -> dict[str, Any]:
    agents = profiles(approve=("write_note",), **changes)
    return {name: replace(agent, tools=(*agent.tools, "write_note")) for name, agent in agents.items()}


WRITE = 'tool write_note {"text": "one"}\nsay end'


@pytest.mark.requirement("P9")
@pytest.mark.parametrize(("answer", "written"), [(ONCE, ["one"]), (ALWAYS, ["one", "two"]), (DENY, [])])
async def test_a_call_that_must_be_approved_runs_only_as_far_as_somebody_allowed_it(
    tmp_path: Path, answer: str, written: list[str]
) -> None:
    tool = WriteNote()
    async with world(tmp_path, agents=careful(), tools=[tool]) as here:
        session = await here.says(WRITE)
        question = await asked(here, session)
        assert tool.written == []
        button = question.choices[(ONCE, ALWAYS, DENY).index(answer)]
        assert (await desk(here).press(button.id, person(), here.now())).done
        await here.until(lambda: here.said_any("end"))
        await here.at_rest()
        await here.says('tool write_note {"text": "two"}\nsay end')
        if answer is ALWAYS:
            await here.at_rest()
        else:
            await asked(here, session, 2)
        assert tool.written == written
        recorded = await here.query(
            "select action, actor, resource, detail from audit where detail like ?", f"%{question.id}%"
        )
        assert [tuple(row)[:3] for row in recorded][-1] == (
            "denied" if answer == DENY else "approved",
            ADA,
            "write_note",
        )
        assert arguments_hash("write_note", {"text": "one"}) in recorded[-1]["detail"]


async def test_a_denied_call_tells_the_model_who_denied_it(tmp_path: Path) -> None:
    tool = WriteNote()
    async with world(tmp_path, agents=careful(), tools=[tool]) as here:
        session = await here.says(WRITE)
        question = await asked(here, session)
        told = await desk(here).approve(question.id.upper(), DENY, person(), here.now())
        assert told is not None
        assert "denied `write_note`" in told.text
        await here.at_rest()
        assert "Ada denied this call" in (await results(here, session))[0]
        assert await desk(here).approve("K7MQ2XZD", ONCE, person(), here.now()) is None, (
            "a pairing code is none of these"
        )


@pytest.mark.requirement("P3")
async def test_an_approved_call_that_is_not_repeatable_runs_once_though_it_waited_over_a_restart(
    tmp_path: Path,
) -> None:
    tool = WriteNote()
    async with world(tmp_path, agents=careful(), tools=[tool]) as here:
        session = await here.says(WRITE)
        question = await asked(here, session)
    async with world(tmp_path, holder="two", agents=careful(), tools=[tool]) as here:
        await desk(here).approve(question.id, ONCE, person(), here.now())
        await here.until(lambda: here.said_any("end"))
        await here.at_rest()
        assert tool.written == ["one"]
        assert (await results(here, session)) == ["written"]


async def test_an_approval_that_nobody_gives_in_time_is_a_no(tmp_path: Path) -> None:
    tool = WriteNote()
    async with world(tmp_path, agents=careful(ask_timeout_seconds=60.0), tools=[tool]) as here:
        session = await here.says(WRITE)
        question = await asked(here, session)
        await here.later(minutes=2)
        await here.at_rest()
        assert tool.written == []
        assert "nobody approved the call in time" in (await results(here, session))[0]
        told = await desk(here).approve(question.id, ONCE, person(), here.now())
        assert told is not None
        assert not told.done


@pytest.mark.requirement("P9")
async def test_leave_for_one_call_is_none_for_the_call_that_took_its_place(tmp_path: Path) -> None:
    """The button of the first call is pressed when the agent has changed its mind: nothing may run by that."""
    tool = WriteNote()
    async with world(tmp_path, agents=careful(), tools=[tool]) as here:
        session = await here.says(WRITE)
        old = await asked(here, session)
        await here.says('tool write_note {"text": "rm -rf"}\nsay end', mode=QueueMode.STEER)
        new = await asked(here, session, 2)
        assert new.arguments_hash != old.arguments_hash
        told = await desk(here).press(old.choices[0].id, person(), here.now())
        assert "Nobody waits for this answer any more" in told.text
        assert await desk(here).approve(old.id, ALWAYS, person(), here.now()) == told
        await here.later(seconds=1)
        assert tool.written == []
        assert (await desk(here).press(new.choices[0].id, person(), here.now())).done
        await here.until(lambda: here.said_any("end"))
        await here.at_rest()
        assert tool.written == ["rm -rf"]


@pytest.mark.requirement("P9")
async def test_a_child_must_ask_where_its_parent_must(tmp_path: Path) -> None:
    tool = WriteNote()
    agents = careful()
    agents["researcher"] = replace(agents["researcher"], approve=())
    async with world(tmp_path, agents=agents, tools=[tool]) as here:
        await here.says('spawn researcher as alpha: (tool write_note {"text": "child"})\njoin\nsay back')
        await here.until(lambda: here.query("select 1 from sessions where label = 'alpha'"))
        child = await here.sessions.find("alpha")
        question = await asked(here, child)
        assert question.places == (HOME,)
        assert tool.written == []


def test_the_hash_is_of_the_exact_arguments_and_not_of_their_order() -> None:
    assert arguments_hash("t", {"a": 1, "b": 2}) == arguments_hash("t", {"b": 2, "a": 1})
    assert arguments_hash("t", {"a": 1}) != arguments_hash("t", {"a": "1"})
    assert arguments_hash("t", {"a": 1}) != arguments_hash("u", {"a": 1})
