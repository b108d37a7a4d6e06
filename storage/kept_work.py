"""What sessions leave behind beside their conversation: folders that they worked in, and values that they shared.

A session's own workspace and the values of its tree go when the conversation goes. Whose a file in a shared workspace
is, nobody knows, and what agents keep for everyone outlives every session: both stay until somebody deletes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from agents.base import SessionId
from channels.base import Account
from storage.database import Database, to_us
from storage.sql import load

SQL = load("kept_work")
_PAGE = 500


async def left_workspaces(database: Database, own: Iterable[str], before: datetime) -> list[str]:
    """Those of these own workspaces (named by their session) in which nobody has worked since then."""
    found: list[str] = []
    names = sorted(own)
    for begin in range(0, len(names), _PAGE):
        query = {"ids": json.dumps(names[begin : begin + _PAGE]), "before": to_us(before)}
        found += await database.read(lambda tx, query=query: [row["id"] for row in tx.execute(SQL["left"], query)])  # type: ignore[misc]
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Worked:
    """Where a person's sessions worked: their own workspaces, and what shared ones they may have used."""

    own: tuple[SessionId, ...]
    shared: tuple[str, ...]  # that a session was given when it was spawned
    agents: tuple[str, ...]  # whose profile may name another


async def worked_in(database: Database, accounts: Sequence[Account]) -> Worked:
    """To be asked before the person is forgotten: afterwards nobody knows whose sessions these were."""
    query = {"accounts": json.dumps(list(accounts))}
    rows = await database.read(lambda tx: tx.execute(SQL["worked_in"], query).fetchall())
    shared = {row["workspace"].removeprefix("shared:") for row in rows if str(row["workspace"]).startswith("shared:")}
    return Worked(
        own=tuple(SessionId(row["id"]) for row in rows),
        shared=tuple(sorted(shared)),
        agents=tuple(sorted({row["agent"] for row in rows})),
    )
