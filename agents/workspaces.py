"""Folders that agents work in, and the only way to the files in them.

A model chooses the paths, so nothing about them is believed. Each part of a path is opened from the folder before it
and never through a symbolic link, so neither `..` nor a link, nor one that is put there while we look, leads out.
Only ordinary files with one name are read and replaced: no device, no pipe, no hard link to a file elsewhere.

A file is replaced as a whole by a rename. Whoever replaces it names the hash of what was read, and is refused when
somebody else was faster; check and rename happen under one lock, and one process has the data folder.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_PART = ".threadmill-"  # beginning of the names of files that are being written
_DEEPEST = 20
_LONGEST_PATH = 1000
_LONGEST_NAME = 255  # bytes
_LOCKS = 64
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class WorkspaceError(Exception):
    """Nothing was changed. Its text is for the model: what is wrong with the path, and what to do."""


class Changed(WorkspaceError):
    """The file is not what the caller has read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """How much a workspace may hold. Folders count as entries."""

    file_bytes: int = 5_000_000
    total_bytes: int = 200_000_000
    entries: int = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    data: bytes

    @property
    def hash(self) -> str:
        return content_hash(self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An ordinary file in a workspace."""

    path: str
    size_bytes: int
    changed_at: float  # seconds since 1970


def content_hash(data: bytes) -> str:
    """What a caller shows to prove which content it has read."""
    return hashlib.sha256(data).hexdigest()[:16]


def parts_of(path: str) -> tuple[str, ...]:
    """The names that a relative path is made of. Raises WorkspaceError for a path that could mean anything else."""
    if path.startswith("/"):
        raise WorkspaceError(f"{path[:80]!r} is absolute: paths count from the workspace, such as notes/plan.md")
    if len(path) > _LONGEST_PATH:
        raise WorkspaceError(f"the path is longer than {_LONGEST_PATH} characters: use shorter names")
    if not path.isprintable():
        raise WorkspaceError("the path has characters that cannot be printed: use letters, digits, - _ and .")
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    if ".." in parts:
        raise WorkspaceError("a path cannot go up with `..`: the workspace is all there is")
    if len(parts) > _DEEPEST:
        raise WorkspaceError(f"the path is deeper than {_DEEPEST} folders")
    for part in parts:
        if len(part.encode()) > _LONGEST_NAME:
            raise WorkspaceError(f"the name {part[:40]}… is longer than {_LONGEST_NAME} bytes")
        if part.startswith(_PART):
            raise WorkspaceError(f"names that begin with {_PART} are used by Threadmill itself: take another")
    return parts


class Workspaces:
    """All workspaces, by name: `session/<id>` or `shared/<name>` below one folder."""

    def __init__(self, folder: Path, quota: Quota | None = None) -> None:
        self._folder = folder
        self._quota = quota or Quota()
        self._locks = tuple(threading.Lock() for _ in range(_LOCKS))

    def workspace(self, kind: str, name: str) -> Workspace:
        """The workspace of that name; its folder is made with the first file. Raises WorkspaceError."""
        parts = parts_of(name)
        if len(parts) != 1 or kind not in ("session", "shared"):
            raise WorkspaceError(f"{name[:80]!r} is no name of a workspace")
        return self.at(self._folder / kind / parts[0])

    def own(self) -> list[str]:
        """The sessions that have a workspace of their own on the disk. Blocks."""
        with suppress(FileNotFoundError), os.scandir(self._folder / "session") as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        return []

    def remove(self, session: str) -> bool:
        """Delete the own workspace of a session that is over, never following a link out of it. False when there was
        none. Raises OSError. Blocks."""
        root = self._folder / "session" / parts_of(session)[0]
        with self._locks[hash(root) % _LOCKS]:
            if not root.is_dir() or root.is_symlink():
                return False
            shutil.rmtree(root)
        return True

    def at(self, root: Path) -> Workspace:
        """A folder guarded in the same way."""
        return Workspace(root, self._quota, self._locks[hash(root) % _LOCKS])


class Workspace:
    """One folder. Its methods block: call them in a thread.

    `gone` says that whoever asked is gone (a kill, a timeout): nothing is changed from then on.
    """

    def __init__(self, root: Path, quota: Quota, lock: threading.Lock) -> None:
        self._root = root
        self._quota = quota
        self._lock = lock

    def read(self, path: str) -> Content:
        """The whole content of a file. Raises WorkspaceError."""
        *folders, name = _named(path)
        with self._folder(folders, path) as folder, _explained(path):
            return Content(data=self._read_in(folder, name, path))

    def write(self, path: str, data: bytes, expected: str | None, gone: Callable[[], bool]) -> str:
        """Replace a file, or make it with its folders. `expected` is the hash of what is replaced, None when there is
        none yet. The same content once more is done already. The new hash. Raises Changed, WorkspaceError."""
        *folders, name = _named(path)
        self._refuse_large(len(data))
        new = content_hash(data)
        with self._lock:
            self._refuse_full(path, data)
            with self._folder(folders, path, make=True) as folder, _explained(path):
                there = self._hash_in(folder, name, path)
                if there == new:
                    return new
                _refuse_changed(path, there, expected)
                _replace(folder, name, data, gone)
        return new

    def change(self, path: str, change: Callable[[bytes], bytes], gone: Callable[[], bool]) -> str:
        """Replace a file by what `change` makes of it. The new hash. Raises WorkspaceError."""
        *folders, name = _named(path)
        with self._lock, self._folder(folders, path) as folder, _explained(path):
            data = change(self._read_in(folder, name, path))
            self._refuse_large(len(data))
            self._refuse_full(path, data)
            _replace(folder, name, data, gone)
        return content_hash(data)

    def delete(self, path: str, expected: str, gone: Callable[[], bool]) -> bool:
        """Delete a file. False when there is none (any more). Raises Changed, WorkspaceError."""
        *folders, name = _named(path)
        with self._lock, self._folder(folders, path) as folder, _explained(path):
            there = self._hash_in(folder, name, path)
            if there is None:
                return False
            _refuse_changed(path, there, expected)
            _refuse_gone(gone)
            os.unlink(name, dir_fd=folder)
            os.fsync(folder)
        return True

    def entries(self) -> Iterator[Entry]:
        """All ordinary files, by path. Links, devices and what is being written are left out."""
        with suppress(WorkspaceError), self._folder([], "the workspace") as root:
            yield from sorted(_walk(root, "", _DEEPEST), key=lambda entry: entry.path)

    @contextmanager
    def _folder(self, parts: list[str], path: str, *, make: bool = False) -> Iterator[int]:
        with _explained(path):
            folder = self._open_root(make=make)
        try:
            for part in parts:
                with _explained(path):
                    if make:
                        with suppress(FileExistsError):
                            os.mkdir(part, 0o700, dir_fd=folder)
                    below = os.open(part, _FOLDER, dir_fd=folder)
                os.close(folder)
                folder = below
            yield folder
        finally:
            os.close(folder)

    def _open_root(self, *, make: bool) -> int:
        if make:
            self._root.mkdir(0o700, parents=True, exist_ok=True)
        return os.open(self._root, _FOLDER)

    def _read_in(self, folder: int, name: str, path: str) -> bytes:
        _refuse_special(os.stat(name, dir_fd=folder, follow_symlinks=False), path)  # opening a device acts on it
        handle = os.open(name, _READ, dir_fd=folder)
        with open(handle, "rb") as file:
            _refuse_special(os.fstat(handle), path)
            data = file.read(self._quota.file_bytes + 1)
        self._refuse_large(len(data))
        return data

    def _hash_in(self, folder: int, name: str, path: str) -> str | None:
        try:
            return content_hash(self._read_in(folder, name, path))
        except FileNotFoundError:
            return None

    def _refuse_large(self, size: int) -> None:
        if size > self._quota.file_bytes:
            raise WorkspaceError(f"a file may have at most {self._quota.file_bytes} bytes: use several")

    def _refuse_full(self, path: str, data: bytes) -> None:
        total = 0
        seen: set[str] = set()
        wanted = _named(path)
        with suppress(WorkspaceError), self._folder([], "the workspace") as root:
            for entry in _walk(root, "", _DEEPEST + 1, folders=True):
                seen.add(entry.path)
                total += 0 if entry.path == "/".join(wanted) else entry.size_bytes
        added = {"/".join(wanted[:end]) for end in range(1, len(wanted) + 1)} - seen
        if total + len(data) > self._quota.total_bytes:
            raise WorkspaceError(f"the workspace is full ({self._quota.total_bytes} bytes): delete what is not needed")
        if added and len(seen) + len(added) > self._quota.entries:
            raise WorkspaceError(f"the workspace has {self._quota.entries} entries, the most: delete some files")


def _named(path: str) -> tuple[str, ...]:
    parts = parts_of(path)
    if not parts:
        raise WorkspaceError("the path names no file")
    return parts


def _walk(folder: int, below: str, depth: int, *, folders: bool = False) -> Iterator[Entry]:
    with os.scandir(folder) as found:
        for item in found:
            try:
                item.name.encode()
                facts = item.stat(follow_symlinks=False)
                path = f"{below}{item.name}"
                if stat.S_ISDIR(facts.st_mode):
                    if folders:
                        yield Entry(path=path, size_bytes=0, changed_at=facts.st_mtime)
                    if depth > 0:
                        yield from _walk_below(folder, item.name, f"{path}/", depth - 1, folders=folders)
                elif folders or _is_plain(facts, item.name):
                    yield Entry(path=path, size_bytes=facts.st_size, changed_at=facts.st_mtime)
            except (FileNotFoundError, UnicodeEncodeError):
                continue  # deleted meanwhile, or a name that no model can write


def _walk_below(folder: int, name: str, below: str, depth: int, *, folders: bool) -> Iterator[Entry]:
    try:
        handle = os.open(name, _FOLDER, dir_fd=folder)
    except OSError:
        return  # a link by now, or not ours to read
    try:
        yield from _walk(handle, below, depth, folders=folders)
    finally:
        os.close(handle)


def _is_plain(facts: os.stat_result, name: str) -> bool:
    return stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1 and not name.startswith(_PART) and name.isprintable()


def _replace(folder: int, name: str, data: bytes, gone: Callable[[], bool]) -> None:
    part = f"{_PART}{secrets.token_hex(8)}"
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
        _refuse_gone(gone)
        os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(part, dir_fd=folder)
        raise
    os.fsync(folder)


def _refuse_gone(gone: Callable[[], bool]) -> None:
    if gone():
        raise WorkspaceError("the call was ended before anything was changed")


def _refuse_special(facts: os.stat_result, path: str) -> None:
    if stat.S_ISDIR(facts.st_mode):
        raise WorkspaceError(f"{path} is a folder: file_list shows what is in it")
    if not stat.S_ISREG(facts.st_mode):
        raise WorkspaceError(f"{path} is a link or a device, not an ordinary file: it cannot be used")
    if facts.st_nlink > 1:
        raise WorkspaceError(f"{path} is one of several names of a file (a hard link): it cannot be used")


def _refuse_changed(path: str, there: str | None, expected: str | None) -> None:
    if there == expected:
        return
    if there is None:
        raise Changed(f"{path} is not there any more: leave the hash out to make it anew")
    if expected is None:
        raise Changed(f"{path} exists: read it, and give the hash that file_read shows to replace it")
    raise Changed(f"{path} was changed since it was read (its hash is {there} now): read it again")


@contextmanager
def _explained(path: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise WorkspaceError(f"there is no {path}: file_list shows what there is") from None
    except OSError as error:
        raise WorkspaceError(f"{path} cannot be used: {error.strerror or error}") from error
