"""What fails costs what failed: services, channels, pictures and events beside it go on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agents.base import Session, SessionId
from bot import connections, event_queues
from bot.app import Application
from bot.config import load
from bot.connections import Connections
from bot.lasting import lasting
from bot.showing.presence import Presence
from channels.base import (
    Account,
    Capability,
    Channel,
    ChannelName,
    ChannelState,
    EventId,
    Health,
    Inbound,
    Kind,
    Sender,
    ThreadRef,
)
from storage.database import StorageError, opened
from tests.slices.harness import write_config

BAD, GOOD = ChannelName("bad"), ChannelName("good")


@pytest.mark.requirement("P6")
async def test_a_service_that_fails_or_is_cut_off_by_itself_begins_again() -> None:
    rounds = 0

    async def serve() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            raise OSError("no space left on device")
        if rounds == 2:
            raise asyncio.CancelledError

    async with asyncio.timeout(5):
        await lasting("alarm", serve, pause_seconds=0.001)
    assert rounds == 3


async def test_a_service_is_cancelled_as_any_task() -> None:
    begun = asyncio.Event()

    async def serve() -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(lasting("alarm", serve))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class Broken:
    """A channel that cannot even be opened, or (`opens`) fails where its contract says that it never does."""

    capabilities = Capability.TYPING

    def __init__(self, name: ChannelName, *, opens: bool = False) -> None:
        self.name = name
        self.opens = opens
        self.tried = asyncio.Event()
        self.cancelled = 0

    async def __aenter__(self) -> Broken:
        self.tried.set()
        if not self.opens:
            raise ValueError("a proxy's address that is none")
        return self

    async def __aexit__(self, *_: object) -> None: ...

    def health(self) -> Health:
        return Health(state=ChannelState.DOWN, since=datetime.now(UTC))

    async def run(self, intake: object) -> None:
        del intake
        self.cancelled += 1
        self.tried.set()
        raise asyncio.CancelledError  # a library's own future

    async def typing(self, where: ThreadRef) -> None:
        del where
        self.tried.set()
        raise RuntimeError("a bug")


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.requirement("P6")
async def test_a_channel_that_cannot_be_opened_or_cuts_itself_off_ends_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "_FIRST_BACKOFF_SECONDS", 0.001)
    shut, cut = Broken(BAD), Broken(GOOD, opens=True)
    ready: dict[ChannelName, Any] = {BAD: shut, GOOD: cut}
    running = asyncio.create_task(Connections(ready, {}).run(lambda _: None))  # type: ignore[arg-type, return-value]
    async with asyncio.timeout(5):
        await shut.tried.wait()
        while cut.cancelled < 3:
            await cut.tried.wait()
            cut.tried.clear()
    assert not running.done()
    await ended(running)


class NoSessions:
    async def session(self, id: SessionId) -> Session | None:
        del id
        return None


@pytest.mark.slow
@pytest.mark.requirement("P6")
async def test_a_preview_that_fails_ends_no_other() -> None:
    channel = Broken(BAD, opens=True)

    def find(name: ChannelName) -> Channel | None:
        del name
        return channel  # type: ignore[return-value]

    presence = Presence(find, NoSessions(), frozenset())  # type: ignore[arg-type]
    running = asyncio.create_task(presence.run())
    await asyncio.sleep(0)
    for session in ("s1", "s2"):
        channel.tried.clear()
        data: Mapping[str, Any] = {"place": ThreadRef(channel=BAD, room="main").key}
        presence.publish(SessionId(session), "turn", data)
        async with asyncio.timeout(5):
            await channel.tried.wait()
    assert not running.done()
    await ended(running)


def event(id: str, text: str) -> Inbound:
    where = ThreadRef(channel=ChannelName("web"), room="main", thread="here")
    sender = Sender(account=Account("web:ada"), name="Ada")
    now = datetime.now(UTC)
    return Inbound(id=EventId(id), kind=Kind.MESSAGE, where=where, sender=sender, text=text, sent_at=now)


@pytest.mark.requirement("P1")
@pytest.mark.parametrize(("failures", "state"), [(9, "routed"), (12, "dead")])
async def test_an_event_outlasts_a_store_that_fails_and_ends_in_the_dead_letters_when_it_never_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int, state: str
) -> None:
    monkeypatch.setattr(event_queues, "_PAUSES", (0.001,))
    monkeypatch.setattr(event_queues, "_TRIES", 10)
    async with opened(tmp_path / "data") as database, Application.made(load(write_config(tmp_path)), database) as app:
        sessions = app.dispatcher._parts.sessions
        bound, left = sessions.bound, failures

        async def fails_at_first(where: ThreadRef) -> Session | None:
            nonlocal left
            left -= 1
            if left >= 0:
                raise StorageError("the disk is full")
            return await bound(where)

        monkeypatch.setattr(sessions, "bound", fails_at_first)
        running = asyncio.create_task(app.dispatcher.run())
        await app._intakes[ChannelName("web")].accept([event("one", "/whoami")])
        async with asyncio.timeout(10):
            while True:
                row = await database.read(lambda tx: tx.execute("select state from inbox").fetchone())
                if row["state"] != "new":
                    break
                await asyncio.sleep(0.01)
        assert row["state"] == state
        assert not running.done()
        await ended(running)
