"""/monitor and the tool `schedule`: who may make what, and what is said back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from agents.base import MailKind, NotFound, Refused
from agents.monitors.base import MonitorName
from agents.tools.base import ToolError, parse
from agents.tools.schedule import MOST, ScheduleTool
from bot.access import Principal, Role
from bot.commands.base import Denied, Misused, Request
from bot.commands.monitor import command
from channels.base import Account
from tests.agents.world import ADA, profiles
from tests.fakes.website import website
from tests.monitors.rig import ROOM, START, THREAD, Rig, monitor, rig

UTC_ZONE = ZoneInfo("UTC")


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Rig]:
    async with website() as site, rig(tmp_path, hosts=[site.host]) as made:
        site.page("/", "All systems work as they should.")
        made.site = site  # type: ignore[attr-defined]
        yield made


def asks(at: Rig, line: str, role: Role = Role.OPERATOR, account: str = "web:ada", number: int = 1) -> Any:
    who = Principal(
        account=Account(account), person="ada", name="Ada", role=role, accounts=frozenset({Account(account)})
    )
    request = Request(
        principal=who,
        where=ROOM,
        direct=False,
        bound=None,
        arguments=line,
        key=f"in:{number}",
        inbox=number,
        message_id=None,
        now=at.now,
    )
    return command(at.monitors, at.world, UTC_ZONE).run(request)


@pytest.mark.slow
async def test_a_page_is_watched_for_the_place_where_it_was_asked_for(at: Rig) -> None:
    site = at.site  # type: ignore[attr-defined]
    answer = await asks(at, f"add every 5m {site.url('/')} say Look here")
    assert "**127-0-0-1**: every 5m, first at 09:05:00, agent assistant; it reports here." in answer
    await at.at_rest()
    site.page("/", "There is an incident, and people look into it.")
    await at.passes(minutes=5)
    (report,) = await at.said(ROOM)
    assert report.startswith("Look here")
    assert "+There is an incident" in report


async def test_every_form_of_a_schedule_is_understood(at: Rig) -> None:
    lines = {
        "add morning: cron 0 9 * * mon-fri researcher say Good morning": "**morning**: cron 0 9 * * mon-fri (UTC)",
        "add @daily say Good night": "**assistant**: cron 0 0 * * * (UTC), first at 2026-11-22 00:00",
        "add at 2026-12-01T09:00 say Luck": "**assistant-2**: at 2026-12-01 09:00 (UTC)",
        "add at 2020-01-01T09:00 say Late": "that time is past",
    }
    for number, (line, expected) in enumerate(lines.items()):
        assert expected in await asks(at, line, number=number)
    (morning,) = [each for each in await at.monitors.records() if each.monitor.name == "morning"]
    assert (morning.monitor.agent, morning.monitor.prompt) == ("researcher", "say Good morning")
    assert morning.monitor.owner == "web:ada"


@pytest.mark.parametrize(
    "line",
    [
        "add",
        "add every",
        "add every 5 minutes",
        "add every 5m",
        "add cron 0 9 * *",
        "add at noon say x",
        "dance",
        "add x",
    ],
)
async def test_what_is_not_understood_is_answered_with_how_it_is_written(at: Rig, line: str) -> None:
    with pytest.raises(Misused):
        await asks(at, line)
    assert await at.monitors.records() == []


async def test_the_same_command_twice_makes_one_monitor(at: Rig) -> None:
    for _ in range(2):
        assert "**assistant**" in await asks(at, "add every 5m say hello")
    assert len(await at.monitors.records()) == 1


@pytest.mark.slow
async def test_the_list_shows_what_comes_what_was_and_what_went_wrong(at: Rig) -> None:
    site = at.site  # type: ignore[attr-defined]
    assert "no monitors" in await asks(at, "")
    await asks(at, f"add page: every 5m {site.url('/')}")
    await at.at_rest()
    site.breaks("/")
    await at.passes(minutes=5)
    listed = await asks(at, "list", role=Role.USER)
    assert "**page** every 5m, next 09:10:00, last 09:05:00" in listed
    assert "503" in listed
    await asks(at, "pause page")
    assert "**paused**" in await asks(at, "list")
    await asks(at, "resume page")
    assert "next 09:10:00" in await asks(at, "list")
    assert "removed" in await asks(at, "remove page")
    with pytest.raises(NotFound, match="there are: none"):
        await asks(at, "run page")


@pytest.mark.requirement("P9")
async def test_the_list_shows_a_user_what_is_hers_or_reports_here_and_an_operator_everything(at: Rig) -> None:
    await asks(at, "add hers: every 5m say Tick", number=1)
    elsewhere = replace(
        monitor(), name=MonitorName("secret"), owner=Account("web:bob"), report_to=(replace(THREAD, room="other"),)
    )
    await at.monitors.add(elsewhere, "k")
    assert "secret" in await asks(at, "list")
    assert "secret" in await asks(at, "list", role=Role.USER, account="web:bob")
    seen = await asks(at, "list", role=Role.USER)
    assert "hers" in seen
    assert "secret" not in seen
    assert "hers" in await asks(at, "list", role=Role.USER, account="web:eve"), "it reports where she asks"


async def test_run_looks_at_once(at: Rig) -> None:
    await asks(at, "add tick: every 5m say Tick", number=1)
    assert "runs now" in await asks(at, "run tick", number=2)
    await at.at_rest()
    assert await at.said(ROOM) == ["Tick"]


@pytest.mark.requirement("P9")
async def test_a_user_may_look_but_not_change_and_a_stranger_neither(at: Rig) -> None:
    await asks(at, "add tick: every 5m say Tick")
    for line in ("add every 5m say x", "pause tick", "resume tick", "run tick", "remove tick", "remove none"):
        with pytest.raises(Denied):
            await asks(at, line, role=Role.USER, account="web:eve")
    for line in ("list", "", "add every 5m say x"):
        with pytest.raises(Denied):
            await asks(at, line, role=Role.NONE, account="web:eve")
    assert len(await at.monitors.records()) == 1


async def test_a_monitor_of_the_configuration_is_not_removed_by_a_command(tmp_path: Path) -> None:
    async with rig(tmp_path, [monitor()]) as at:
        assert "stands in the configuration" in await asks(at, "remove page")
        assert "is paused" in await asks(at, "pause page")


class _Call:
    """What the tool looks at of its call."""

    def __init__(self, at: Rig, session: Any, number: int = 1, **profile: Any) -> None:
        self.session = session
        self.profile = profiles(**profile)["assistant"]
        self.now = at.now
        self.key = f"{session.id}.t1/call{number}"


def schedule(at: Rig) -> ScheduleTool:
    return ScheduleTool(at.monitors, at.world.sessions, at.world, UTC_ZONE)


async def test_an_agent_has_itself_woken_later_in_the_name_of_whom_it_works_for(at: Rig) -> None:
    session = await at.world.says("say hello", THREAD)
    await at.at_rest()
    tool = schedule(at)
    arguments = {"name": "later", "every_minutes": 10, "prompt": "say Ten minutes are over"}
    made = [await tool.run(_Call(at, session), parse(tool, arguments)) for _ in range(2)]  # type: ignore[arg-type]
    assert made[0] == made[1]  # the second after a crash
    assert made[0].startswith("later: every 10m")
    (record,) = await at.monitors.records()
    assert (record.monitor.owner, record.monitor.report_to) == (ADA, (THREAD,))
    await at.passes(minutes=10)
    assert (await at.said(THREAD))[-1] == "Ten minutes are over"
    listed = await tool.run(_Call(at, session), parse(tool, {"action": "list"}))  # type: ignore[arg-type]
    assert "later: every 10m, next at 2026-11-21T09:20Z" in listed
    await tool.run(_Call(at, session), parse(tool, {"action": "remove", "name": "later"}))  # type: ignore[arg-type]
    assert await at.monitors.records() == []


@pytest.mark.requirement("P9")
async def test_an_agent_gets_no_more_by_scheduling_than_it_has(at: Rig) -> None:
    session = await at.world.says("say hello", THREAD)
    tool = schedule(at)
    basic = {"every_minutes": 10, "prompt": "say x"}
    with pytest.raises(ToolError, match="tools that you lack"):
        await tool.run(_Call(at, session, tools=()), parse(tool, basic))  # type: ignore[arg-type]
    with pytest.raises(ToolError, match="you may not schedule"):
        await tool.run(_Call(at, session), parse(tool, {**basic, "agent": "stranger"}))  # type: ignore[arg-type]
    with pytest.raises(ToolError, match="more often"):
        await tool.run(_Call(at, session), parse(tool, {"cron": "*/2 * * * *", "prompt": "x"}))  # type: ignore[arg-type]
    with pytest.raises(ToolError, match="is past"):
        await tool.run(_Call(at, session), parse(tool, {"at": "2020-01-01T00:00", "prompt": "x"}))  # type: ignore[arg-type]
    for wrong in ({"prompt": "x"}, {**basic, "cron": "* * * * *"}, {"action": "remove"}, {"every_minutes": 1}):
        with pytest.raises(ToolError):
            parse(tool, wrong)
    for number in range(MOST):
        await tool.run(_Call(at, session, number), parse(tool, basic))  # type: ignore[arg-type]
    with pytest.raises(Refused, match=f"{MOST} are the most"):
        await tool.run(_Call(at, session, MOST), parse(tool, basic))  # type: ignore[arg-type]


@pytest.mark.requirement("P10")
async def test_who_made_paused_and_woke_what_is_in_the_audit_log(at: Rig) -> None:
    await asks(at, "add tick: every 5m say Tick", number=1)
    await asks(at, "pause tick", number=2)
    await asks(at, "resume tick", number=3)
    await at.passes(minutes=5)
    await asks(at, "remove tick", number=4)
    rows = await at.world.query("select actor, action from audit where resource = 'monitor:tick' order by n")
    assert [tuple(row) for row in rows] == [
        ("web:ada", "monitor_add"),
        ("web:ada", "monitor_pause"),
        ("web:ada", "monitor_resume"),
        ("monitor:tick", "monitor_wake"),
        ("web:ada", "monitor_remove"),
    ]
    mails = await at.world.query("select kind from mail")
    assert [row["kind"] for row in mails] == [MailKind.MONITOR.value]
    assert at.now == START + timedelta(minutes=5)
