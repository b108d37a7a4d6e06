"""Which tools MCP servers offer and which of them were approved, on SQLite. Every change is in the audit log."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime

from agents.tool_servers import Offered, Pin
from storage import audit
from storage.database import Database, to_us
from storage.sql import load

SQL = load("tool_servers")


class SqliteToolServers:
    """`agents.tool_servers.ToolServers` on one database file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def see(self, server: str, digest: str, offered: Sequence[Offered], now: datetime) -> Pin:
        tools = [{"name": tool.name, "description": tool.description, "schema": tool.schema} for tool in offered]

        def work(tx: sqlite3.Connection) -> Pin:
            before = tx.execute(SQL["server"], {"name": server}).fetchone()
            if before is not None and before["seen"] == digest:
                return _pin(before)
            row = {"name": server, "digest": digest, "tools": json.dumps(tools), "now": to_us(now)}
            pin = _pin(tx.execute(SQL["see"], row).fetchone())
            _note(tx, now, "threadmill", "tools_seen", pin)
            return pin

        return await self._database.write(work)

    async def pin(self, server: str) -> Pin | None:
        row = await self._database.read(lambda tx: tx.execute(SQL["server"], {"name": server}).fetchone())
        return None if row is None else _pin(row)

    async def approve(self, server: str, digest: str, by: str, now: datetime) -> Pin | None:
        def work(tx: sqlite3.Connection) -> Pin | None:
            query = {"name": server, "digest": digest, "by": by, "now": to_us(now)}
            row = tx.execute(SQL["approve"], query).fetchone()
            if row is None:
                return None
            pin = _pin(row)
            _note(tx, now, by, "tools_approved", pin)
            return pin

        return await self._database.write(work)

    async def pins(self) -> Sequence[Pin]:
        return await self._database.read(lambda tx: [_pin(row) for row in tx.execute(SQL["servers"])])


def _pin(row: sqlite3.Row) -> Pin:
    return Pin(
        server=row["name"],
        approved=row["approved"],
        seen=row["seen"],
        offered=tuple(Offered(**tool) for tool in json.loads(row["tools"])),
    )


def _note(tx: sqlite3.Connection, now: datetime, by: str, action: str, pin: Pin) -> None:
    detail = {"digest": pin.seen, "tools": len(pin.offered), "approved": pin.is_approved}
    audit.append(tx, at=now, actor=by, action=action, resource=f"mcp:{pin.server}", detail=detail)
