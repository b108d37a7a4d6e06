"""People who are asked, on each platform: a question with buttons, a written answer, leave for a call."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

import pytest

from channels.base import ThreadRef
from tests.conformance.rig_slack import seen_text
from tests.slices.hands import press
from tests.slices.harness import AGENTS, Running, running, write_config
from tests.slices.screens import EVES, DiscordScreen, Screen, SlackScreen, slack, telegram

pytestmark = pytest.mark.slow

ASKING = AGENTS.replace(
    'tools = ["spawn", "send"]\nspawns = ["researcher"]\nmay_message',
    'tools = ["spawn", "send", "ask_human"]\napprove = ["sessions_list"]\nspawns = ["researcher"]\nmay_message',
)


async def test_a_button_answers_a_question_and_a_second_press_is_told_that_it_is_late(
    screen: Screen, tmp_path: Path
) -> None:
    async with running(write_config(tmp_path, [screen], agents=ASKING), [screen]) as threadmill:
        screen.says(screen.room, 'tool ask_human {"question": "Blue or red?", "choices": ["Blue", "Red"]}\nsay Painted')
        home = await threadmill.home_of("assistant-1")
        await threadmill.shows(screen, home, "asks:\n\nBlue or red?")
        assert press(screen, home, "Blue", by=EVES)
        await threadmill.until(
            lambda: any("do not know you" in text for text in heard(screen)), "a stranger's press is answered"
        )
        assert await threadmill.rows("select answer from questions") == [(None,)]
        assert press(screen, home, "Red")
        assert press(screen, home, "Blue"), "before anybody could see that it is answered"
        shown = await threadmill.shows(screen, home, "Painted", "Answered by")
        assert any(re.search(r"asks:\n+Blue or red\?\n+Answered by ada: Red$", text) for text in shown), (
            "the question itself says it"
        )
        await threadmill.until(
            lambda: any("is answered already" in text for text in heard(screen)), "a second press is answered"
        )
        assert not press(screen, home, "Blue")
        assert not press(screen, home, "Red")
        assert not any("Press a button" in text for text in heard(screen))
        assert await threadmill.rows("select count(*) from mail where kind = 'answer'") == [(1,)]


async def test_what_is_written_in_the_thread_is_the_answer_also_after_a_restart(screen: Screen, tmp_path: Path) -> None:
    file = write_config(tmp_path, [screen], agents=ASKING)
    async with running(file, [screen]) as threadmill:
        screen.says(screen.room, "ask Which colour?\nsay Painted")
        home = await threadmill.home_of("assistant-1")
        await threadmill.shows(screen, home, "asks:\n\nWhich colour?")
        await threadmill.settled()
    async with running(file, [screen]) as threadmill:
        screen.says(home, "Green, please")
        await threadmill.shows(screen, home, "Green, please", "Painted")
        await threadmill.settled()
        assert await threadmill.rows("select kind, text from mail where kind = 'answer'") == [
            ("answer", "Green, please")
        ]
        assert sum("asks:\n\nWhich colour?" in text for text in screen.said(home)) == 1


@pytest.mark.requirement("P9")
async def test_a_call_that_needs_leave_waits_for_the_button_or_the_command(screen: Screen, tmp_path: Path) -> None:
    async with running(write_config(tmp_path, [screen], agents=ASKING), [screen]) as threadmill:
        screen.says(screen.room, "tool sessions_list {}\nsay First is done")
        home = await threadmill.home_of("assistant-1")
        asked = await threadmill.shows(screen, home, "wants to run sessions_list")
        assert not [text for text in asked if "First is done" in text]
        (page,) = await threadmill.rows("select id from buttons where json_extract(action, '$.answer') = 'once'")
        assert await pressed_on_the_page(threadmill, home, page[0]) == 202
        await threadmill.shows(screen, home, "First is done")
        await threadmill.settled()
        screen.says(home, "tool sessions_list {}\nsay Second is done")
        await threadmill.until(lambda: sum("wants to run" in text for text in screen.said(home)) == 2, "asked again")
        await threadmill.settled()
        (id,) = (await threadmill.rows("select id from questions where answer is null"))[0]
        screen.gives(home, f"/deny {id}")
        await threadmill.shows(screen, home, "Second is done", "denied this call")
        acted = await threadmill.rows("select action from audit where action in ('approved', 'denied') order by n")
        assert acted == [("approved",), ("denied",)]


async def pressed_on_the_page(threadmill: Running, place: ThreadRef, button: str) -> int:
    """The owner presses a button under a platform's message, as the page shows it."""
    address = f"/t/{quote(place.key, safe='')}/button"
    answer = await threadmill.client.post(address, data={"button": button}, headers={"accept": "application/json"})
    return answer.status_code


async def test_somebody_else_is_asked_where_she_is_reached_and_the_answer_comes_back(tmp_path: Path) -> None:
    """Ada works on Telegram; Eve, who is asked, is reached on Slack."""
    agents = ASKING.replace('approve = ["sessions_list"]', 'escalate_to = ["user"]')
    async with telegram() as adas, slack() as eves:
        people = f'[people.eve]\naccounts = ["{eves.accounts[EVES]}"]\nrole = "user"\n'
        file = write_config(tmp_path, [adas, eves], agents=agents, more=people)
        async with running(file, [adas, eves]) as threadmill:
            question = '{"question": "May we paint?", "choices": ["Yes", "No"], "to": "eve"}'
            adas.says(adas.home(), f"tool ask_human {question}\nsay Painted")
            at_eves = eves.home(EVES)
            await threadmill.shows(eves, at_eves, "May we paint?")
            assert not any("May we paint?" in text for texts in adas.said_anywhere().values() for text in texts)
            assert press(eves, at_eves, "Yes", by=EVES)
            (said,) = [
                text for text in await threadmill.shows(eves, at_eves, "Answered by eve: Yes") if "paint" in text
            ]
            assert said.count("Yes") == 1
            await threadmill.shows(adas, adas.home(), "Painted")
            adas.says(adas.home(), f"tool ask_human {question}\nsay Painted again")
            await threadmill.until(lambda: len([text for text in eves.said(at_eves) if "paint?" in text]) == 2, "asked")
            await threadmill.settled()
            eves.says(at_eves, "no", by=EVES)
            await threadmill.shows(eves, at_eves, "Passed on as your answer", "Answered by eve: No")
            await threadmill.shows(adas, adas.home(), "Painted again", "Answer from eve: No")


def heard(screen: Screen) -> list[str]:
    """Everything that the bot showed, also what only one person saw."""
    shown = [text for said in screen.said_anywhere().values() for text in said]
    match screen:
        case DiscordScreen():
            return shown
        case SlackScreen():
            whispers = [*screen.slack.answers, *screen.slack.space.ephemerals]
            return shown + [str(answer.get("text") or seen_text(answer)) for answer in whispers]
    return shown
