"""Attachments: their contents are files beside the database, named by the hash of what is in them.

The same content is stored once, whoever sends it and whatever its name. A file appears under its final name only
when all of it is on the disk, so whatever stands there is whole; `read` checks that all the same. Names and media types
that people give travel with the message and are never part of a path.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import re
import sqlite3
import unicodedata
import uuid
from collections.abc import AsyncIterable, Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, ParamSpec, TypeVar

from channels.base import Attachment, Rejected
from storage.database import Database, StorageError, StorageFull, StorageReadOnly, to_us
from storage.sql import load

P = ParamSpec("P")
T = TypeVar("T")

SQL = load("files")

_SOURCE = re.compile(r"sha256:([0-9a-f]{64})")
_LONGEST_NAME = 120  # bytes in UTF-8, of the 255 that file systems allow
_FORBIDDEN = re.compile(r'[\\/:*?"<>|]')
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")  # what Windows takes for a device
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+")
_AT_ONCE = 1 << 20  # bytes that are hashed and written in one go off the event loop


def safe_name(name: str) -> str:
    """What may be shown and saved as a file's name: no folder, nothing invisible, not too long, its ending kept."""
    name = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode()).replace("\\", "/").rpartition("/")[2]
    name = "".join(letter for letter in name if unicodedata.category(letter)[0] != "C")
    name = _FORBIDDEN.sub("_", name).strip(" .")
    if _DEVICES.match(name):
        name = f"_{name}"
    stem, dot, ending = name.rpartition(".")
    if not stem or len(ending.encode()) > 20:
        stem, dot, ending = name, "", ""
    room = _LONGEST_NAME - len(f"{dot}{ending}".encode())
    stem = stem.encode()[:room].decode(errors="ignore").rstrip(" .")
    return f"{stem}{dot}{ending}" or "file"


class FileStore:
    """The attachment store of one data folder. Fulfils `channels.base.Files`."""

    def __init__(
        self, folder: Path, database: Database, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._folder = folder
        self._database = database
        self._clock = clock
        self._naming = asyncio.Lock()  # a file is not taken away while it is given its name

    def path(self, digest: str) -> Path:
        """Where a content of this hash is. Raises ValueError for anything that is no hash."""
        digest = digest.removeprefix("sha256:")
        if not _SOURCE.fullmatch(f"sha256:{digest}"):
            raise ValueError(f"{digest!r} is not the hash of a stored file")
        return self._folder / digest[:2] / digest

    async def store(self, name: str, media_type: str, chunks: AsyncIterable[bytes], limit_bytes: int) -> Attachment:
        """Keep a content; when this returns it survives a crash.

        Raises Rejected when there is more than `limit_bytes`, StorageError when it cannot be written, and what
        `chunks` raises; then nothing is left of it.
        """
        media_type = media_type if _MEDIA_TYPE.fullmatch(media_type) else "application/octet-stream"
        part = self._folder / "incoming" / uuid.uuid4().hex
        try:
            digest, size = await self._write(part, safe_name(name), chunks, limit_bytes)
            row = {"digest": f"sha256:{digest}", "size_bytes": size, "media_type": media_type}
            async with self._naming:
                await self._on_disk(_give_name, part, self.path(digest))
                row["now"] = to_us(self._clock())
                await self._database.write(lambda tx: tx.execute(SQL["keep_file"], row).rowcount)
        finally:
            await asyncio.to_thread(_delete, part)
        return Attachment(name=safe_name(name), media_type=media_type, size_bytes=size, source=f"sha256:{digest}")

    async def read(self, attachment: Attachment) -> bytes:
        """The whole content. Raises FileNotFoundError when it is not here, or is not what it was."""
        found = _SOURCE.fullmatch(attachment.source)
        if found is None:
            raise FileNotFoundError(f"{attachment.name} is not in the attachment store")
        return await asyncio.to_thread(_read, self.path(found[1]), attachment.name)

    async def remove(self, digests: Iterable[str]) -> int:
        """Delete contents whose rows are gone (`storage.retention` finds them); how many were there.

        A content that was stored again meanwhile has a row again, and stays.
        """
        removed = 0
        for digest in digests:
            path = self.path(digest)
            async with self._naming:
                if not await self._database.read(lambda tx, path=path: _is_kept(tx, path)):  # type: ignore[misc]
                    removed += await asyncio.to_thread(_delete, path)
        return removed

    async def sweep(self) -> int:
        """Delete what a crash left: unfinished contents, and finished ones that got no row. How many there were.

        To be called at start, before anything is stored.
        """
        unfinished = await asyncio.to_thread(lambda: [_delete(path) for path in self._folder.glob("incoming/*")])
        finished = await asyncio.to_thread(lambda: [path.name for path in self._folder.glob("[0-9a-f][0-9a-f]/*")])
        return sum(unfinished) + await self.remove(name for name in finished if len(name) == 64)

    async def _write(self, part: Path, name: str, chunks: AsyncIterable[bytes], limit_bytes: int) -> tuple[str, int]:
        digest, size, waiting = hashlib.sha256(), 0, bytearray()
        out = await self._on_disk(_create, part)
        try:
            async for chunk in chunks:
                size += len(chunk)
                if size > limit_bytes:
                    raise Rejected(
                        f"{name} is larger than the {limit_bytes:,} bytes that are taken: send a smaller file"
                    )
                waiting += chunk
                if len(waiting) >= _AT_ONCE:
                    await self._on_disk(_append, out, digest.update, bytes(waiting))
                    waiting.clear()
            await self._on_disk(_append, out, digest.update, bytes(waiting))
            await self._on_disk(os.fsync, out.fileno())
        finally:
            await self._on_disk(out.close)
        return digest.hexdigest(), size

    async def _on_disk(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await asyncio.to_thread(work, *args, **kwargs)
        except OSError as error:
            raise self._explained(error) from error

    def _explained(self, error: OSError) -> StorageError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return StorageFull(f"the disk that holds {self._folder} is full: make room, and send the file again")
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return StorageReadOnly(f"{self._folder} cannot be written: check the owner and the mode of the folder")
        return StorageError(f"a file cannot be kept in {self._folder}: {error.strerror}")


def _create(part: Path) -> BinaryIO:
    part.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb", buffering=0)


def _append(out: BinaryIO, hashed: Callable[[bytes], None], content: bytes) -> None:
    hashed(content)
    view = memoryview(content)
    while view:
        view = view[out.write(view) :]


def _give_name(part: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part.replace(path)
    for folder in (path.parent, path.parent.parent):  # the name itself must be on the disk, and so must its folder
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _read(path: Path, name: str) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{name} is not in the attachment store any more") from None
    if hashlib.sha256(content).hexdigest() != path.name:
        raise FileNotFoundError(f"{name} is damaged on the disk: {path} is not what was stored")
    return content


def _is_kept(tx: sqlite3.Connection, path: Path) -> bool:
    return tx.execute(SQL["file_is_kept"], {"digest": f"sha256:{path.name}"}).fetchone() is not None


def _delete(path: Path) -> bool:
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
