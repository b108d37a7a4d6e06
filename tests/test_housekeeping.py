"""What goes by itself: sessions that nobody uses, and folders of sessions that ended long ago."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agents.base import Ended, SessionId
from agents.workspaces import Workspaces
from bot import housekeeping
from bot.housekeeping import Housekeeping
from storage.files import FileStore
from storage.retention import RetentionPolicy
from tests.agents.world import HOME, World, profiles, world
from tests.tools.made import settled


def keeper(here: World, folder: Path, days: int | None = 30) -> Housekeeping:
    files = FileStore(folder / "files", here.database)
    policy = RetentionPolicy.of_days(days)
    return Housekeeping(
        here.database, policy, files, Workspaces(folder / "workspaces"), lambda: None, here.sessions, here, here.now
    )


async def test_a_session_that_nobody_uses_expires_and_one_that_is_used_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "_EXPIRY_SECONDS", 0.01)
    async with world(tmp_path, agents=profiles(expire_after_hours=2.0)) as here:
        left = await settled(here)
        running = asyncio.create_task(keeper(here, tmp_path).run())
        try:
            here.ahead += timedelta(hours=1)
            assert (await here.says("say still here")).id == left.id
            await here.at_rest()
            here.ahead += timedelta(hours=1, minutes=59)
            await keeper(here, tmp_path).expire()
            assert (await here.get(left)).ended is None
            here.ahead += timedelta(minutes=2)

            async def expired() -> bool:
                return (await here.get(left)).ended is Ended.EXPIRED

            await here.until(expired)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        assert (await here.says("say a new one")).id != left.id


async def test_the_folder_of_a_session_goes_with_its_conversation_and_no_other(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        folders = tmp_path / "workspaces" / "session"
        over, lent, living = [await _session(here, f"web{n}") for n in range(3)]
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "precious.txt").write_text("stays")
        for name in (over, lent, living, "stranger"):
            (folders / name / "deep").mkdir(parents=True)
            (folders / name / "deep" / "file.txt").write_text("x")
        (folders / over / "way-out").symlink_to(outside)
        (folders / "linked").symlink_to(outside)
        await here.team.kill(over, by="Ada")
        await here.team.kill(lent, by="Ada")

        def lend(tx: sqlite3.Connection) -> None:
            tx.execute("update sessions set root = ?, workspace = ? where id = ?", (lent, f"session:{lent}", living))
            tx.execute("update sessions set ended_at = ended_at + 1 where id = ?", (over,))

        await here.database.write(lend)
        at_work = keeper(here, tmp_path)
        here.ahead += timedelta(days=29)
        await at_work.tidy_up()
        assert (folders / over).is_dir()
        here.ahead += timedelta(days=2)
        await keeper(here, tmp_path, days=None).tidy_up()
        assert (folders / over).is_dir(), "without a policy everything stays"
        await at_work.tidy_up()
        assert {path.name for path in folders.iterdir()} == {lent, living, "stranger", "linked"}
        assert (outside / "precious.txt").read_text() == "stays"


async def _session(here: World, thread: str) -> SessionId:
    session = await here.says("say hello", replace(HOME, thread=thread))
    await here.at_rest()
    return session.id
