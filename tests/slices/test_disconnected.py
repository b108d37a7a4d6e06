"""A platform that does not let us in any more: operators are told where they can be reached, and the others go on."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from bot import connections
from tests.slices.harness import running, write_config
from tests.slices.screens import slack, telegram

pytestmark = pytest.mark.slow


@pytest.mark.requirement("P6")
async def test_a_second_poller_and_a_revoked_token_are_told_and_stop_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_TOLD_AFTER_SECONDS", 0.0)
    async with telegram() as first, slack() as second:
        server = first.server
        async with running(write_config(tmp_path, [first, second]), [first, second]) as threadmill:
            async with httpx.AsyncClient(base_url=f"{server.base_url}{server.token}/") as rival:
                await server.world.wait_until(lambda: server.is_polled)
                await rival.get("getUpdates", params={"timeout": 0})
            await threadmill.shows(first, first.home(), "another program is asking for this bot's updates")
            first.says(first.home(), "say It recovers")
            await threadmill.shows(first, first.home(), "It recovers")

            server.token = "5000000001:revoked"
            server.drop_polls()
            told = await threadmill.shows(second, second.home(), "Telegram does not accept the bot's token")
            assert "telegram is not connected" in told[0]
            second.says(second.room, "say The others go on")
            thread = await threadmill.home_of("assistant-2")
            await threadmill.shows(second, thread, "The others go on")
