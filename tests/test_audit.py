"""The audit log: written with what it tells about, cheap, and no change of it goes unseen."""

from __future__ import annotations

import json
import sqlite3
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.base import SessionId
from storage.audit import AuditLog, Head, append, read_head, write_head
from storage.database import Database, opened

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)


@pytest.fixture
async def database(tmp_path):
    async with opened(tmp_path) as database:
        yield database


async def filled(database: Database, rows: int = 10) -> AuditLog:
    def work(tx: sqlite3.Connection) -> None:
        for number in range(rows):
            session = f"s{number % 3}" if number % 2 else None
            detail = {"number": number, "ids": ["a", "b"]}
            at = NOW + timedelta(seconds=number)
            append(tx, at=at, actor=f"slack:T1/U{number}", action="spawn", resource="r", session=session, detail=detail)

    await database.write(work)
    return AuditLog(database)


async def change(database: Database, *statements: str) -> None:
    def work(tx: sqlite3.Connection) -> None:
        for statement in statements:
            tx.execute(statement)

    await database.write(work)


@pytest.mark.requirement("P10")
async def test_what_is_written_is_read_back_in_order_and_verifies(database):
    log = await filled(database)
    rows = await log.read(limit=3)
    assert [(row.n, row.actor, row.detail["number"]) for row in rows] == [
        (8, "slack:T1/U7", 7),
        (9, "slack:T1/U8", 8),
        (10, "slack:T1/U9", 9),
    ]
    assert rows[0].at == NOW + timedelta(seconds=7)
    assert [row.n for row in await log.read(after=7, limit=2)] == [8, 9]
    assert [row.n for row in await log.read(session=SessionId("s1"))] == [2, 8]
    verified = await log.verify()
    assert (verified.rows, verified.broken, verified.head) == (10, None, await log.head())


async def test_an_empty_log_verifies(database):
    log = AuditLog(database)
    assert (await log.verify()).broken is None
    assert (await log.verify(Head(n=0, hash=""))).broken is None


@pytest.mark.requirement("P10")
@pytest.mark.parametrize("column", ["at", "actor", "action", "resource", "session", "detail", "previous", "hash"])
@pytest.mark.parametrize("n", [1, 5, 10])
async def test_an_edit_of_any_column_of_any_row_is_found(database, column, n):
    log = await filled(database)
    await change(database, f"update audit set {column} = coalesce({column}, 's') || '1' where n = {n}")
    broken = (await log.verify()).broken
    assert broken is not None
    assert broken.n == n


async def test_an_edit_is_found_though_its_own_hash_was_made_anew(database):
    log = await filled(database)
    await change(database, "delete from audit where n >= 5")
    await log.record(at=NOW, actor="x", action="y", resource="z")
    tail = (await log.read(after=4))[0]

    await change(database, "delete from audit")
    await filled(database)
    await change(
        database,
        f"update audit set at = {int(NOW.timestamp()) * 1_000_000}, actor = 'x', action = 'y', resource = 'z',"
        f" session = null, detail = '{{}}', hash = '{tail.hash}' where n = 5",
    )
    broken = (await log.verify()).broken
    assert broken is not None
    assert broken.n == 6
    assert "does not follow" in broken.why


@pytest.mark.requirement("P10")
@pytest.mark.parametrize("n", [1, 5, 9])
async def test_a_deleted_row_is_found_with_or_without_closing_the_gap(database, n):
    log = await filled(database)
    await change(database, f"delete from audit where n = {n}")
    broken = (await log.verify()).broken
    assert broken is not None
    assert broken.n == n
    assert "missing" in broken.why
    for later in range(n + 1, 11):
        await change(database, f"update audit set n = n - 1 where n = {later}")
    broken = (await log.verify()).broken
    assert broken is not None
    assert broken.n == n


async def test_two_rows_that_changed_places_are_found(database):
    log = await filled(database)
    await change(
        database,
        "update audit set n = -1 where n = 4",
        "update audit set n = 4 where n = 5",
        "update audit set n = 5 where n = -1",
    )
    broken = (await log.verify()).broken
    assert broken is not None
    assert broken.n == 4


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    n=st.integers(1, 6),
    column=st.sampled_from(["actor", "action", "resource", "session", "detail"]),
    value=st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
)
async def test_any_other_value_in_any_place_is_found(tmp_path_factory, n, column, value):
    async with opened(tmp_path_factory.mktemp("audit")) as database:
        log = await filled(database, 6)
        before = await log.verify()

        def work(tx: sqlite3.Connection) -> bool:
            old = tx.execute(f"select {column} from audit where n = ?", (n,)).fetchone()[0]
            tx.execute(f"update audit set {column} = ? where n = ?", (value, n))
            return bool(old != value)

        changed = await database.write(work)
        broken = (await log.verify()).broken
        assert before.broken is None
        assert (broken is not None and broken.n == n) == changed


@pytest.mark.requirement("P10")
async def test_a_cut_at_the_end_is_found_by_the_noted_head_only(database, tmp_path):
    log = await filled(database)
    file = tmp_path / "audit.head"
    write_head(file, await log.head())
    await log.record(at=NOW, actor="a", action="b", resource="c")
    assert (await log.verify(read_head(file))).broken is None

    await change(database, "delete from audit where n >= 9")
    assert (await log.verify()).broken is None
    broken = (await log.verify(read_head(file))).broken
    assert broken is not None
    assert broken.n == 9
    assert "row 10 was written once" in broken.why


