"""Sessions and their mail on SQLite: made, found, bound to places, steered, stopped, killed."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from agents.base import (
    AgentName,
    Ended,
    Fenced,
    MailKey,
    MailKind,
    NewMail,
    NotFound,
    Posted,
    QueueMode,
    Refused,
    Session,
    SessionId,
    Spawn,
    Spawned,
)
from agents.ports import Killed, Signals
from agents.session import session_id
from channels.base import Attachment, OpenThread, ThreadRef
from storage import audit, boards, hops, marks, outbox, rows
from storage.database import Database, to_nano, to_us
from storage.kills import kill_tree
from storage.session_ends import Told, answer_key, finish
from storage.sql import load

SQL = load("journal")
INBOX = load("inbox")


class SqliteSessions:
    """`agents.ports.Sessions` on one database file."""

    def __init__(self, database: Database, signals: Signals) -> None:
        self._database = database
        self._signals = signals

    async def spawn(self, spawn: Spawn, now: datetime, opening: OpenThread | None = None) -> Spawned:
        def tell(spawned: Spawned) -> None:
            if opening is not None and spawned.session.home is not None:
                self._signals.said(spawned.session.home.key)
            if spawned.told is not None:
                self._signals.said(spawned.told)
            if spawn.mail is not None:
                self._signals.mail(spawned.session.id)

        return await self._database.write(lambda tx: make_session(tx, spawn, opening, now), tell)

    async def stop(self, session: SessionId) -> bool:
        return await self._database.write(lambda tx: tx.execute(SQL["ask_to_stop"], {"id": session}).rowcount > 0)

    async def kill(
        self, session: SessionId, by: str, now: datetime, *, answered_in: ThreadRef | None = None, actor: str = ""
    ) -> Killed:
        told = Told()

        def work(tx: sqlite3.Connection) -> Killed:
            return kill_tree(tx, session, by, now, told, answered_in, actor or by)

        def tell(killed: Killed) -> None:
            for ended in killed.sessions:
                self._signals.ended(ended.id)
            self._tell(told)

        return await self._database.write(work, tell)

    async def end(self, session: SessionId, ended: Ended, result: str, now: datetime) -> None:
        def work(tx: sqlite3.Connection) -> Told | None:
            row = _row(tx, session)
            if row is None or row["state"] == "ended" or (ended is Ended.EXPIRED and _is_used(tx, row)):
                return None
            return finish(tx, row, ended, result, now)

        def tell(told: Told | None) -> None:
            if told is not None:
                self._signals.ended(session)
                self._tell(told)

        await self._database.write(work, tell)

    async def session(self, id: SessionId) -> Session | None:
        row = await self._database.read(lambda tx: _row(tx, id))
        return None if row is None else rows.session(row)

    async def find(self, name: str) -> Session:
        wanted = name.strip()
        found = await self._database.read(lambda tx: tx.execute(SQL["sessions_like"], {"name": wanted}).fetchall())
        # The id first: a label can be chosen, and must not take what is meant for another session.
        exact = [row for row in found if row["id"] == wanted] or [row for row in found if row["label"] == wanted]
        candidates = exact[:1] or found
        if not wanted or not candidates:
            raise NotFound(f"no session is called {wanted!r}: /agents lists them")
        if len(candidates) > 1:
            # Which they are is not said: whoever asks may have no right to any of them.
            raise NotFound(f"{wanted!r} fits several sessions: give more of the id")
        return rows.session(candidates[0])

    async def bound(self, where: ThreadRef) -> Session | None:
        query = {"place": where.key}
        row = await self._database.read(lambda tx: tx.execute(SQL["session_bound"], query).fetchone())
        return None if row is None else rows.session(row)

    async def bind(self, session: SessionId, where: ThreadRef, now: datetime, *, home: bool = False) -> None:
        def work(tx: sqlite3.Connection) -> None:
            bind(tx, session, where, now)
            if home:
                tx.execute(SQL["set_home"], {"session": session, "place": where.key})

        await self._database.write(work)

    async def unbind(self, where: ThreadRef) -> bool:
        return await self._database.write(lambda tx: tx.execute(SQL["unbind"], {"place": where.key}).rowcount > 0)

    async def places(self, session: SessionId) -> Sequence[ThreadRef]:
        query = {"session": session}
        found = await self._database.read(lambda tx: tx.execute(SQL["places"], query).fetchall())
        return [ThreadRef.parse(row["place"]) for row in found]

    async def living(self, limit: int = 200) -> Sequence[Session]:
        return await self._list("living", limit=limit)

    async def idle_since(self, agent: AgentName, before: datetime, limit: int = 100) -> Sequence[SessionId]:
        query = {"agent": agent, "before": to_us(before), "limit": limit}
        found = await self._database.read(lambda tx: tx.execute(SQL["idle_since"], query).fetchall())
        return [SessionId(row["id"]) for row in found]

    async def children(self, parent: SessionId) -> Sequence[Session]:
        return await self._list("children", id=parent)

    async def tree(self, root: SessionId) -> Sequence[Session]:
        return await self._list("tree", id=root)

    async def change(
        self,
        session: SessionId,
        *,
        model: str | None = None,
        queue: QueueMode | None = None,
        label: str | None = None,
    ) -> Session:
        def work(tx: sqlite3.Connection) -> Session:
            if model is not None:
                tx.execute(SQL["change_model"], {"id": session, "value": model})
            if queue is not None:
                tx.execute(SQL["change_queue"], {"id": session, "value": queue.value})
            if label is not None:
                _refuse_taken(tx, label)
                tx.execute(SQL["change_label"], {"id": session, "value": label})
            row = _row(tx, session)
            if row is None:
                raise NotFound(f"there is no session {session}: /agents lists them")
            return rows.session(row)

        return await self._database.write(work)

    async def _list(self, query: str, **parameters: Any) -> Sequence[Session]:
        found = await self._database.read(lambda tx: tx.execute(SQL[query], parameters).fetchall())
        return [rows.session(row) for row in found]

    def _tell(self, told: Told) -> None:
        for lane in told.lanes:
            self._signals.said(lane)
        for session in told.woken:
            self._signals.mail(session)


class SqliteMailbox:
    """`agents.ports.Mailbox` on one database file."""

    def __init__(self, database: Database, signals: Signals) -> None:
        self._database = database
        self._signals = signals

    async def post(self, mail: NewMail, now: datetime, limit: int = 50) -> Posted:
        def tell(posted: Posted) -> None:
            if posted is Posted.QUEUED:
                self._signals.mail(mail.session)

        return await self._database.write(lambda tx: put_mail(tx, mail, now, limit), tell)

    async def answered(self, key: MailKey) -> bool:
        return await self.known(MailKey(answer_key(key)))

    async def known(self, key: MailKey) -> bool:
        query = {"key": key}
        return await self._database.read(lambda tx: tx.execute(SQL["mail_known"], query).fetchone() is not None)

    async def attachments(self, session: SessionId) -> Sequence[Attachment]:
        """The files that came with the mail that a session took in, newest first."""
        query = {"session": session}
        found = await self._database.read(lambda tx: tx.execute(SQL["given_files"], query).fetchall())
        return [file for row in found for file in rows.attachments(row["attachments"])]

    async def exchanged(self, one: SessionId, other: SessionId) -> int:
        query = {"one": one, "other": other}
        return await self._database.read(lambda tx: int(tx.execute(SQL["exchanged"], query).fetchone()[0]))

    async def withdraw(self, inbox: int) -> bool:
        def work(tx: sqlite3.Connection) -> bool:
            tx.execute(SQL["withdraw_mail"], {"inbox": inbox})
            return tx.execute(SQL["withdrawn"], {"inbox": inbox}).fetchone() is not None

        return await self._database.write(work)

    async def reword(self, inbox: int, text: str) -> bool:
        query = {"inbox": inbox, "text": text}
        return await self._database.write(lambda tx: tx.execute(SQL["reword_mail"], query).rowcount > 0)

    async def answering(self, inbox: int) -> Session | None:
        row = await self._database.read(lambda tx: tx.execute(SQL["answering"], {"inbox": inbox}).fetchone())
        return None if row is None else rows.session(row)


def bind(tx: sqlite3.Connection, session: str, where: ThreadRef, now: datetime) -> None:
    """Bind a place to a session, away from any other."""
    tx.execute(SQL["bind"], {"place": where.key, "session": session, "now": to_us(now)})


def put_mail(
    tx: sqlite3.Connection, mail: NewMail, now: datetime, limit: int, *, parent: sqlite3.Row | None = None
) -> Posted:
    """Put mail into a box, within somebody's transaction; `parent`: it is the task of a session that this one spawns.
    Raises Refused when the chain of messages that led to it is too long."""
    if tx.execute(SQL["mail_known"], {"key": mail.key}).fetchone():
        return Posted.KNOWN
    sender = _row(tx, mail.from_session) if mail.from_session else None
    if sender is not None and sender["state"] == "ended":
        raise Fenced(f"{mail.from_session} has ended: what it still wanted to send is not sent")
    row = _row(tx, mail.session)
    if row is None or row["state"] == "ended":
        return Posted.ENDED
    if tx.execute(SQL["mail_waiting_count"], {"session": mail.session}).fetchone()[0] >= limit:
        return Posted.FULL
    far = hops.of_mail(tx, mail, sender) if parent is None or sender is not None else hops.of_task(tx, parent)
    added = tx.execute(
        SQL["insert_mail"],
        {
            "key": mail.key,
            "session": mail.session,
            "kind": mail.kind.value,
            "mode": mail.mode.value if mail.mode else None,
            "text": mail.text,
            "sender": mail.sender,
            "sender_name": mail.sender_name,
            "from_session": mail.from_session,
            "inbox": mail.inbox,
            "place": mail.where.key if mail.where else None,
            "reply_to": mail.reply_to,
            "attachments": rows.attachments_json(mail.attachments),
            "wants_answer": mail.wants_answer,
            "hops": far,
            "now": to_us(now),
        },
    )
    if mail.acknowledge is not None and added.lastrowid is not None:
        marks.put(tx, added.lastrowid, mail.acknowledge)
    if mail.from_session is not None or mail.kind is MailKind.STEER:
        audit.append(
            tx,
            at=now,
            actor=f"session:{mail.from_session}" if mail.from_session is not None else str(mail.sender),
            action="steer" if mail.kind is MailKind.STEER else "message",
            resource=row["label"],
            session=mail.session,
            detail={"from": mail.from_session, "answer": mail.wants_answer, "hops": far},
        )
    if mail.inbox is not None:
        tx.execute(INBOX["mark_routed"], {"n": mail.inbox, "session": mail.session})
    return Posted.QUEUED


def _row(tx: sqlite3.Connection, id: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = tx.execute(SQL["session"], {"id": id}).fetchone()
    return row


def _there(tx: sqlite3.Connection, id: str) -> sqlite3.Row:
    row = _row(tx, id)
    assert row is not None
    return row


def _is_used(tx: sqlite3.Connection, row: sqlite3.Row) -> bool:
    waiting = tx.execute(SQL["mail_waiting_count"], {"session": row["id"]}).fetchone()[0]
    return bool(row["state"] != "idle" or waiting)


def make_session(tx: sqlite3.Connection, spawn: Spawn, opening: OpenThread | None, now: datetime) -> Spawned:
    """Make a session with what belongs to it, within somebody's transaction. Raises Refused."""
    known = tx.execute(SQL["session_by_key"], {"key": spawn.key}).fetchone()
    if known is not None:
        return Spawned(session=rows.session(known), new=False)
    parent = _living_parent(tx, spawn, now)
    id = session_id(spawn.key)
    tx.execute(
        SQL["insert_session"],
        {
            "id": id,
            "label": _label(tx, spawn),
            "agent": spawn.agent,
            "parent": spawn.parent,
            "root": parent["root"] if parent is not None else id,
            "depth": parent["depth"] + (not spawn.instead) if parent is not None else 0,
            "mode": spawn.mode.value,
            "key": spawn.key,
            "owner": spawn.owner,
            "owner_name": spawn.owner_name,
            "task": spawn.task,
            "model": spawn.model,
            "queue": spawn.queue.value if spawn.queue else None,
            "timeout_seconds": spawn.timeout_seconds,
            "budget_nano": None if spawn.budget_usd is None else to_nano(spawn.budget_usd),
            "workspace": spawn.workspace,
            "home": spawn.home.key if spawn.home else None,
            "now": to_us(now),
        },
    )
    if spawn.forked_from is not None:
        tx.execute(SQL["fork_steps"], {"id": id, "source": spawn.forked_from})
    if spawn.home is not None:
        bind(tx, id, spawn.home, now)
        if opening is not None:
            outbox.enqueue_opening(tx, opening, spawn.home, session=id, now=now)
    if spawn.mail is not None:
        put_mail(tx, spawn.mail, now, limit=1, parent=parent)
    audit.append(
        tx,
        at=now,
        actor=f"session:{spawn.parent}" if spawn.parent else spawn.owner,
        action="spawn",
        resource=spawn.agent,
        session=id,
        detail={"parent": spawn.parent, "mode": spawn.mode.value},
    )
    told = boards.show(tx, parent, _there(tx, id), now) if spawn.shown and parent is not None else None
    return Spawned(session=rows.session(_there(tx, id)), new=True, told=told)


