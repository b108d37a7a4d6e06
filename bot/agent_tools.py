"""Makes the tools over what agents keep: the files of their workspaces, the values that they share,
and their skills; and brings in the tools of others, of installed packages and of servers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from importlib.metadata import entry_points

import structlog

from agents.skills import Skills
from agents.tools.attachments import AttachmentReadTool, Given
from agents.tools.base import Tool, Toolbox
from agents.tools.files import FileDeleteTool, FileEditTool, FileListTool, FileReadTool, FileWriteTool
from agents.tools.files_search import FileSearchTool
from agents.tools.mcp import McpServers
from agents.tools.mcp_client import Server
from agents.tools.skills import SkillTool
from agents.tools.state import StateDeleteTool, StateGetTool, StateListTool, StateSetTool
from agents.workspaces import Quota, Workspaces
from bot.config import Config
from bot.config.parts import McpServer
from bot.config.tools import INSTALLED
from channels.base import Files
from storage.database import Database
from storage.state import SqliteSharedValues
from storage.tool_servers import SqliteToolServers

log = structlog.get_logger("tools")


def installed_tools() -> Sequence[Tool]:
    """The tools of other packages: each entry point is a class that is made without arguments, and has the tool's name.
    One that cannot be had is left out, and costs nothing else."""
    tools: list[Tool] = []
    for point in entry_points(group=INSTALLED):
        try:
            tool: Tool = point.load()()
        except Exception:
            log.exception("a tool cannot be loaded", tool=point.name, source=point.value)
            continue
        if tool.name == point.name:
            tools.append(tool)
        else:
            log.error("a tool has another name than its entry point", tool=tool.name, entry_point=point.name)
    return tools


def tool_servers(
    config: Config,
    database: Database,
    toolbox: Toolbox,
    clock: Callable[[], datetime],
    withheld: Callable[[str, str], None],
) -> McpServers:
    """The configured MCP servers; what they offer comes into the toolbox while they run."""
    servers = {name: server_of(server) for name, server in config.mcp.items()}
    return McpServers(servers, SqliteToolServers(database), toolbox, clock, withheld)


def server_of(server: McpServer) -> Server:
    """A server as the configuration gives it."""
    return Server(
        command=server.command,
        args=server.args,
        env=server.env,
        url=server.url,
        headers=server.headers,
        allow=server.allow,
        timeout_seconds=server.timeout_seconds,
    )


def workspaces_of(config: Config) -> Workspaces:
    """Where agents keep their files."""
    return Workspaces(config.bot.data / "workspaces", Quota(total_bytes=config.limits.workspace_bytes))


def keeping_tools(
    database: Database, workspaces: Workspaces, skills: Skills, given: Given, files: Files
) -> Sequence[Tool]:
    values = SqliteSharedValues(database)
    return [
        FileReadTool(workspaces),
        FileWriteTool(workspaces),
        FileEditTool(workspaces),
        FileListTool(workspaces),
        FileSearchTool(workspaces),
        FileDeleteTool(workspaces),
        AttachmentReadTool(given, files),
        StateGetTool(values),
        StateSetTool(values),
        StateListTool(values),
        StateDeleteTool(values),
        SkillTool(skills),
    ]
