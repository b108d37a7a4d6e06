"""What is known of servers that bring tools (MCP): what they offer, and which of that was approved."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """A tool as its server describes it."""

    name: str
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """What the store knows of a server."""

    server: str
    approved: str | None  # digest of the tools that may be used
    seen: str  # digest of the tools that it offers
    offered: tuple[Offered, ...]  # what that is

    @property
    def is_approved(self) -> bool:
        return self.approved == self.seen


class ToolServers(Protocol):
    """Which tools of servers were seen and approved."""

    async def see(self, server: str, digest: str, offered: Sequence[Offered], now: datetime) -> Pin:
        """Note what a server offers. What is seen first is approved: the operator has just configured it."""

    async def pin(self, server: str) -> Pin | None: ...
    async def approve(self, server: str, digest: str, by: str, now: datetime) -> Pin | None:
        """Approve what was looked at. None when the server offers something else by now, or was never seen."""

    async def pins(self) -> Sequence[Pin]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerState:
    """How a server does, for people."""

    name: str
    state: str  # a sentence
    is_fine: bool  # its tools can be used


def digest_of(offered: Sequence[Offered]) -> str:
    """Changes with every name, description and schema."""
    listed = sorted((tool.name, tool.description, json.dumps(tool.schema, sort_keys=True)) for tool in offered)
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()
