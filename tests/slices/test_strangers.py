"""Somebody whom nobody knows: refused politely, once, with a code that lets him in when an operator says so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.slices.harness import running, write_config
from tests.slices.screens import EVES, Screen

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
