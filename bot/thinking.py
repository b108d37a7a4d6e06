"""Makes what thinks: the team, its tools, the monitors, and what runs turns. `bot.app` connects it with the rest.

A new tool is made here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from agents.context import Context
from agents.engine import EmbeddedEngine
from agents.fetching import Allowed, Fetcher
from agents.models.base import Models
from agents.money import Money
from agents.monitors.base import FiringState
from agents.monitors.judge import Limit
from agents.monitors.service import MonitorParts, Monitors
from agents.monitors.timetable import ApschedulerTimetable
from agents.ports import Live
from agents.results import Results
from agents.rights import Rights
from agents.runner import TurnRunner
from agents.skills import Skills
from agents.team import Team
from agents.tools.approvals import Approvals
from agents.tools.ask_human import AskHumanTool
from agents.tools.asking import Asker
from agents.tools.base import Tool, Toolbox
from agents.tools.handoff import HandoffTool
from agents.tools.mcp import McpServers
from agents.tools.schedule import ScheduleTool
from agents.tools.sessions import HistoryTool, ListTool, SendTool, SpawnTool
from agents.tools.subagents import SubagentsTool
from agents.tools.web_fetch import WebFetchTool
from agents.turn import TurnParts
from agents.workspaces import Workspaces
from bot.agent_tools import installed_tools, keeping_tools, tool_servers, workspaces_of
from bot.asking import PeopleToAsk
from bot.config import Config
from bot.connections import Connections
from bot.current import Current
from bot.people.directory import Directory
from bot.people.operators import Operators
from bot.signals import Wiring
from bot.speaker import Speaker
from bot.stores import Stores
from storage.database import Database
from storage.monitors import SqliteMonitors


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What it is connected with."""

    config: Config
    database: Database
    stores: Stores
    wiring: Wiring
    engine: EmbeddedEngine
    models: Models
    current: Current
    directory: Directory
    connections: Connections
    speaker: Speaker
    operators: Operators
    live: Live
    fired: Callable[[FiringState], None]
    clock: Callable[[], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinking:
    team: Team
    monitors: Monitors
    tool_servers: McpServers
    workspaces: Workspaces
    runner: TurnRunner


def thinking(around: Surroundings, team: Team) -> Thinking:
    config, stores, current, clock = around.config, around.stores, around.current, around.clock
    sessions, files = stores.sessions, stores.files
    fetcher = Fetcher(Allowed.parse(config.fetch.allow, config.fetch.ports))
    monitors = _monitors(around, fetcher)
    asker = Asker(stores.questions, PeopleToAsk(around.directory, sessions, around.connections.find))
    workspaces, skills = workspaces_of(config), Skills(config.bot.skills)
    toolbox = Toolbox(
        [
            *installed_tools(),  # ours have their names, whatever is installed
            AskHumanTool(asker),
            HandoffTool(team, sessions, around.speaker),
            *_session_tools(team, stores),
            WebFetchTool(fetcher),
            ScheduleTool(monitors, sessions, current, config.bot.timezone),
            *keeping_tools(around.database, workspaces, skills, stores.mailbox, files),
        ]
    )
    rights = Rights(current, sessions)
    runner = TurnRunner(
        TurnParts(
            journal=stores.journal,
            sessions=sessions,
            models=around.models,
            profiles=current,
            toolbox=toolbox,
            context=Context(around.models, current, toolbox, files, clock, skills),
            live=around.live,
            rights=rights,
            money=Money(stores.journal, rights, clock),
            clock=clock,
            approvals=Approvals(asker, stores.questions),
            results=Results(sessions, rights, workspaces, files),
            wake=around.engine.wake,
        )
    )
    servers = tool_servers(config, around.database, toolbox, clock, around.operators.withheld)
    return Thinking(team=team, monitors=monitors, tool_servers=servers, workspaces=workspaces, runner=runner)


def _monitors(around: Surroundings, fetcher: Fetcher) -> Monitors:
    return Monitors(
        MonitorParts(
            store=SqliteMonitors(around.database, around.stores.holder, around.wiring),
            timetable=ApschedulerTimetable(),
            fetcher=fetcher,
            limit=Limit(reports_per_hour=around.config.limits.monitor_reports_per_hour),
            clock=around.clock,
            fired=around.fired,
        )
    )


def _session_tools(team: Team, stores: Stores) -> Sequence[Tool]:
    return [
        SpawnTool(team),
        SubagentsTool(team, stores.sessions),
        SendTool(team, stores.sessions, stores.mailbox),
        ListTool(stores.sessions, stores.journal),
        HistoryTool(stores.sessions, stores.journal),
    ]
