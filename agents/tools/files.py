"""Tools over the files of a session's workspace: read, write, edit, list, delete.

What has to be safe is in `agents.workspaces`; here it is put into words that a model can use. Replacing and deleting
take the hash that file_read showed, so two agents in one workspace do not lose each other's work.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from agents.base import Session
from agents.ports import Profile
from agents.tools.base import Call, ToolError
from agents.tools.files_match import matches
from agents.workspaces import Workspace, WorkspaceError, Workspaces, parts_of

T = TypeVar("T")

_MODEL = ConfigDict(extra="forbid")
_PATH = Field(min_length=1, max_length=1000, description="Relative to the workspace: notes/plan.md")
_HASH = r"^[0-9a-f]{16}$"
_LONGEST_LINE = 2_000  # characters of one line that are shown
_LONGEST_TEXT = 80_000  # characters that are shown at once
_SECONDS = 30.0


def workspace_name(session: Session, profile: Profile) -> tuple[str, str]:
    """Kind and name of the workspace that a session works in."""
    chosen = session.workspace or (profile.workspace if session.parent is None else None)
    if chosen is None:
        return "session", session.id
    kind, _, name = chosen.partition(":")
    return kind, name


async def in_workspace(
    workspaces: Workspaces, call: Call, work: Callable[[Workspace, Callable[[], bool]], T], seconds: float = _SECONDS
) -> T:
    """Run `work` in a thread. When the call is cancelled, it changes nothing from then on. Raises ToolError."""
    gone = threading.Event()
    try:
        workspace = workspaces.workspace(*workspace_name(call.session, call.profile))
        async with asyncio.timeout(seconds):
            return await asyncio.to_thread(work, workspace, gone.is_set)
    except WorkspaceError as error:
        raise ToolError(str(error)) from error
    finally:
        gone.set()


class ReadArguments(BaseModel):
    model_config = _MODEL
    path: str = _PATH
    offset: int = Field(default=1, ge=1, description="The first line to show, from 1.")
    limit: int = Field(default=1000, ge=1, le=5000, description="How many lines at most.")


class FileReadTool:
    """file_read."""

    name: ClassVar[str] = "file_read"
    description: ClassVar[str] = (
        "Read a text file of your workspace, with line numbers, and its hash, which file_write and file_delete ask for."
    )
    arguments: ClassVar[type[BaseModel]] = ReadArguments
    repeatable: ClassVar[bool] = True
    timeout_seconds: ClassVar[float] = _SECONDS

    def __init__(self, workspaces: Workspaces) -> None:
        self._workspaces = workspaces

    async def run(self, call: Call, arguments: ReadArguments) -> str:
        content = await in_workspace(self._workspaces, call, lambda workspace, _: workspace.read(arguments.path))
        lines = _text(content.data, arguments.path).splitlines()
        shown = lines[arguments.offset - 1 : arguments.offset - 1 + arguments.limit]
        if not shown and lines:
            raise ToolError(f"{arguments.path} has {len(lines)} lines: offset {arguments.offset} is beyond them.")
        kept: list[str] = []
        used = 0
        for number, line in enumerate(shown, start=arguments.offset):
            text = line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}… [cut: {len(line)} characters]"
            used += len(text)
            if used > _LONGEST_TEXT and kept:
                break
            kept.append(f"{number:>5}  {text}")
        head = f"{arguments.path}, hash {content.hash}, {len(lines)} lines"
        if len(kept) < len(lines):
            head += f", shown: {arguments.offset} to {arguments.offset + len(kept) - 1}"
        return "\n".join([head, *kept])


class WriteArguments(BaseModel):
    model_config = _MODEL
    path: str = _PATH
    content: str = Field(max_length=2_000_000, description="The whole new content.")
    hash: str | None = Field(
        default=None, pattern=_HASH, description="Of the file that is replaced, from file_read; none for a new file."
    )


class FileWriteTool:
    """file_write."""

    name: ClassVar[str] = "file_write"
    description: ClassVar[str] = (
        "Make a file in your workspace, with its folders, or replace one that you have read (give its hash)."
    )
    arguments: ClassVar[type[BaseModel]] = WriteArguments
    repeatable: ClassVar[bool] = True  # the same content once more is done already
    timeout_seconds: ClassVar[float] = _SECONDS

    def __init__(self, workspaces: Workspaces) -> None:
        self._workspaces = workspaces

    async def run(self, call: Call, arguments: WriteArguments) -> str:
        data = arguments.content.encode()
        new = await in_workspace(
            self._workspaces,
            call,
            lambda workspace, gone: workspace.write(arguments.path, data, arguments.hash, gone),
        )
        return f"Wrote {arguments.path}: {len(data)} bytes, hash {new}."


class EditArguments(BaseModel):
    model_config = _MODEL
    path: str = _PATH
    old: str = Field(min_length=1, max_length=200_000, description="Text that stands exactly once in the file.")
    new: str = Field(max_length=200_000, description="What replaces it.")


class FileEditTool:
    """file_edit."""

    name: ClassVar[str] = "file_edit"
    description: ClassVar[str] = "Replace one piece of text in a file of your workspace; it must stand there once."
    arguments: ClassVar[type[BaseModel]] = EditArguments
    repeatable: ClassVar[bool] = False  # a second time, what is replaced may stand there again
    timeout_seconds: ClassVar[float] = _SECONDS

    def __init__(self, workspaces: Workspaces) -> None:
        self._workspaces = workspaces

    async def run(self, call: Call, arguments: EditArguments) -> str:
        old, new = arguments.old.encode(), arguments.new.encode()

        def replaced(data: bytes) -> bytes:
            count = data.count(old)
            if count == 0:
                raise WorkspaceError(f"the text is not in {arguments.path}: read it and give the text as it stands")
            if count > 1 or data.find(old) != data.rfind(old):
                raise WorkspaceError(f"the text stands more than once in {arguments.path}: give more of what is around")
            return data.replace(old, new)

        made = await in_workspace(
            self._workspaces, call, lambda workspace, gone: workspace.change(arguments.path, replaced, gone)
        )
        return f"Edited {arguments.path}: hash {made}."


class ListArguments(BaseModel):
    model_config = _MODEL
    pattern: str = Field(
        default="**", min_length=1, max_length=200, description="Such as *.md, notes/* or **/*.py; ** is any folders."
    )
    limit: int = Field(default=200, ge=1, le=1000)


class FileListTool:
    """file_list."""

    name: ClassVar[str] = "file_list"
    description: ClassVar[str] = "List the files of your workspace by a pattern, with size and time of change."
    arguments: ClassVar[type[BaseModel]] = ListArguments
    repeatable: ClassVar[bool] = True
    timeout_seconds: ClassVar[float] = _SECONDS

    def __init__(self, workspaces: Workspaces) -> None:
        self._workspaces = workspaces

    async def run(self, call: Call, arguments: ListArguments) -> str:
        def work(workspace: Workspace, _: Callable[[], bool]) -> list[str]:
            pattern = parts_of(arguments.pattern)
            return [
                f"{entry.path}  {entry.size_bytes} bytes  {_minute(entry.changed_at)}"
                for entry in workspace.entries()
                if matches(pattern, entry.path.split("/"))
            ]

        found = await in_workspace(self._workspaces, call, work)
        lines = found[: arguments.limit]
        if len(found) > len(lines):
            lines.append(f"[{len(found) - len(lines)} more: narrow the pattern]")
        return "\n".join(lines) or "no files"


class DeleteArguments(BaseModel):
    model_config = _MODEL
    path: str = _PATH
    hash: str = Field(pattern=_HASH, description="Of the file, from file_read.")


class FileDeleteTool:
    """file_delete."""

    name: ClassVar[str] = "file_delete"
    description: ClassVar[str] = "Delete a file of your workspace that you have read (give its hash)."
    arguments: ClassVar[type[BaseModel]] = DeleteArguments
    repeatable: ClassVar[bool] = True  # only that very content is deleted, and what is gone is done
    timeout_seconds: ClassVar[float] = _SECONDS

    def __init__(self, workspaces: Workspaces) -> None:
        self._workspaces = workspaces

    async def run(self, call: Call, arguments: DeleteArguments) -> str:
        deleted = await in_workspace(
            self._workspaces,
            call,
            lambda workspace, gone: workspace.delete(arguments.path, arguments.hash, gone),
        )
        return f"Deleted {arguments.path}." if deleted else f"There is no {arguments.path} (any more)."


def _text(data: bytes, path: str) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ToolError(f"{path} is not text ({len(data)} bytes): it cannot be shown.")
    return text


def _minute(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
