"""The read side: what people look at, each view one bounded, indexed query on a connection that cannot write.

The page, the HTTP API and the command line all read here, so they can never tell different stories. No view
costs more because the history is long: lists go page by page from an index (`before`, `after`), counts stop at a cap.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from typing import Any, Protocol, TypeVar

from storage import view_shapes as shapes
from storage.sql import load
from storage.view_rows import (
    AuditRow,
    CostRow,
    DeadLetterRow,
    DeliveryRow,
    MessageRow,
    MonitorRow,
    Overview,
    PlaceRow,
    SessionDetail,
    SessionRow,
    StepRow,
)

T = TypeVar("T")

SQL = load("views")
LIVING = ("running", "waiting", "stopping", "idle")

_FOR_EVER = 2**62  # a `before` that is after everything
_MOST = 1000  # rows of one answer, whatever was asked
_TREE = 500  # sessions of one tree that are shown
_COUNTED = 1000


class Reads(Protocol):
    """`storage.database.Database`, for looking only."""

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T: ...


class Views:
    """Every view. Methods raise StorageError, and ValueError with a sentence when an argument is wrong."""

    def __init__(self, database: Reads) -> None:
        self._database = database

    # --- sessions

    async def sessions(
        self, *, state: str = "living", limit: int = 100, before: str | None = None
    ) -> Sequence[SessionRow]:
        """Newest activity first. `state` is living, all, or one state; `before` a row's cursor."""
        if state not in ("living", "all", "ended", *LIVING):
            raise ValueError(f"{state!r} is no state: write living, all, ended or one of {', '.join(LIVING)}")
        query = {"living": "living_sessions", "all": "all_sessions"}.get(state, "sessions_in_state")
        at, number = _cursor(before)
        rows = await self._rows(query, at=at, number=number, limit=_bounded(limit), state=state)
        return [shapes.session(row) for row in rows]

    async def find_session(self, name: str) -> SessionRow | None:
        """By id, by the label of a living session, or by the beginning of an id that fits one."""
        rows = (
            await self._rows("session", id=name)
            or await self._rows("session_like", name=name)
            or (await self._rows("session_like_id", name=name) if len(name) > 2 else [])
        )
        return shapes.session(rows[0]) if len(rows) == 1 else None

    async def session(self, name: str) -> SessionDetail | None:
        """One session (see `find_session`) with its tree, its places and its newest turns."""
        found = await self.find_session(name)
        return None if found is None else await self._database.read(lambda tx: _detail(tx, found))

    async def session_in(self, place: str) -> SessionRow | None:
        """The session that is bound to a place, or else the one that spoke or was spoken to there last."""
        rows = await self._rows("bound_session", place=place) or await self._rows("last_session", place=place)
        return shapes.session(rows[0]) if rows else None

    async def history(
        self, session: str, *, after: int | None = None, before: int | None = None, limit: int = 100
    ) -> Sequence[StepRow]:
        """A session's steps in order: those after a number, or the newest ones (before a number)."""
        if after is not None:
            rows = await self._rows("steps_after", session=session, after=after, limit=_bounded(limit))
            return [shapes.step(row) for row in rows]
        found = await self._rows("steps_before", session=session, before=before or _FOR_EVER, limit=_bounded(limit))
        return [shapes.step(row) for row in reversed(found)]

    # --- places and what is said there

    async def places(
        self, *, channel: str | None = None, before: int | None = None, limit: int = 100
    ) -> Sequence[PlaceRow]:
        """Places where something was said, the newest first. `before` is a row's `last_n`."""
        query = "recent_places" if channel is None else "places_of_channel"
        rows = await self._rows(query, channel=channel, before=before or _FOR_EVER, limit=_bounded(limit))
        return [shapes.place(row) for row in rows]

    async def place(self, place: str) -> PlaceRow | None:
        rows = await self._rows("one_place", place=place)
        return shapes.place(rows[0]) if rows else None

    async def messages(
        self, place: str, *, after: int | None = None, before: int | None = None, limit: int = 100
    ) -> Sequence[MessageRow]:
        """What was said in a place, in order: after a number, or the newest (before a number)."""

        def work(tx: sqlite3.Connection) -> list[MessageRow]:
            if after is not None:
                query = {"place": place, "after": after, "limit": _bounded(limit)}
                return _messages(tx, tx.execute(SQL["timeline_after"], query))
            query = {"place": place, "before": before or _FOR_EVER, "limit": _bounded(limit)}
            return _messages(tx, tx.execute(SQL["timeline_before"], query))[::-1]

        return await self._database.read(work)

    async def messages_of(self, keys: Iterable[str]) -> Sequence[MessageRow]:
        """What the bot said under these keys, in order."""

        def work(tx: sqlite3.Connection) -> list[MessageRow]:
            found = [tx.execute(SQL["timeline_of"], {"key": key}).fetchone() for key in keys]
            return sorted(_messages(tx, (row for row in found if row is not None)), key=lambda row: row.n)

        return await self._database.read(work)

    async def messages_everywhere(self, *, after: int, limit: int = 100) -> Sequence[MessageRow]:
        """What was said anywhere, in order."""
        query = {"after": after, "limit": _bounded(limit)}
        return await self._database.read(lambda tx: _messages(tx, tx.execute(SQL["timeline_everywhere"], query)))

    async def last_number(self) -> int:
        """The number of the newest thing said."""
        return int((await self._rows("timeline_end"))[0][0])

    async def waiting(self, place: str, limit: int = 50) -> Sequence[MessageRow]:
        """What is on its way to a place, and what could not be said there."""

        def work(tx: sqlite3.Connection) -> list[MessageRow]:
            query = {"place": place, "limit": _bounded(limit)}
            dead = tx.execute(SQL["dead_in_place"], query).fetchall()[::-1]
            unsaid = [*dead, *tx.execute(SQL["open_in_place"], query)]
            return [shapes.unsaid(row, shapes.used_in(tx, row["body"])) for row in unsaid if row["kind"] != "edit"]

        return await self._database.read(work)

    # --- what is on its way, what watches, what was done, what it cost

    async def deliveries(
        self, *, state: str = "all", session: str | None = None, before: int | None = None, limit: int = 100
    ) -> Sequence[DeliveryRow]:
        """Outgoing messages, the newest first. `state` is all, open or dead."""
        queries = {"all": "deliveries", "open": "deliveries_open", "dead": "deliveries_dead"}
        if state not in queries:
            raise ValueError(f"{state!r} is no state of deliveries: write all, open or dead")
        query = "deliveries_of_session" if session is not None else queries[state]
        rows = await self._rows(query, session=session, before=before or _FOR_EVER, limit=_bounded(limit))
        found = [shapes.delivery(row) for row in rows]
        if session is not None and state != "all":
            states = ("dead",) if state == "dead" else ("pending", "sending", "unknown")
            found = [delivery for delivery in found if delivery.state in states]
        return found

    async def dead_letters(self, *, limit: int = 100) -> Sequence[DeadLetterRow]:
        """Both directions, the newest first: what could not be said or handled, and what may have been said."""
        query = {"before": _FOR_EVER, "limit": _bounded(limit)}
        rows = [*await self._rows("deliveries_dead", **query), *await self._rows("deliveries_unknown", **query)]
        outgoing = [shapes.dead_delivery(row) for row in rows]
        incoming = [shapes.dead_event(row) for row in await self._rows("inbox_dead", **query)]
        return sorted([*outgoing, *incoming], key=lambda letter: letter.at, reverse=True)[: _bounded(limit)]

    async def monitors(self, now: datetime, *, after: str = "", limit: int = 100) -> Sequence[MonitorRow]:
        rows = await self._rows("monitors", after=after, limit=_bounded(limit))
        return [shapes.monitor(row, now) for row in rows]

    async def audit(
        self, *, session: str | None = None, before: int | None = None, limit: int = 100
    ) -> Sequence[AuditRow]:
        query = "audit" if session is None else "audit_of_session"
        rows = await self._rows(query, session=session, before=before or _FOR_EVER, limit=_bounded(limit))
        return [shapes.audit(row) for row in rows]

    async def cost(self, *, since: date, limit: int = 1000) -> Sequence[CostRow]:
        """Money by day, agent and model, from a day on."""
        rows = await self._rows("spending", since=since.isoformat(), limit=_bounded(limit))
        return [shapes.cost(row) for row in rows]

    async def overview(self) -> Overview:
        def work(tx: sqlite3.Connection) -> Overview:
            def count(query: str, **parameters: Any) -> int:
                return int(tx.execute(SQL[query], {"limit": _COUNTED, **parameters}).fetchone()[0])

            return Overview(
                running=count("count_in_state", state="running") + count("count_in_state", state="stopping"),
                waiting=count("count_in_state", state="waiting"),
                idle=count("count_in_state", state="idle"),
                on_their_way=count("count_open"),
                dead_letters=count("count_dead"),
                capped_at=_COUNTED,
            )

        return await self._database.read(work)

    async def _rows(self, query: str, **parameters: Any) -> list[sqlite3.Row]:
        return await self._database.read(lambda tx: tx.execute(SQL[query], parameters).fetchall())


