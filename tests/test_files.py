"""The attachment store: whole files only, each content once, and nothing that a name says reaches the disk's paths."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from channels.base import Attachment, Rejected
from storage.database import Database, StorageError, opened
from storage.files import FileStore, safe_name

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LIMIT = 5_000_000


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with opened(tmp_path) as database:
        yield database


@pytest.fixture
def store(tmp_path: Path, database: Database) -> FileStore:
    return FileStore(tmp_path / "files", database, clock=lambda: NOW)


async def chunks(*contents: bytes) -> AsyncIterator[bytes]:
    for content in contents:
        yield content


def files_in(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "files").rglob("*") if path.is_file())


async def test_what_was_stored_is_read_again(store: FileStore) -> None:
    content = [b"a" * 700_000, b"", b"b" * 900_000, b"c"]
    kept = await store.store("notes.txt", "text/plain", chunks(*content), LIMIT)
    assert kept == Attachment(
        name="notes.txt",
        media_type="text/plain",
        size_bytes=1_600_001,
        source="sha256:" + sha256(b"".join(content)).hexdigest(),
    )
    assert await store.read(kept) == b"".join(content)
    assert store.path(kept.source).stat().st_mode & 0o077 == 0, "other users of the machine cannot read it"


async def test_an_empty_file_is_a_file(store: FileStore) -> None:
    kept = await store.store("nothing", "text/plain", chunks(), LIMIT)
    assert (kept.size_bytes, await store.read(kept)) == (0, b"")


async def test_the_same_content_is_stored_once(store: FileStore, tmp_path: Path, database: Database) -> None:
    first = await store.store("a.txt", "text/plain", chunks(b"same"), LIMIT)
    second = await store.store("b.bin", "application/zip", chunks(b"sa", b"me"), LIMIT)
    assert first.source == second.source
    assert files_in(tmp_path) == [first.source.removeprefix("sha256:")]
    rows = await database.read(lambda tx: tx.execute("select digest, size_bytes from files").fetchall())
    assert [tuple(row) for row in rows] == [(first.source, 4)]


@pytest.mark.requirement("P8")
async def test_a_file_over_the_limit_is_refused_and_leaves_nothing(store: FileStore, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=r"big\.bin is larger than the 10 bytes"):
        await store.store("big.bin", "text/plain", chunks(b"12345678", b"9ab"), 10)
    assert files_in(tmp_path) == []
    assert (await store.store("fits", "text/plain", chunks(b"0123456789"), 10)).size_bytes == 10


async def test_a_source_that_breaks_off_leaves_nothing(store: FileStore, tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await store.store("half.txt", "text/plain", broken(), LIMIT)
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("source", ["sha256:../../etc/passwd", "F0123", "sha256:" + "0" * 63, "sha256:" + "0" * 64])
async def test_what_is_not_in_the_store_is_not_found(store: FileStore, source: str) -> None:
    with pytest.raises(FileNotFoundError):
        await store.read(Attachment(name="x", media_type="text/plain", size_bytes=None, source=source))


async def test_a_damaged_file_is_noticed(store: FileStore) -> None:
    kept = await store.store("a.txt", "text/plain", chunks(b"right"), LIMIT)
    store.path(kept.source).write_bytes(b"wrong")
    with pytest.raises(FileNotFoundError, match="damaged"):
        await store.read(kept)


async def test_a_content_is_deleted_only_when_its_row_is_gone(store: FileStore, database: Database) -> None:
    kept = await store.store("a.txt", "text/plain", chunks(b"content"), LIMIT)
    assert await store.remove([kept.source]) == 0, "its row says that it is wanted"
    await database.write(lambda tx: tx.execute("delete from files").rowcount)
    assert await store.remove([kept.source, kept.source]) == 1
    with pytest.raises(FileNotFoundError):
        await store.read(kept)
    again = await store.store("a.txt", "text/plain", chunks(b"content"), LIMIT)
    assert await store.read(again) == b"content"


async def test_what_a_crash_left_is_swept_at_start(store: FileStore, tmp_path: Path, database: Database) -> None:
    kept = await store.store("a.txt", "text/plain", chunks(b"kept"), LIMIT)
    (tmp_path / "files" / "incoming" / "unfinished").write_bytes(b"half")
    orphan = store.path(sha256(b"no row").hexdigest())
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"no row")
    assert await store.sweep() == 2
    assert files_in(tmp_path) == [kept.source.removeprefix("sha256:")]


async def test_a_folder_that_cannot_be_written_is_explained(tmp_path: Path, database: Database) -> None:
    (tmp_path / "files").write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="files"):
        await FileStore(tmp_path / "files", database).store("a", "text/plain", chunks(b"a"), LIMIT)


@pytest.mark.parametrize(
    ("given", "safe"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\x.exe", "x.exe"),
        ("a\x00b\n\u202egpj.exe", "abgpj.exe"),
        ('what?<is>"this"|*.txt', "what__is__this___.txt"),
        ("  ..hidden. ", "hidden"),
        ("CON.txt", "_CON.txt"),
        ("", "file"),
        ("///", "file"),
        ("\ud800.txt", "_.txt"),
        ("übersicht.md", "übersicht.md"),
    ],
)
def test_names_that_people_give_are_made_safe(given: str, safe: str) -> None:
    assert safe_name(given) == safe


def test_a_long_name_keeps_its_ending_and_is_cut_between_characters() -> None:
    name = safe_name("ü" * 500 + ".pdf")
    assert name.endswith("ü.pdf")
    assert 110 < len(name.encode()) <= 120


async def test_a_media_type_that_is_none_is_replaced(store: FileStore) -> None:
    kept = await store.store("x", "text/html\r\nx-evil: 1", chunks(b"x"), LIMIT)
    assert kept == replace(kept, media_type="application/octet-stream")
