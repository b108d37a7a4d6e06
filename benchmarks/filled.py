"""Fills a data folder with a past: sessions in threads of their own, messages that were answered."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

from storage.database import opened, to_us


async def fill(data: Path, *, sessions: int, messages: int) -> None:
    """`messages` in all, spread over `sessions` that are idle and bound to threads of the api channel."""
    async with opened(data) as database:
        await database.write(lambda tx: _fill(tx, sessions, messages))


def _fill(tx: sqlite3.Connection, sessions: int, messages: int) -> None:
    began = to_us(datetime.now(UTC) - timedelta(days=30))
    ids = [f"s{number:010d}" for number in range(sessions)]
    tx.executemany(
        "insert into sessions (id, label, agent, root, depth, mode, state, spawn_key, owner, owner_name, task, home,"
        " turns, created_at, active_at) values (?, ?, 'assistant', ?, 0, 'session', 'idle', ?, 'api:owner', 'You',"
        " 'an old task', ?, 1, ?, ?)",
        ((id, f"old-{id}", id, f"old-{id}", f"api:/main/old-{id}", began, began + n) for n, id in enumerate(ids)),
    )
    tx.executemany(
        "insert into bindings (place, session, created_at) values (?, ?, ?)",
        ((f"api:/main/old-{id}", id, began) for id in ids),
    )
    said = json.dumps({"blocks": [{"type": "text", "text": "an old answer " * 10}], "stop": "end", "detail": ""})
    for number in range(messages):
        id = ids[number % sessions]
        place, at, event = f"api:/main/old-{id}", began + number * 1000, f"old-{number}"
        inbox = tx.execute(
            "insert into inbox (channel, event_id, kind, place, account, sender_name, is_bot, text, message_id,"
            " mentioned, direct, sent_at, received_at, state, session)"
            " values ('api', ?, 'message', ?, 'api:owner', 'You', 0, 'an old question', ?, 0, 1, ?, ?, 'routed', ?)",
            (event, place, event, at, at, id),
        ).lastrowid
        tx.execute("insert into timeline (place, inbox, at) values (?, ?, ?)", (place, inbox, at))
        asked = json.dumps({"mail": [{"n": number, "kind": "person", "text": "an old question", "name": "You"}]})
        tx.executemany(
            "insert into steps (session, turn, kind, body, started_at, ended_at) values (?, ?, ?, ?, ?, ?)",
            ((id, f"{id}.t1", "input", asked, at, at), (id, f"{id}.t1", "model", said, at, at)),
        )
        delivery = tx.execute(
            "insert into deliveries (key, lane, place, session, text, state, created_at, sent_at) values (?, ?, ?, ?,"
            " 'an old answer', 'sent', ?, ?)",
            (event, place, place, id, at, at),
        ).lastrowid
        tx.execute("insert into timeline (place, delivery, at) values (?, ?, ?)", (place, delivery, at))
