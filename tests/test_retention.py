"""Retention and forgetting: only what may go goes, nobody is held up, and the audit log still verifies."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from channels.base import Account, ThreadRef
from storage.audit import AuditLog, append
from storage.database import Database, opened, to_us
from storage.forgetting import BLANK, NOBODY, StillLiving, forget
from storage.retention import BATCH, RetentionPolicy, retain

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
OLD, YOUNG = NOW - timedelta(days=40), NOW - timedelta(days=10)
MONTH = RetentionPolicy.of_days(30)
ADA, ADA_AT_HOME, BEN = Account("slack:T1/U1"), Account("telegram:42"), Account("slack:T1/U2")
ROOM, DIRECT = "slack:T1/C1", "telegram:42"
SECRET = "the plan of the vault"


@pytest.fixture
async def database(tmp_path):
    async with opened(tmp_path) as database:
        yield database


class Story:
    """Writes rows as the other parts of the store do."""

    def __init__(self, tx: sqlite3.Connection) -> None:
        self.tx = tx
        self.count = 0

    def insert(self, table: str, **values: Any) -> int:
        columns, marks = ", ".join(values), ", ".join(f":{name}" for name in values)
        return int(self.tx.execute(f"insert into {table} ({columns}) values ({marks})", values).lastrowid or 0)

    def message(self, at: datetime, account: str = BEN, place: str = ROOM, state: str = "routed", **rest: Any) -> int:
        self.count += 1
        given: dict[str, Any] = {
            "channel": place.partition(":")[0],
            "event_id": f"e{self.count}",
            "kind": "message",
            "place": place,
            "account": account,
            "sender_name": f"name of {account}",
            "is_bot": 0,
            "text": f"{SECRET} of {account}",
            "message_id": f"m{self.count}",
            "mentioned": 0,
            "direct": int(place == DIRECT),
            "sent_at": to_us(at),
            "received_at": to_us(at),
            "state": state,
            "decision": f"from {account}",
        }
        n = self.insert("inbox", **given | rest)
        self.insert("timeline", place=place, inbox=n, at=to_us(at))
        return n

    def delivery(self, at: datetime, place: str = ROOM, state: str = "sent", **rest: Any) -> int:
        self.count += 1
        given: dict[str, Any] = {
            "key": f"k{self.count}",
            "lane": place,
            "place": place,
            "text": SECRET,
            "state": state,
            "created_at": to_us(at),
            "sent_at": to_us(at) if state == "sent" else None,
        }
        n = self.insert("deliveries", **given | rest)
        self.insert("timeline", place=place, delivery=n, at=to_us(at))
        return n

    def session(self, id: str, owner: str = BEN, ended: datetime | None = None, home: str = ROOM) -> str:
        self.insert(
            "sessions",
            id=id,
            label=f"label-{id}",
            agent="helper",
            root=id,
            depth=0,
            mode="session",
            state="ended" if ended else "idle",
            ended="done" if ended else None,
            spawn_key=id,
            owner=owner,
            owner_name=f"name of {owner}",
            task=f"{SECRET} of {owner}",
            result=SECRET if ended else None,
            home=home,
            spent_nano=7,
            created_at=to_us(OLD),
            active_at=to_us(ended or NOW),
            ended_at=to_us(ended) if ended else None,
        )
        self.insert("turns", id=f"t-{id}", session=id, epoch=1, started_at=to_us(OLD))
        return id

    def mail(self, session: str, at: datetime, sender: str | None = BEN, state: str = "taken", **rest: Any) -> int:
        self.count += 1
        given: dict[str, Any] = {
            "key": f"k{self.count}",
            "session": session,
            "kind": "person" if sender else "notice",
            "text": f"{SECRET} of {sender}",
            "sender": sender,
            "sender_name": f"name of {sender}" if sender else "",
            "state": state,
            "created_at": to_us(at),
        }
        return self.insert("mail", **given | rest)

    def step(self, session: str, body: Mapping[str, Any], kind: str = "model") -> int:
        return self.insert(
            "steps",
            session=session,
            turn=f"t-{session}",
            kind=kind,
            body=json.dumps(body),
            cost_nano=7,
            started_at=to_us(OLD),
            ended_at=to_us(OLD),
        )

    def input(self, session: str, **mail: int) -> int:
        items = [{"n": n, "kind": "person", "text": SECRET, "name": f"name of {who}"} for who, n in mail.items()]
        return self.step(session, {"mail": items}, kind="input")

    def question(self, session: str, **rest: Any) -> None:
        self.count += 1
        given: dict[str, Any] = {
            "id": f"q{self.count}",
            "key": f"q{self.count}",
            "session": session,
            "turn": "t",
            "call": "c",
        }
        given |= {"kind": "question", "text": SECRET, "choices": "[]", "created_at": 0, "expires_at": 1, "places": "[]"}
        self.insert("questions", **given | rest | {"asked": json.dumps(rest.get("asked", []))})

    def value(self, scope: str, session: str, key: str = "k") -> None:
        given: dict[str, Any] = {"value": SECRET, "version": 1, "changed_by": session, "changed_at": 0}
        self.insert("shared_values", scope=scope, key=key, **given)

    def file(self, letter: str, at: datetime) -> str:
        digest = letter * 64
        self.insert("files", digest=digest, size_bytes=1, media_type="image/png", created_at=to_us(at))
        return json.dumps([{"name": "a", "media_type": "image/png", "size_bytes": 1, "source": f"sha256:{digest}"}])


async def told(database: Database, tell) -> None:
    await database.write(lambda tx: tell(Story(tx)))


async def rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    return await database.read(lambda tx: [tuple(row) for row in tx.execute(query).fetchall()])


async def everything(database: Database) -> str:
    """The whole content of the database in one text."""
    return await database.read(lambda tx: "\n".join(line for line in tx.iterdump() if "INSERT INTO" in line))


# --- retention


def month_of_work(story: Story) -> None:
    waited_for = []
    for at in (OLD, YOUNG):
        story.message(at)
        story.message(at, state="dead")
        story.message(at, state="new")
        waited_for.append(story.message(at))
        story.delivery(at)
        story.delivery(at, state="pending")
        story.delivery(at, state="dead")
        story.delivery(at, state="cancelled")
        ended = story.session(f"ended{at.day}", ended=at)
        story.mail(ended, at)
        story.step(ended, {"blocks": SECRET})
        story.question(ended)
        story.value(f"tree:{ended}", ended)
        story.value("everyone", ended, key=ended)
        story.insert(
            "firings",
            key=f"f{at.day}",
            monitor="m",
            scheduled_at=0,
            state="done",
            holder="h",
            started_at=0,
            ended_at=to_us(at),
        )
        story.insert("buttons", id=f"b{at.day}", action="{}", created_at=to_us(at), used_at=to_us(at))
    living = story.session("living")
    story.step(living, {"blocks": SECRET})
    story.mail(living, OLD)
    for message in waited_for:
        story.mail(living, OLD, state="waiting", inbox=message)


async def test_what_is_done_and_old_goes_and_all_else_stays(database):
    await told(database, month_of_work)
    log = AuditLog(database)
    before = await everything(database)
    planned = await retain(database, MONTH, NOW, dry_run=True)
    assert await everything(database) == before
    removed = await retain(database, MONTH, NOW)

    assert planned.rows == removed.rows
    assert removed.rows == {
        "inbox": 1,
        "deliveries": 2,
        "mail": 1,
        "steps": 1,
        "sessions emptied": 1,
        "shared values": 1,
        "firings": 1,
        "buttons": 1,
    }
    assert await rows(database, "select state, count(*) from inbox group by state order by state") == [
        ("dead", 2),
        ("new", 2),
        ("routed", 3),  # one young, and two for which mail waits
    ]
    assert await rows(database, "select state, count(*) from deliveries group by state order by state") == [
        ("cancelled", 1),
        ("dead", 2),
        ("pending", 2),
        ("sent", 1),
    ]
    assert await rows(database, "select id, task, result, spent_nano from sessions order by id") == [
        ("ended11", f"{SECRET} of {BEN}", SECRET, 7),
        ("ended12", "", None, 7),
        ("living", f"{SECRET} of {BEN}", None, 7),
    ]
    assert await rows(database, "select session, count(*) from steps group by session") == [
        ("ended11", 1),
        ("living", 1),
    ]
    assert await rows(database, "select session from questions") == [("ended11",)]
    assert await rows(database, "select scope, key from shared_values order by scope, key") == [
        ("everyone", "ended11"),
        ("everyone", "ended12"),
        ("tree:ended11", "k"),
    ]
    assert await rows(database, "select count(*) from timeline where inbox is null and delivery is null") == [(0,)]
    last = (await log.read())[-1]
    assert (last.action, last.detail) == ("retained", removed.rows)
    assert (await log.verify()).broken is None
    assert (await retain(database, MONTH, NOW)).rows == {}
    assert (await log.read())[-1] == last


async def test_without_a_policy_nothing_is_deleted(database):
    await told(database, month_of_work)
    before = await everything(database)
    assert (await retain(database, RetentionPolicy.of_days(None), NOW)).rows == {}
    assert await everything(database) == before


async def test_files_go_when_nothing_refers_to_them_any_more(database):
    def tell(story: Story) -> None:
        story.message(OLD, attachments=story.file("a", OLD))
        story.message(YOUNG, attachments=story.file("b", OLD))
        story.delivery(OLD, state="pending", body=json.dumps({"attachments": story.file("c", OLD)}))
        living = story.session("living")
        story.step(living, {"mail": [{"n": 1, "attachments": story.file("d", OLD)}]}, kind="input")
        story.mail(living, OLD, attachments=story.file("e", OLD))
        story.file("f", OLD)
        story.file("0", YOUNG)

    await told(database, tell)
    assert (await retain(database, MONTH, NOW, dry_run=True)).files == ("f" * 64,)
    assert (await retain(database, MONTH, NOW)).files == ("a" * 64, "f" * 64)
    assert await rows(database, "select substr(digest, 1, 1) from files order by 1") == [
        ("0",),
        ("b",),
        ("c",),
        ("d",),
        ("e",),
    ]


async def test_places_where_nothing_is_left_go_too(database):
    def tell(story: Story) -> None:
        story.message(OLD, place="slack:T1/C8")
        story.message(OLD, place="slack:T1/C9")
        story.message(YOUNG, place="slack:T1/C9")

    await told(database, tell)
    removed = await retain(database, MONTH, NOW)
    assert removed.rows == {"inbox": 2, "places": 1}
    assert await rows(database, "select place from places") == [("slack:T1/C9",)]


@pytest.mark.requirement("P8")
async def test_much_is_deleted_in_small_writes_between_which_others_get_their_turn(database):
    def tell(story: Story) -> None:
        for _ in range(BATCH * 6):
            story.message(OLD)
            story.delivery(OLD)

    await told(database, tell)
    commits = database.commits
    waits: list[float] = []
    done = asyncio.Event()

    async def others() -> None:
        clock = asyncio.get_running_loop().time
        while not done.is_set():
            began = clock()
            await database.write(
                lambda tx: tx.execute("insert into cursors values ('c', ?, '')", (len(waits),)).rowcount
            )
            waits.append(clock() - began)

    task = asyncio.create_task(others())
    removed = await retain(database, MONTH, NOW)
    done.set()
    await task
    assert removed.rows["inbox"] == removed.rows["deliveries"] == BATCH * 6
    assert database.commits - commits >= 12
    assert len(waits) > 12
    assert max(waits) < 1.0


async def test_a_clock_that_was_set_back_keeps_a_row_for_later_and_deletes_no_young_one(database):
    def tell(story: Story) -> None:
        for at in (OLD, NOW + timedelta(days=400), OLD, YOUNG, OLD, YOUNG):
            story.message(at)

    await told(database, tell)
    await retain(database, MONTH, NOW)
    kept = await rows(database, f"select count(*) from inbox where received_at >= {to_us(NOW - timedelta(days=30))}")
    assert kept == [(3,)]


def test_less_than_two_days_is_refused_with_the_reason():
    with pytest.raises(ValueError, match="recognised"):
        RetentionPolicy.of_days(1)


# --- forgetting


def ada_and_ben(story: Story) -> None:
    own = story.session("own", owner=ADA, ended=YOUNG, home=DIRECT)
    shared = story.session("shared", owner=BEN)
    story.session("fork", owner=BEN)
    asked = story.message(YOUNG, account=ADA, attachments=story.file("a", YOUNG))
    story.message(YOUNG, account=ADA_AT_HOME, place=DIRECT, state="new")
    story.message(YOUNG, account=BEN, attachments=story.file("b", YOUNG))
    story.delivery(YOUNG, key="reply:slack/e1", text=f"you are {ADA}")
    story.delivery(YOUNG, place=DIRECT, text=f"you are {ADA}")
    story.delivery(YOUNG, place=DIRECT, state="pending", session=own, body=json.dumps({"title": f"for {ADA}"}))
    story.delivery(YOUNG, session=own, text=f"dear {ADA}")
    story.delivery(YOUNG, session=shared)
    hers = story.mail(shared, YOUNG, sender=ADA, inbox=asked)
    bens = story.mail(shared, YOUNG, sender=BEN)
    story.mail(own, YOUNG, sender=ADA)
    story.mail(own, YOUNG, sender=None)
    story.input(shared, ada=hers, ben=bens)
    story.input("fork", ada=hers)
    story.input(shared, ben=bens)
    for _ in range(3):
        story.step(own, {"blocks": f"dear {ADA}"})
    story.step(shared, {"blocks": SECRET})
    for account in (ADA, ADA_AT_HOME, BEN):
        story.insert(
            "spending", day="2026-11-20", agent="helper", account=account, model="m", calls=1, tokens=10, cost_nano=5
        )
        story.insert(
            "pairings",
            code=f"code {account}",
            account=account,
            name="name",
            purpose="pair",
            created_at=0,
            expires_at=1,
        )
        story.insert("pairing_failures", account=account, at=0)
    for session in (own, shared):
        story.question(session, asked=[ADA, BEN], answer=f"I am {ADA}", answered_by=ADA, answered_name="name of ada")
        story.value(f"tree:{session}", session)
        story.value("everyone", session, key=session)
        story.insert("grants", session=session, tool="t", question="q", granted_by=BEN, granted_at=0)
    story.insert("accounts", account=ADA_AT_HOME, person=ADA, linked_at=0, linked_by=ADA)
    story.insert("accounts", account=BEN, person=BEN, role="user", linked_at=0, linked_by=ADA)
    story.insert("buttons", id="b1", action=ADA, session=own, created_at=0)
    story.insert("buttons", id="b2", action="{}", session=shared, created_at=0, used_by=ADA)
    for name, owner in (("hers", ADA), ("his", BEN)):
        definition = json.dumps({"owner": owner})
        story.insert("monitors", name=name, definition=definition, source="chat", anchor_at=0, changed_at=0)
    for n in range(5):
        append(story.tx, at=YOUNG, actor=ADA, action="spawn", resource="helper", session=own, detail={"n": n})


async def test_nothing_of_a_forgotten_person_is_left_but_counts_and_the_audit_log(database):
    await told(database, ada_and_ben)
    log = AuditLog(database)
    noted = await log.head()
    (database.path.parent / "backups").mkdir()
    (database.path.parent / "backups" / "before-0002.db").write_bytes(b"")
    report = await forget(database, [ADA, ADA_AT_HOME], by=BEN, now=NOW)

    left = "\n".join(line for line in (await everything(database)).splitlines() if 'INTO "audit"' not in line)
    without_monitors = left.replace(json.dumps({"owner": ADA}), "")
    for trace in (ADA, ADA_AT_HOME, "name of ada"):
        assert trace not in without_monitors, trace
    assert report.monitors == ("hers",)
    assert report.quoted_in == ("fork", "shared")
    assert report.backups == ("before-0002.db",)
    assert report.removed.files == ("a" * 64,)
    assert report.removed.rows == {
        "messages": 2,
        "mail": 3,
        "steps": 5,
        "deliveries": 3,
        "sessions": 1,
        "shared values": 2,
        "accounts": 1,
        "pairings": 2,
        "spending": 2,
        "files": 1,
    }
    row = (await log.read())[-1]
    assert row.action == "forgotten"
    assert ADA not in json.dumps(dict(row.detail))
    assert (await log.verify(noted)).broken is None


async def test_what_belongs_to_others_stays_as_it_was(database):
    await told(database, ada_and_ben)
    await forget(database, [ADA, ADA_AT_HOME], by=BEN, now=NOW)
    assert await rows(database, f"select text from inbox where account = '{BEN}'") == [(f"{SECRET} of {BEN}",)]
    assert await rows(database, "select text from deliveries where session = 'shared'") == [(SECRET,)]
    bodies = [json.loads(body) for (body,) in await rows(database, "select body from steps order by n")]
    assert [[item["text"] for item in body["mail"]] for body in bodies if "mail" in body] == [
        [BLANK, SECRET],
        [BLANK],
        [SECRET],
    ]
    assert bodies[-1] == {"blocks": SECRET}
    assert await rows(database, f"select role, linked_by from accounts where account = '{BEN}'") == [("user", NOBODY)]
    assert await rows(database, "select account, calls, tokens, cost_nano from spending order by account") == [
        (NOBODY, 2, 20, 10),
        (BEN, 1, 10, 5),
    ]
    assert await rows(database, "select spent_nano, state from sessions where id = 'own'") == [(7, "ended")]


async def test_what_stays_can_still_be_read(database):
    await told(database, ada_and_ben)
    await forget(database, [ADA, ADA_AT_HOME], by=BEN, now=NOW)
    for (place,) in await rows(
        database, "select place from inbox union select place from deliveries union select lane from deliveries"
    ):
        assert ThreadRef.parse(place).key == place
    assert await rows(database, "select state from inbox where state = 'new'") == []
    assert await rows(database, "select state from deliveries where state = 'pending'") == []
    assert await rows(database, f"select count(*) from timeline where place = '{DIRECT}'") == [(0,)]
    assert await rows(database, "select count(*) from inbox where event_id in ('e1', 'e2')") == [(2,)]


async def test_a_dry_run_tells_the_same_and_changes_nothing(database):
    await told(database, ada_and_ben)
    before = await everything(database)
    planned = await forget(database, [ADA, ADA_AT_HOME], by=BEN, now=NOW, dry_run=True)
    assert await everything(database) == before
    done = await forget(database, [ADA, ADA_AT_HOME], by=BEN, now=NOW)
    assert planned.removed.dry_run
    assert {**planned.removed.rows, "files": 1} == done.removed.rows
    assert planned.quoted_in == done.quoted_in
    again = await forget(database, [ADA, ADA_AT_HOME], by=BEN, now=NOW)
    assert again.removed.rows == {}


async def test_a_person_with_living_sessions_is_not_forgotten_before_they_end(database):
    await told(database, ada_and_ben)
    before = await everything(database)
    with pytest.raises(StillLiving, match="label-fork, label-shared"):
        await forget(database, [BEN], by=ADA, now=NOW)
    assert await everything(database) == before
    assert (await forget(database, [BEN], by=ADA, now=NOW, dry_run=True)).living == ("label-fork", "label-shared")


async def test_forgotten_text_is_not_left_in_the_file(database):
    marker = "a sentence that nobody may find again"
    await told(database, lambda story: [story.message(YOUNG, account=ADA, text=f"{marker} {n}") for n in range(300)])
    await forget(database, [ADA], by=BEN, now=NOW)

    def copy(tx: sqlite3.Connection) -> bytes:
        return tx.serialize()

    assert marker.encode() not in await database.read(copy)
