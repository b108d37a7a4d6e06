"""Mail at the edges: what interrupts, what a session that ends has not read, and who may still send."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from agents.base import (
    Ended,
    Fenced,
    MailKey,
    MailKind,
    Mode,
    NewMail,
    Outcome,
    Posted,
    QueueMode,
    Session,
    SessionId,
    State,
)
from agents.rights import Rights
from agents.team import Task
from channels.base import ChannelName
from storage.inbox import Inbox
from tests.agents.world import ADA, World, profiles, world
from tests.stored import hear


async def run_session(here: World, text: str, label: str | None = None) -> Session:
    task = Task(key=text, agent="assistant", text=text, owner=ADA, owner_name="Ada", mode=Mode.RUN, label=label)  # type: ignore[arg-type]
    return (await here.team.spawn(task)).session


async def written(here: World, session: Session, text: str, mode: QueueMode | None = None) -> int:
    """Ada wrote this in the session's thread; its number in the inbox."""
    inbox = await here.database.write(lambda tx: hear(tx, text, text))
    mail = NewMail(
        key=MailKey(f"in:{text}"), session=session.id, kind=MailKind.PERSON, text=text, inbox=inbox, mode=mode
    )
    assert await here.team.post(mail) is Posted.QUEUED
    return inbox


@pytest.mark.slow
@pytest.mark.requirement("P5")
@pytest.mark.parametrize("kind", [MailKind.STEER, MailKind.NOTICE, MailKind.ANSWER])
async def test_mail_that_always_joins_interrupts_no_turn(tmp_path: Path, kind: MailKind) -> None:
    async with world(tmp_path, agents=profiles(queue=QueueMode.INTERRUPT)) as here:
        session = await here.says("wait 300ms then tool sessions_list {} then say end")
        await here.turns_begun(1)
        mail = NewMail(key=MailKey("one"), session=session.id, kind=kind, text="go left", sender_name="Ada")
        assert await here.team.post(mail) is Posted.QUEUED
        await here.at_rest()
        outcomes = await here.query("select outcome from turns order by started_at")
        assert [row["outcome"] for row in outcomes] == ["done"]


