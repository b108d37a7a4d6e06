"""A real MCP server for tests, over standard input and output: `python mcp_server.py FOLDER`.

FOLDER/description, when it is there, is what the tool `echo` says of itself. FOLDER/pids gets the ids of the server
and of a child that it starts.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from mcp.server.mcpserver import MCPServer

FOLDER = Path(sys.argv[1])
server = MCPServer("fake")
child = subprocess.Popen(["sleep", "600"])
with (FOLDER / "pids").open("a") as pids:
    pids.write(f"{os.getpid()} {child.pid}\n")


def described() -> str:
    file = FOLDER / "description"
    return file.read_text() if file.exists() else "Say it again"


@server.tool(description=described())
def echo(text: str) -> str:
    return f"echo: {text}"


@server.tool(description="Fails")
def fail() -> str:
    raise ValueError("as asked")


@server.tool(description="Much text")
def much(count: int) -> str:
    return "x" * count


@server.tool(description="Ends the server")
def die() -> str:
    os._exit(1)


@server.tool(description="Never ends")
async def hang() -> str:
    (FOLDER / "hanging").touch()
    await asyncio.sleep(600)
    return "never"


if __name__ == "__main__":
    server.run()
