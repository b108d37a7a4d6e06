"""Shared values: versions, who may see them, races, crashes, and a session that was killed."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents import shared
from agents.base import AgentName, Epoch, Fenced, Refused, StepKind, TurnId
from agents.rights import Rights
from agents.shared import Scope
from agents.team import Task
from agents.tools.base import Call, Tool, ToolError
from agents.tools.state import StateDeleteTool, StateGetTool, StateListTool, StateSetTool
from storage import state
from storage.state import SqliteSharedValues
from tests.agents.world import ADA, World, profiles, world
from tests.tools.made import call_of, settled, use

TOOLS = ("state_get", "state_set", "state_list", "state_delete")


def tools(here: World) -> tuple[Tool, Tool, Tool, Tool]:
    values = SqliteSharedValues(here.database)
    return StateGetTool(values), StateSetTool(values), StateListTool(values), StateDeleteTool(values)


def again(call: Call, id: str) -> Call:
    return replace(call, id=id)


async def test_a_value_is_written_read_listed_and_deleted_by_its_version(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        get, put, listing, delete = tools(here)
        call = call_of(here, await settled(here))
        assert await use(get, call, key="plan") == "plan does not exist (version 0)."
        assert await use(put, call, key="plan", value="one\ntwo", expected_version=0) == "Wrote plan: version 1."
        assert await use(get, call, key="plan") == f"plan, version 1, by {call.session.id}:\none\ntwo"
        await use(put, again(call, "2"), key="prices/eu", value="3", expected_version=0)
        assert await use(listing, call, prefix="prices/") == "prices/eu  version 2  1 characters  3"
        assert "narrow the prefix" in await use(listing, call, limit=1)
        assert await use(delete, again(call, "3"), key="plan", expected_version=1) == "Deleted plan."
        assert await use(put, again(call, "4"), key="plan", value="new", expected_version=0) == "Wrote plan: version 3."
        with pytest.raises(ToolError, match=r"version 3 by .* now. Its value:\nnew"):
            await use(put, again(call, "5"), key="plan", value="late", expected_version=1)
        with pytest.raises(ToolError, match="does not exist"):
            await use(delete, again(call, "6"), key="nothing", expected_version=1)


async def test_of_many_who_count_together_none_is_lost(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        get, put, *_ = tools(here)
        call = call_of(here, await settled(here))
        values = SqliteSharedValues(here.database)

        async def count(number: int) -> None:
            for attempt in range(100):
                seen = await values.value(Scope(f"tree:{call.session.root}"), "n")
                total = str(int(seen.value if seen else "0") + 1)
                made = again(call, f"{number}.{attempt}")
                try:
                    await use(put, made, key="n", value=total, expected_version=seen.version if seen else 0)
                except ToolError:
                    continue
                return
            raise AssertionError("never got its turn")

        await asyncio.gather(*(count(number) for number in range(12)))
        assert (await use(get, call, key="n")).endswith("\n12")


@pytest.mark.requirement("P3")
async def test_a_call_made_again_after_a_crash_writes_nothing_twice(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        get, put, _, delete = tools(here)
        call = call_of(here, await settled(here))
        first = await use(put, call, key="x", value="mine", expected_version=0)
        await use(put, again(call, "other"), key="x", value="theirs", expected_version=1)
        assert await use(put, call, key="x", value="mine", expected_version=0) == first
        assert (await use(get, call, key="x")).endswith("theirs")
        await use(delete, again(call, "d"), key="x", expected_version=2)
        await use(put, again(call, "new"), key="x", value="newer", expected_version=0)
        await use(delete, again(call, "d"), key="x", expected_version=2)
        assert (await use(get, call, key="x")).endswith("newer")


@pytest.mark.requirement("P4")
async def test_a_session_that_was_killed_or_lost_its_claim_writes_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        get, put, _, delete = tools(here)
        call = call_of(here, await settled(here))
        await use(put, call, key="x", value="1", expected_version=0)
        older = replace(call, id="b", claim=replace(call.claim, epoch=Epoch(call.claim.epoch - 1)))
        with pytest.raises(Fenced):
            await use(put, older, key="x", value="2", expected_version=1)
        await here.team.kill(call.session.id, by="Ada")
        with pytest.raises(Fenced):
            await use(put, again(call, "c"), key="x", value="2", expected_version=1)
        with pytest.raises(Fenced):
            await use(delete, again(call, "d"), key="x", expected_version=1)
        assert (await use(get, call, key="x")).endswith("\n1")


@pytest.mark.requirement("P9")
async def test_scopes_are_apart_and_only_those_of_the_profile_are_open(tmp_path: Path) -> None:
    async with world(tmp_path, runs=False) as here:
        get, put, *_ = tools(here)
        here.agents = profiles(state=("tree", "agent", "everyone"))
        one = await here.get(await here.says("hi"))
        elsewhere = await here.team.begin(
            Task(key="b", agent=AgentName("researcher"), text="hi", owner=ADA, owner_name="Ada"), _other_place()
        )
        mine, theirs = call_of(here, one), call_of(here, elsewhere.session)
        for scope in ("tree", "agent", "everyone"):
            await use(put, again(mine, scope), key="x", value=f"of {scope}", expected_version=0, scope=scope)
        assert "does not exist" in await use(get, theirs, key="x", scope="tree")
        assert "does not exist" in await use(get, theirs, key="x", scope="agent")
        assert (await use(get, theirs, key="x", scope="everyone")).endswith("of everyone")
        shut = call_of(here, one, state=("tree",))
        for tool, more in ((get, {}), (put, {"value": "y", "expected_version": 3})):
            with pytest.raises(ToolError, match="your scopes: tree"):
                await use(tool, shut, key="x", scope="everyone", **more)


@pytest.mark.requirement("P9")
async def test_a_child_has_no_scope_that_its_parent_has_not(tmp_path: Path) -> None:
    async with world(tmp_path, runs=False) as here:
        everything: dict[str, Any] = profiles(state=("tree", "agent", "everyone"))
        here.agents = {**everything, "assistant": replace(everything["assistant"], state=("tree",))}
        parent = await here.get(await here.says("hi"))
        child = await here.team.spawn(
            Task(key="c", agent=AgentName("researcher"), text="hi", owner=ADA, owner_name="Ada", parent=parent)
        )
        profile = await Rights(here, here.sessions).profile_of(child.session)
        assert profile is not None
        assert profile.state == ("tree",)


async def test_a_full_scope_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world(tmp_path) as here:
        _, put, *_ = tools(here)
        call = call_of(here, await settled(here))
        monkeypatch.setattr(state, "MOST_KEYS", 2)
        monkeypatch.setattr(state, "MOST_CHARACTERS", 10)
        await use(put, again(call, "1"), key="a", value="12345", expected_version=0)
        with pytest.raises(Refused, match="10 characters"):
            await use(put, again(call, "2"), key="b", value="123456", expected_version=0)
        await use(put, again(call, "3"), key="b", value="1", expected_version=0)
        with pytest.raises(Refused, match="2 keys"):
            await use(put, again(call, "4"), key="c", value="1", expected_version=0)
        await use(put, again(call, "5"), key="b", value="12345", expected_version=2)
        with pytest.raises(ToolError, match="at most"):
            await use(put, call, key="d", value="x" * (shared.LONGEST_VALUE + 1), expected_version=0)
        with pytest.raises(ToolError, match="valid string"):
            await use(put, call, key="d", value="\ud83d", expected_version=0)


async def test_agents_use_it_in_their_turns(tmp_path: Path) -> None:
    async with world(tmp_path, agents=profiles(tools=TOOLS), runs=False) as here:
        session = await here.get(await here.says("hi"))
        assert here.agents["assistant"].state == ("tree",)
        call = replace(call_of(here, session), claim=replace(call_of(here, session).claim, turn=TurnId("t")))
        get, put, *_ = tools(here)
        await use(put, call, key="j", value=json.dumps({"a": 1}), expected_version=0)
        assert json.loads((await use(get, call, key="j")).partition("\n")[2]) == {"a": 1}
        assert [step.step.kind for step in await here.journal.history(session.id)] in ([], [StepKind.INPUT])


def _other_place() -> Any:
    from tests.agents.world import HOME

    return replace(HOME, thread="other")
