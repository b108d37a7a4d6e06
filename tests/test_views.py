"""The read side: every view is right about what is stored, and costs the same however long the history is."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator
from datetime import date, timedelta
from importlib.resources import files
from pathlib import Path

import pytest

from storage.database import Database, opened, opened_for_reading
from storage.sql import load
from storage.view_rows import as_json
from storage.views import Views
from tests.stored import MONITOR, NOW, PLACE, US, add_session, hear, insert, say


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with opened(tmp_path) as database:
        yield database


@pytest.fixture
async def conversation(database: Database) -> Database:
    """A person spoke, the bot answered with two buttons, one more answer is on its way and one is dead."""

    def work(tx: sqlite3.Connection) -> None:
        add_session(tx, "s1", spent_nano=1_500_000, tree_nano=2_500_000, state="running", doing="thinking")
        insert(tx, "bindings", place=PLACE, session="s1", created_at=US)
        hear(tx, "hello <b>there</b>", "e1")
        body = '{"buttons": [["b1", "Yes", false], ["b2", "No", true]]}'
        insert(tx, "buttons", id="b1", action="{}", created_at=US, used_at=US, used_by="web:owner")
        say(tx, "Hello Ada", "k1", body=body, message_ids='["k1"]')
        say(tx, "soon", "k2", state="pending")
        say(tx, "never", "k3", state="dead", error="no such room")

    await database.write(work)
    return database


async def test_a_timeline_has_both_sides_in_one_order(conversation: Database) -> None:
    views = Views(conversation)
    heard, said = await views.messages(PLACE)
    assert (heard.side, heard.author, heard.text, heard.id) == ("in", "Ada", "hello <b>there</b>", "e1")
    assert (said.side, said.author, said.text, said.state) == ("out", "assistant-s1", "Hello Ada", "sent")
    assert [(button.id, button.used, button.danger) for button in said.buttons] == [
        ("b1", True, False),
        ("b2", False, True),
    ]
    assert [message.n for message in await views.messages(PLACE, after=heard.n)] == [said.n]
    assert [message.n for message in await views.messages(PLACE, before=said.n)] == [heard.n]
    assert [message.n for message in await views.messages_everywhere(after=0)] == [heard.n, said.n]
    assert await views.last_number() == said.n


async def test_what_is_on_its_way_and_what_is_dead_stands_beside_the_timeline(conversation: Database) -> None:
    dead, pending = await Views(conversation).waiting(PLACE)
    assert (dead.text, dead.state, dead.reason, dead.n) == ("never", "dead", "no such room", 0)
    assert (pending.text, pending.state, pending.n) == ("soon", "pending", 0)


async def test_places_come_newest_first_with_text_and_session(conversation: Database) -> None:
    await conversation.write(lambda tx: hear(tx, "from  Slack\n" + "x" * 500, "e9", "slack:T1/C2/1.5"))
    slack, web = await Views(conversation).places()
    assert (slack.place, slack.channel, slack.session) == ("slack:T1/C2/1.5", "slack", None)
    assert slack.last_text.startswith("from Slack xxx")
    assert len(slack.last_text) == 140
    assert (web.place, web.last_text, web.session, web.state) == (PLACE, "Hello Ada", "s1", "running")
    assert [row.place for row in await Views(conversation).places(channel="web")] == [PLACE]
    assert [row.place for row in await Views(conversation).places(before=slack.last_n)] == [PLACE]
    found = await Views(conversation).place(PLACE)
    assert found == web
    assert await Views(conversation).place("web:/main/nowhere") is None


async def test_a_moved_timeline_moves_its_place(conversation: Database) -> None:
    moved = "telegram:/-100/7"
    await conversation.write(lambda tx: tx.execute("update timeline set place = ?", (moved,)).rowcount)
    assert [row.place for row in await Views(conversation).places()] == [moved]


async def test_sessions_page_through_without_gap_or_double(database: Database) -> None:
    def work(tx: sqlite3.Connection) -> None:
        for number in range(25):
            state = ("idle", "running", "waiting", "ended")[number % 4]
            add_session(tx, f"s{number:02}", state=state, active_at=US + number // 5)

    await database.write(work)
    views = Views(database)
    for wanted, expected in (("all", 25), ("living", 19), ("ended", 6), ("idle", 7)):
        seen: list[str] = []
        before: str | None = None
        while page := await views.sessions(state=wanted, limit=4, before=before):
            assert len(page) <= 4
            seen += [row.id for row in page]
            before = page[-1].cursor
        assert len(seen) == len(set(seen)) == expected
    with pytest.raises(ValueError, match="is no state: write living, all"):
        await views.sessions(state="asleep")
    with pytest.raises(ValueError, match="is no cursor"):
        await views.sessions(before="1 or 1=1")


async def test_a_session_shows_its_tree_places_and_how_full_its_model_is(conversation: Database) -> None:
    def work(tx: sqlite3.Connection) -> None:
        add_session(tx, "s2", parent="s1", root="s1", depth=1, created_at=US + 2)
        add_session(tx, "s3", parent="s1", root="s1", depth=1, created_at=US + 1)
        add_session(tx, "s4", parent="s2", root="s1", depth=2, created_at=US + 3)
        for tokens in (10, 20):
            insert(
                tx,
                "steps",
                session="s1",
                kind="model",
                body='{"blocks": []}',
                model="m-1",
                input_tokens=tokens,
                output_tokens=5,
                cost_nano=1_000,
                started_at=US,
                ended_at=US + 1_500_000,
            )

    await conversation.write(work)
    views = Views(conversation)
    detail = await views.session("s4")
    assert detail is not None
    assert [row.id for row in detail.tree] == ["s1", "s3", "s2", "s4"]
    root = await views.session("assistant-s1")
    assert root is not None
    assert (root.session.spent_usd, root.session.tree_usd) == (0.0015, 0.0025)
    assert (root.places, root.model, root.context_tokens) == ((PLACE,), "m-1", 25)
    assert [(step.seconds, step.cost_usd) for step in await views.history("s1")] == [(1.5, 1e-6)] * 2
    assert await views.session("nobody") is None
    assert await views.find_session("s") is None
    bound = await views.session_in(PLACE)
    assert bound is not None
    assert bound.id == "s1"


async def test_a_place_whose_session_ended_still_knows_it(conversation: Database) -> None:
    await conversation.write(lambda tx: tx.execute("delete from bindings").rowcount)
    last = await Views(conversation).session_in(PLACE)
    assert last is not None
    assert last.id == "s1"


async def test_a_session_that_was_killed_before_it_spoke_is_still_known(conversation: Database) -> None:
    def work(tx: sqlite3.Connection) -> None:
        add_session(tx, "s2", state="ended", ended="killed")
        hear(tx, "do that", "e7", "web:/main/short", session="s2")
        hear(tx, "/kill", "e8", "web:/main/short")

    await conversation.write(work)
    last = await Views(conversation).session_in("web:/main/short")
    assert last is not None
    assert last.id == "s2"


async def test_dead_letters_hold_both_directions(conversation: Database) -> None:
    await conversation.write(lambda tx: hear(tx, "too much", "e5", state="dead", decision="the queue is full"))
    letters = await Views(conversation).dead_letters()
    assert {(letter.direction, letter.text, letter.reason) for letter in letters} == {
        ("in", "too much", "the queue is full"),
        ("out", "never", "no such room"),
    }
    assert sorted(letter.id[0] == "i" for letter in letters) == [False, True]


async def test_lists_of_deliveries_monitors_audit_and_cost(conversation: Database) -> None:
    def work(tx: sqlite3.Connection) -> None:
        insert(tx, "monitors", name="page", definition=MONITOR, source="config", anchor_at=US, changed_at=US)
        for minute, state in ((1, "done"), (2, "failed")):
            insert(
                tx,
                "firings",
                key=f"monitor:page:{minute}",
                monitor="page",
                scheduled_at=US + minute,
                state=state,
                holder="h",
                outcome="503: down",
                started_at=US,
            )
        insert(tx, "audit", at=US, actor="web:owner", action="kill", resource="x", detail="{}", previous="", hash="h")
        for agent, nano in (("assistant", 5), ("researcher", 7)):
            insert(
                tx, "spending", day="2026-11-21", agent=agent, account="a", model="m", calls=1, tokens=9, cost_nano=nano
            )

    await conversation.write(work)
    views = Views(conversation)
    assert [row.key for row in await views.deliveries()] == ["k3", "k2", "k1"]
    assert [row.key for row in await views.deliveries(state="open")] == ["k2"]
    assert [row.key for row in await views.deliveries(state="dead", session="s1")] == ["k3"]
    monitor = (await views.monitors(NOW + timedelta(minutes=7)))[0]
    assert (monitor.when, monitor.next_at) == ("every 5m", NOW + timedelta(minutes=10))
    assert (monitor.name, monitor.last_state, monitor.last_outcome) == ("page", "failed", "503: down")
    assert [row.action for row in await views.audit()] == ["kill"]
    assert [row.agent for row in await views.cost(since=date(2026, 11, 1))] == ["researcher", "assistant"]
    assert await views.cost(since=date(2026, 11, 22)) == []
    overview = await views.overview()
    assert (overview.running, overview.on_their_way, overview.dead_letters) == (1, 1, 1)
    with pytest.raises(ValueError, match="write all, open or dead"):
        await views.deliveries(state="lost")


async def test_the_outside_form_has_iso_times_and_no_own_types(conversation: Database) -> None:
    row = as_json((await Views(conversation).messages(PLACE))[1])
    assert row["at"] == "2026-11-21T09:00:00.000Z"
    assert row["buttons"][0] == {"id": "b1", "label": "Yes", "danger": False, "used": True}


async def test_a_second_process_can_look_and_not_write(conversation: Database) -> None:
    async with opened_for_reading(conversation.path.parent) as other:
        assert len(await Views(other).messages(PLACE)) == 2
        with pytest.raises(Exception, match="stopping"):
            await other.write(lambda tx: tx.execute("delete from inbox").rowcount)


def test_every_view_is_served_by_an_index() -> None:
    """No table is scanned whole, and nothing that grows with history is sorted."""
    connection = sqlite3.connect(":memory:")
    for script in sorted(files("storage").joinpath("migrations").iterdir(), key=lambda file: file.name):
        connection.executescript(script.read_text("utf-8"))
    may_sort = {
        "living_sessions",
        "session_tree",
        "deliveries_open",
        "deliveries_unknown",
        "spending",
    }  # bounded: limits, a tree, open ones, days
    for name, query in load("views").items():
        parameters = dict.fromkeys(re.findall(r":(\w+)", query), 1)
        plan = [row[3] for row in connection.execute(f"explain query plan {query}", parameters)]
        scans = [step for step in plan if re.match(r"SCAN \w", step) and " USING " not in step]
        assert [step for step in scans if step not in ("SCAN b", "SCAN d", "SCAN CONSTANT ROW")] == [], name
        if name not in may_sort:
            assert not [step for step in plan if "TEMP B-TREE" in step], name
    connection.close()


@pytest.mark.slow
async def test_a_page_of_a_timeline_costs_the_same_with_a_thousand_times_the_history(tmp_path: Path) -> None:
    """Counted in SQLite's own instructions, so that it does not depend on the machine."""

    async def instructions(folder: Path, others: int) -> int:
        async with opened(folder) as database:

            def fill(tx: sqlite3.Connection) -> None:
                add_session(tx, "s1")
                for number in range(others):
                    place = f"web:/main/t{number % 200}"
                    hear(tx, "x", f"e{number}", place)
                    say(tx, "y", f"k{number}", place)

            await database.write(fill)
            counted = 0

            def tick() -> int:
                nonlocal counted
                counted += 1
                return 0

            def look(tx: sqlite3.Connection) -> None:
                tx.set_progress_handler(tick, 10)
                for query in ("timeline_before", "open_in_place", "dead_in_place", "recent_places", "deliveries_open"):
                    parameters = {"place": "web:/main/t0", "before": 2**62, "limit": 10}
                    tx.execute(load("views")[query], parameters).fetchall()
                tx.set_progress_handler(None, 0)

            await database.read(look)
            return counted

    small = await instructions(tmp_path / "small", 2_000)
    large = await instructions(tmp_path / "large", 20_000)
    assert large <= small * 1.2
