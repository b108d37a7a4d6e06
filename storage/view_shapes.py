"""Rows of the database as the rows that people are shown. Pure, one function a shape."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from datetime import datetime
from typing import Any

from agents.monitors.base import from_json
from storage.database import from_nano, from_us
from storage.rows import moment
from storage.sql import load
from storage.view_rows import (
    AuditRow,
    ButtonRow,
    CostRow,
    DeadLetterRow,
    DeliveryRow,
    FileRow,
    MessageRow,
    MonitorRow,
    PlaceRow,
    SessionRow,
    StepRow,
    TurnRow,
)

_USED = load("views")["used_button"]
_PREVIEW = 140  # characters of a place's newest text


def session(row: sqlite3.Row) -> SessionRow:
    return SessionRow(
        id=row["id"],
        label=row["label"],
        agent=row["agent"],
        parent=row["parent"],
        root=row["root"],
        depth=row["depth"],
        mode=row["mode"],
        state=row["state"],
        ended=row["ended"],
        owner=row["owner"],
        owner_name=row["owner_name"],
        task=row["task"],
        model=row["model"],
        queue=row["queue"],
        budget_usd=None if row["budget_nano"] is None else from_nano(row["budget_nano"]),
        spent_usd=from_nano(row["spent_nano"]),
        tree_usd=from_nano(row["tree_nano"]),
        turns=row["turns"],
        result=row["result"],
        home=row["home"],
        doing=row["doing"],
        created_at=from_us(row["created_at"]),
        active_at=from_us(row["active_at"]),
        ended_at=moment(row["ended_at"]),
        cursor=f"{row['active_at']}-{row['number']}",
    )


def turn(row: sqlite3.Row) -> TurnRow:
    return TurnRow(
        id=row["id"], started_at=from_us(row["started_at"]), ended_at=moment(row["ended_at"]), outcome=row["outcome"]
    )


def heard(row: sqlite3.Row) -> MessageRow:
    """What a person said."""
    return MessageRow(
        n=row["n"],
        place=row["place"],
        side="in",
        author=row["sender_name"] or row["account"],
        text=row["said"],
        at=from_us(row["at"]),
        state=row["heard"],
        kind=row["kind"],
        id=row["event_id"],
        message_id=row["message_id"],
        session=row["for_session"],
        agent=None,
        control=row["kind"] == "command",
        reason=row["decision"] if row["heard"] in ("refused", "dead", "ignored") else None,
        buttons=(),
        attachments=_files(json.loads(row["attachments"]) if row["attachments"] else []),
    )


def said(row: sqlite3.Row, used: Collection[str]) -> MessageRow:
    """What we said; a row of the timeline whose delivery is gone (retention) is left with its place alone."""
    if row["delivery"] is None:
        return MessageRow(
            n=row["n"],
            place=row["place"],
            side="out",
            author="",
            text="",
            at=from_us(row["at"]),
            state="removed",
            kind="message",
            id="",
            message_id=None,
            session=None,
            agent=None,
            control=False,
            reason=None,
            buttons=(),
            attachments=(),
        )
    return _outgoing(row, row["n"], row["at"], used, kind=row["sending"])


def unsaid(row: sqlite3.Row, used: Collection[str]) -> MessageRow:
    """What is on its way, or could not be said."""
    return _outgoing(row, 0, row["created_at"], used, kind=row["kind"])


def _outgoing(row: sqlite3.Row, n: int, at: int, used: Collection[str], *, kind: str) -> MessageRow:
    body: dict[str, Any] = json.loads(row["body"])
    message_ids: list[str] = json.loads(row["message_ids"])
    return MessageRow(
        n=n,
        place=row["place"],
        side="out",
        author=row["label"] or "Threadmill",
        text=row["text"] or str(body.get("first_text") or body.get("title") or ""),
        at=from_us(at),
        state=row["state"],
        kind=kind,
        id=row["key"],
        message_id=message_ids[-1] if message_ids else None,
        session=row["session"],
        agent=row["agent"],
        control=bool(row["control"]),
        reason=row["error"],
        buttons=tuple(
            ButtonRow(
                id=id,
                label=label,
                danger=bool(danger),
                used=id in used,
            )
            for id, label, danger in body.get("buttons") or ()
        ),
        attachments=_files(body.get("attachments") or []),
    )


def used_in(tx: sqlite3.Connection, body: str | None) -> frozenset[str]:
    """Which of a message's buttons were pressed already."""
    if not body or '"buttons"' not in body:
        return frozenset()
    ids = [str(id) for id, _, _ in json.loads(body).get("buttons") or ()]
    found = [(id, tx.execute(_USED, {"id": id}).fetchone()) for id in ids]
    return frozenset(id for id, row in found if row is not None and row["used_at"] is not None)


