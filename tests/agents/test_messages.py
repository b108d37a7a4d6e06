"""Sessions that write to each other: waiting is durable, answers come once, and politeness has an end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agents.base import MailKey, MailKind, NewMail, Session, State, StepKind
from tests.agents.world import ADA, HOME, World, profiles, world

SEND = "tool sessions_send " + json.dumps({"session": "alpha", "message": "say It is blue", "timeout_seconds": 60})
ALPHA = 'tool sessions_spawn {"agent": "researcher", "task": "say Ready", "label": "alpha", "mode": "session"}'


async def results(here: World, session: Session) -> list[str]:
    steps = await here.journal.history(session.id)
    return [step.step.body["text"] for step in steps if step.step.kind is StepKind.RESULT]


async def with_alpha(here: World) -> Session:
    session = await here.says(f"{ALPHA}\nsay go")
    await here.at_rest()
    return session


async def waits(here: World, session: Session) -> None:
    async def parked() -> bool:
        return (await here.get(session)).state is State.WAITING

    await here.until(parked)


@pytest.mark.requirement("P3")
async def test_a_sender_that_waits_gets_what_the_turn_that_took_the_message_in_says(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        session = await with_alpha(here)
        await here.says(f"{SEND}\nsay heard")
        await here.until(lambda: here.said_any("heard"))
        await here.at_rest()
        assert (await results(here, session))[-1] == "alpha has answered: the answer follows as a message."
        answers = await here.query("select text, session from mail where kind = 'answer'")
        assert len(answers) == 1
        assert "It is blue" in answers[0]["text"]
        assert "Answer from alpha" in (await here.said())[-1]


@pytest.mark.slow
@pytest.mark.requirement("P3")
async def test_waiting_for_an_answer_holds_no_task_and_survives_a_restart(tmp_path: Path) -> None:
    slow = SEND.replace("say It is blue", "wait 300ms then say It is blue")
    async with world(tmp_path) as here:
        session = await with_alpha(here)
        await here.says(f"{slow}\nsay heard")
        await waits(here, session)
        await here.until(lambda: here.engine.awake == 1)  # alpha alone
    async with world(tmp_path, holder="two") as here:
        await here.until(lambda: here.said_any("heard"))
        await here.at_rest()
        assert len(await here.query("select 1 from mail where kind = 'agent'")) == 1
        assert len(await here.query("select 1 from mail where kind = 'answer'")) == 1
        assert (await here.get(session)).turns == 2


@pytest.mark.slow
async def test_an_answer_that_comes_too_late_comes_as_a_message_all_the_same(tmp_path: Path) -> None:
    slow = SEND.replace("say It is blue", "wait 400ms then say It is blue")
    async with world(tmp_path) as here:
        session = await with_alpha(here)
        await here.says(f"{slow}\nsay on my own")
        await waits(here, session)
        await here.later(minutes=2)
        await here.until(lambda: here.said_any("on my own"))
        assert "alpha has not answered within 60 s" in (await results(here, session))[-1]
        await here.until(lambda: here.said_any("It is blue"))
        await here.at_rest()
        assert len(await here.query("select 1 from mail where kind = 'answer'")) == 1


@pytest.mark.parametrize("how", ["killed", "stopped"])
async def test_who_waits_is_told_when_there_will_be_no_answer(tmp_path: Path, how: str) -> None:
    slow = SEND.replace("say It is blue", "wait 30s then say never")
    async with world(tmp_path) as here:
        session = await with_alpha(here)
        await here.says(f"{slow}\nsay heard")
        await waits(here, session)
        alpha = await here.sessions.find("alpha")
        await here.until(lambda: here.engine.awake == 1)
        await here.turns_begun(4)
        if how == "killed":
            await here.team.kill(alpha.id, by="Ada")
        else:
            await here.team.stop(alpha.id)
        await here.until(lambda: here.said_any("heard"))
        await here.at_rest()
        answer = (await here.query("select text from mail where kind = 'answer'"))[0]["text"]
        assert ("was killed" if how == "killed" else "stopped") in answer
        assert "never" not in answer


@pytest.mark.requirement("P8")
async def test_two_sessions_that_write_to_each_other_for_ever_are_ended_by_the_limit(tmp_path: Path) -> None:
    agents = profiles(ping_pong_turns=3)
    async with world(tmp_path, agents=agents) as here:
        session = await with_alpha(here)
        alpha = await here.sessions.find("alpha")
        for number in range(8):
            one, other = (session, alpha) if number % 2 == 0 else (alpha, session)
            text = f"send {other.label}: say thanks {number}"
            go = NewMail(
                key=MailKey(f"go{number}"), session=one.id, kind=MailKind.MONITOR, text=text, sender_name="clock"
            )
            await here.mailbox.post(go, here.now())
            await here.at_rest()
        refused = [text for each in (session, alpha) for text in await results(here, each) if "ping_pong_turns" in text]
        assert len(refused) == 2, "three rounds are allowed, and eight sends are four"
        await here.says("say a person wrote")
        await here.at_rest()
        assert await here.mailbox.exchanged(session.id, alpha.id) == 0


@pytest.mark.requirement("P10")
async def test_every_message_between_sessions_is_in_the_audit_log(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        session = await with_alpha(here)
        await here.says(f"{SEND}\nsay heard")
        await here.until(lambda: here.said_any("heard"))
        await here.at_rest()
        rows = await here.query("select actor, resource from audit where action = 'message' order by n")
        alpha = await here.sessions.find("alpha")
        assert [tuple(row) for row in rows] == [
            (f"session:{session.id}", "alpha"),
            (f"session:{alpha.id}", session.label),
        ]
        assert await here.said(HOME)


async def in_a_circle(here: World, start: Session, others: list[Session], sends: int) -> None:
    """Each passes a message to the next, which its text tells to send the next one."""
    ring = [start, *others]
    told = "say enough"
    for number in range(sends, 0, -1):
        told = f"send {ring[number % len(ring)].id}: ({told})"
    await here.says(told)
    await here.at_rest()


@pytest.mark.requirement("P8")
async def test_sessions_in_a_circle_are_ended_by_the_length_of_the_chain_and_a_person_begins_it_anew(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, agents=profiles(max_hops=4, ping_pong_turns=50)) as here:
        session = await with_alpha(here)
        await here.says(ALPHA.replace('"alpha"', '"beta"') + "\nsay go")
        await here.at_rest()
        others = [await here.sessions.find("alpha"), await here.sessions.find("beta")]
        await in_a_circle(here, session, others, 9)
        chain = await here.query("select hops from mail where kind = 'agent' order by n")
        assert [row["hops"] for row in chain] == [1, 2, 3, 4]
        ring = [session, *others]
        no = [text for each in ring for text in await results(here, each) if "max_hops is 4" in text]
        assert len(no) == 1
        assert "ask a person" in no[0]
        limits = await here.query("select json_extract(detail, '$.limit') from audit where action = 'tool'")
        assert [row[0] for row in limits if row[0]] == ["max_hops"]
        hops = await here.query("select json_extract(detail, '$.hops') from audit where action = 'message' order by n")
        assert [row[0] for row in hops] == [1, 2, 3, 4]
        await in_a_circle(here, session, others, 3)
        chain = await here.query("select hops from mail where kind = 'agent' order by n")
        assert [row["hops"] for row in chain][4:] == [1, 2, 3], "a person wrote"


async def test_one_turn_may_ask_and_spawn_more_often_than_a_chain_is_long(tmp_path: Path) -> None:
    async with world(tmp_path, agents=profiles(max_hops=2, max_children=50)) as here:
        await with_alpha(here)
        rounds = [
            step for number in range(4) for step in (SEND.replace("blue", f"{number}"), f"spawn researcher: {number}")
        ]
        await here.says("\n".join([*rounds, "join", "say all asked"]))
        await here.until(lambda: here.said_any("all asked"))
        await here.at_rest()
        hops = await here.query("select kind, max(hops) from mail group by 1 order by 1")
        assert {row[0]: row[1] for row in hops} == {"person": 1, "agent": 1, "answer": 1, "result": 0}


async def test_a_note_of_an_agent_is_no_person_who_begins_anew(tmp_path: Path) -> None:
    async with world(tmp_path, agents=profiles(max_hops=2)) as here:
        session = await with_alpha(here)
        steered = "tool subagents " + json.dumps(
            {"action": "steer", "target": "alpha", "message": f"send {session.id}: (send alpha: say more)"}
        )
        await here.says(f"{steered}\nsay go on")
        await here.at_rest()
        found = await here.query("select kind, hops from mail where from_session is not null and kind <> 'result'")
        assert [tuple(row) for row in found] == [("steer", 1), ("agent", 2)]
        assert any("max_hops is 2" in text for text in await results(here, session))
        audited = await here.query("select action from audit where action in ('steer', 'message') order by n")
        assert [row["action"] for row in audited] == ["steer", "message"]


@pytest.mark.slow
async def test_a_person_who_joins_a_running_turn_begins_the_chain_anew(tmp_path: Path) -> None:
    async with world(tmp_path, agents=profiles(max_hops=1)) as here:
        session = await with_alpha(here)
        alpha = await here.sessions.find("alpha")
        begun = "select 1 from turns where session = ? and hops = 1 and ended_at is null"
        for noted in (False, True):
            await here.says(f"send alpha: (wait 200ms then agents then say {noted})")
            await here.until(lambda: here.query(begun, alpha.id))
            note = NewMail(
                key=MailKey(f"note{noted}"),
                session=alpha.id,
                kind=MailKind.STEER if noted else MailKind.NOTICE,
                text=f"send {session.id}: thanks" if noted else "something changed",
                sender=ADA,
                sender_name="Ada",
            )
            await here.team.post(note)
            await here.at_rest()
            turns = await here.query("select hops from turns where session = ? order by started_at", alpha.id)
            assert turns[-1]["hops"] == (0 if noted else 1)
        sent = await here.query("select hops from mail where from_session = ? and kind = 'agent'", alpha.id)
        assert [row["hops"] for row in sent] == [1]
