"""Somebody whom nobody knows: refused politely, once, with a code that lets him in when an operator says so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.slices.hands import edits, press, reacts, sends_file
from tests.slices.harness import running, write_config
from tests.slices.screens import EVES, Screen
from tests.slices.test_asking import ASKING
from tests.slices.waiting import until

pytestmark = pytest.mark.slow


@pytest.mark.requirement("P9")
async def test_a_stranger_gets_a_code_once_and_is_let_in_with_it(screen: Screen, tmp_path: Path) -> None:
    async with running(write_config(tmp_path, [screen]), [screen]) as threadmill:
        screen.says(screen.room, "say Let me in", by=EVES, mention=True)

        def code() -> str | None:
            found = re.findall(r"\b[2-9A-Z]{4}-[2-9A-Z]{4}\b", str(screen.said_anywhere()))
            return found[0] if found else None

        given = str(await threadmill.until(code, "the stranger gets a code"))
        greeted = screen.said_anywhere()
        screen.says(screen.room, "say I said, let me in", by=EVES, mention=True)
        screen.says(screen.room, "say Not even with a mention", by=EVES)
        await threadmill.settled()
        assert screen.said_anywhere() == greeted, "he is answered once an hour"
        for line in ("/kill all", f"/approve {given}", "/spawn say Let me in"):
            screen.gives(screen.room, line, by=EVES)
            await threadmill.settled()
        assert await threadmill.rows("select count(*) from sessions") == [(0,)]
        assert await threadmill.rows("select count(*) from audit where action = 'pairing_approved'") == [(0,)]

        await threadmill.command(screen, screen.room, f"/approve {given}", "is let in with the role user")
        screen.says(screen.room, "say Now I am heard", by=EVES)
        await threadmill.until(
            lambda: "Now I am heard" in str(screen.said_anywhere().values()), "who was let in is answered"
        )
        assert await threadmill.rows("select owner from sessions") == [(screen.accounts[EVES],)]
        assert await threadmill.rows("select count(*) from audit where action = 'pairing_approved'") == [(1,)]


@pytest.mark.requirement("P9")
async def test_no_kind_of_event_from_a_stranger_changes_anything(screen: Screen, tmp_path: Path) -> None:
    """The gate is one for all of them: a press, a reaction, an edit, a command, a file, the thread's own name."""
    async with running(write_config(tmp_path, [screen], agents=ASKING), [screen]) as threadmill:
        asked = 'tool ask_human {"question": "Blue or red?", "choices": ["Blue", "Red"]}\nsay Painted'
        first = screen.says(screen.room, asked)
        home = await threadmill.home_of("assistant-1")
        await threadmill.shows(screen, home, "Blue or red?")
        await threadmill.settled()

        async def facts() -> list[tuple[Any, ...]]:
            told = "select id, state, epoch, queue, model from sessions"
            waits = "select id, answered_at, 0, 0, 0 from questions"
            mail = "select count(*), 0, 0, 0, 0 from mail"
            return [*await threadmill.rows(told), *await threadmill.rows(waits), *await threadmill.rows(mail)]

        before = await facts()
        assert press(screen, home, "Red", by=EVES)
        reacts(screen, screen.room, first, by=EVES)
        edits(screen, screen.room, first, "say Something else", by=EVES)
        sends_file(screen, home, by=EVES)
        for line in ("/kill all", "/stop", "/steer assistant-1 say Mine", "/queue interrupt", "/model other"):
            screen.gives(home, line, by=EVES)
        screen.says(home, "say I am in your thread", by=EVES)
        screen.says(home, "Red", by=EVES, mention=True)
        stranger = screen.accounts[EVES]
        query = "select count(*) from inbox where account = ? and state not in ('new')"

        async def heard() -> bool:
            return (await threadmill.rows(query, stranger))[0][0] >= 9

        await until(heard, "all of it was heard and decided")
        await threadmill.settled()
        assert await facts() == before
        decided = await threadmill.rows("select kind, state from inbox where account = ?", stranger)
        assert {state for _, state in decided} <= {"ignored", "refused"}
        assert {"message", "button", "edit"} <= {kind for kind, _ in decided}
        assert not [file for file in (tmp_path / "data" / "files").rglob("*") if file.is_file()]

        assert press(screen, home, "Red"), "the question still waits for Ada"
        await threadmill.shows(screen, home, "Painted")
