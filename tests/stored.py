"""Rows as the core would have stored them, for tests of the read side: the shortest way to a history."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from typing import Any

from storage.database import to_us

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
US = to_us(NOW)
PLACE = "web:/main/hello"
MONITOR = json.dumps(
    {
        "every_seconds": 300,
        "cron": None,
        "at": None,
        "timezone": "UTC",
        "agent": "assistant",
        "prompt": "Tell us",
        "check": None,
        "report_to": [PLACE],
        "missed": "once",
        "owner": None,
        "owner_name": "",
        "asked_by": None,
    }
)


def insert(tx: sqlite3.Connection, table: str, **values: Any) -> int:
    names = ", ".join(values)
    marks = ", ".join(f":{name}" for name in values)
    cursor = tx.execute(f"insert into {table} ({names}) values ({marks})", values)
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def add_session(tx: sqlite3.Connection, id: str, **changes: Any) -> None:
    values: dict[str, Any] = {
        "id": id,
        "label": f"assistant-{id}",
        "agent": "assistant",
        "parent": None,
        "root": id,
        "depth": 0,
        "mode": "session",
        "state": "idle",
        "spawn_key": f"key-{id}",
        "owner": "web:owner",
        "owner_name": "Ada",
        "task": "help",
        "created_at": US,
        "active_at": US,
    }
    insert(tx, "sessions", **{**values, **changes})


def hear(tx: sqlite3.Connection, text: str, id: str, place: str = PLACE, **changes: Any) -> int:
    values: dict[str, Any] = {
        "channel": place.partition(":")[0],
        "event_id": id,
        "kind": "message",
        "place": place,
        "account": "web:owner",
        "sender_name": "Ada",
        "is_bot": 0,
        "text": text,
        "message_id": id,
        "mentioned": 0,
        "direct": 1,
        "sent_at": US,
        "received_at": US,
        "state": "routed",
    }
    n = insert(tx, "inbox", **{**values, **changes})
    insert(tx, "timeline", place=place, inbox=n, at=US)
    return n


def say(tx: sqlite3.Connection, text: str, key: str, place: str = PLACE, state: str = "sent", **changes: Any) -> int:
    values: dict[str, Any] = {
        "key": key,
        "lane": place,
        "place": place,
        "session": "s1",
        "text": text,
        "state": state,
        "created_at": US,
    }
    at = changes.pop("at", US)
    n = insert(tx, "deliveries", **{**values, **changes})
    if state == "sent":
        insert(tx, "timeline", place=place, delivery=n, at=at)
    return n
