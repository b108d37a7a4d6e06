"""Connects everything, and owns the root task group.

What runs, and what it is made of, can be read here from top to bottom: the store, the engine, the models and
tools, the team, the channels, the courier, the router, the page. Nothing else knows all of them.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import structlog

from agents.base import AgentName, SessionId
from agents.context import Context
from agents.engine import EmbeddedEngine
from agents.models.chain import ModelChain, build
from agents.ports import Live, Profile
from agents.rights import Rights
from agents.team import Team
from agents.tools.base import Toolbox
from agents.turn import TurnParts, TurnRunner
from bot.config import Config

log = structlog.get_logger("app")


def now() -> datetime:
    return datetime.now(UTC)
