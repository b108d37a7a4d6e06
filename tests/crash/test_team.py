"""kill -9 in the middle of a tree of fifty: all go on from their last step; what always crashes is parked."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tests.crash.process import Process, client_of, free_port, killable, said_in
from tests.slices.harness import AGENTS, write_config
from tests.slices.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

_MIDDLE, _LEAVES = 7, 6  # and the root: 50
_RESEARCHER = 'prompt = "You find things out."\ntools = ["spawn", "send"]'
_TEAM = AGENTS.replace(
    _RESEARCHER, 'prompt = "You find things out."\ntools = ["spawn", "send", "web_fetch"]\nmax_children = 10'
).replace('tools = ["spawn", "send"]\nspawns', 'tools = ["spawn", "send", "web_fetch"]\nspawns', 1)


@asynccontextmanager
async def counted() -> AsyncIterator[tuple[str, Counter[str]]]:
    """A page that counts how often each of its addresses was fetched: the effect of a tool call, seen from outside."""
    fetched: Counter[str] = Counter()

    async def page(request: web.Request) -> web.Response:
        fetched[request.path] += 1
        return web.Response(text="here", content_type="text/plain")

    app = web.Application()
    app.router.add_get("/{leaf}", page)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", fetched
    finally:
        await runner.cleanup()


def the_team(url: str) -> str:
    lines: list[str] = []
    for middle in range(_MIDDLE):
        lines.append(f"spawn researcher as m{middle}:")
        for leaf in range(_LEAVES):
            steps = f"fetch {url}/{middle}-{leaf} then wait {300 + leaf * 100}ms then say Result {middle}-{leaf}"
            lines.append(f"    spawn researcher as m{middle}-{leaf}: ({steps})")
        lines += ["    join", f"    say Middle {middle}"]
    return "\n".join([*lines, "join", "say All are back"])


@pytest.mark.requirement("P3")
async def test_a_tree_of_fifty_goes_on_after_a_kill_and_what_crashes_three_times_is_parked(tmp_path: Path) -> None:
    port = free_port()
    async with counted() as (url, fetched):
        allow = f'[fetch]\nallow = ["127.0.0.1"]\nports = [{url.rpartition(":")[2]}]\n'
        file = write_config(tmp_path, agents=_TEAM, port=port, more=allow)
        async with killable(file, port) as process, client_of(process) as client:
            await client.post("/api/v1/threads/team/messages", json={"text": the_team(url)})
            await until(lambda: len(fetched) == _MIDDLE * _LEAVES, "every leaf has fetched its page")
            journalled = "steps where kind = 'result' and json_extract(body, '$.name') = 'web_fetch'"
            await until(lambda: _count(process, journalled) == _MIDDLE * _LEAVES, "and its step is committed")
            await until(lambda: _count(process, "mail where kind = 'result'") >= 3, "the first results are there")
            await process.kill()
            assert _count(process, "sessions where state = 'running' and parent is not null") > 0, "in the middle"
            await process.start()

            async def back() -> bool:
                return any("All are back" in text for text in await said_in(client, "team", 1))

            await until(back, "the root has all results")
            _check(process, fetched)
            await _crash_three_times(process)

            async def parked() -> bool:
                return any("stopped 3 times in a row" in text for text in await said_in(client, "bad", 1))

            await until(parked, "the person is told")
            assert await process.stop() == 0
    assert process.rows("select state, crashes from sessions where label = 'assistant-2'") == [("idle", 0)]
    assert process.rows("select count(*) from deliveries where text like '%three times%'") == [(0,)]


def _check(process: Process, fetched: Counter[str]) -> None:
    assert set(fetched.values()) == {1}, "a call that had finished was run again"
    assert process.rows("select ended, count(*) from sessions where parent is not null group by 1") == [("done", 49)]
    results = "select count(*), count(distinct from_session), sum(state = 'taken') from mail where kind = 'result'"
    assert process.rows(results) == [(49, 49, 49)]
    calls = (
        "select count(*), count(distinct session || json_extract(body, '$.call_id')) from steps where kind = 'result'"
    )
    assert len(set(process.rows(calls)[0])) == 1, "each call has one result"
    said = dict(
        process.rows("select substr(text, 1, 10), count(*) from deliveries where text like 'Result %' group by 1")
    )
    assert said == {f"Result {middle}-{leaf}": 1 for middle in range(_MIDDLE) for leaf in range(_LEAVES)}
    assert process.rows("select count(*) from deliveries where text like '%All are back%'") == [(1,)]
    assert process.rows("select count(*) from sessions") == [(50,)], "nothing was spawned twice"


async def _crash_three_times(process: Process) -> None:
    async with client_of(process) as client:
        await client.post("/api/v1/threads/bad/messages", json={"text": "wait 60s then say three times"})
    for crash in range(3):
        running = f"sessions where state = 'running' and crashes = {crash} and epoch = {crash + 1}"
        await until(lambda running=running: _count(process, running) == 1, "its turn runs")  # type: ignore[misc]
        await process.kill()
        await process.start()


def _count(process: Process, what: str) -> int:
    (row,) = process.rows(f"select count(*) from {what}")
    return int(row[0])
