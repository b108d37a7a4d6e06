"""A small world for tests of turns: the real store, engine, team and rehearsal model, and no channels."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agents.base import MailKey, MailKind, NewMail, NotFound, Posted, Session, SessionId
from agents.context import Context
from agents.engine import EmbeddedEngine
from agents.models.base import ModelName, Models
from agents.models.chain import build
from agents.models.settings import ModelSettings
from agents.money import Money
from agents.ports import Profile
from agents.questions import Addressee
from agents.results import Results
from agents.rights import Rights
from agents.runner import TurnRunner
from agents.team import Task, Team
from agents.tools.approvals import Approvals
from agents.tools.ask_human import AskHumanTool
from agents.tools.asking import Asker
from agents.tools.base import Tool, Toolbox
from agents.tools.handoff import HandoffTool
from agents.tools.sessions import HistoryTool, ListTool, SendTool, SpawnTool
from agents.tools.subagents import SubagentsTool
from agents.turn import TurnParts
from agents.workspaces import Workspaces
from channels.base import Account, ChannelName, Outbound, ThreadRef
from storage.database import Database, opened
from storage.files import FileStore
from storage.journal import SqliteJournal
from storage.outbox import enqueue
from storage.questions import SqliteQuestions
from storage.sessions import SqliteMailbox, SqliteSessions

HOME = ThreadRef(channel=ChannelName("web"), room="main", thread="home")
ADA = Account("web:ada")
BOB = Account("web:bob")
BOBS = ThreadRef(channel=ChannelName("web"), room="main", thread="bob")


def profiles(**changes: Any) -> dict[str, Profile]:
    """assistant may spawn researcher; both may do what sessions can do."""
    tools = (
        "sessions_spawn",
        "subagents",
        "sessions_send",
        "sessions_list",
        "sessions_history",
        "ask_human",
        "handoff",
    )
    base: dict[str, Any] = {"model": ModelName("default"), "prompt": "You help.", "tools": tools, **changes}
    return {
        "assistant": Profile(name="assistant", spawns=("researcher", "assistant"), **base),  # type: ignore[arg-type]
        "researcher": Profile(name="researcher", **base),  # type: ignore[arg-type]
    }


class Signals:
    def __init__(self, engine: EmbeddedEngine) -> None:
        self.engine = engine

    def mail(self, session: SessionId) -> None:
        self.engine.wake(session)

    def said(self, lane: str) -> None: ...

    def ended(self, session: SessionId) -> None:
        self.engine.abort(session)


class World:
    def __init__(
        self,
        database: Database,
        folder: Path,
        holder: str,
        agents: Mapping[str, Profile],
        tools: list[Tool],
        models: Models,
    ):
        self.database = database
        self.agents = dict(agents)
        self.bobs = BOBS
        self.engine = EmbeddedEngine()
        signals = Signals(self.engine)
        self.sessions = SqliteSessions(database, signals)
        self.mailbox = SqliteMailbox(database, signals)
        self.journal = SqliteJournal(database, holder, signals, UTC)
        self.team = Team(
            sessions=self.sessions,
            mailbox=self.mailbox,
            engine=self.engine,
            profiles=self,
            threads=self,
            clock=self.now,
        )
        self.ahead = timedelta()
        self.questions = SqliteQuestions(database, signals)
        asker = Asker(self.questions, self)
        box = Toolbox(
            [
                AskHumanTool(asker),
                HandoffTool(self.team, self.sessions, self),
                SpawnTool(self.team),
                SubagentsTool(self.team, self.sessions),
                SendTool(self.team, self.sessions, self.mailbox),
                ListTool(self.sessions, self.journal),
                HistoryTool(self.sessions, self.journal),
                *tools,
            ]
        )
        rights = Rights(self, self.sessions)
        self.workspaces, self.files = Workspaces(folder / "workspaces"), FileStore(folder / "files", database)
        self.events: list[tuple[SessionId, str, Mapping[str, Any]]] = []
        self.runner = TurnRunner(
            TurnParts(
                journal=self.journal,
                sessions=self.sessions,
                models=models,
                profiles=self,
                toolbox=box,
                context=Context(models, self, box, self.files, self.now),
                live=self,
                rights=rights,
                money=Money(self.journal, rights, self.now),
                clock=self.now,
                approvals=Approvals(asker, self.questions),
                results=Results(self.sessions, rights, self.workspaces, self.files),
                wake=self.engine.wake,
            )
        )
        self._messages = 0

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    async def later(self, **span: float) -> None:
        """Move the clock on, and wake what is due then."""
        self.ahead += timedelta(**span)
        for session in (await self.journal.due(self.now()))[0]:
            self.engine.wake(session)

    # agents.tools.handoff.Says
    async def say(self, message: Outbound, *, session: SessionId | None = None) -> None:
        await self.database.write(lambda tx: enqueue(tx, message, session=session, now=self.now()))

    # agents.questions.Addressees
    async def find(self, name: str | None, session: Session) -> Addressee:
        if name is None:
            return Addressee(name="Ada", accounts=(session.owner,), places=(session.home or HOME,))
        if name != "bob":
            raise NotFound(f"there is nobody called {name!r} to ask")
        return Addressee(name="Bob", accounts=(BOB,), places=(self.bobs,))

    # agents.ports.Profiles
    def profile(self, name: str) -> Profile | None:
        return self.agents.get(name)

    def names(self) -> tuple[Any, ...]:
        return tuple(self.agents)

    # agents.team.Threads
    def opening(self, *_: Any) -> None:
        return None

    # agents.ports.Live
    def publish(self, session: SessionId, kind: str, data: Mapping[str, Any]) -> None:
        self.events.append((session, kind, dict(data)))

    async def says(self, text: str, where: ThreadRef = HOME, **mail: Any) -> Session:
        """Ada writes; the session that it went to."""
        self._messages += 1
        key = f"{id(self)}-{self._messages}"
        bound = await self.sessions.bound(where)
        if bound is None:
            task = Task(key=key, agent="assistant", text=text, owner=ADA, owner_name="Ada")  # type: ignore[arg-type]
            return (await self.team.begin(task, where)).session
        posted = await self.team.post(
            NewMail(
                key=MailKey(key),
                session=bound.id,
                kind=MailKind.PERSON,
                text=text,
                sender=ADA,
                sender_name="Ada",
                where=where,
                **mail,
            )
        )
        assert posted is Posted.QUEUED
        return bound

    async def until(self, true: Callable[[], Any], seconds: float = 5.0) -> None:
        """Wait until something holds (asked again after each turn of the loop's other work)."""
        async with asyncio.timeout(seconds):
            while True:
                answer = true()
                if asyncio.iscoroutine(answer):
                    answer = await answer
                if answer:
                    return
                await asyncio.sleep(0.005)

    async def turns_begun(self, count: int) -> None:
        await self.until(lambda: sum(kind == "turn" for _, kind, _ in self.events) >= count)

    async def at_rest(self, seconds: float = 5.0) -> None:
        """Wait until no session has anything to do."""

        async def rests() -> bool:
            waiting = await self.query("select count(*) from mail where state = 'waiting'")
            running = await self.query("select count(*) from sessions where state in ('running', 'stopping')")
            return not self.engine.awake and not self.engine.queued and waiting[0][0] == 0 and running[0][0] == 0

        await self.until(rests, seconds)

    async def query(self, sql: str, *parameters: Any) -> list[sqlite3.Row]:
        return await self.database.read(lambda tx: tx.execute(sql, parameters).fetchall())

    async def said(self, place: ThreadRef = HOME) -> list[str]:
        rows = await self.query(
            "select text from deliveries where place = ? and state <> 'cancelled' order by n", place.key
        )
        return [row["text"] for row in rows]

    async def said_any(self, part: str, place: ThreadRef = HOME) -> bool:
        return any(part in text for text in await self.said(place))

    async def get(self, session: Session | SessionId) -> Session:
        found = await self.sessions.session(session.id if isinstance(session, Session) else session)
        assert found is not None
        return found


@asynccontextmanager
async def world(
    folder: Path,
    *,
    holder: str = "one",
    agents: Mapping[str, Profile] | None = None,
    tools: list[Tool] | None = None,
    runs: bool = True,
    models: Models | None = None,
) -> AsyncIterator[World]:
    """A world on a data folder, its engine running or not; leaving it is a crash: nothing is released."""
    models = models or build({ModelName("default"): ModelSettings(kind="rehearsal", word_delay_seconds=0.0)})
    async with opened(folder) as database:
        made = World(database, folder, holder, agents or profiles(), tools or [], models)
        running = asyncio.create_task(made.engine.run(made.runner.activate) if runs else asyncio.sleep(0))
        for session in await made.journal.to_resume():
            made.engine.wake(session)
        try:
            yield made
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
