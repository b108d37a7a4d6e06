"""A disk that is full, read-only or damaged, and a second process on the same data: a clear word, and nothing lost."""

from __future__ import annotations

import resource
import sqlite3
from pathlib import Path

import pytest

from tests.crash.process import client_of, free_port, killable, ran, said_in, spawned
from tests.slices.harness import Running, running, write_config
from tests.slices.waiting import until

pytestmark = pytest.mark.slow


@pytest.mark.requirement("P1")
async def test_nothing_is_acknowledged_while_the_disk_is_full_and_all_goes_on_when_there_is_room(
    tmp_path: Path,
) -> None:
    async with running(write_config(tmp_path)) as threadmill:
        assert (await threadmill.post("room", "say Before", "m1")).status_code == 202
        await threadmill.heard("room", "Before")
        await threadmill.settled()
        await _pages(threadmill, 1)  # SQLite takes the least it can: what it has
        refused, late = None, "say There is room again " + "x" * 5000
        for number in range(200):  # what is free in the file's pages is used up first
            refused = await threadmill.post("room", "say " + "x" * 5000, f"big{number}")
            if refused.status_code != 202:
                break
        assert refused is not None
        assert refused.status_code == 503
        assert refused.headers["content-type"] == "application/problem+json"
        assert "is full" in refused.json()["detail"]
        assert (await threadmill.post("room", late, "m2")).status_code == 503
        assert (await threadmill.client.get("/healthz")).status_code == 200
        assert await threadmill.rows("select count(*) from inbox where event_id like '%m2'") == [(0,)]
        await _pages(threadmill, 1_000_000)
        assert (await threadmill.post("room", late, "m2")).status_code == 202
        await threadmill.heard("room", "There is room again")


async def _pages(threadmill: Running, most: int) -> None:
    await threadmill.database.write(lambda tx: tx.execute(f"pragma max_page_count = {most}").fetchall())


@pytest.mark.requirement("P1")
async def test_an_answer_that_could_not_be_stored_is_made_when_there_is_room_again(tmp_path: Path) -> None:
    async with running(write_config(tmp_path)) as threadmill:
        text = f"wait 0.1s then say Late but here {'x' * 90_000}"
        assert (await threadmill.post("room", text)).status_code == 202
        await threadmill.until(lambda: threadmill.application.engine.awake, "the turn runs")
        await _pages(threadmill, 1)
        await threadmill.until(lambda: not threadmill.application.engine.awake, "the turn could not be written")
        assert await threadmill.rows("select count(*) from deliveries") == [(0,)]
        await _pages(threadmill, 1_000_000)
        assert (await threadmill.post("room", "say And this too")).status_code == 202  # which also wakes the session
        await threadmill.heard("room", "Late but here", "And this too")
        assert await threadmill.rows("select count(*) from deliveries where text like 'Late but here%'") == [(1,)]


async def test_a_process_that_hits_its_limit_of_file_size_recovers(tmp_path: Path) -> None:
    port = free_port()
    async with killable(write_config(tmp_path, port=port), port) as process, client_of(process) as client:
        most = sum(file.stat().st_size for file in process.data.glob("threadmill.db*"))
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
        accepted, status = 0, 202
        while status == 202:
            body = {"text": "say " + "x" * 20_000, "id": f"m{accepted}"}
            answer = await client.post("/api/v1/threads/room/messages", json=body)
            status = answer.status_code
            accepted += status == 202
            assert accepted < 1000
        assert status == 503
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

        async def taken() -> bool:
            answer = await client.post("/api/v1/threads/room/messages", json={"text": "say There is room"})
            return answer.status_code == 202

        async def answered() -> bool:
            return any("There is room" in text for text in await said_in(client, "room", 1))

        await until(taken, "a message is taken again")
        await until(answered, "it is answered")
        assert await process.stop() == 0
        assert process.rows("select count(*) from inbox where state <> 'routed'") == [(0,)]
        assert process.rows("pragma integrity_check") == [("ok",)]


async def test_a_second_process_on_the_same_data_is_refused(tmp_path: Path) -> None:
    port = free_port()
    file = write_config(tmp_path, port=port)
    async with killable(file, port) as process:
        other = write_config(tmp_path / "other", port=free_port())
        other.write_text(other.read_text().replace('data = "data"', f'data = "{process.data}"'))
        code, _, error = await ran("doctor", "--config", str(other))  # looks, and does not disturb
        second = await spawned("run", "--config", str(other))
        _, said = await second.communicate()
        assert second.returncode == 1, said
        assert f"another Threadmill (process {process.pid}) uses the data folder" in said.decode()
        assert "Traceback" not in said.decode()
        assert "Traceback" not in error
        assert code in (0, 1)
        async with client_of(process) as client:
            assert (await client.get("/readyz")).status_code == 200


async def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    port = free_port()
    async with killable(write_config(tmp_path / "one", port=port), port):
        second = await spawned("run", "--config", str(write_config(tmp_path / "two", port=port)))
        _, said = await second.communicate()
        assert second.returncode == 1
        assert str(port) in said.decode()
        assert "Traceback" not in said.decode()


async def test_a_damaged_database_is_told_and_left_alone(tmp_path: Path) -> None:
    file = write_config(tmp_path)
    database = tmp_path / "data" / "threadmill.db"
    database.parent.mkdir()
    database.write_bytes(b"This is no database, whatever its name says. " * 200)
    before = database.read_bytes()
    process = await spawned("run", "--config", str(file))
    _, said = await process.communicate()
    assert process.returncode == 1
    assert "is damaged" in said.decode()
    assert "backups" in said.decode()
    assert "Traceback" not in said.decode()
    assert database.read_bytes() == before


async def test_a_data_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    file = write_config(tmp_path)
    (tmp_path / "data").write_text("a file where the folder should be")
    process = await spawned("run", "--config", str(file))
    _, said = await process.communicate()
    assert process.returncode == 1
    assert "cannot be written" in said.decode()
    assert "Traceback" not in said.decode()


async def test_a_database_of_a_newer_threadmill_is_left_alone(tmp_path: Path) -> None:
    file = write_config(tmp_path)
    async with running(file):
        pass
    database = tmp_path / "data" / "threadmill.db"
    with sqlite3.connect(database) as connection:
        connection.execute("pragma user_version = 9999")
    connection.close()
    process = await spawned("run", "--config", str(file))
    _, said = await process.communicate()
    assert process.returncode == 1
    assert "was written by a newer Threadmill" in said.decode()
    assert "Traceback" not in said.decode()