def _bounded(limit: int) -> int:
    return max(1, min(limit, _MOST))


def _cursor(text: str | None) -> tuple[int, int]:
    if not text:
        return _FOR_EVER, _FOR_EVER
    at, _, number = text.partition("-")
    if not (at.isascii() and at.isdigit() and number.isascii() and number.isdigit() and len(text) < 40):
        raise ValueError(f"{text[:40]!r} is no cursor: use the `cursor` of the last row that you have")
    return min(int(at), _FOR_EVER), min(int(number), _FOR_EVER)


def _messages(tx: sqlite3.Connection, rows: Iterable[sqlite3.Row]) -> list[MessageRow]:
    return [
        shapes.heard(row) if row["inbox"] is not None else shapes.said(row, shapes.used_in(tx, row["body"]))
        for row in rows
    ]


def _detail(tx: sqlite3.Connection, found: SessionRow) -> SessionDetail:
    last = tx.execute(SQL["context_tokens"], {"session": found.id}).fetchone()
    tree = tx.execute(SQL["session_tree"], {"root": found.root, "limit": _TREE})
    return SessionDetail(
        session=found,
        tree=tuple(shapes.session(row) for row in tree),
        places=tuple(row["place"] for row in tx.execute(SQL["session_places"], {"session": found.id})),
        model=last["model"] if last else "",
        context_tokens=last["tokens"] if last else 0,
        turns=tuple(shapes.turn(row) for row in tx.execute(SQL["turns"], {"session": found.id, "limit": 20})),
    )
