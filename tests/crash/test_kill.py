"""kill -9 at any moment: what was accepted is answered, in order, once; what was done is not done again."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.crash.process import Process, client_of, free_port, killable, ran, said_in
from tests.slices.harness import AGENTS, write_config
from tests.slices.screens import PLATFORMS
from tests.slices.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

_THREADS, _EACH, _KILLS = 20, 10, 5
_ONE_BY_ONE = AGENTS.replace('prompt = "You help."', 'prompt = "You help."\nqueue = "followup"')


class Burst:
    """Twenty people who write and do not care that the server is killed under them."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.accepted: dict[str, list[int]] = {}  # by thread: status codes that said so
        self.count = 0
        self.moved = asyncio.Condition()

    async def write(self, thread: str) -> None:
        for number in range(_EACH):
            await self._post(thread, number)
            if number % 3 == 2:
                await self._hear(thread, number + 1)
        await self._hear(thread, _EACH)

    async def until(self, count: int) -> None:
        async with self.moved:
            await self.moved.wait_for(lambda: self.count >= count)

    async def _post(self, thread: str, number: int) -> None:
        body = {"text": f"wait 20ms then say {thread} says {number}", "id": f"m{number}"}
        while True:
            try:
                answer = await self.client.post(f"/api/v1/threads/{thread}/messages", json=body)
            except httpx.TransportError:
                await asyncio.sleep(0.02)  # the client's own pause before it tries again
                continue
            if answer.status_code in (200, 202):
                break
            assert answer.status_code == 503, answer.text
        async with self.moved:
            self.accepted.setdefault(thread, []).append(answer.status_code)
            self.count += 1
            self.moved.notify_all()

    async def _hear(self, thread: str, count: int) -> None:
        while True:
            try:
                await said_in(self.client, thread, count)
                return
            except (httpx.TransportError, httpx.HTTPStatusError):
                await asyncio.sleep(0.02)


@pytest.mark.requirement("P1")
@pytest.mark.requirement("P2")
@pytest.mark.requirement("P3")
async def test_every_accepted_message_of_a_burst_is_answered_once_in_order_over_five_kills(tmp_path: Path) -> None:
    chance = random.Random(20)
    port = free_port()
    async with killable(write_config(tmp_path, agents=_ONE_BY_ONE, port=port), port) as process:
        async with client_of(process) as client, asyncio.TaskGroup() as group:
            burst = Burst(client)
            for number in range(_THREADS):
                group.create_task(burst.write(f"t{number:02}"))
            for kill in range(_KILLS):
                whole = _THREADS * _EACH
                await burst.until(whole * kill // _KILLS + chance.randrange(5, whole // _KILLS))
                await process.kill()
                await process.start()
        assert await process.stop() == 0
    wanted = {f"api:/main/t{number:02}": number for number in range(_THREADS)}
    for place, number in wanted.items():
        texts = process.rows(
            "select d.text from timeline t join deliveries d on d.n = t.delivery where t.place = ? order by t.n", place
        )
        assert [text for (text,) in texts] == [f"t{number:02} says {index}" for index in range(_EACH)]
    assert process.rows("select distinct state from inbox") == [("routed",)]
    assert process.rows("select distinct state from deliveries") == [("sent",)]
    assert process.rows("select count(*) from mail where state = 'taken'") == [(_THREADS * _EACH,)]
    assert process.rows("pragma integrity_check") == [("ok",)]
    code, out, err = await ran("audit", "verify", "--config", str(process.file))
    assert code == 0, out + err


@pytest.mark.requirement("P3")
@pytest.mark.parametrize("moment", ["all children run", "the first result is there"])
async def test_every_childs_result_comes_once_when_the_process_is_killed(tmp_path: Path, moment: str) -> None:
    port = free_port()
    spawns = "\n".join(f"spawn researcher as c{n}: (wait {n * 60 + 100}ms then say Result {n})" for n in range(5))
    async with killable(write_config(tmp_path, port=port), port) as process, client_of(process) as client:
        text = f"{spawns}\njoin\nwait 100ms then say All five are back"
        await client.post("/api/v1/threads/team/messages", json={"text": text})
        facts: dict[str, Callable[[], bool]] = {
            "all children run": lambda: _count(process, "sessions where parent is not null and state = 'running'") == 5,
            "the first result is there": lambda: _count(process, "mail where kind = 'result'") >= 1,
        }
        await until(facts[moment], moment)
        await process.kill()
        await process.start()

        async def all_back() -> bool:
            return any("All five are back" in text for text in await said_in(client, "team", 1))

        await until(all_back, "the parent has its results")
        assert await process.stop() == 0
    assert process.rows("select state, ended, count(*) from sessions where parent is not null group by 1, 2") == [
        ("ended", "done", 5)
    ]
    assert process.rows("select count(*), count(distinct from_session) from mail where kind = 'result'") == [(5, 5)]
    for number in range(5):
        said = process.rows("select count(*) from deliveries where text = ? and state = 'sent'", f"Result {number}")
        assert said == [(1,)]
    calls = [
        call for (call,) in process.rows("select json_extract(body, '$.call_id') from steps where kind = 'result'")
    ]
    assert len(calls) == len(set(calls)) >= 6, "each tool call has one result"
    assert process.rows("select count(*) from sessions") == [(6,)], "nothing was spawned twice"
    assert process.rows("select count(*) from deliveries where text like '%All five are back%'") == [(1,)]


def _count(process: Process, what: str) -> int:
    (row,) = process.rows(f"select count(*) from {what}")
    return int(row[0])


@pytest.mark.requirement("P3")
@pytest.mark.parametrize("platform", sorted(PLATFORMS))
async def test_a_kill_between_the_answer_and_its_receipt_neither_loses_nor_doubles_it(
    tmp_path: Path, platform: str
) -> None:
    port = free_port()
    async with PLATFORMS[platform]() as screen:
        patient = "[delivery]\nfallback_after_seconds = 20.0\n"
        file = write_config(tmp_path, [screen], more=patient, port=port)
        async with killable(file, port) as process, client_of(process) as client:
            for shown in (True, False):
                await _connected(client, platform)
                pid = process.pid
                text = f"Said once, {'shown' if shown else 'not shown'} before the kill"
                screen.strikes(text, lambda pid=pid: os.kill(pid, signal.SIGKILL), shown=shown)  # type: ignore[misc]
                screen.says(screen.home(), f"say {text}")
                assert await process.ended() == -signal.SIGKILL
                await process.start()
                await _connected(client, platform)
                after = f"After {text}"
                screen.says(screen.home(), f"say {after}")
                await until(lambda after=after: after in screen.said(screen.home()), "the conversation goes on")  # type: ignore[misc]
                letters = (await client.get("/api/v1/deadletters")).json()["deadletters"]
                said = [one for one in screen.said(screen.home()) if text in one]
                if platform == "telegram":  # it tells nobody what it has shown, so a person is asked
                    assert text in [letter["text"] for letter in letters]
                    assert said.count(text) == int(shown)
                else:
                    assert letters == []
                    assert said == [text, after]


async def _connected(client: httpx.AsyncClient, platform: str) -> None:
    async def so() -> bool:
        return bool((await client.get("/healthz")).json()["channels"][platform]["state"] == "connected")

    await until(so, f"{platform} is connected")
