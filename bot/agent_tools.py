"""Makes the tools over what agents keep: the files of their workspaces, the values that they share,
and their skills."""

from __future__ import annotations

from collections.abc import Sequence

from agents.skills import Skills
from agents.tools.base import Tool
from agents.tools.files import FileDeleteTool, FileEditTool, FileListTool, FileReadTool, FileWriteTool
from agents.tools.files_search import FileSearchTool
from agents.tools.skills import SkillTool
from agents.tools.state import StateDeleteTool, StateGetTool, StateListTool, StateSetTool
from agents.workspaces import Quota, Workspaces
from bot.config import Config
from storage.database import Database
from storage.state import SqliteSharedValues


def keeping_tools(config: Config, database: Database, skills: Skills) -> Sequence[Tool]:
    workspaces = Workspaces(config.bot.data / "workspaces", Quota(total_bytes=config.limits.workspace_bytes))
    values = SqliteSharedValues(database)
    return [
        FileReadTool(workspaces),
        FileWriteTool(workspaces),
        FileEditTool(workspaces),
        FileListTool(workspaces),
        FileSearchTool(workspaces),
        FileDeleteTool(workspaces),
        StateGetTool(values),
        StateSetTool(values),
        StateListTool(values),
        StateDeleteTool(values),
        SkillTool(skills),
    ]