def _living_parent(tx: sqlite3.Connection, spawn: Spawn, now: datetime) -> sqlite3.Row | None:
    if spawn.parent is None:
        return None
    parent = _row(tx, spawn.parent)
    if parent is None or parent["state"] == "ended":
        raise Refused(f"the session {spawn.parent} that spawns has ended: nothing can be spawned under it")
    if spawn.deepest is not None and parent["depth"] + (not spawn.instead) > spawn.deepest:
        raise Refused(
            f"{parent['label']} is {parent['depth']} deep, and max_depth of its agent and of those above it allow"
            f" {spawn.deepest}: do the task yourself, or ask the operator to raise max_depth",
            limit="max_depth",
        )
    living = tx.execute(SQL["living_children"], {"id": spawn.parent}).fetchone()[0]
    if spawn.max_children is not None and living >= spawn.max_children:
        raise Refused(
            f"{parent['label']} has as many living children as max_children allows ({spawn.max_children}):"
            " wait for one to end, kill one, or raise max_children in the agent's profile",
            limit="max_children",
        )
    if spawn.max_per_minute is not None:
        since = {"root": parent["root"], "since": to_us(now - timedelta(minutes=1))}
        lately = tx.execute(SQL["spawned_since"], since).fetchone()[0]
        if lately >= spawn.max_per_minute:
            raise Refused(
                f"this tree has spawned {lately} sessions within a minute and spawns_per_minute is"
                f" {spawn.max_per_minute}: wait a minute, or raise it in the agent's profile",
                limit="spawns_per_minute",
            )
    return parent


def _label(tx: sqlite3.Connection, spawn: Spawn) -> str:
    if spawn.label is not None:
        _refuse_taken(tx, spawn.label)
        return spawn.label
    while True:
        number = tx.execute(SQL["next_number"], {"name": f"label:{spawn.agent}"}).fetchone()[0]
        label = f"{spawn.agent}-{number}"
        if not tx.execute(SQL["living_labels"], {"label": label}).fetchone():
            return label


def _refuse_taken(tx: sqlite3.Connection, label: str) -> None:
    if tx.execute(SQL["living_labels"], {"label": label}).fetchone():
        raise Refused(f"a living session is already called {label!r}: choose another label, or kill that one first")
