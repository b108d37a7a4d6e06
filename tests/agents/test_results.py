"""What comes up from a child whose result is long, empty, or no text: the parent sees all of it, in pieces."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from agents.base import AgentName, Ended, Mode, Session
from agents.ports import Profile
from agents.results import IN_A_FILE_BYTES, IN_THE_MESSAGE_BYTES, Results, is_text
from agents.rights import Rights
from agents.team import Task
from agents.tools.attachments import AttachmentReadTool
from agents.tools.base import ToolError
from agents.tools.files import FileReadTool
from tests.agents.world import ADA, World, profiles, world
from tests.tools.made import call_of, use

LONG = "\n".join(f"line {number} of what was found" for number in range(700))


async def result_of_child(here: World, task: str) -> tuple[Session, str]:
    """The parent, and what was posted to it."""
    parent = await here.says("say hello")
    await here.at_rest()
    child = Task(
        key=task[:40],
        agent=AgentName("researcher"),
        text=task,
        owner=ADA,
        owner_name="Ada",
        parent=await here.get(parent),
        mode=Mode.RUN,
        label="alpha",
    )
    await here.team.spawn(child)
    await here.at_rest()
    [row] = await here.query("select text from mail where kind = 'result'")
    return await here.get(parent), str(row["text"])


def with_tool(tool: str) -> dict[str, Profile]:
    return {name: replace(profile, tools=(*profile.tools, tool)) for name, profile in profiles().items()}


async def test_a_long_result_is_a_file_in_the_parents_workspace(tmp_path: Path) -> None:
    async with world(tmp_path, agents=with_tool("file_read")) as here:
        parent, told = await result_of_child(here, f"say {LONG}")
        assert "alpha (researcher" in told
        assert "line 0 of" in told
        assert len(told.encode()) < IN_THE_MESSAGE_BYTES
        found = re.search(r"the file (\S+) in your workspace", told)
        assert found is not None
        read = FileReadTool(here.workspaces)
        assert "line 699 of" in await use(read, call_of(here, parent), path=found[1], offset=650)
        row = await here.query("select length(result) as kept from sessions where label = 'alpha'")
        assert row[0]["kept"] <= 10_000


async def test_a_parent_without_a_workspace_reads_a_long_result_as_an_attachment(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        parent, told = await result_of_child(here, f"say {LONG}")
        found = re.search(r"the attachment (\S+): attachment_read", told)
        assert found is not None
        read = AttachmentReadTool(here.mailbox, here.files)
        first = await use(read, call_of(here, parent), name=found[1], limit=100)
        assert "line 0 of" in first
        assert "go on with offset 100" in first
        assert "line 699 of" in await use(read, call_of(here, parent), name=found[1], offset=len(LONG) - 200)
        other = await here.says("say hello", where=here.bobs)
        with pytest.raises(ToolError, match="no file"):  # it was not given to this one
            await use(read, call_of(here, other), name=found[1])


async def test_a_short_result_stands_in_the_message_and_none_is_said_to_be_none(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        _, told = await result_of_child(here, "say Found it")
        assert told.endswith("Found it")
        child = await here.sessions.find("alpha")
        assert child.ended is Ended.DONE
    async with world(tmp_path / "empty", runs=False) as here:
        parent = await here.says("say hello")
        task = Task(
            key="k", agent=AgentName("researcher"), text="-", owner=ADA, owner_name="Ada", parent=parent, mode=Mode.RUN
        )
        await here.sessions.end((await here.team.spawn(task)).session.id, Ended.DONE, "", here.now())
        [row] = await here.query("select text from mail where kind = 'result'")
        assert row["text"].endswith("is done. It left no text.")


async def test_what_is_huge_or_no_text_becomes_an_attachment_and_is_said_to_be_so(tmp_path: Path) -> None:
    async with world(tmp_path, agents=with_tool("file_read")) as here:
        parent = await here.says("say hello")
        await here.at_rest()
        results = Results(here.sessions, Rights(here, here.sessions), here.workspaces, here.files)
        task = Task(
            key="k",
            agent=AgentName("researcher"),
            text="wait 20s",
            owner=ADA,
            owner_name="Ada",
            parent=await here.get(parent),
            mode=Mode.RUN,
        )
        child = (await here.team.spawn(task)).session
        huge = await results.handed(child, "x" * (IN_A_FILE_BYTES + 1))
        assert huge is not None
        assert [file.size_bytes for file in huge.attachments] == [IN_A_FILE_BYTES + 1]
        assert len(huge.text) < 3_000
        binary = await results.handed(child, "PK\x03\x04\0\0 and more")
        assert binary is not None
        assert "It is no text" in binary.text
        assert binary.attachments[0].media_type == "application/octet-stream"
        assert await results.handed(child, "short") is None
        await here.team.kill(parent.id, by="Ada")
        assert await results.handed(child, LONG) is None  # nobody above lives: a person reads all of it


def test_colours_of_a_terminal_and_other_scripts_are_text() -> None:
    assert is_text("\x1b[31mred\x1b[0m\tand \u202eright to left, 日本語 👩‍👩‍👧‍👦")
    assert not is_text("\x01\x02\x03\x04\x05 abc")
