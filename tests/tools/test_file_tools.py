"""The file tools as an agent uses them: through a turn, by hand, after a crash, and in a workspace with others."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from agents.base import AgentName, Refused, StepKind
from agents.calls import CallRunner
from agents.models.base import ToolCall
from agents.team import Task
from agents.tools.base import Tool, Toolbox, ToolError
from agents.tools.files import FileDeleteTool, FileEditTool, FileListTool, FileReadTool, FileWriteTool, workspace_name
from agents.tools.files_search import FileSearchTool
from agents.workspaces import Workspaces
from tests.agents.world import ADA, profiles, world
from tests.tools.made import call_of, settled, use

FILES = ("file_read", "file_write", "file_edit", "file_list", "file_search", "file_delete")


def tools(folder: Path) -> list[Tool]:
    spaces = Workspaces(folder / "workspaces")
    return [
        FileReadTool(spaces),
        FileWriteTool(spaces),
        FileEditTool(spaces),
        FileListTool(spaces),
        FileSearchTool(spaces, expression_seconds=1.0),
        FileDeleteTool(spaces),
    ]


async def test_an_agent_writes_and_reads_a_file_in_a_turn(tmp_path: Path) -> None:
    written = json.dumps({"path": "notes/a.md", "content": "one\ntwo"})
    agents = profiles(tools=FILES)
    async with world(tmp_path, tools=tools(tmp_path), agents=agents) as here:
        session = await here.says(
            f'tool file_write {written} then tool file_read {{"path": "notes/a.md"}} then say end'
        )
        await here.at_rest()
        results = [
            step.step.body for step in await here.journal.history(session.id) if step.step.kind is StepKind.RESULT
        ]
        assert [result["error"] for result in results] == [False, False]
        assert results[1]["text"].endswith("2 lines\n    1  one\n    2  two")
        assert (tmp_path / "workspaces/session" / session.id / "notes/a.md").read_text() == "one\ntwo"


async def test_reading_shows_the_lines_asked_for_and_refuses_what_is_not_text(tmp_path: Path) -> None:
    read, write, *_ = tools(tmp_path)
    async with world(tmp_path) as here:
        call = call_of(here, await settled(here))
        await use(write, call, path="x", content="\n".join(f"line {n}" for n in range(1, 101)))
        shown = await use(read, call, path="x", offset=10, limit=2)
        assert shown.splitlines()[1:] == ["   10  line 10", "   11  line 11"]
        assert "100 lines, shown: 10 to 11" in shown
        with pytest.raises(ToolError, match="beyond"):
            await use(read, call, path="x", offset=101)
        (tmp_path / "workspaces/session" / call.session.id / "b").write_bytes(b"\xff\x00")
        with pytest.raises(ToolError, match="not text"):
            await use(read, call, path="b")


async def test_an_edit_needs_text_that_stands_there_once(tmp_path: Path) -> None:
    read, write, edit, *_ = tools(tmp_path)
    async with world(tmp_path) as here:
        call = call_of(here, await settled(here))
        await use(write, call, path="x", content="aXa aaa")
        with pytest.raises(ToolError, match="not in"):
            await use(edit, call, path="x", old="Y", new="Z")
        with pytest.raises(ToolError, match="more than once"):
            await use(edit, call, path="x", old="aa", new="Z")
        await use(edit, call, path="x", old="X", new="–")
        assert "a–a aaa" in await use(read, call, path="x")


async def test_listing_and_searching_find_what_is_there(tmp_path: Path) -> None:
    _, write, _, listing, search, delete = tools(tmp_path)
    async with world(tmp_path) as here:
        call = call_of(here, await settled(here))
        assert await use(listing, call) == "no files"
        assert await use(search, call, text="x") == "nothing found"
        for path in ("a.md", "d/b.md", "d/c.txt"):
            await use(write, call, path=path, content=f"Hello {path}\nend")
        assert [line.split()[0] for line in (await use(listing, call, pattern="**/*.md")).splitlines()] == [
            "a.md",
            "d/b.md",
        ]
        assert await use(search, call, text="hello", ignore_case=True, pattern="d/*") == (
            "d/b.md:1: Hello d/b.md\nd/c.txt:1: Hello d/c.txt"
        )
        assert await use(search, call, text=r"^Hello \w\.md$", regex=True) == "a.md:1: Hello a.md"
        assert "may be more" in await use(search, call, text="e", limit=1)
        with pytest.raises(ToolError, match="is wrong"):
            await use(search, call, text="(", regex=True)
        with pytest.raises(ToolError, match="go up"):
            await use(listing, call, pattern="../*")
        with pytest.raises(ToolError, match="was changed"):
            await use(delete, call, path="a.md", hash="0" * 16)


@pytest.mark.slow
@pytest.mark.requirement("P6")
async def test_a_regular_expression_that_never_ends_is_killed_and_holds_nothing_up(tmp_path: Path) -> None:
    _, write, _, _, search, _ = tools(tmp_path)
    async with world(tmp_path) as here:
        call = call_of(here, await settled(here))
        await use(write, call, path="x", content="a" * 60 + "!")
        beats = 0

        async def beat() -> None:
            nonlocal beats
            while True:
                await asyncio.sleep(0.01)
                beats += 1

        beating = asyncio.create_task(beat())
        with pytest.raises(ToolError, match="longer than"):
            await use(search, call, text=r"^(a|aa)+$", regex=True)
        beating.cancel()
        assert beats > 10


@pytest.mark.requirement("P3")
async def test_an_edit_that_was_cut_off_is_reported_and_not_made_again(tmp_path: Path) -> None:
    box = Toolbox(tools(tmp_path))
    async with world(tmp_path) as here:
        call = call_of(here, await settled(here), tools=FILES)
        runner = CallRunner(box, here, call.profile, call.claim)

        def asked(name: str) -> ToolCall:
            return ToolCall(id="c", name=name, arguments={})

        assert runner.is_cut_off(asked("file_edit"), begun=True)
        assert not runner.is_cut_off(asked("file_edit"), begun=False)
        assert not runner.is_cut_off(asked("file_write"), begun=True)
        assert not runner.is_cut_off(asked("file_delete"), begun=True)


async def spawned(here: Any, parent: Any, key: str, **task: Any) -> Any:
    made = await here.team.spawn(
        Task(
            key=key, agent=AgentName("researcher"), text="say done", owner=ADA, owner_name="Ada", parent=parent, **task
        )
    )
    return made.session


@pytest.mark.requirement("P9")
async def test_a_child_works_where_it_was_told_and_nowhere_its_parent_may_not(tmp_path: Path) -> None:
    async with world(tmp_path, agents=profiles(), runs=False) as here:
        parent = await here.get(await here.says("hi"))
        profile = here.agents["researcher"]
        own = await spawned(here, parent, "own")
        assert workspace_name(own, profile) == ("session", own.id)
        with_parent = await spawned(here, parent, "with", workspace="parent")
        assert workspace_name(with_parent, profile) == ("session", parent.id)
        with pytest.raises(Refused, match="may not use the workspace 'shared:team'"):
            await spawned(here, parent, "shared", workspace="shared:team")

        here.agents = profiles(workspace="shared:team")
        profile = here.agents["researcher"]
        assert workspace_name(parent, here.agents["assistant"]) == ("shared", "team")
        shared = await spawned(here, parent, "team")
        assert workspace_name(shared, profile) == ("shared", "team")
        apart = await spawned(here, parent, "apart", workspace="own")
        assert workspace_name(apart, profile) == ("session", apart.id)
        here.agents = {**profiles(), "researcher": profile}
        kept_out = await spawned(here, parent, "kept out")
        assert workspace_name(kept_out, profile) == ("session", kept_out.id)


async def test_two_agents_in_one_workspace_do_not_lose_each_others_work(tmp_path: Path) -> None:
    read, write, *_ = tools(tmp_path)
    async with world(tmp_path, agents=profiles(workspace="shared:team"), runs=False) as here:
        parent = await here.get(await here.says("hi"))
        child = await spawned(here, parent, "child")
        mine, theirs = call_of(here, parent), call_of(here, child)
        await use(write, mine, path="plan", content="one")
        hash = (await use(read, theirs, path="plan")).split("hash ")[1][:16]
        await use(write, theirs, path="plan", content="two", hash=hash)
        with pytest.raises(ToolError, match="was changed since it was read"):
            await use(write, mine, path="plan", content="three", hash=hash)
