"""The tool that finds lines in a workspace's files, by plain text or by a regular expression."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from agents.tools.base import Call, ToolError
from agents.tools.files import in_workspace
from agents.tools.files_match import NotSearched, lines_matching, lines_with, matches
from agents.workspaces import Workspace, WorkspaceError, Workspaces, parts_of

_MOST_BYTES = 20_000_000  # read for one search
_EXPRESSION_SECONDS = 5.0


class SearchArguments(BaseModel):
    model_config = ConfigDict(extra="forbid")
    text: str = Field(min_length=1, max_length=500, description="What to look for in each line.")
    regex: bool = Field(default=False, description="The text is a regular expression (Python's).")
    ignore_case: bool = False
    pattern: str = Field(default="**", min_length=1, max_length=200, description="Only files such as **/*.md")
    limit: int = Field(default=100, ge=1, le=500)


class FileSearchTool:
    """file_search."""

    name: ClassVar[str] = "file_search"
    description: ClassVar[str] = "Find lines in the text files of your workspace, by plain text or regular expression."
    arguments: ClassVar[type[BaseModel]] = SearchArguments
    repeatable: ClassVar[bool] = True
    timeout_seconds: ClassVar[float] = 30.0

    def __init__(self, workspaces: Workspaces, *, expression_seconds: float = _EXPRESSION_SECONDS) -> None:
        self._workspaces = workspaces
        self._expression_seconds = expression_seconds

    async def run(self, call: Call, arguments: SearchArguments) -> str:
        def work(workspace: Workspace, gone: Callable[[], bool]) -> tuple[dict[str, str], bool]:
            return _contents(workspace, parts_of(arguments.pattern), gone)

        files, cut = await in_workspace(self._workspaces, call, work)
        if arguments.regex:
            try:
                found = await lines_matching(
                    files,
                    arguments.text,
                    arguments.limit,
                    ignore_case=arguments.ignore_case,
                    seconds=self._expression_seconds,
                )
            except NotSearched as error:
                raise ToolError(str(error)) from error
        else:
            found = await in_workspace(
                self._workspaces,
                call,
                lambda *_: lines_with(
                    files.items(), arguments.text, arguments.limit, ignore_case=arguments.ignore_case
                ),
            )
        lines = [f"{item['path']}:{item['line']}: {item['text']}" for item in found]
        if len(found) >= arguments.limit:
            lines.append("[there may be more: narrow the search]")
        if cut:
            lines.append(f"[only the first {_MOST_BYTES} bytes were searched: narrow the pattern]")
        return "\n".join(lines) or "nothing found"


def _contents(workspace: Workspace, pattern: tuple[str, ...], gone: Callable[[], bool]) -> tuple[dict[str, str], bool]:
    """The text files that fit, as far as they go into the bound, and whether some did not."""
    files: dict[str, str] = {}
    room = _MOST_BYTES
    for entry in workspace.entries():
        if gone():
            break
        if not matches(pattern, entry.path.split("/")):
            continue
        if entry.size_bytes > room:
            return files, True
        try:
            data = workspace.read(entry.path).data
            text = data.decode()
        except (WorkspaceError, UnicodeDecodeError):
            continue  # deleted meanwhile, or not text
        room -= len(data)
        if "\0" not in text:
            files[entry.path] = text
    return files, False
