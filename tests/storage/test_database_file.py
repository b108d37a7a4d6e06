"""The database file: grouped commits, neighbours that do not harm each other, one process, migrations with a backup."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from storage import database as module
from storage.database import (
    StorageDamaged,
    StorageError,
    StorageInUse,
    from_nano,
    from_us,
    opened,
    opened_for_reading,
    to_nano,
    to_us,
)


def put(name: str, value: int) -> module.Work[int]:
    def work(tx: sqlite3.Connection) -> int:
        tx.execute("insert into counters (name, value) values (?, ?)", (name, value))
        return value

    return work


def count(tx: sqlite3.Connection) -> int:
    return int(tx.execute("select count(*) from counters").fetchone()[0])


async def test_a_new_data_folder_is_for_this_user_alone(tmp_path: Path) -> None:
    async with opened(tmp_path / "data"):
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


@pytest.mark.requirement("P1")
async def test_what_was_written_is_there_after_it_is_opened_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as database:
        assert await database.write(put("a", 7)) == 7
    async with opened(tmp_path) as database:
        assert await database.read(count) == 1


async def test_writes_that_arrive_together_share_commits(tmp_path: Path) -> None:
    async with opened(tmp_path) as database:
        before = database.commits
        await asyncio.gather(*(database.write(put(str(number), number)) for number in range(500)))
        assert database.commits - before < 50
        assert await database.read(count) == 500


async def test_a_write_that_fails_is_undone_and_takes_no_neighbour_down(tmp_path: Path) -> None:
    def half(tx: sqlite3.Connection) -> None:
        tx.execute("insert into counters (name, value) values ('half', 1)")
        raise ValueError("in the middle")

    async with opened(tmp_path) as database:
        results = await asyncio.gather(
            database.write(put("one", 1)),
            database.write(half),
            database.write(put("one", 2)),
            database.write(put("two", 2)),
            return_exceptions=True,
        )
        assert results[0] == 1
        assert isinstance(results[1], ValueError)
        assert isinstance(results[2], sqlite3.IntegrityError)
        assert results[3] == 2
        names = await database.read(
            lambda tx: [row["name"] for row in tx.execute("select name from counters order by name")]
        )
        assert names == ["one", "two"]


async def test_readers_cannot_write(tmp_path: Path) -> None:
    async with opened(tmp_path) as database:
        with pytest.raises(StorageError, match=r"readonly|cannot be written"):
            await database.read(put("x", 1))


async def test_a_second_process_is_refused_with_the_first_ones_number(tmp_path: Path) -> None:
    async with opened(tmp_path):
        with pytest.raises(StorageInUse, match="another Threadmill"):
            async with opened(tmp_path):
                pass
    async with opened(tmp_path) as database:
        assert await database.read(count) == 0


async def test_somebody_who_only_looks_is_let_in_beside_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as database:
        await database.write(put("a", 1))
        async with opened_for_reading(tmp_path) as looker:
            assert await looker.read(count) == 1
            with pytest.raises(StorageError):
                await looker.write(put("b", 1))


async def test_every_commit_is_synchronous_and_the_log_is_ahead(tmp_path: Path) -> None:
    async with opened(tmp_path) as database:
        settings = await database.write(
            lambda tx: [
                tx.execute(f"pragma {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "foreign_keys")
            ]
        )
        assert settings == ["wal", 2, 1]


async def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    async with opened(tmp_path):
        pass
    with sqlite3.connect(tmp_path / "threadmill.db") as raw:
        raw.execute("pragma user_version = 999")
    raw.close()
    with pytest.raises(StorageError, match="newer Threadmill"):
        async with opened(tmp_path):
            pass


async def test_a_migration_keeps_a_copy_of_what_was_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path) as database:
        await database.write(put("kept", 1))
    scripts = module._migrations()
    more = [*scripts, (len(scripts) + 1, "create table extra (x integer);")]
    monkeypatch.setattr(module, "_migrations", lambda: more)
    async with opened(tmp_path) as database:
        assert await database.read(count) == 1
        await database.read(lambda tx: tx.execute("select * from extra").fetchall())
    (copy,) = (tmp_path / "backups").iterdir()
    with sqlite3.connect(copy) as raw:
        assert raw.execute("select name from counters").fetchall() == [("kept",)]
    raw.close()


async def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path):
        pass
    scripts = module._migrations()
    broken = [*scripts, (len(scripts) + 1, "create table extra (x integer); create table extra (x integer);")]
    monkeypatch.setattr(module, "_migrations", lambda: broken)
    with pytest.raises(StorageError):
        async with opened(tmp_path):
            pass
    monkeypatch.setattr(module, "_migrations", lambda: scripts)
    async with opened(tmp_path) as database:
        tables = await database.read(
            lambda tx: tx.execute("select 1 from sqlite_master where name = 'extra'").fetchall()
        )
        assert tables == []


async def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "threadmill.db").write_bytes(b"this is no database, however long it is" * 200)
    with pytest.raises(StorageDamaged, match="backups"):
        async with opened(tmp_path):
            pass


async def test_after_the_end_nothing_is_written(tmp_path: Path) -> None:
    async with opened(tmp_path) as database:
        pass
    with pytest.raises(StorageError, match="stopping"):
        await database.write(put("late", 1))


def test_money_is_never_rounded_to_nothing_and_times_are_exact() -> None:
    assert to_nano(0.000000000001) == 1
    assert from_nano(to_nano(1.5)) == 1.5
    moment = from_us(1_700_000_000_123_456)
    assert to_us(moment) == 1_700_000_000_123_456
