"""A monitor in the whole of Threadmill: from a line of the configuration to a report in two places."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.website import website
from tests.slices.harness import running, write_config

pytestmark = pytest.mark.slow


def _monitor(url: str, prompt: str = "say News") -> str:
    return f"""
[[monitors]]
name = "page"
every = "1s"
agent = "assistant"
prompt = "{prompt}"
check = {{ url = "{url}", changed = true }}
report_to = ["web:/main/status", "api:/main/status"]
"""


@pytest.mark.requirement("P3")
async def test_a_page_that_changes_is_reported_once_in_two_places_also_over_a_restart(tmp_path: Path) -> None:
    async with website() as site:
        site.page("/", "All systems work as they should.")
        file = write_config(tmp_path, more=_monitor(site.url("/")))
        async with running(file) as threadmill:
            await site.until_asked("/", 2)
            site.page("/", "There is an incident, and people look into it.")
            for channel in ("web", "api"):
                (report,) = await threadmill.heard("status", "+There is an incident", channel=channel)
                assert report.startswith("News")
            await threadmill.settled()
        site.page("/", "The incident is over, and all systems work again.")
        async with running(file) as threadmill:
            for channel in ("web", "api"):
                said = await threadmill.heard("status", "+The incident is over", channel=channel)
                assert len(said) == 2
            before = site.asked("/")
            await site.until_asked("/", before + 2)
            await threadmill.settled()
            states = await threadmill.rows("select place, state, count(*) from deliveries group by place, state")
            assert states == [("api:/main/status", "sent", 2), ("web:/main/status", "sent", 2)]
            counted = (await threadmill.client.get("/metrics")).text
            assert 'threadmill_monitor_firings_total{state="done"}' in counted
            sessions = await threadmill.rows("select label, home, owner from sessions")
            assert sessions == [("monitor-page", "web:/main/status", "monitor:page")]


async def test_an_edit_of_a_monitor_takes_effect_while_threadmill_runs(tmp_path: Path) -> None:
    async with website() as site:
        site.page("/", "All systems work as they should.")
        file = write_config(tmp_path, more=_monitor(site.url("/")))
        async with running(file) as threadmill:
            await site.until_asked("/", 1)
            write_config(tmp_path, more=_monitor(site.url("/other"), "say Elsewhere"))
            site.page("/other", "Something else altogether is shown here.")
            await site.until_asked("/other", 2)
            site.page("/other", "And now it has changed into this.")
            (report,) = await threadmill.heard("status", "+And now it has changed")
            assert report.startswith("Elsewhere")
