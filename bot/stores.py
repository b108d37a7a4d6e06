"""Everything that is remembered, on one database."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from agents.ports import Signals
from bot.config import Config
from bot.people.pairing import LIMITS
from storage.audit import AuditLog
from storage.boards import SqliteBoards
from storage.database import Database
from storage.files import FileStore
from storage.inbox import Inbox
from storage.journal import SqliteJournal
from storage.marks import SqliteMarks
from storage.outbox import SqliteOutbox
from storage.people import People
from storage.questions import SqliteQuestions
from storage.sessions import SqliteMailbox, SqliteSessions
from storage.views import Views


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """`holder` names this process: what it claims is its own until it is gone."""

    holder: str
    inbox: Inbox
    outbox: SqliteOutbox
    views: Views
    sessions: SqliteSessions
    mailbox: SqliteMailbox
    journal: SqliteJournal
    audit: AuditLog
    audit_head: Path
    files: FileStore
    questions: SqliteQuestions
    people: People
    boards: SqliteBoards
    marks: SqliteMarks


def on(database: Database, config: Config, signals: Signals) -> Stores:
    holder = uuid4().hex[:12]
    return Stores(
        holder=holder,
        inbox=Inbox(database),
        outbox=SqliteOutbox(database),
        views=Views(database),
        sessions=SqliteSessions(database, signals),
        mailbox=SqliteMailbox(database, signals),
        journal=SqliteJournal(database, holder, signals, config.bot.timezone),
        audit=AuditLog(database),
        audit_head=config.bot.data / "audit.head",
        files=FileStore(config.bot.data / "files", database),
        questions=SqliteQuestions(database, signals),
        people=People(database, LIMITS),
        boards=SqliteBoards(database),
        marks=SqliteMarks(database),
    )
