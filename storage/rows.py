"""Rows of the database as the nouns of `agents`, and back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from agents.base import (
    AgentName,
    Ended,
    Epoch,
    Mode,
    NewStep,
    QueueMode,
    Session,
    SessionId,
    State,
    Step,
    StepKind,
    TurnId,
)
from channels.base import Account, Attachment, ThreadRef
from storage.database import from_nano, from_us


def to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def place(key: str | None) -> ThreadRef | None:
    return None if key is None else ThreadRef.parse(key)


def moment(value: int | None) -> datetime | None:
    return None if value is None else from_us(value)


def session(row: sqlite3.Row) -> Session:
    return Session(
        id=SessionId(row["id"]),
        label=row["label"],
        agent=AgentName(row["agent"]),
        parent=row["parent"],
        root=SessionId(row["root"]),
        depth=row["depth"],
        mode=Mode(row["mode"]),
        state=State(row["state"]),
        ended=None if row["ended"] is None else Ended(row["ended"]),
        epoch=Epoch(row["epoch"]),
        owner=Account(row["owner"]),
        owner_name=row["owner_name"],
        task=row["task"],
        model=row["model"],
        queue=None if row["queue"] is None else QueueMode(row["queue"]),
        timeout_seconds=row["timeout_seconds"],
        budget_usd=None if row["budget_nano"] is None else from_nano(row["budget_nano"]),
        spent_usd=from_nano(row["spent_nano"]),
        tree_usd=from_nano(row["tree_nano"]),
        turns=row["turns"],
        crashes=row["crashes"],
        result=row["result"],
        home=place(row["home"]),
        doing=row["doing"],
        created_at=from_us(row["created_at"]),
        active_at=from_us(row["active_at"]),
        ended_at=moment(row["ended_at"]),
        workspace=row["workspace"],
        board=row["board"],
    )


def step(row: sqlite3.Row) -> Step:
    return Step(
        n=row["n"],
        turn=None if row["turn"] is None else TurnId(row["turn"]),
        step=NewStep(
            kind=StepKind(row["kind"]),
            body=json.loads(row["body"]),
            model=row["model"],
            input_tokens=row["input_tokens"],
            output_tokens=row["output_tokens"],
            cache_read_tokens=row["cache_read_tokens"],
            cache_write_tokens=row["cache_write_tokens"],
            cost_usd=from_nano(row["cost_nano"]),
            started_at=from_us(row["started_at"]),
        ),
        ended_at=from_us(row["ended_at"]),
    )


def attachments_list(attachments: Iterable[Attachment]) -> list[dict[str, Any]]:
    return [
        {"name": file.name, "media_type": file.media_type, "size_bytes": file.size_bytes, "source": file.source}
        for file in attachments
    ]


def attachments_json(attachments: Iterable[Attachment]) -> str | None:
    items = attachments_list(attachments)
    return to_json(items) if items else None


def attachments(text: str | None) -> tuple[Attachment, ...]:
    return tuple(Attachment(**item) for item in json.loads(text)) if text else ()
