"""What people are shown, as plain rows: the same on the page, in `/api/v1` and behind `--json`.

They differ from the nouns of the core in what they leave out (epochs, holders, keys of causes) and in what they
bring together (a place with its newest text and its session). `as_json` gives their outside form: times as
ISO 8601 in UTC, places as keys.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    id: str
    label: str
    agent: str
    parent: str | None
    root: str
    depth: int
    mode: str
    state: str
    ended: str | None
    owner: str
    owner_name: str
    task: str
    model: str | None
    queue: str | None
    budget_usd: float | None
    spent_usd: float
    tree_usd: float
    turns: int
    result: str | None
    home: str | None
    doing: str
    created_at: datetime
    active_at: datetime
    ended_at: datetime | None
    cursor: str  # `before` of the next page


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionDetail:
    """One session with what stands around it. `tree` begins at its root, parents before children."""

    session: SessionRow
    tree: tuple[SessionRow, ...]
    places: tuple[str, ...]
    model: str  # that answered last
    context_tokens: int  # of its last call: how full the model's window is
    turns: tuple[TurnRow, ...]  # newest first


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRow:
    id: str
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ButtonRow:
    id: str
    label: str
    danger: bool
    used: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRow:
    name: str
    media_type: str
    size_bytes: int | None
    digest: str | None  # sha256 when the content is kept here


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRow:
    """One thing said in a place. `side` is `in` for people and `out` for us. `n` is 0 while it is on its way."""

    n: int
    place: str
    side: str
    author: str
    text: str
    at: datetime
    state: str  # in: new, routed, ignored, refused, dead; out: as a delivery's
    kind: str
    id: str  # a person's event id, or our delivery key
    message_id: str | None
    session: str | None
    agent: str | None
    control: bool
    reason: str | None  # why it was refused, or could not be said
    buttons: tuple[ButtonRow, ...]
    attachments: tuple[FileRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceRow:
    place: str
    channel: str
    last_n: int
    last_at: datetime
    last_text: str  # its beginning
    last_author: str
    session: str | None  # the living session that is bound there
    label: str | None
    agent: str | None
    state: str | None
    doing: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    n: int
    turn: str | None
    kind: str
    body: dict[str, Any]
    model: str
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cost_usd: float
    started_at: datetime
    ended_at: datetime
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    n: int
    key: str
    kind: str
    place: str
    session: str | None
    label: str | None
    control: bool
    text: str
    state: str
    attempt: int
    not_before: datetime | None
    error: str | None
    message_ids: tuple[str, ...]
    created_at: datetime
    sent_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterRow:
    """What could not be done. `id` is a delivery's number, or `i` and an inbox row's number."""

    id: str
    direction: str  # in, out
    place: str
    who: str
    text: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorRow:
    name: str
    source: str
    paused: bool
    when: str  # every 5m, cron …, at …
    next_at: datetime | None  # None: paused, or never again
    definition: dict[str, Any]
    session: str | None
    label: str | None
    last_fired: datetime | None
    last_state: str | None
    last_outcome: str | None
    last_error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    n: int
    at: datetime
    actor: str
    action: str
    resource: str
    session: str | None
    detail: dict[str, Any]
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRow:
    day: str
    agent: str
    model: str
    calls: int
    tokens: int
    cost_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """How things stand, each number counted up to `capped_at`."""

    running: int
    waiting: int
    idle: int
    on_their_way: int
    dead_letters: int
    capped_at: int


def as_json(value: Any) -> Any:
    """The outside form of a row, or of anything made of rows."""
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    assert is_dataclass(value), f"{type(value).__name__} has no outside form"
    return {field.name: as_json(getattr(value, field.name)) for field in fields(value)}
