"""The outbox's rows: written inside others' transactions, found without looking at what was said before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from channels.base import Attachment, Button, ChannelName, DeliveryKey, OpenThread, Outbound, Receipt, ThreadRef
from channels.delivery import Delivery, DeliveryState, NotYet
from storage import outbox as functions
from storage.database import Database, opened
from storage.outbox import SQL, SqliteOutbox
from tests.stored import add_session

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HERE = ThreadRef(channel=ChannelName("slack"), space="T1", room="C1", thread="1700000000.000100")


def out(key: str, **more: Any) -> Outbound:
    return Outbound(**{"key": DeliveryKey(key), "to": HERE, "text": key, **more})


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with opened(tmp_path) as database:
        yield database


@pytest.fixture
def outbox(database: Database) -> SqliteOutbox:
    return SqliteOutbox(database)


async def head(outbox: SqliteOutbox, now: datetime = NOW) -> Delivery:
    found = await outbox.head(HERE.key, now)
    assert isinstance(found, Delivery)
    return found


def receipt(*ids: str) -> Receipt:
    return Receipt(message_ids=ids, sent_at=NOW)


async def test_everything_about_a_message_comes_back(outbox: SqliteOutbox) -> None:
    message = out(
        "k",
        text="Hällo\n\n| a | b |",
        attachments=(Attachment(name="a.txt", media_type="text/plain", size_bytes=3, source="sha256:" + "0" * 64),),
        buttons=(Button(id="yes", label="Yes"), Button(id="no", label="No", danger=True)),
        reply_to="m1",
        answer_with="token",
        control=True,
        private=True,
    )
    await outbox.put(message, session="s1", now=NOW)
    found = await head(outbox)
    assert (found.message, found.session, found.state, found.opening) == (message, "s1", DeliveryState.PENDING, None)
    first, last = replace(message, key=DeliveryKey("k#0"), buttons=(), attachments=()), replace(message, text="rest")
    assert await outbox.take(found, [first, last], NOW) is not None
    again = await head(outbox)
    assert (again.parts, again.state, again.sending_at) == ((first, last), DeliveryState.SENDING, NOW)


async def test_a_transaction_that_fails_leaves_no_message(outbox: SqliteOutbox, database: Database) -> None:
    def work(tx: Any) -> None:
        functions.enqueue(tx, out("k"), now=NOW)
        raise ValueError("the step is refused")

    with pytest.raises(ValueError, match="refused"):
        await database.write(work)
    assert await outbox.head(HERE.key, NOW) is None


async def test_a_thread_to_be_opened_goes_before_what_is_said_in_it(outbox: SqliteOutbox, database: Database) -> None:
    placeholder = replace(HERE, thread="+s1")
    opening = OpenThread(key=DeliveryKey("open"), room=HERE.in_room, title="T", first_text="Hello", anchor="m1")
    await database.write(lambda tx: add_session(tx, "s1", home=placeholder.key))
    await database.write(lambda tx: functions.enqueue_opening(tx, opening, placeholder, session="s1", now=NOW))
    await outbox.put(out("k", to=placeholder), session="s1", now=NOW)
    found = await outbox.head(placeholder.key, NOW)
    assert isinstance(found, Delivery)
    assert found.opening == opening
    assert await outbox.lanes() == [placeholder.key]


async def test_a_lane_says_when_it_goes_on(outbox: SqliteOutbox) -> None:
    await outbox.put(out("k"), now=NOW)
    await outbox.put(out("reply", control=True), now=NOW)
    later = NOW + timedelta(minutes=5)
    for _ in range(2):
        await outbox.later(await head(outbox), later, "busy")
    assert await outbox.head(HERE.key, NOW) == NotYet(until=later)
    assert (await head(outbox, later)).message.key == "reply"


async def test_what_was_moved_or_cancelled_meanwhile_is_not_taken(outbox: SqliteOutbox, database: Database) -> None:
    await database.write(lambda tx: add_session(tx, "s1"))
    await outbox.put(out("k"), session="s1", now=NOW)
    found = await head(outbox)
    assert await database.write(lambda tx: functions.cancel_for(tx, ["s1"])) == [HERE.key]
    assert await outbox.take(found, [found.message], NOW) is None
    assert await database.write(lambda tx: functions.cancel_for(tx, ["s1", "s2"])) == []


async def test_a_receipt_brings_the_next_message_along(outbox: SqliteOutbox) -> None:
    for key in ("a", "b"):
        await outbox.put(out(key), now=NOW)
    taken = await outbox.take(await head(outbox), [out("a")], NOW)
    assert taken is not None
    said = await outbox.said(taken, receipt("m1"), NOW)
    assert (said.delivery.state, said.delivery.message_ids) == (DeliveryState.SENT, ("m1",))
    assert isinstance(said.head, Delivery)
    assert said.head.message.key == "b"
    assert await outbox.pending_count() == 1


async def test_a_room_that_moves_takes_everything_along(outbox: SqliteOutbox, database: Database) -> None:
    group = ThreadRef(channel=ChannelName("telegram"), room="-42")
    topic = replace(group, thread="7")
    await database.write(lambda tx: add_session(tx, "s1", home=topic.key, answer_to=topic.key))
    await database.write(lambda tx: tx.execute("insert into bindings values (?, 's1', 0)", (topic.key,)).rowcount)
    await outbox.put(out("k", to=topic), session="s1", now=NOW)
    await outbox.put(out("report", to=replace(group, thread="9")), now=NOW)  # of no session
    neighbour = replace(group, room="-421")
    await outbox.put(out("n", to=neighbour), now=NOW)
    await database.write(
        lambda tx: tx.execute("insert into timeline (place, delivery, at) values (?, 1, 0)", (topic.key,)).rowcount
    )
    moved, report = replace(topic, room="-1001").key, replace(topic, room="-1001", thread="9").key
    assert sorted(await outbox.move_room(group, "-1001")) == [moved, report]
    assert await outbox.move_room(group, "-1001") == []
    assert sorted(await outbox.lanes()) == sorted([moved, report, neighbour.key])
    await outbox.put(out("late", to=topic), session="s1", now=NOW)  # of a turn that began before
    late = await database.read(lambda tx: tx.execute("select lane from deliveries where key = 'late'").fetchone())
    assert late["lane"] == moved
    assert await database.read(lambda tx: [row[0] for row in tx.execute("select place from places")]) == [moved]
    [session] = await database.read(lambda tx: tx.execute("select home, answer_to from sessions").fetchall())
    [bound] = await database.read(lambda tx: tx.execute("select place from bindings").fetchall())
    assert (*session, *bound) == (moved, moved, moved)
    newest = replace(group, room="-1002")
    await outbox.move_room(replace(group, room="-1001"), "-1002")
    assert await outbox.moved_rooms() == {group: newest, replace(group, room="-1001"): newest}
    await outbox.move_room(newest, "-42")
    assert group not in await outbox.moved_rooms(), "what moved back is no old name any more"


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("head", {"lane": HERE.key, "control": 0}),
        ("lanes", {}),
        ("pending_count", {}),
        ("behind", {"lane": HERE.key, "sessions": "[]"}),
        ("begun_followers", {"old": HERE.key, "session": "s1", "n": 1}),
        ("follow", {"old": HERE.key, "place": "x", "tried": "[]", "session": "s1", "n": 1}),
        ("readdress_deliveries", {"old": HERE.key, "place": "x"}),
        ("in_doubt_again", {"channel": "slack", "since": 0}),
    ],
)
async def test_what_is_open_is_found_without_looking_at_what_was_said(
    database: Database, query: str, values: dict[str, object]
) -> None:
    plan = await database.read(lambda tx: tx.execute(f"explain query plan {SQL[query]}", values).fetchall())
    steps = [row["detail"] for row in plan if "deliveries" in row["detail"] or " d " in f"{row['detail']} "]
    assert steps
    assert all("USING" in step and "deliveries_lane" in step for step in steps), steps


async def test_waiting_mail_of_a_session_is_readdressed_by_its_index(database: Database) -> None:
    values = {"place": "x", "old": "y", "session": "s1"}
    plan = await database.read(
        lambda tx: tx.execute(f"explain query plan {SQL['readdress_waiting_mail']}", values).fetchall()
    )
    assert "mail_waiting" in plan[0]["detail"]