async def test_a_childs_result_does_not_interrupt_the_turn_that_waits_for_it(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        parent = await here.says("spawn researcher: wait 100ms then say found it; then wait for all then say end")
        await here.sessions.change(parent.id, queue=QueueMode.INTERRUPT)
        await here.at_rest()
        await here.until(lambda: here.query("select 1 from mail where kind = 'result' and state = 'taken'"))
        outcomes = await here.query("select outcome from turns where session = ?", parent.id)
        assert {row["outcome"] for row in outcomes} == {"done"}


@pytest.mark.requirement("P5")
async def test_a_run_ends_only_when_it_has_read_everything(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        session = await run_session(here, "wait 200ms then say one")
        await here.turns_begun(1)
        await written(here, session, "say two", QueueMode.FOLLOWUP)
        await here.at_rest()
        after = await here.get(session)
        assert (after.ended, after.result, after.turns) == (Ended.DONE, "two", 2)


@pytest.mark.requirement("P1")
async def test_what_a_session_that_ended_had_not_read_is_a_dead_letter_that_can_be_tried_again(tmp_path: Path) -> None:
    async with world(tmp_path, runs=False) as here:
        session = await run_session(here, "say one")
        inbox = await written(here, session, "say two")
        now = here.now()
        await here.sessions.end(session.id, Ended.FAILED, "it failed", now)
        found = await here.query("select state, decision from inbox where n = ?", inbox)
        assert (found[0]["state"], "before it read this" in found[0]["decision"]) == ("dead", True)
        assert await Inbox(here.database).revive(inbox) is not None
        other = await run_session(here, "say three")
        again = NewMail(key=MailKey("in:say two"), session=other.id, kind=MailKind.PERSON, text="say two", inbox=inbox)
        assert await here.team.post(again) is Posted.QUEUED


@pytest.mark.requirement("P5")
async def test_who_steers_a_session_that_ends_in_the_same_moment_is_told_that_it_was_too_late(tmp_path: Path) -> None:
    async with world(tmp_path, runs=False) as here:
        session = await here.says("say one")
        assert await here.team.steer(session, "go left", by="Ada", key="1", account=ADA) is Posted.QUEUED
        await here.sessions.end(session.id, Ended.FAILED, "it failed", here.now())
        assert [
            text for text in await here.said() if "failed before it could take this in" in text and "go left" in text
        ]
        assert await here.team.steer(session, "go right", by="Ada", key="2", account=ADA) is Posted.ENDED


async def test_a_session_that_is_used_again_does_not_expire(tmp_path: Path) -> None:
    async with world(tmp_path, runs=False) as here:
        session = await here.says("say hello")
        await here.sessions.end(session.id, Ended.EXPIRED, "nobody used it", here.now())
        assert (await here.get(session)).state is State.IDLE


@pytest.mark.requirement("P4")
async def test_a_session_that_was_killed_sends_nothing_any_more(tmp_path: Path) -> None:
    async with world(tmp_path, runs=False) as here:
        sender, target = await run_session(here, "say one"), await run_session(here, "say two")
        await here.team.kill(sender.id, by="Ada")
        mail = NewMail(
            key=MailKey("late"), session=target.id, kind=MailKind.AGENT, text="x", from_session=SessionId(sender.id)
        )
        with pytest.raises(Fenced):
            await here.team.post(mail)


async def test_a_turn_that_is_being_stopped_does_not_park(tmp_path: Path) -> None:
    async with world(tmp_path, runs=False) as here:
        session = await here.says("say hello")
        activation = await here.journal.activate(session.id, here.now())
        assert activation is not None
        assert await here.sessions.stop(session.id)
        told = await here.journal.end_turn(activation.claim, Outcome.DONE, [], here.now(), park_until=here.now())
        assert told is not None
        assert told.stopping


@pytest.mark.requirement("P9")
async def test_a_child_may_write_to_nobody_whom_its_parent_may_not_write_to(tmp_path: Path) -> None:
    agents = profiles()
    agents["researcher"] = replace(agents["researcher"], may_message=("ops", "press"))  # type: ignore[arg-type]
    agents["assistant"] = replace(agents["assistant"], may_message=("press",))  # type: ignore[arg-type]
    async with world(tmp_path, agents=agents, runs=False) as here:
        parent = await here.says("say hello")
        task = Task(key="c", agent="researcher", text="x", owner=ADA, owner_name="Ada", parent=parent)  # type: ignore[arg-type]
        profile = await Rights(here, here.sessions).profile_of((await here.team.spawn(task)).session)
        assert profile is not None
        assert profile.may_message == ("press",)


async def test_what_is_forgotten_while_it_is_read_is_not_remembered(tmp_path: Path) -> None:
    async with world(tmp_path, runs=False) as here:
        session = await here.says("say hello")
        activating = asyncio.create_task(here.journal.activate(session.id, here.now()))
        await asyncio.sleep(0)  # it waits for its commit
        here.journal.forget()
        assert await activating is not None
        assert not here.journal._recent


async def test_open_prompts_are_what_waits_and_what_a_turn_is_answering(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        inbox = Inbox(here.database)

        async def open_prompts() -> list[str]:
            return [prompt.message_id for prompt in await inbox.open_prompts(ChannelName("web"))]

        session = await here.says("say begun")
        await here.at_rest()
        await here.database.write(lambda tx: hear(tx, "answered long ago", "old"))
        await written(here, session, "say answered now")
        await here.at_rest()
        assert await open_prompts() == []
        running = await written(here, session, "wait 30s")
        await here.until(lambda: here.mailbox.answering(running))
        waiting = await written(here, session, "wait 1s", QueueMode.FOLLOWUP)
        await here.database.write(lambda tx: hear(tx, "undecided", "undecided", state="new"))
        await here.database.write(lambda tx: hear(tx, "a bot's", "a bot's", state="new", is_bot=1))
        await here.database.write(lambda tx: hear(tx, "elsewhere", "elsewhere", place="api:main", state="new"))
        assert await open_prompts() == ["undecided", "wait 1s", "wait 30s"]
        assert [prompt.where.key for prompt in await inbox.open_prompts(ChannelName("api"))] == ["api:main"]
        answering = await here.mailbox.answering(running)
        assert answering is not None
        assert answering.id == session.id
        assert not await here.mailbox.withdraw(running)
        assert await here.mailbox.withdraw(waiting)
        assert await here.mailbox.withdraw(waiting), "a second try, after a crash, finds it done"
