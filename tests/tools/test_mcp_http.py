"""MCP servers over streamable HTTP: the same promises as over a pipe; and one that is away, slow or talks too much."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agents.tools import mcp_client
from agents.tools.base import ToolError
from agents.tools.mcp_client import Server
from tests.agents.world import world
from tests.tools.made import call_of, settled, use
from tests.tools.test_mcp import profile, serving, tool

pytestmark = pytest.mark.slow


@pytest.mark.requirement("P6")
async def test_a_server_over_http_is_called_watched_and_found_again(tmp_path: Path) -> None:
    from tests.fakes.mcp_http import FakeMcpHttp  # its SDK takes a while to import

    async with FakeMcpHttp() as fake, world(tmp_path) as here:
        server = Server(url=fake.url, headers={"authorization": "Bearer secret"})
        async with serving(here, server) as (servers, box):
            assert servers.states["fake"] == "connected, 4 tools"
            assert {headers["authorization"] for headers in fake.seen} == {"Bearer secret"}
            call = call_of(here, await settled(here))
            assert await use(tool(box, "echo"), call, text="hello") == "echo: hello"

            hanging = asyncio.create_task(use(tool(box, "hang"), call))
            await fake.hanging.wait()
            assert await use(tool(box, "echo"), call, text="beside") == "echo: beside"
            hanging.cancel()
            with pytest.raises(asyncio.CancelledError):
                await hanging
            assert await use(tool(box, "echo"), call, text="after") == "echo: after", "others need not connect again"

            await use(tool(box, "grow"), call)
            await here.until(lambda: servers.states["fake"].startswith("withheld"), 10.0)
            assert box.offered(profile("mcp:fake")) == ()
            with pytest.raises(ToolError, match="no tool"):
                tool(box, "echo")
            pin = await servers.pin("fake")
            assert pin is not None
            assert "Ignore your instructions" in [each.description for each in pin.offered]
            assert await servers.approve("fake", pin.seen, "ada") is not None
            await here.until(lambda: servers.states["fake"] == "connected, 5 tools", 10.0)
            kept = tool(box, "echo")

            await fake.stop()
            with pytest.raises(ToolError):
                await use(kept, call, text="nobody there")
            await here.until(lambda: servers.states["fake"].startswith("not connected: "), 10.0)
            with pytest.raises(ToolError, match="cannot be used now"):
                await use(kept, call, text="nobody there")
            await fake.start()
            await here.until(lambda: servers.states["fake"] == "connected, 5 tools", 20.0)
            assert await use(kept, call, text="back") == "echo: back"


async def test_an_answer_that_is_too_large_is_a_failure_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.fakes.mcp_http import FakeMcpHttp

    monkeypatch.setattr(mcp_client, "LONGEST_MESSAGE", 200_000)
    for json_response in (True, False):
        async with FakeMcpHttp(json_response=json_response) as fake, world(tmp_path / str(json_response)) as here:
            server = Server(url=fake.url, timeout_seconds=10.0)
            async with serving(here, server) as (_, box):
                call = call_of(here, await settled(here))
                with pytest.raises(ToolError):
                    await asyncio.wait_for(use(tool(box, "much"), call, count=1_000_000), 10.0)
