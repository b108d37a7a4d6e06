"""Monitors on SQLite: what there is, who fires, and what comes of it.

A firing is claimed by inserting its key, so it is made once however many try. Its result is one transaction: the
outcome, what was seen, the session that the agent works in, the mail that wakes it, what is said. So there is no
moment at which a crash loses a finding or finds it twice.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from agents.base import Ended, MailKey, MailKind, NewMail, Posted, QueueMode, Refused, SessionId, Spawn
from agents.monitors.base import (
    Added,
    Facts,
    Firing,
    FiringKey,
    FiringState,
    Monitor,
    MonitorName,
    Record,
    Result,
    Seen,
    Source,
    from_json,
    to_json,
)
from agents.monitors.judge import FLOOD
from agents.ports import Signals
from channels.base import Account, DeliveryKey, Outbound
from storage import audit, outbox, rows
from storage.database import Database, from_us, to_us
from storage.session_ends import finish as finish_session
from storage.sessions import bind, make_session, put_mail
from storage.sql import load

SQL = load("monitors")
JOURNAL = load("journal")

_LONGEST_OUTCOME = 500
_SEEN = ("digest", "content", "raw", "etag", "modified")
_QUIET_KEPT = timedelta(days=1)  # firings that found nothing are kept so long


class SqliteMonitors:
    """`agents.monitors.base.MonitorStore` on one database file. `holder` names this process."""

    def __init__(self, database: Database, holder: str, signals: Signals) -> None:
        self._database = database
        self._holder = holder
        self._signals = signals

    async def configure(self, monitors: Sequence[Monitor], now: datetime) -> Sequence[Monitor]:
        ended: list[SessionId] = []

        def work(tx: sqlite3.Connection) -> list[Monitor]:
            ended.clear()
            return _configure(tx, monitors, now, ended)

        new = await self._database.write(work)
        self._tell(ended)
        return new

    async def add(self, monitor: Monitor, cause: str, now: datetime, *, limit: int | None = None) -> Added:
        return await self._database.write(lambda tx: _add(tx, monitor, cause, now, limit))

    async def remove(self, name: MonitorName, now: datetime, *, by: str) -> bool:
        ended: list[SessionId] = []

        def work(tx: sqlite3.Connection) -> bool:
            ended.clear()
            return _remove(tx, name, now, by, ended)

        removed = await self._database.write(work)
        self._tell(ended)
        return removed

    async def pause(self, name: MonitorName, paused: bool, now: datetime, *, by: str) -> bool:
        def work(tx: sqlite3.Connection) -> bool:
            known = tx.execute(SQL["pause"], {"name": name, "paused": paused, "now": to_us(now)}).rowcount > 0
            if known:
                _note(tx, now, by, "monitor_pause" if paused else "monitor_resume", name)
            return known

        return await self._database.write(work)

    async def records(self) -> Sequence[Record]:
        return await self._database.read(lambda tx: [_record(row) for row in tx.execute(SQL["all"])])

    async def record(self, name: MonitorName) -> Record | None:
        row = await self._database.read(lambda tx: _row(tx, name))
        return None if row is None else _record(row)

    async def claim(self, firing: Firing, now: datetime) -> bool:
        return await self._database.write(lambda tx: _claim(tx, firing, self._holder, now))

    async def skip(self, firing: Firing, now: datetime) -> None:
        def work(tx: sqlite3.Connection) -> None:
            tx.execute(SQL["skip"], _named(firing, self._holder, now))
            tx.execute(SQL["settle"], {"name": firing.monitor, "scheduled_at": to_us(firing.scheduled_at)})

        await self._database.write(work)

    async def take_up(self) -> Sequence[Firing]:
        # One process has the file, so whoever claimed these is gone (or is this one, before it began to fire).
        def work(tx: sqlite3.Connection) -> list[Firing]:
            return [_firing(row) for row in tx.execute(SQL["take_up"], {"holder": self._holder}).fetchall()]

        return await self._database.write(work)

    async def facts(self, firing: Firing, now: datetime) -> Facts | None:
        return await self._database.read(lambda tx: _facts(tx, firing, now))

    async def finish(self, firing: Firing, result: Result, now: datetime) -> bool:
        lanes: list[str] = []
        woken: list[SessionId] = []

        def work(tx: sqlite3.Connection) -> bool:
            lanes.clear()
            woken.clear()
            return _finish(tx, firing, result, self._holder, now, lanes, woken)

        done = await self._database.write(work)
        for lane in dict.fromkeys(lanes):
            self._signals.said(lane)
        for session in woken:
            self._signals.mail(session)
        return done

    def _tell(self, ended: list[SessionId]) -> None:
        for session in ended:
            self._signals.ended(session)


def _row(tx: sqlite3.Connection, name: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = tx.execute(SQL["one"], {"name": name}).fetchone()
    return row


def _record(row: sqlite3.Row) -> Record:
    return Record(
        monitor=_monitor(row),
        source=Source(row["source"]),
        paused=bool(row["paused"]),
        anchor_at=from_us(row["anchor_at"]),
        settled_at=from_us(row["settled_at"]),
        session=row["session"],
        last_fired=rows.moment(row["last_fired"]),
        last_error=row["last_error"],
    )


def _monitor(row: sqlite3.Row) -> Monitor:
    return from_json(row["name"], json.loads(row["definition"]))


def _firing(row: sqlite3.Row) -> Firing:
    return Firing(
        key=FiringKey(row["key"]),
        monitor=MonitorName(row["monitor"]),
        scheduled_at=from_us(row["scheduled_at"]),
        asked=bool(row["asked"]),
    )


def _named(firing: Firing, holder: str, now: datetime) -> dict[str, Any]:
    return {
        "key": firing.key,
        "name": firing.monitor,
        "scheduled_at": to_us(firing.scheduled_at),
        "holder": holder,
        "asked": firing.asked,
        "now": to_us(now),
    }


def _note(tx: sqlite3.Connection, now: datetime, actor: str, action: str, name: str, **detail: object) -> None:
    session = detail.pop("session", None)
    audit.append(
        tx,
        at=now,
        actor=actor,
        action=action,
        resource=f"monitor:{name}",
        session=None if session is None else str(session),
        detail=detail,
    )


# --- what there is


def _configure(
    tx: sqlite3.Connection, monitors: Sequence[Monitor], now: datetime, ended: list[SessionId]
) -> list[Monitor]:
    wanted = {monitor.name: monitor for monitor in monitors}
    for row in tx.execute(SQL["all"]).fetchall():
        if row["source"] == Source.CONFIG.value and row["name"] not in wanted:
            _delete(tx, row, now, ended)
    new: list[Monitor] = []
    for monitor in monitors:
        row = _row(tx, monitor.name)
        if row is not None and row["source"] == Source.CHAT.value:
            _delete(tx, row, now, ended)  # the configuration is the operator's word: it takes the name
            row = None
        if row is None:
            _insert(tx, monitor, Source.CONFIG, None, now)
        elif _monitor(row) != monitor:
            _redefine(tx, _monitor(row), monitor, now)
        if monitor.check is not None and (row is None or not row["digest"] or not monitor.same_watch(_monitor(row))):
            new.append(monitor)
    return new


def _insert(tx: sqlite3.Connection, monitor: Monitor, source: Source, cause: str | None, now: datetime) -> None:
    definition = rows.to_json(to_json(monitor))
    values = {"name": monitor.name, "definition": definition, "source": source.value, "cause": cause}
    tx.execute(SQL["insert"], {**values, "now": to_us(now)})


def _redefine(tx: sqlite3.Connection, before: Monitor, after: Monitor, now: datetime) -> None:
    definition = rows.to_json(to_json(after))
    tx.execute(SQL["redefine"], {"name": after.name, "definition": definition, "now": to_us(now)})
    if not after.same_times(before):
        tx.execute(SQL["begin_anew"], {"name": after.name, "now": to_us(now)})
    if not after.same_watch(before):
        tx.execute(SQL["forget_seen"], {"name": after.name})


def _delete(tx: sqlite3.Connection, row: sqlite3.Row, now: datetime, ended: list[SessionId]) -> None:
    tx.execute(SQL["delete"], {"name": row["name"]})
    tx.execute(SQL["give_up"], {"name": row["name"], "now": to_us(now)})
    session = _session(tx, row["session"])
    if session is not None:
        finish_session(tx, session, Ended.DONE, "its monitor was removed", now)
        ended.append(SessionId(session["id"]))


def _session(tx: sqlite3.Connection, id: str | None) -> sqlite3.Row | None:
    """The living session of this id."""
    row: sqlite3.Row | None = tx.execute(JOURNAL["session"], {"id": id}).fetchone()
    return None if row is None or row["state"] == "ended" else row


def _add(tx: sqlite3.Connection, monitor: Monitor, cause: str, now: datetime, limit: int | None) -> Added:
    known = tx.execute(SQL["by_cause"], {"cause": cause}).fetchone()
    if known is not None:
        return Added(name=MonitorName(known["name"]), new=False)
    if limit is not None:
        path, maker = ("$.asked_by", monitor.asked_by) if monitor.asked_by else ("$.owner", monitor.owner)
        made = tx.execute(SQL["made_by"], {"path": path, "maker": maker}).fetchone()[0]
        if made >= limit:
            raise Refused(f"there are {made} monitors of yours already, and {limit} are the most: remove one first")
    name, number = str(monitor.name), 1
    while _row(tx, name) is not None:
        number += 1
        name = f"{monitor.name}-{number}"
    chosen = from_json(name, to_json(monitor))
    _insert(tx, chosen, Source.CHAT, cause, now)
    actor = f"session:{monitor.asked_by}" if monitor.asked_by else str(monitor.owner)
    _note(tx, now, actor, "monitor_add", name, session=monitor.asked_by, when=monitor.when, agent=monitor.agent)
    return Added(name=chosen.name, new=True)


def _remove(tx: sqlite3.Connection, name: MonitorName, now: datetime, by: str, ended: list[SessionId]) -> bool:
    row = _row(tx, name)
    if row is None:
        return False
    _delete(tx, row, now, ended)
    _note(tx, now, by, "monitor_remove", name)
    return True


# --- firing


def _claim(tx: sqlite3.Connection, firing: Firing, holder: str, now: datetime) -> bool:
    if tx.execute(SQL["claim"], _named(firing, holder, now)).rowcount == 0:
        return False
    tx.execute(SQL["fired"], {"name": firing.monitor, "now": to_us(now)})
    if not firing.asked:
        tx.execute(SQL["settle"], {"name": firing.monitor, "scheduled_at": to_us(firing.scheduled_at)})
    return True


def _facts(tx: sqlite3.Connection, firing: Firing, now: datetime) -> Facts | None:
    row = _row(tx, firing.monitor)
    if row is None:
        return None
    seen = None
    if row["digest"] is not None:
        seen = Seen(**{key: row[key] for key in _SEEN})
    waiting = tx.execute(SQL["waiting_mail"], {"session": row["session"]}).fetchone()
    hour = {"name": firing.monitor, "since": to_us(now - FLOOD)}
    return Facts(
        record=_record(row),
        seen=seen,
        failures=row["failures"],
        told_failing=bool(row["told_failing"]),
        told_flooding=rows.moment(row["told_flooding"]),
        waiting=waiting is not None,
        reports=tx.execute(SQL["reports"], hour).fetchone()[0],
    )


def _finish(
    tx: sqlite3.Connection,
    firing: Firing,
    result: Result,
    holder: str,
    now: datetime,
    lanes: list[str],
    woken: list[SessionId],
) -> bool:
    row = _row(tx, firing.monitor)
    held = tx.execute(SQL["held"], {"key": firing.key, "holder": holder}).fetchone()
    if row is None or held is None:
        return False
    monitor = _monitor(row)
    state, outcome = result.state, result.outcome
    seen = result.seen
    if result.wake is not None:
        session = _session_of(tx, row, monitor, firing, now)
        posted = put_mail(tx, _mail(firing, session, result.wake), now, limit=50)
        if posted is Posted.QUEUED:
            woken.append(session)
            _note(tx, now, f"monitor:{monitor.name}", "monitor_wake", monitor.name, session=session, outcome=outcome)
        elif posted is Posted.FULL:
            state, outcome, seen = FiringState.FAILED, "its session's queue is full", None
    if result.say is not None:
        for place in monitor.report_to:
            message = Outbound(key=DeliveryKey(f"{firing.key}@{place.key}"), to=place, text=result.say)
            outbox.enqueue(tx, message, now=now)
            lanes.append(place.key)
    if seen is not None:
        query = "see" if seen.digest != row["digest"] else "see_form"  # the same content is not written again
        tx.execute(SQL[query], {"name": monitor.name, **_seen(seen)})
    told_flooding = None if result.told_flooding is None else to_us(result.told_flooding)
    values = {"error": result.error, "failures": result.failures, "told_failing": result.told_failing}
    tx.execute(SQL["result"], {"name": monitor.name, **values, "told_flooding": told_flooding})
    ending = {"key": firing.key, "state": state.value, "outcome": outcome[:_LONGEST_OUTCOME], "quiet": result.quiet}
    tx.execute(SQL["finish"], {**ending, "now": to_us(now)})
    old = {"name": monitor.name, "before": to_us(now - _QUIET_KEPT)}
    tx.execute(SQL["forget_quiet"], old)
    return True


def _seen(seen: Seen) -> dict[str, str | None]:
    return {key: getattr(seen, key) for key in _SEEN}


def _mail(firing: Firing, session: SessionId, text: str) -> NewMail:
    return NewMail(
        key=MailKey(firing.key),
        session=session,
        kind=MailKind.MONITOR,
        text=text,
        sender_name=firing.monitor,
        mode=QueueMode.COLLECT,  # a finding does not disturb the report that is being written
    )


def _session_of(tx: sqlite3.Connection, row: sqlite3.Row, monitor: Monitor, firing: Firing, now: datetime) -> SessionId:
    """The session that the monitor's agent works in: made when first needed, and anew when it ended or the
    monitor got another agent."""
    home, report_to = monitor.report_to[0], rows.to_json([place.key for place in monitor.report_to])
    session = _session(tx, row["session"])
    if session is not None and session["agent"] != monitor.agent:
        if session["turn"] is None:
            finish_session(tx, session, Ended.DONE, "its monitor got another agent", now)
        session = None
    if session is None:
        label = f"monitor-{monitor.name}"
        taken = tx.execute(JOURNAL["living_labels"], {"label": label}).fetchone() is not None
        spawn = Spawn(
            key=firing.key,
            agent=monitor.agent,
            task=monitor.prompt,
            owner=monitor.owner or Account(f"monitor:{monitor.name}"),
            owner_name=monitor.owner_name or str(monitor.name),
            label=None if taken else label,
        )
        id = make_session(tx, spawn, None, now).session.id
        # In a thread of its own people can answer it. A room belongs to whoever the routes say: a session bound there
        # would answer everything that is said in it.
        if home.thread is not None and tx.execute(JOURNAL["session_bound"], {"place": home.key}).fetchone() is None:
            bind(tx, id, home, now)
        tx.execute(SQL["set_session"], {"name": monitor.name, "session": id})
    else:
        id = SessionId(session["id"])
    tx.execute(SQL["report_to"], {"session": id, "report_to": report_to, "home": home.key})
    return id
