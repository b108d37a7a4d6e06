"""The writer: what a commit tells, whoever still waits for it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from agents.base import AgentName, MailKey, MailKind, NewMail, SessionId
from bot.intake import ChannelIntake
from bot.routing.router import Routes
from bot.routing.rules import Rule
from channels.base import Account, ChannelName, EventId, Inbound, Kind, Sender, ThreadRef
from storage.database import Database, opened
from storage.inbox import Inbox, Stored
from storage.sessions import SqliteMailbox
from tests.stored import add_session

WEB = ChannelName("web")
HERE = ThreadRef(channel=WEB, room="main", thread="hello")


class Heard:
    """Fulfils `agents.ports.Signals`."""

    def __init__(self) -> None:
        self.mails: list[SessionId] = []
        self.arrived = asyncio.Event()

    def mail(self, session: SessionId) -> None:
        self.mails.append(session)
        self.arrived.set()

    def said(self, lane: str) -> None: ...
    def ended(self, session: SessionId) -> None: ...


async def cancelled_on_its_way(task: asyncio.Task[object]) -> None:
    await asyncio.sleep(0)  # it has asked for its write, and waits for the commit
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_mail_wakes_its_session_although_whoever_posted_it_was_cancelled_meanwhile(tmp_path: Path) -> None:
    async with opened(tmp_path) as database, asyncio.timeout(5):
        await database.write(lambda tx: add_session(tx, "s1"))
        heard = Heard()
        mail = NewMail(key=MailKey("one"), session=SessionId("s1"), kind=MailKind.PERSON, text="hello")
        posting = asyncio.create_task(SqliteMailbox(database, heard).post(mail, datetime.now(UTC)))
        await cancelled_on_its_way(posting)
        await heard.arrived.wait()
        assert heard.mails == ["s1"]


class Offered:
    """Fulfils `bot.intake.Dispatches`."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.arrived = asyncio.Event()

    def offer(self, events: Sequence[Stored]) -> None:
        self.texts.extend(stored.event.text for stored in events)
        self.arrived.set()


@pytest.mark.requirement("P1")
async def test_an_event_is_routed_although_its_connection_broke_while_it_was_committed(tmp_path: Path) -> None:
    async with opened(tmp_path) as database, asyncio.timeout(5):
        now, offered = datetime.now(UTC), Offered()
        intake = ChannelIntake(WEB, Inbox(database), offered, lambda: now)
        sender = Sender(account=Account("web:ada"), name="Ada")
        event = Inbound(id=EventId("one"), kind=Kind.MESSAGE, where=HERE, sender=sender, text="hello", sent_at=now)
        await cancelled_on_its_way(asyncio.create_task(intake.accept([event])))
        await offered.arrived.wait()
        assert offered.texts == ["hello"]
        assert not await intake.accept([event]), "the platform's second copy would not have been routed either"


async def test_rooms_that_routes_name_and_in_which_people_were_heard_are_watched(tmp_path: Path) -> None:
    async with opened(tmp_path) as database:
        now, slack = datetime.now(UTC), ChannelName("slack")
        rule = partial(Rule, agent=AgentName("support"))
        routes = Routes(
            rules=(
                rule(channel=slack, room="C1"),
                rule(channel=slack, room="C9"),
                rule(channel=ChannelName("discord"), room="4"),
                rule(channel=slack),
            )
        )
        intake = ChannelIntake(slack, Inbox(database), Offered(), lambda: now, routes.rooms_named)
        for number, place in enumerate(["slack:T1/C1/17.1", "slack:T1/D5", "slack:T1/C1", "slack:T1/C7"]):
            sender = Sender(account=Account("slack:T1/U1"), name="Ada", is_bot=place.endswith("C7"))
            event = Inbound(
                id=EventId(str(number)),
                kind=Kind.MESSAGE,
                where=ThreadRef.parse(place),
                sender=sender,
                text="",
                sent_at=now,
            )
            await intake.accept([event])
        assert [room.key for room in await intake.watched_rooms()] == ["slack:T1/C1", "slack:T1/D5", "slack:C9"]


@pytest.mark.requirement("P6")
async def test_a_write_that_goes_wrong_in_a_way_nobody_thought_of_does_not_stop_the_writer(tmp_path: Path) -> None:
    def undoes_everything(tx: sqlite3.Connection) -> None:
        tx.execute("rollback")  # as SQLite itself does when the disk is full
        raise KeyError("and then something else")

    async with opened(tmp_path) as database, asyncio.timeout(5):
        with pytest.raises(KeyError):
            await database.write(undoes_everything)
        assert await _one(database) == 1


async def test_a_failure_to_tell_of_a_commit_does_not_stop_the_writer(tmp_path: Path) -> None:
    def tell(_: int) -> None:
        raise RuntimeError("nobody there")

    async with opened(tmp_path) as database, asyncio.timeout(5):
        assert await database.write(lambda tx: int(tx.execute("select 1").fetchone()[0]), tell) == 1
        assert await _one(database) == 1


async def _one(database: Database) -> int:
    return await database.write(lambda tx: int(tx.execute("select 1").fetchone()[0]))
