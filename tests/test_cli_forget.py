"""`threadmill forget`: tells first, deletes only when told to."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.cli.app import run
from channels.base import Account, ChannelName, EventId, Inbound, Kind, Sender, ThreadRef
from storage.database import opened
from storage.inbox import Inbox
from tests.stored import add_session


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


async def _said(data: Path, text: str) -> None:
    async with opened(data) as database:
        where = ThreadRef(channel=ChannelName("slack"), space="T1", room="C1", thread="1.1")
        sender = Sender(account=Account("slack:T1/U1"), name="Ada")
        now = datetime(2026, 11, 21, tzinfo=UTC)
        event = Inbound(id=EventId("1"), kind=Kind.MESSAGE, where=where, sender=sender, text=text, sent_at=now)
        await Inbox(database).accept(where.channel, [event], {}, now)


async def _texts(data: Path) -> list[str]:
    async with opened(data) as database:
        return await database.read(lambda tx: [row["text"] for row in tx.execute("select text from inbox")])


def test_forget_tells_what_would_go_and_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(_said(tmp_path / "data", "my secret"))
    assert run(["forget", "slack:T1/U1"]) == 0
    assert "Nothing was changed" in capsys.readouterr().out
    assert asyncio.run(_texts(tmp_path / "data")) == ["my secret"]


def test_forget_deletes_when_told_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(_said(tmp_path / "data", "my secret"))
    assert run(["forget", "slack:T1/U1", "--yes", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["done"] is True
    assert told["accounts"] == ["slack:T1/U1"]
    assert "my secret" not in asyncio.run(_texts(tmp_path / "data"))


def test_forget_deletes_the_folders_that_the_persons_sessions_worked_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("config.toml").write_text(
        '[models.default]\nkind = "rehearsal"\n[agents.a]\nprompt = "x"\nworkspace = "shared:plans"\n'
    )
    folders = tmp_path / "data" / "workspaces" / "session"
    for session in ("hers", "his", "alive"):
        (folders / session / "deep").mkdir(parents=True)
        (folders / session / "deep" / "notes.txt").write_text("my secret")

    async def stored(state: str) -> None:
        async with opened(tmp_path / "data") as database:

            def work(tx: sqlite3.Connection) -> None:
                for id, owner in (("hers", "slack:T1/U1"), ("his", "slack:T1/U2")):
                    tx.execute("delete from sessions where id = ?", (id,))
                    add_session(tx, id, agent="a", owner=owner, state=state)

            await database.write(work)

    asyncio.run(stored("idle"))
    assert run(["forget", "slack:T1/U1", "--yes"]) == 1, "a session lives"
    assert (folders / "hers").exists()
    asyncio.run(stored("ended"))
    capsys.readouterr()
    assert run(["forget", "slack:T1/U1"]) == 0
    told = capsys.readouterr().out
    assert "1 workspaces" in told
    assert "Shared workspaces that may hold something of this person: plans" in told
    assert (folders / "hers").exists()
    assert run(["forget", "slack:T1/U1", "--yes"]) == 0
    assert sorted(path.name for path in folders.iterdir()) == ["alive", "his"]


def test_forget_knows_no_stranger_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["forget", "nobody"]) == 2
    assert "neither an account" in capsys.readouterr().err