@pytest.mark.requirement("P10")
async def test_a_note_that_the_log_no_longer_contains_is_kept_as_evidence(database, tmp_path):
    log, file = await filled(database), tmp_path / "audit.head"
    assert await log.write_head() is None
    noted = read_head(file)
    assert noted == await log.head()
    await change(database, "delete from audit where n >= 9")
    for _ in range(1, 3):
        broken = await log.write_head()
        assert broken is not None
        assert read_head(file) == noted
        await log.record(at=NOW, actor="a", action="b", resource="c")
    broken = await log.write_head()  # as long as before, with other rows
    assert broken is not None
    assert "written anew" in broken.why
    assert read_head(file) == noted


async def test_the_head_is_noted_again_as_the_log_grows(database, tmp_path):
    log, file = AuditLog(database), tmp_path / "audit.head"
    for _ in range(3):
        assert await log.write_head() is None
        assert read_head(file) == await log.head()
        await log.record(at=NOW, actor="a", action="b", resource="c")


async def test_noting_the_head_never_raises_but_tells_what_is_wrong(database, tmp_path):
    log = await filled(database)
    (tmp_path / "audit.head").write_text("what")
    unreadable = await log.write_head()
    assert unreadable is not None
    assert "delete it" in unreadable.why
    nowhere = await AuditLog(database, tmp_path / "missing").write_head()
    assert nowhere is not None
    assert "could not be noted" in nowhere.why


async def test_a_log_written_anew_does_not_fit_the_noted_head(database, tmp_path):
    log = await filled(database)
    noted = await log.head()
    await change(database, "delete from audit")
    for _ in range(12):
        await log.record(at=NOW, actor="mallory", action="nothing", resource="r")
    assert (await log.verify()).broken is None
    broken = (await log.verify(noted)).broken
    assert broken is not None
    assert broken.n == 10
    assert "written anew" in broken.why


def test_a_head_that_is_missing_is_none_and_a_damaged_one_is_explained(tmp_path):
    file = tmp_path / "audit.head"
    assert read_head(file) is None
    file.write_text("what")
    with pytest.raises(ValueError, match="delete it"):
        read_head(file)
    write_head(file, Head(n=3, hash="ab"))
    assert read_head(file) == Head(n=3, hash="ab")
    assert [path.name for path in tmp_path.iterdir()] == ["audit.head"]


@pytest.mark.requirement("P10")
async def test_a_row_shares_the_fate_of_its_transaction_and_the_chain_goes_on(database):
    log = await filled(database, 2)

    def fails(tx: sqlite3.Connection) -> None:
        append(tx, at=NOW, actor="a", action="b", resource="c")
        append(tx, at=NOW, actor="a", action="b", resource="c")
        raise RuntimeError("undone")

    def nested(tx: sqlite3.Connection) -> int:
        append(tx, at=NOW, actor="a", action="kept", resource="c")
        tx.execute("savepoint inner")
        append(tx, at=NOW, actor="a", action="undone", resource="c")
        tx.execute("rollback to inner")
        tx.execute("release inner")
        return append(tx, at=NOW, actor="a", action="kept", resource="c")

    with pytest.raises(RuntimeError):
        await database.write(fails)
    assert await database.write(nested) == 4
    assert [row.action for row in await log.read()] == ["spawn", "spawn", "kept", "kept"]
    assert (await log.verify()).broken is None


async def test_hostile_text_is_kept_and_verifies(database):
    log = AuditLog(database)
    await log.record(
        at=NOW, actor='half \ud800 "quoted"', action="a\x00b", resource="'; drop table audit; --", name="\ud800", n=None
    )
    row = (await log.read())[0]
    assert row.resource == "'; drop table audit; --"
    assert row.detail == {"name": "\ud800", "n": None}
    assert (await log.verify()).broken is None


async def test_a_detail_that_is_too_long_is_replaced_by_its_length(database):
    log = AuditLog(database)
    await log.record(at=NOW, actor="a", action="b", resource="c", ids=["x" * 100] * 1000)
    detail = (await log.read())[0].detail
    assert detail["too_long"] > 100_000
    assert len(json.dumps(detail)) < 50


async def test_a_row_costs_less_than_fifty_microseconds(database):
    def work(tx: sqlite3.Connection) -> float:
        fastest = 1.0
        for _ in range(20):
            began = time.perf_counter()
            for number in range(50):
                append(
                    tx, at=NOW, actor="slack:T1/U1", action="spawn", resource="r", session="s1", detail={"n": number}
                )
            fastest = min(fastest, (time.perf_counter() - began) / 50)
        return fastest

    assert await database.write(work) < 50e-6


async def test_thousands_of_rows_are_verified_in_batches(database):
    log = await filled(database, 4_500)
    verified = await log.verify()
    assert (verified.rows, verified.broken) == (4_500, None)
    await change(database, "update audit set actor = 'x' where n = 4200")
    broken = (await log.verify()).broken
    assert broken is not None
    assert broken.n == 4_200
