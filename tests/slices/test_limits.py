"""The limits of teams as people meet them: what /spawn may be given, who waits for room, what is counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.slices.harness import AGENTS, running, write_config

pytestmark = pytest.mark.slow

_TIGHT = AGENTS.replace(
    'prompt = "You find things out."',
    'prompt = "You find things out."\nmax_running = 1\nbudget_usd = 0.5\nturn_timeout_seconds = 60',
)


@pytest.mark.requirement("P8")
@pytest.mark.requirement("P9")
async def test_what_spawn_is_given_is_taken_or_refused_and_who_waits_for_room_is_seen(tmp_path: Path) -> None:
    async with running(write_config(tmp_path, agents=_TIGHT)) as threadmill:
        wrong = {
            "label=Prices x": "cannot be a label",
            "label=assistant x": "cannot be a label",
            "model=clever x": "There are: default, other.",
            "timeout=5m x": "whole seconds",
            "timeout=99999 x": "from 1 to 86400",
            "timeout=61 x": "give 60 at most",
            "budget=0 x": "US dollars",
            "budget=0.6 x": "give 0.5 at most",
            "workspace=shared:lab x": "allowed: own",
            "label=prices": "Say what is to be done",
        }
        for number, (given, why) in enumerate(wrong.items()):
            await threadmill.post(f"wrong{number}", f"/spawn researcher {given}")
            assert why in (await threadmill.heard(f"wrong{number}", why))[0]
        assert await threadmill.rows("select 1 from sessions") == []
        options = "label=prices model=other timeout=60 budget=0.5 workspace=own"
        await threadmill.post("right", f"/spawn researcher {options} wait 20s then say x=1")
        await threadmill.heard("right", "Spawned **prices**")
        await threadmill.until(lambda: threadmill.application.engine.awake == 1)
        query = "select model, timeout_seconds, budget_nano, workspace like 'session:%', task from sessions"
        assert await threadmill.rows(query) == [("other", 60, 500_000_000, 1, "wait 20s then say x=1")]
        await threadmill.post("second", "/spawn researcher label=later say there is room")
        room = threadmill.application.runner.room
        await threadmill.until(lambda: room.waiting == 1)
        await threadmill.post("look", "/status later")
        assert "waits for room: max_running of researcher is 1" in (await threadmill.heard("look", "later"))[0]
        text = (await threadmill.client.get("/metrics")).text
        assert "threadmill_sessions_without_room 1.0" in text
        await threadmill.post("end", "/kill prices")
        await threadmill.heard("end", "Killed **prices**")
        await threadmill.until(lambda: room.waiting == 0)
        await threadmill.settled()
        audited = "select distinct actor, json_extract(detail, '$.limit') from audit where action = 'refused'"
        limits = {limit for actor, limit in await threadmill.rows(audited) if actor == "api:owner"}
        assert limits == {"", "turn_timeout_seconds", "budget_usd", "workspace"}
        assert await threadmill.rows("select actor from audit where action = 'kill' and session <> ''") != []
        assert await threadmill.rows("select distinct actor from audit where action = 'kill'") == [("api:owner",)]
        assert await threadmill.rows("select text from deliveries where text = 'there is room'") != []
        await threadmill.post("handed", "/spawn -- researcher label=mine budget=9 say hi")  # somebody else's words
        await threadmill.heard("handed", "Spawned")
        [handed] = await threadmill.rows("select agent, label, task from sessions order by rowid desc limit 1")
        assert (handed[0], handed[2]) == ("assistant", "researcher label=mine budget=9 say hi")
        assert handed[1] != "mine"
