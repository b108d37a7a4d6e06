"""The end of a process is the end of everything that it has started, wherever that has gone."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from agents.processes import end_all, end_orphans, new_mark

# A child of its own session, a daemon that forked twice and whose parent is gone, and a grandchild without the mark.
TREE = """
trap '' TERM HUP
setsid sh -c 'echo $$ >> pids; exec sleep 60' &
sh -c 'setsid sh -c "sleep 60 & echo \\$! >> pids" &'
env -i /bin/sh -c 'echo $$ >> pids; exec sleep 60' &
echo $$ >> pids
while :; do sleep 60; done
"""


def alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.requirement("P4")
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
async def test_a_process_ends_with_children_that_left_its_group_its_session_and_their_parents(tmp_path: Path) -> None:
    mark = new_mark()
    other = await asyncio.create_subprocess_exec("sleep", "60")
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", TREE, cwd=tmp_path, env={**os.environ, **mark}, start_new_session=True
    )
    file = tmp_path / "pids"
    async with asyncio.timeout(5):
        while not file.exists() or len(file.read_text().split()) < 4:  # noqa: ASYNC110 - the shell tells nobody
            await asyncio.sleep(0.01)
    pids = [int(pid) for pid in file.read_text().split()]
    assert all(alive(pid) for pid in pids)
    end_all(process.pid, mark, buried=False)
    await process.wait()
    async with asyncio.timeout(2):
        while any(alive(pid) for pid in pids):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    end_all(process.pid, mark, buried=True)
    assert other.returncode is None, "what is not its own lives on"
    other.kill()
    await other.wait()


LEAVES = """
import subprocess, sys
from agents.processes import new_mark
left = subprocess.Popen(["sleep", "60"], env=new_mark(), stdout=subprocess.DEVNULL, start_new_session=True)
print(left.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.requirement("P4")
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
async def test_what_a_killed_threadmill_left_is_ended_by_the_next_and_what_a_living_one_runs_is_not() -> None:
    pipe = asyncio.subprocess.PIPE
    owner = await asyncio.create_subprocess_exec(sys.executable, "-c", LEAVES, stdin=pipe, stdout=pipe)
    assert owner.stdout is not None
    left = int(await owner.stdout.readline())
    end_orphans()
    assert alive(left), "its Threadmill lives"
    owner.kill()
    await owner.wait()
    end_orphans()
    async with asyncio.timeout(5):
        while alive(left):  # noqa: ASYNC110 - the system takes a moment
            await asyncio.sleep(0.01)


ALONE = """
from agents.processes import end_orphans
end_orphans()
print("started")
"""


@pytest.mark.requirement("P4")
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
async def test_a_start_survives_what_a_tool_wrote_into_its_environment_and_being_started_by_one() -> None:
    """A tool that calls its owner nonsense, and a Threadmill that was started by a tool of one that is gone."""
    others = [
        await asyncio.create_subprocess_exec("sleep", "60", env={**os.environ, "THREADMILL_OWNER": owner})
        for owner in ("me", ".", "\u0663.1", "9" * 5000)
    ]
    try:
        environment = {**os.environ, "THREADMILL_OWNER": "1.1"}
        command = (sys.executable, "-c", ALONE)
        started = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
        output, _ = await started.communicate()
        assert output == b"started\n"
        assert [other.returncode for other in others] == [None] * 4, "nobody knows whose they are"
    finally:
        for other in others:
            with suppress(ProcessLookupError):
                other.kill()
            await other.wait()