def _files(items: list[dict[str, Any]]) -> tuple[FileRow, ...]:
    return tuple(
        FileRow(
            name=item["name"],
            media_type=item["media_type"],
            size_bytes=item["size_bytes"],
            digest=item["source"].removeprefix("sha256:") if item["source"].startswith("sha256:") else None,
        )
        for item in items
    )


def place(row: sqlite3.Row) -> PlaceRow:
    text: str = row["said"] if row["said"] is not None else row["text"] or ""
    return PlaceRow(
        place=row["place"],
        channel=row["channel"],
        last_n=row["last_n"],
        last_at=from_us(row["last_at"]),
        last_text=" ".join(text[: _PREVIEW * 2].split())[:_PREVIEW],
        last_author=row["sender_name"] or row["label"] or "",
        session=row["id"],
        label=row["label"],
        agent=row["agent"],
        state=row["state"],
        doing=row["doing"] or "",
    )


def step(row: sqlite3.Row) -> StepRow:
    return StepRow(
        n=row["n"],
        turn=row["turn"],
        kind=row["kind"],
        body=json.loads(row["body"]),
        model=row["model"],
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
        cache_read_tokens=row["cache_read_tokens"],
        cache_write_tokens=row["cache_write_tokens"],
        cost_usd=from_nano(row["cost_nano"]),
        started_at=from_us(row["started_at"]),
        ended_at=from_us(row["ended_at"]),
        seconds=max(0.0, (row["ended_at"] - row["started_at"]) / 1_000_000),
    )


def delivery(row: sqlite3.Row) -> DeliveryRow:
    return DeliveryRow(
        n=row["n"],
        key=row["key"],
        kind=row["kind"],
        place=row["place"],
        session=row["session"],
        label=row["label"],
        control=bool(row["control"]),
        text=row["text"],
        state=row["state"],
        attempt=row["attempt"],
        not_before=from_us(row["not_before"]) if row["not_before"] else None,
        error=row["error"],
        message_ids=tuple(json.loads(row["message_ids"])),
        created_at=from_us(row["created_at"]),
        sent_at=moment(row["sent_at"]),
    )


def dead_delivery(row: sqlite3.Row) -> DeadLetterRow:
    return DeadLetterRow(
        id=str(row["n"]),
        direction="out",
        place=row["place"],
        who=row["label"] or "",
        text=row["text"],
        reason=row["error"] or "",
        at=from_us(row["created_at"]),
    )


def dead_event(row: sqlite3.Row) -> DeadLetterRow:
    return DeadLetterRow(
        id=f"i{row['n']}",
        direction="in",
        place=row["place"],
        who=row["sender_name"] or row["account"],
        text=row["text"],
        reason=row["decision"] or "",
        at=from_us(row["received_at"]),
    )


def monitor(row: sqlite3.Row, now: datetime) -> MonitorRow:
    definition = json.loads(row["definition"])
    known = from_json(row["name"], definition)
    paused = bool(row["paused"])
    last_state, _, outcome = (row["last_firing"] or "").partition(":")
    return MonitorRow(
        name=row["name"],
        source=row["source"],
        paused=paused,
        when=known.when,
        next_at=None if paused else known.schedule(from_us(row["anchor_at"])).next_after(now),
        definition=definition,
        session=row["session"],
        label=row["label"],
        last_fired=moment(row["last_fired"]),
        last_state=last_state or None,
        last_outcome=outcome or None,
        last_error=row["last_error"],
    )


def audit(row: sqlite3.Row) -> AuditRow:
    return AuditRow(
        n=row["n"],
        at=from_us(row["at"]),
        actor=row["actor"],
        action=row["action"],
        resource=row["resource"],
        session=row["session"],
        detail=json.loads(row["detail"]),
        hash=row["hash"],
    )


def cost(row: sqlite3.Row) -> CostRow:
    return CostRow(
        day=row["day"],
        agent=row["agent"],
        model=row["model"],
        calls=row["calls"],
        tokens=row["tokens"],
        cost_usd=from_nano(row["cost_nano"]),
    )
