"""People who are asked, on each platform: a question with buttons, a written answer, leave for a call."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conformance.rig_slack import seen_text
from tests.slices.hands import press
from tests.slices.harness import AGENTS, running, write_config
from tests.slices.screens import DiscordScreen, Screen, SlackScreen

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
        await threadmill.shows(screen, home, "Blue or red?")
        assert press(screen, home, "Red")
        assert press(screen, home, "Blue"), "before anybody could see that it is answered"
        shown = await threadmill.shows(screen, home, "Painted", "Answered by")
        assert re.search(r"asks:\n+Blue or red\?\n+Answered by Ada( Lovelace)?: Red$", shown[0]), (
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
        await threadmill.shows(screen, home, "Which colour?")
        await threadmill.settled()
    async with running(file, [screen]) as threadmill:
        screen.says(home, "Green, please")
        await threadmill.shows(screen, home, "Green, please", "Painted")
        await threadmill.settled()
        assert await threadmill.rows("select kind, text from mail where kind = 'answer'") == [
            ("answer", "Green, please")
        ]
        assert sum("Which colour?" in text for text in screen.said(home)) == 1


@pytest.mark.requirement("P9")
async def test_a_call_that_needs_leave_waits_for_the_button_or_the_command(screen: Screen, tmp_path: Path) -> None:
    async with running(write_config(tmp_path, [screen], agents=ASKING), [screen]) as threadmill:
        screen.says(screen.room, "tool sessions_list {}\nsay First is done")
        home = await threadmill.home_of("assistant-1")
        asked = await threadmill.shows(screen, home, "wants to run sessions_list")
        assert not [text for text in asked if "First is done" in text]
        assert press(screen, home, "Once")
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
