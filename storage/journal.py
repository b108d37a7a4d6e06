"""Turns on SQLite: claim, take mail in, write steps with what they cause, end, park, resume.

Each method is one function over the writer's connection, so a step and its deliveries, costs and results
stand or fall together, and every one of them begins by asking whether the claim's epoch still holds.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Any

from agents.base import (
    Activation,
    AgentName,
    Claim,
    Committed,
    Epoch,
    Fenced,
    NewStep,
    Outcome,
    SessionId,
    State,
    Step,
    StepKind,
    TurnId,
)
from agents.ports import Handed, Signals
from agents.session import Move, moved, turn_id
from channels.base import Outbound
from storage import audit, hops, outbox, rows
from storage.database import Database, from_nano, from_us, to_nano, to_us
from storage.session_ends import ENDED_BY, answer_turn, finish
from storage.sql import load
from storage.taking_in import answer_after, answer_of, interrupts, joins, starts

SQL = load("journal")

_REMEMBERED_SESSIONS = 256
_REMEMBERED_STEPS = 2_000  # of one session


class SqliteJournal:
    """`agents.ports.Journal` on one database file. `holder` names this process."""

    def __init__(self, database: Database, holder: str, signals: Signals, timezone: tzinfo) -> None:
        self._database = database
        self._holder = holder
        self._signals = signals
        self._timezone = timezone
        self._recent: OrderedDict[SessionId, tuple[Step, ...]] = OrderedDict()
        self._forgotten = 0  # times: what was read before the last one is not remembered

    async def activate(self, session: SessionId, now: datetime) -> Activation | None:
        known = self._recent.get(session, ())
        forgotten = self._forgotten
        activation = await self._database.write(lambda tx: _activate(tx, session, self._holder, now, known))
        if activation is not None and forgotten == self._forgotten:
            self._remember(session, activation.steps)
        return activation

    def forget(self) -> None:
        """Let go of what is remembered of conversations: rows of them were blanked or deleted."""
        self._recent.clear()
        self._forgotten += 1

    def _remember(self, session: SessionId, steps: tuple[Step, ...]) -> None:
        """Steps are only ever added, so what was read once need not be read again: an activation of a session
        that was awake lately costs the same however long its conversation is."""
        self._recent.pop(session, None)
        if len(steps) <= _REMEMBERED_STEPS:
            self._recent[session] = steps
        while len(self._recent) > _REMEMBERED_SESSIONS:
            self._recent.popitem(last=False)

    async def commit(
        self, claim: Claim, steps: Sequence[NewStep], now: datetime, *, say: Sequence[Outbound] = (), doing: str = ""
    ) -> Committed:
        day = now.astimezone(self._timezone).date().isoformat()

        def work(tx: sqlite3.Connection) -> Committed:
            row = held(tx, claim)
            _write(tx, claim, row, steps, say, now, day)
            return _go_on(tx, claim, row, now, doing)

        return await self._database.write(work, lambda _: self._said(say))

    async def end_turn(
        self,
        claim: Claim,
        outcome: Outcome,
        steps: Sequence[NewStep],
        now: datetime,
        *,
        say: Sequence[Outbound] = (),
        result: str | None = None,
        handed: Handed | None = None,
        park_until: datetime | None = None,
    ) -> Committed | None:
        day = now.astimezone(self._timezone).date().isoformat()
        woken: list[SessionId] = []
        lanes: list[str] = []

        def work(tx: sqlite3.Connection) -> Committed | None:
            row = held(tx, claim)
            _write(tx, claim, row, steps, say, now, day)
            goes_on = park_until is not None if row["stopping"] else _joining(tx, row)
            if outcome is Outcome.DONE and goes_on:
                return _go_on(tx, claim, row, now, "")  # with new mail; or to be told that it is being stopped
            if park_until is not None:
                _rest(tx, row, Move.PARK, now, turn=claim.turn, wake_at=to_us(park_until))
                return None
            tx.execute(SQL["end_turn_row"], {"id": claim.turn, "now": to_us(now), "outcome": outcome.value})
            if outcome is not Outcome.DONE:
                _note_end(tx, row, claim, outcome, now)
            unread = outcome is Outcome.DONE and _waiting(tx, claim.session)  # a run ends when nothing waits for it
            if row["mode"] == "run" and outcome in ENDED_BY and not unread:
                told = finish(tx, row, ENDED_BY[outcome], result or "", now, handed)
                woken.extend(told.woken)
                lanes.extend(told.lanes)
            else:
                otherwise = f"{row['label']}'s turn: {outcome.value.replace('_', ' ')}"
                woken.extend(answer_turn(tx, row, result or "", otherwise, now).woken)
                _rest(tx, row, Move.FINISH, now, turn=None, wake_at=None)
                if unread or _waiting(tx, claim.session):
                    woken.append(claim.session)  # a next turn begins with what waits
            return None

        def tell(_: Committed | None) -> None:
            self._said(say)
            for lane in lanes:
                self._signals.said(lane)
            for session in woken:
                self._signals.mail(session)

        return await self._database.write(work, tell)

    async def history(self, session: SessionId, after: int = 0, limit: int = 200) -> Sequence[Step]:
        query = {"session": session, "after": after, "limit": limit}
        return await self._database.read(lambda tx: [rows.step(row) for row in tx.execute(SQL["steps_after"], query)])

    async def recent(self, session: SessionId, limit: int = 20) -> Sequence[Step]:
        query = {"session": session, "limit": limit}
        found = await self._database.read(lambda tx: tx.execute(SQL["recent_steps"], query).fetchall())
        return [rows.step(row) for row in reversed(found)]

    async def spent_today(self, agent: AgentName, now: datetime) -> float:
        query = {"agent": agent, "day": now.astimezone(self._timezone).date().isoformat()}
        return await self._database.read(lambda tx: from_nano(tx.execute(SQL["spent_on_day"], query).fetchone()[0]))

    async def to_resume(self) -> Sequence[SessionId]:
        return await self._database.read(lambda tx: [SessionId(row[0]) for row in tx.execute(SQL["to_resume"])])

    async def due(self, now: datetime) -> tuple[Sequence[SessionId], datetime | None]:
        def work(tx: sqlite3.Connection) -> tuple[list[SessionId], datetime | None]:
            due = [SessionId(row[0]) for row in tx.execute(SQL["due"], {"now": to_us(now)})]
            return due, rows.moment(tx.execute(SQL["next_due"]).fetchone()[0])

        return await self._database.read(work)

    async def release(self) -> None:
        await self._database.write(lambda tx: tx.execute(SQL["release"], {"holder": self._holder}).rowcount)

    def _said(self, say: Sequence[Outbound]) -> None:
        for lane in {message.to.key for message in say}:
            self._signals.said(lane)


def held(tx: sqlite3.Connection, claim: Claim) -> sqlite3.Row:
    """The session of a claim that still holds. Raises Fenced."""
    row: sqlite3.Row | None = tx.execute(SQL["session"], {"id": claim.session}).fetchone()
    if row is None or row["epoch"] != claim.epoch or row["state"] == "ended":
        raise Fenced(f"{claim.session} is not held by epoch {claim.epoch} any more")
    return row


def _activate(
    tx: sqlite3.Connection, id: SessionId, holder: str, now: datetime, known: tuple[Step, ...]
) -> Activation | None:
    row: sqlite3.Row | None = tx.execute(SQL["session"], {"id": id}).fetchone()
    if row is None or row["state"] == "ended":
        return None
    waiting = _waiting(tx, id)
    begun: str | None = row["turn"]
    due = row["wake_at"] is not None and row["wake_at"] <= to_us(now)
    if (begun is None and not waiting) or (row["state"] == "waiting" and not waiting and not due):
        return None
    crashed = begun is not None and row["state"] != "waiting" and row["holder"] not in (holder, None)
    interrupted = begun is not None and any(interrupts(mail, row) for mail in waiting)
    number = row["turns"] + (begun is None)
    turn = TurnId(begun) if begun else turn_id(id, number)
    taking = joins(waiting, row) if begun else starts(waiting, row)
    if row["stopping"]:
        taking = []  # this turn asks the model nothing more: what waits begins the next one
    claimed = tx.execute(
        SQL["claim"],
        {
            "id": id,
            "holder": holder,
            "state": moved(State(row["state"]), Move.BEGIN).value,
            "turn": turn,
            "turns": number,
            "crashes": row["crashes"] + crashed,
            "now": to_us(now),
            **answer_after(taking, row, fresh=begun is None),
        },
    ).fetchone()
    if begun is None:
        begun_with = {"id": turn, "session": id, "epoch": claimed["epoch"], "hops": hops.begun_with(taking)}
        tx.execute(SQL["insert_turn"], {**begun_with, "now": to_us(now)})
    elif taking:
        hops.joined(tx, turn, taking)
    claim = Claim(session=id, epoch=Epoch(claimed["epoch"]), turn=turn)
    if not interrupted:
        _take_in(tx, claim, taking, now)
    kept = tuple(step for step in known if step.n >= row["summary_step"])
    since = max(row["summary_step"], kept[-1].n + 1 if kept else 0)
    steps = tx.execute(SQL["conversation"], {"session": id, "since": since})
    return Activation(
        claim=claim,
        session=rows.session(claimed),
        steps=(*kept, *(rows.step(step) for step in steps)),
        resumed=begun is not None,
        crashed=crashed,
        interrupted=interrupted,
        stopping=bool(row["stopping"]),
        answer=answer_of(claimed),
    )


def _waiting(tx: sqlite3.Connection, session: str) -> list[sqlite3.Row]:
    return tx.execute(SQL["mail_waiting"], {"session": session}).fetchall()


def _joining(tx: sqlite3.Connection, session: sqlite3.Row) -> list[sqlite3.Row]:
    return joins(_waiting(tx, session["id"]), session)


def _take_in(tx: sqlite3.Connection, claim: Claim, taking: list[sqlite3.Row], now: datetime) -> tuple[Step, ...]:
    """Mark mail as taken and journal it as one INPUT step, so that the two can never differ."""
    if not taking:
        return ()
    items: list[dict[str, Any]] = []
    for mail in taking:
        tx.execute(SQL["take_mail"], {"n": mail["n"], "turn": claim.turn})
        item = {"n": mail["n"], "kind": mail["kind"], "text": mail["text"], "name": mail["sender_name"]}
        if mail["from_session"]:
            item["session"] = mail["from_session"]
        if mail["attachments"]:
            item["attachments"] = mail["attachments"]
        items.append(item)
    started = from_us(taking[0]["created_at"])
    step = NewStep(kind=StepKind.INPUT, body={"mail": items}, started_at=started)
    number = _insert_step(tx, claim, step, now)
    return (Step(n=number, turn=claim.turn, step=step, ended_at=now),)


def _insert_step(tx: sqlite3.Connection, claim: Claim, step: NewStep, now: datetime) -> int:
    cursor = tx.execute(
        SQL["insert_step"],
        {
            "session": claim.session,
            "turn": claim.turn,
            "kind": step.kind.value,
            "body": rows.to_json(step.body),
            "model": step.model,
            "input_tokens": step.input_tokens,
            "output_tokens": step.output_tokens,
            "cache_read_tokens": step.cache_read_tokens,
            "cache_write_tokens": step.cache_write_tokens,
            "cost_nano": to_nano(step.cost_usd),
            "started_at": to_us(step.started_at),
            "now": to_us(now),
        },
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def _write(
    tx: sqlite3.Connection,
    claim: Claim,
    row: sqlite3.Row,
    steps: Sequence[NewStep],
    say: Sequence[Outbound],
    now: datetime,
    day: str,
) -> None:
    for step in steps:
        number = _insert_step(tx, claim, step, now)
        if step.kind is StepKind.SUMMARY:
            tx.execute(SQL["set_summary"], {"session": claim.session, "n": number})
        if step.model:
            _account_for(tx, row, step, now, day)
        elif step.kind is StepKind.RESULT:
            audit.append(
                tx,
                at=now,
                actor=f"session:{claim.session}",
                action="tool",
                resource=str(step.body["name"]),
                session=claim.session,
                detail={
                    "error": step.body["error"],
                    "skipped": step.body.get("skipped", False),
                    **({"limit": step.body["limit"]} if "limit" in step.body else {}),
                },
            )
    for message in say:
        outbox.enqueue(tx, message, session=claim.session, turn=claim.turn, now=now)


def _note_end(tx: sqlite3.Connection, row: sqlite3.Row, claim: Claim, outcome: Outcome, now: datetime) -> None:
    """A turn that was stopped, or ended by a limit or a failure, is a decision of the runtime."""
    audit.append(
        tx,
        at=now,
        actor=f"session:{claim.session}",
        action="turn",
        resource=row["label"],
        session=claim.session,
        detail={"outcome": outcome.value, "turn": claim.turn},
    )


def _account_for(tx: sqlite3.Connection, row: sqlite3.Row, step: NewStep, now: datetime, day: str) -> None:
    """Count a model call's money for the session, its tree, and the day."""
    nano = to_nano(step.cost_usd)
    tokens = step.input_tokens + step.output_tokens + step.cache_read_tokens + step.cache_write_tokens
    if nano:
        tx.execute(SQL["spend_session"], {"id": row["id"], "nano": nano})
        tx.execute(SQL["spend_tree"], {"id": row["id"], "nano": nano})
    spent = {"day": day, "agent": row["agent"], "account": row["owner"], "model": step.model}
    tx.execute(SQL["spend_day"], {**spent, "tokens": tokens, "nano": nano})
    audit.append(
        tx,
        at=now,
        actor=f"session:{row['id']}",
        action="model",
        resource=step.model,
        session=row["id"],
        detail={"tokens": tokens, "cost_usd": step.cost_usd},
    )


def _go_on(tx: sqlite3.Connection, claim: Claim, row: sqlite3.Row, now: datetime, doing: str) -> Committed:
    taking = [] if row["stopping"] else _joining(tx, row)
    taken = _take_in(tx, claim, taking, now)
    if taking:
        hops.joined(tx, claim.turn, taking)
    progress = {"id": claim.session, "now": to_us(now), "doing": doing, **answer_after(taking, row, fresh=False)}
    tx.execute(SQL["progressed"], progress)
    after = tx.execute(SQL["session"], {"id": claim.session}).fetchone()
    stopping = bool(row["stopping"])
    return Committed(taken=taken, stopping=stopping, session=rows.session(after), answer=answer_of(after))


def _rest(
    tx: sqlite3.Connection, row: sqlite3.Row, move: Move, now: datetime, *, turn: str | None, wake_at: int | None
) -> None:
    state = moved(State(row["state"]), move).value
    tx.execute(SQL["rest"], {"id": row["id"], "state": state, "turn": turn, "wake_at": wake_at, "now": to_us(now)})
