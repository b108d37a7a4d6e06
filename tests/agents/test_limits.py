"""The limits of teams: spawns a minute, turns at once, money of the tree. What is refused says which limit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agents.base import Ended, Session, StepKind
from agents.room import Room
from tests.agents.world import World, profiles, world


async def results(here: World, session: Session) -> list[str]:
    steps = await here.journal.history(session.id)
    return [step.step.body["text"] for step in steps if step.step.kind is StepKind.RESULT]


@pytest.mark.requirement("P8")
async def test_a_tree_spawns_only_so_many_sessions_a_minute_and_is_told_which_limit_it_hit(tmp_path: Path) -> None:
    async with world(tmp_path, agents=profiles(spawns_per_minute=2, max_children=50)) as here:
        parent = await here.says("\n".join(["spawn researcher: say hi"] * 4 + ["say over"]))
        await here.until(lambda: here.said_any("over"))
        await here.at_rest()
        refused = [text for text in await results(here, parent) if "spawns_per_minute is 2" in text]
        assert len(refused) == 2
        assert "wait a minute" in refused[0]
        here.ahead = here.ahead.resolution * 61_000_000
        await here.says("spawn researcher: say later\nsay again")
        await here.until(lambda: here.said_any("again"))
        assert len(await here.sessions.children(parent.id)) == 3


@pytest.mark.requirement("P8")
async def test_a_grandchild_counts_for_the_whole_tree(tmp_path: Path) -> None:
    agents = profiles(spawns_per_minute=2)
    agents["researcher"] = replace(agents["researcher"], spawns=agents["assistant"].spawns)
    async with world(tmp_path, agents=agents) as here:
        inner = "(spawn researcher as gamma: (say deep) then spawn researcher as delta: (say deeper) then say end)"
        await here.says(f"spawn researcher as beta: {inner}\njoin\nsay back")
        await here.until(lambda: here.said_any("back"))
        beta = (await here.query("select id from sessions where label = 'beta'"))[0]["id"]
        assert any("spawns_per_minute" in text for text in await results(here, await here.get(beta)))
        assert not await here.query("select 1 from sessions where label = 'delta'")


@pytest.mark.slow
@pytest.mark.requirement("P8")
async def test_sessions_beyond_max_running_wait_for_room_and_are_not_refused(tmp_path: Path) -> None:
    agents = profiles(max_children=50)
    agents["researcher"] = replace(agents["researcher"], max_running=2)
    async with world(tmp_path, agents=agents) as here:
        parent = await here.says(
            "\n".join(
                [f"spawn researcher: wait 50ms then say {number}" for number in range(8)] + ["join", "say all back"]
            )
        )
        await here.until(lambda: here.runner.room.waiting > 0)
        most = 0
        while not await here.said_any("all back"):
            running = await here.query("select count(*) from sessions where agent = 'researcher' and state = 'running'")
            most = max(most, running[0][0])
        await here.at_rest()
        assert most <= 2
        ended = [child.ended for child in await here.sessions.children(parent.id)]
        assert ended == [Ended.DONE] * 8
        assert here.runner.room.waiting == 0


@pytest.mark.slow
async def test_a_session_that_waits_for_room_can_be_killed_and_gives_its_place_on(tmp_path: Path) -> None:
    agents = profiles(max_children=50)
    agents["researcher"] = replace(agents["researcher"], max_running=1)
    async with world(tmp_path, agents=agents) as here:
        await here.says(
            "spawn researcher as one: wait 300ms then say a\nspawn researcher as two: say b\n"
            "spawn researcher as three: say c\njoin\nsay all back"
        )
        await here.until(lambda: here.runner.room.waiting == 2)
        await here.team.kill((await here.sessions.find("two")).id, by="Ada")
        await here.until(lambda: here.said_any("all back"))
        ended = await here.query("select label, ended from sessions where parent is not null order by created_at")
        assert [tuple(row) for row in ended] == [("one", "done"), ("two", "killed"), ("three", "done")]


@pytest.mark.requirement("P9")
async def test_a_child_stops_when_the_tree_above_it_has_spent_its_money(tmp_path: Path) -> None:
    async with world(tmp_path, agents=profiles()) as here:
        here.agents["assistant"] = replace(here.agents["assistant"], budget_usd=1.0)
        parent = await here.says("spawn researcher as alpha: (wait 100ms then agents then say spent)\njoin\nsay back")
        await here.until(lambda: here.query("select 1 from sessions where label = 'alpha'"))
        await here.database.write(
            lambda tx: tx.execute("update sessions set tree_nano = 2000000000 where id = ?", (parent.id,)).rowcount
        )
        await here.until(lambda: here.query("select 1 from sessions where label = 'alpha' and state = 'ended'"))
        told = (await here.query("select text from mail where kind = 'result'"))[0]["text"]
        assert "alpha (researcher" in told
        assert "failed" in told


def test_room_is_given_on_in_order_and_forgotten_when_nobody_is_left() -> None:
    room = Room()
    assert [room.enter("a", name, 2) for name in ("one", "two", "three", "four")] == [True, True, False, False]  # type: ignore[arg-type]
    assert room.enter("b", "five", 1)  # type: ignore[arg-type]
    assert room.leave("a", "one", 2) == ["three"]  # type: ignore[arg-type]
    assert room.leave("a", "two", None) == ["four"], "without a limit everybody goes on"  # type: ignore[arg-type]
    assert room.waiting == 0


@pytest.mark.requirement("P8")
async def test_a_spawn_bomb_goes_out_by_itself_and_each_refusal_names_its_limit(tmp_path: Path) -> None:
    agents = profiles(max_depth=2, max_children=3, spawns_per_minute=8)
    agents["assistant"] = replace(agents["assistant"], spawns=("assistant",), max_running=2)  # type: ignore[arg-type]
    task = "say boom"
    for _ in range(4):
        task = " then ".join([f"spawn assistant: ({task})"] * 4)
    async with world(tmp_path, agents=agents) as here:
        root = await here.says(task)
        await here.at_rest(20.0)
        tree = await here.sessions.tree(root.id)
        assert len(tree) == 9, "the root, and what a minute allows"
        assert max(session.depth for session in tree) == 2
        told = await here.query("select json_extract(detail, '$.limit') as limit_ from audit where action = 'tool'")
        assert {row["limit_"] for row in told} == {None, "max_depth", "max_children", "spawns_per_minute"}
        words = [text for session in tree for text in await results(here, session) if "Spawned" not in text]
        for text in words:
            named = [limit for limit in ("max_depth", "max_children", "spawns_per_minute") if limit in text]
            assert len(named) == 1
            assert any(advice in text for advice in ("yourself", "wait", "kill one"))
