"""What stands under a question once it is over, however it ended, and what becomes of it when a platform fails."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from agents.questions import QuestionKind, closed_text
from bot.closing import Closing
from bot.speaker import Speaker
from channels.base import Capability, ChannelName, Outbound, Receipt, Rejected, ThreadRef, Unavailable
from channels.delivery import Delivery
from storage import questions
from storage.outbox import SqliteOutbox
from tests.agents.test_asking import ASK, asked, desk, person
from tests.agents.world import HOME, World, profiles, world
from tests.platform import Platform, Trouble


@dataclass
class Editing(Platform):
    """A platform where messages can be changed, unless it is in trouble."""

    capabilities: Capability = Capability.EDIT | Capability.BUTTONS
    edits: list[tuple[str, Outbound]] = field(default_factory=list)

    async def edit(self, part: Outbound, message_id: str) -> None:
        await self._meet(part.to.key)
        self.edits.append((message_id, part))


async def say_all(here: World) -> None:
    """What waits in the outbox is said, its parts by their number."""
    outbox = SqliteOutbox(here.database)
    for lane in await outbox.lanes():
        while isinstance(head := await outbox.head(lane, here.now()), Delivery):
            taken = await outbox.take(head, (head.message,), here.now())
            assert taken is not None
            await outbox.said(taken, Receipt(message_ids=(f"m{head.n}",), sent_at=here.now()), here.now())


def closing(here: World, *platforms: Platform) -> Closing:
    known = {platform.name: platform for platform in platforms}
    speaker = Speaker(SqliteOutbox(here.database), lambda _: None, known.get, here.now)

    async def changed(message: Outbound) -> None:
        await SqliteOutbox(here.database).reword(message, message.key)

    return Closing(here.questions, known.get, speaker, changed, here.now)


async def closed(here: World) -> list[str]:
    return [row[0] for row in await here.query("select id from questions where closed_at is not null")]


@pytest.mark.parametrize(
    ("end", "says"),
    [
        ("answer", "**Answered by Ada:** Red"),
        ("expiry", "*Nobody answered in time.*"),
        ("stop", "*Nobody waits for this any more.*"),
        ("kill", "*Nobody waits for this any more.*"),
    ],
)
async def test_however_a_question_ends_its_messages_say_so_and_lose_their_buttons(
    tmp_path: Path, end: str, says: str
) -> None:
    async with world(tmp_path, agents=profiles(ask_timeout_seconds=60.0)) as here:
        session = await here.says(ASK)
        question = await asked(here, session)
        await say_all(here)
        web = Editing(ChannelName("web"))
        at_work = closing(here, web)
        await at_work.close_all()
        assert web.edits == [], "somebody may answer it still"
        match end:
            case "answer":
                await desk(here).press(question.choices[1].id, person(), here.now())
            case "expiry":
                await here.later(minutes=2)
            case "stop":
                await here.team.stop(session.id)
            case "kill":
                await here.team.kill(session.id, by="Ada")
        await here.at_rest()
        await at_work.close_all()
        await at_work.close_all()
        ((message_id, part),) = web.edits
        assert message_id.startswith("m")
        assert part.text == f"**assistant-1** asks:\n\nBlue or red?\n\n{says}"
        assert (part.to, part.buttons) == (HOME, ())
        assert await here.said() == [part.text, *(await here.said())[1:]], "the page shows the same"
        assert await closed(here) == [question.id]


async def test_a_platform_that_is_away_is_waited_for_and_holds_up_no_other(tmp_path: Path) -> None:
    agents = profiles(escalate_to=("bob",), ask_timeout_seconds=60.0)
    async with world(tmp_path, agents=agents) as here:
        there = ThreadRef(channel=ChannelName("slack"), room="C1")
        here.bobs = there
        session = await here.says(ASK)
        question = await asked(here, session)
        await here.later(seconds=61)
        await here.until(lambda: here.said_any("I ask Bob", there))
        await say_all(here)
        web, slack = Editing(ChannelName("web")), Editing(ChannelName("slack"))
        slack.always = lambda _: Trouble(error=Unavailable("away"))
        at_work = closing(here, web, slack)
        await desk(here).press(question.choices[0].id, person(), here.now())
        await at_work.close_all()
        assert [part.to for _, part in web.edits] == [HOME]
        assert slack.calls == 1
        await at_work.close_all()
        assert slack.calls == 1, "not again at once"
        assert await closed(here) == []
        at_work = closing(here, web, slack)  # as after a restart
        slack.always = lambda _: None
        await at_work.close_all()
        assert [part.to for _, part in slack.edits] == [there]
        assert web.edits[0] == web.edits[-1], "what was changed before may be changed again"
        assert await closed(here) == [question.id]


async def test_where_a_message_cannot_be_changed_the_answer_is_said_once(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        question = await asked(here, await here.says(ASK))
        await say_all(here)
        gone = Editing(ChannelName("web"))
        gone.always = lambda _: Trouble(error=Rejected("the message is gone"))
        await desk(here).press(question.choices[0].id, person(), here.now())
        at_work = closing(here, gone)
        await at_work.close_all()
        await at_work.close_all()
        assert [text for text in await here.said() if "Answered by" in text] == ["**Answered by Ada:** Blue"]
        assert await closed(here) == [question.id]


async def test_an_answered_question_is_not_asked_any_more_and_a_day_is_the_longest_to_wait(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        question = await asked(here, await here.says(ASK))
        await desk(here).press(question.choices[0].id, person(), here.now())
        states = await here.query("select state from deliveries where key like 'ask:%'")
        assert [row[0] for row in states] == ["cancelled"], "it had not gone out yet"
        await closing(here).close_all()
        assert await closed(here) == [question.id]
        await here.at_rest()
        other = await asked(here, await here.says(ASK), 2)
        await say_all(here)
        await desk(here).press(other.choices[0].id, person(), here.now())
        nowhere = closing(here)
        await nowhere.close_all()
        assert await closed(here) == [question.id], "its channel may come yet"
        here.ahead += timedelta(days=2)
        await nowhere.close_all()
        assert await closed(here) == [question.id, other.id]


async def test_a_long_question_stays_one_message_when_it_is_closed(tmp_path: Path) -> None:
    long = "x " * 450
    async with world(tmp_path) as here:
        session = await here.says(f'tool ask_human {{"question": "{long}", "choices": ["A", "B"]}}')
        question = await asked(here, session)
        await say_all(here)
        web = Editing(ChannelName("web"), part_length=960)
        await desk(here).press(question.choices[0].id, person(), here.now())
        await closing(here, web).close_all()
        ((_, part),) = web.edits
        assert len(part.text) <= 960
        assert part.text.endswith("**Answered by Ada:** A")


async def test_what_came_of_a_call_says_how_far_it_was_allowed(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        question = await asked(here, await here.says(ASK))
        for answer, text in [("once", "once"), ("always", "for the rest of this session"), ("deny", "Denied")]:
            decided = replace(question, kind=QuestionKind.APPROVAL, answer=answer, answered_by="Bob")
            assert text in closed_text("May it?\n\nPress", decided, here.now())
            assert "Bob" in closed_text("May it?\n\nPress", decided, here.now())


@pytest.mark.requirement("P6")
async def test_any_number_of_questions_at_a_platform_that_is_away_stands_before_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "_PAGE", 1)
    async with world(tmp_path) as here:
        there = ThreadRef(channel=ChannelName("slack"), room="C1")
        for where in (there, HOME):
            await asked(here, session := await here.says(ASK, where))
            await here.team.kill(session.id, by="Ada")
            await here.at_rest()
        await here.database.write(
            lambda tx: tx.execute("update deliveries set state = 'sent', message_ids = '[\"1\"]'")
        )
        web = Editing(ChannelName("web"))
        await closing(here, web).close_all()
        assert [part.to for _, part in web.edits] == [HOME]
