"""People: rights hang on account ids, never on names; codes let accounts in and cannot be guessed or reused."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.access import Role
from bot.people.directory import NAME_CHARACTERS, Directory, shown_name
from bot.people.pairing import ALPHABET, LIFE, LIMITS, PairingDesk, code_in, new_code, shown
from channels.base import Account, ChannelName, EventId, Inbound, Kind, Sender, ThreadRef
from storage.audit import AuditLog
from storage.database import Database, opened
from storage.inbox import Stored
from storage.people import Link, People

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
ADA, ADA_AT_HOME, BEN = Account("slack:T1/U1"), Account("telegram:42"), Account("slack:T1/U2")
STRANGER, SECOND = Account("discord:99"), Account("telegram:7")
PLACE = ThreadRef(channel=ChannelName("discord"), room="5")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    name: str
    accounts: tuple[Account, ...]
    role: Role
    reach: tuple[tuple[ChannelName, Account], ...] = ()


ADA_LISTED = Listed(name="ada", accounts=(ADA, ADA_AT_HOME), role=Role.OWNER)
BEN_LISTED = Listed(name="ben", accounts=(BEN,), role=Role.OPERATOR)


@dataclass(frozen=True, slots=True)
class Stay:
    """Links that stand in no database."""

    found: tuple[Link, ...] = ()

    async def links(self):
        return self.found


async def directory_of(*people: Listed, links: tuple[Link, ...] = (), **rest) -> Directory:
    directory = Directory(Stay(links))
    directory.configure(people, **rest)
    await directory.refresh()
    return directory


def link(account: Account, person: str, role: str | None = None) -> Link:
    return Link(account=account, person=person, role=role)


# --- the directory


async def test_all_accounts_of_a_person_are_the_same_principal():
    directory = await directory_of(ADA_LISTED, BEN_LISTED)
    who = directory.principal(ADA_AT_HOME, "Ada L.")
    assert (who.person, who.role, who.accounts) == ("ada", Role.OWNER, frozenset({ADA, ADA_AT_HOME}))
    assert directory.principal(BEN, "").person == "ben"


@pytest.mark.requirement("P9")
@pytest.mark.parametrize("name", ["ada", "Ada", "slack:T1/U1", "owner", "ada\u202e", "a\u200bda", "аda", ""])
async def test_a_stranger_gains_nothing_by_any_display_name(name):
    directory = await directory_of(ADA_LISTED)
    who = directory.principal(STRANGER, name)
    assert (who.person, who.role, who.accounts) == (None, Role.NONE, frozenset({STRANGER}))
    assert directory.principal(STRANGER, "").person is None


async def test_somebody_unlisted_has_the_default_role():
    directory = await directory_of(ADA_LISTED, default_role=Role.GUEST)
    assert directory.principal(STRANGER, "x").role is Role.GUEST


async def test_whoever_holds_the_token_is_the_owner_on_the_page_and_nowhere_else():
    directory = await directory_of(token_channels=frozenset({ChannelName("web")}))
    assert directory.principal(Account("web:main"), "me").role is Role.OWNER
    assert directory.principal(Account("webhook:main"), "me").role is Role.NONE


async def test_nobody_passes_for_another_by_the_name_that_he_gives_himself():
    let_in = (link(STRANGER, STRANGER, "user"),)
    directory = await directory_of(ADA_LISTED, links=let_in, token_channels=frozenset({ChannelName("web")}))
    assert directory.principal(ADA, "Countess").byline == "ada"
    for name in ("ada", "the owner"):
        assert directory.principal(STRANGER, name).byline == f"{name} ({STRANGER})"
        assert directory.principal(SECOND, name).byline == f"{name} ({SECOND})"
    assert directory.principal(Account("web:owner"), "You").byline == "the owner", "whom people elsewhere read of"


async def test_an_account_that_was_linked_from_the_page_is_the_owners():
    links = (link(ADA_AT_HOME, "web:main"), link(STRANGER, "slack:T1/U7"))
    directory = await directory_of(links=links, token_channels=frozenset({ChannelName("web")}))
    assert directory.principal(ADA_AT_HOME, "me").role is Role.OWNER
    assert directory.principal(ADA_AT_HOME, "me").accounts == {ADA_AT_HOME, Account("web:main")}
    assert directory.principal(STRANGER, "me").role is Role.NONE


async def test_accounts_that_were_let_in_or_linked_are_known_and_the_configuration_wins():
    directory = await directory_of(
        ADA_LISTED,
        BEN_LISTED,
        links=(
            link(STRANGER, STRANGER, "user"),
            link(SECOND, STRANGER),
            link(BEN, "ada"),  # ben is listed by himself
            link(Account("slack:T1/U9"), "ada"),
            link(Account("slack:T1/U8"), "eve"),  # was removed from the configuration
        ),
    )
    assert directory.principal(SECOND, "x").role is Role.USER
    assert directory.principal(SECOND, "x").accounts == {STRANGER, SECOND}
    assert directory.principal(BEN, "").person == "ben"
    assert directory.principal(Account("slack:T1/U9"), "x").role is Role.OWNER
    assert directory.principal(Account("slack:T1/U8"), "x").role is Role.NONE


async def test_an_account_let_in_and_later_listed_has_only_the_listed_role():
    guest = Listed(name="gus", accounts=(STRANGER,), role=Role.GUEST)
    directory = await directory_of(guest, links=(link(STRANGER, STRANGER, "operator"), link(SECOND, STRANGER)))
    assert directory.principal(STRANGER, "x").role is Role.GUEST
    assert directory.principal(SECOND, "x").role is Role.NONE


async def test_one_who_linked_accounts_with_the_default_role_keeps_both_together():
    directory = await directory_of(links=(link(SECOND, STRANGER),), default_role=Role.USER)
    assert directory.principal(STRANGER, "x").accounts == {STRANGER, SECOND}
    assert directory.principal(SECOND, "x").role is Role.USER


async def test_a_person_is_reached_in_the_configured_order_or_else_where_she_asked_first():
    order = ((ChannelName("telegram"), ADA_AT_HOME), (ChannelName("slack"), ADA))
    listed = Listed(name="ada", accounts=(ADA, ADA_AT_HOME), role=Role.OWNER, reach=order)
    assert (await directory_of(listed)).reach_of(ADA) == order
    without = await directory_of(ADA_LISTED, BEN_LISTED)
    assert [account for _, account in without.reach_of(ADA_AT_HOME)] == [ADA_AT_HOME, ADA]
    assert without.reach_of(STRANGER) == ((ChannelName("discord"), STRANGER),)
    assert without.reach_of_role(Role.OPERATOR) == (
        ((ChannelName("slack"), ADA), (ChannelName("telegram"), ADA_AT_HOME)),
        ((ChannelName("slack"), BEN),),
    )


async def test_a_broken_configuration_is_refused_and_the_old_picture_stays():
    directory = await directory_of(ADA_LISTED)
    twice = Listed(name="eve", accounts=(ADA,), role=Role.GUEST)
    with pytest.raises(ValueError, match="belongs to ada and to eve"):
        directory.configure([ADA_LISTED, twice])
    with pytest.raises(ValueError, match="colon"):
        directory.configure([Listed(name=STRANGER, accounts=(BEN,), role=Role.OWNER)])
    assert directory.principal(ADA, "x").role is Role.OWNER
    directory.configure([])
    assert directory.principal(ADA, "x").role is Role.NONE


@given(st.text(max_size=200))
def test_a_shown_name_is_one_short_line_without_anything_invisible(name):
    shown_as = shown_name(name, STRANGER)
    assert 0 < len(shown_as) <= NAME_CHARACTERS
    assert shown_as.isprintable()


# --- pairing and linking


@pytest.fixture
async def database(tmp_path):
    async with opened(tmp_path) as database:
        yield database


class Office:
    """A desk over a real database, with people to ask it."""

    def __init__(self, database: Database) -> None:
        store = People(database, LIMITS)
        self.directory = Directory(store)
        self.directory.configure([ADA_LISTED, BEN_LISTED])
        self.desk = PairingDesk(store, self.directory)
        self.log = AuditLog(database)

    def who(self, account: Account):
        return self.directory.principal(account, "Somebody")

    async def greet(self, account: Account = STRANGER, now: datetime = NOW, name: str = "Eve") -> str | None:
        event = Inbound(
            id=EventId("e1"),
            kind=Kind.MESSAGE,
            where=PLACE,
            sender=Sender(account=account, name=name),
            text="hello",
            sent_at=now,
        )
        return await self.desk.greeting(Stored(n=1, event=event), "I do not know you.", now)

    async def code(self, account: Account = STRANGER, now: datetime = NOW) -> str:
        return in_text(await self.greet(account, now))

    async def link_code(self, account: Account = ADA, now: datetime = NOW) -> str:
        answer = await self.desk.offer_link(self.who(account), PLACE, private=True, now=now)
        assert answer.done
        return in_text(answer.text)


def in_text(text: str | None) -> str:
    found = re.search(rf"[{ALPHABET}]{{4}}-[{ALPHABET}]{{4}}", text or "")
    assert found is not None
    return found.group()


@pytest.fixture
def office(database) -> Office:
    return Office(database)


async def test_a_stranger_is_let_in_by_the_code_that_he_shows_to_an_operator(office):
    code = await office.code()
    assert [request.account for request in await office.desk.pending(NOW)] == [STRANGER]
    answer = await office.desk.approve(f" {code.lower()} ", office.who(BEN), Role.USER, NOW)
    assert answer.done
    assert (answer.account, answer.place) == (STRANGER, PLACE)
    who = office.who(STRANGER)
    assert (who.role, who.person, who.accounts) == (Role.USER, STRANGER, frozenset({STRANGER}))
    assert await office.desk.pending(NOW) == []
    again = await office.desk.approve(code, office.who(BEN), Role.USER, NOW)
    assert not again.done


@pytest.mark.requirement("P8")
async def test_a_stranger_is_answered_once_an_hour(office):
    assert await office.greet() is not None
    assert await office.greet(now=NOW + timedelta(minutes=59)) is None
    assert await office.greet(now=NOW + timedelta(minutes=61)) is not None


async def test_one_who_was_denied_is_not_answered_for_a_day(office):
    code = await office.code()
    denied = await office.desk.deny(code, office.who(BEN), NOW)
    assert denied.done
    assert not (await office.desk.approve(code, office.who(BEN), Role.USER, NOW)).done
    assert await office.greet(now=NOW + timedelta(hours=23)) is None
    assert await office.greet(now=NOW + timedelta(hours=25)) is not None


@pytest.mark.requirement("P9")
async def test_nobody_below_an_operator_lets_anybody_in_nor_gives_a_role_like_his_own(office):
    code = await office.code()
    for account, role in ((STRANGER, Role.USER), (SECOND, Role.USER), (BEN, Role.OPERATOR), (BEN, Role.OWNER)):
        assert not (await office.desk.approve(code, office.who(account), role, NOW)).done
    assert office.who(STRANGER).role is Role.NONE
    assert (await office.desk.approve(code, office.who(ADA), Role.OPERATOR, NOW)).done


async def test_a_code_ends_after_an_hour(office):
    code = await office.code()
    late = await office.desk.approve(code, office.who(BEN), Role.USER, NOW + LIFE)
    assert not late.done
    assert await office.desk.pending(NOW + LIFE) == []


@pytest.mark.requirement("P8")
async def test_at_most_a_hundred_strangers_wait_and_the_next_gets_no_code(office):
    for number in range(100):
        assert await office.greet(Account(f"discord:{number}")) is not None
    assert await office.greet(Account("discord:100")) is None
    assert len(await office.desk.pending(NOW)) == 100
    assert await office.link_code()  # people who are known are not held up
    assert await office.greet(Account("discord:100"), NOW + timedelta(hours=1)) is not None


async def test_at_most_three_codes_wait_for_one_account_also_when_asked_for_at_once(office):
    offers = await asyncio.gather(
        *(office.desk.offer_link(office.who(ADA), PLACE, private=True, now=NOW) for _ in range(8))
    )
    assert sum(offer.done for offer in offers) == 3


async def test_a_second_account_is_linked_by_a_code_made_on_the_first(office):
    code = await office.link_code(ADA)
    answer = await office.desk.link(code, office.who(STRANGER), NOW)
    assert answer.done
    assert office.who(STRANGER).role is Role.OWNER
    assert office.who(STRANGER).accounts == {ADA, ADA_AT_HOME, STRANGER}
    assert not (await office.desk.link(code, office.who(SECOND), NOW)).done
    assert office.who(SECOND).role is Role.NONE


async def test_linking_an_account_that_was_let_in_takes_its_own_links_along(office):
    await office.desk.approve(await office.code(STRANGER), office.who(ADA), Role.OPERATOR, NOW)
    await office.desk.link(await office.link_code(STRANGER), office.who(SECOND), NOW)
    assert office.who(SECOND).role is Role.OPERATOR
    await office.desk.link(await office.link_code(BEN), office.who(STRANGER), NOW)
    assert office.who(SECOND).person == office.who(STRANGER).person == "ben"


async def test_a_link_code_entered_by_its_maker_or_his_other_account_changes_nothing(office):
    await office.desk.approve(await office.code(STRANGER), office.who(ADA), Role.OPERATOR, NOW)
    own = await office.link_code(STRANGER)
    assert not (await office.desk.link(own, office.who(STRANGER), NOW)).done
    assert (await office.desk.link(own, office.who(SECOND), NOW)).done
    back = await office.link_code(SECOND)
    assert not (await office.desk.link(back, office.who(STRANGER), NOW)).done
    assert office.who(STRANGER).role is Role.OPERATOR


@pytest.mark.requirement("P9")
async def test_the_two_kinds_of_code_do_not_work_in_place_of_each_other(office):
    pairing, linking = await office.code(), await office.link_code(BEN)
    assert not (await office.desk.link(pairing, office.who(SECOND), NOW)).done
    assert not (await office.desk.approve(linking, office.who(ADA), Role.USER, NOW)).done
    assert (office.who(SECOND).role, office.who(STRANGER).role) == (Role.NONE, Role.NONE)


async def test_a_link_code_is_not_told_in_public_nor_to_a_stranger(office):
    for account, private in ((ADA, False), (STRANGER, True)):
        answer = await office.desk.offer_link(office.who(account), PLACE, private=private, now=NOW)
        assert not answer.done
        assert code_in(answer.text) is None


async def test_a_listed_account_cannot_be_linked_away(office):
    answer = await office.desk.link(await office.link_code(ADA), office.who(BEN), NOW)
    assert not answer.done
    assert office.directory.principal(BEN, "").person == "ben"


@pytest.mark.requirement("P9")
async def test_the_owner_on_the_page_cannot_be_talked_into_sharing_what_is_his(office):
    office.directory.configure([BEN_LISTED], token_channels=frozenset({ChannelName("web")}))
    page = Account("web:main")
    answer = await office.desk.link(await office.link_code(BEN), office.who(page), NOW)
    assert not answer.done
    assert office.who(BEN).accounts == {BEN}
    linked = await office.desk.link(await office.link_code(page), office.who(STRANGER), NOW)
    assert linked.done
    assert office.who(STRANGER).role is Role.OWNER


@pytest.mark.requirement("P8")
async def test_after_five_wrong_codes_not_even_the_right_one_is_looked_at_for_an_hour(office):
    right = await office.link_code(ADA)
    texts = [(await office.desk.link(new_code(), office.who(STRANGER), NOW)).text for _ in range(5)]
    assert "4 more tries" in texts[0]
    assert "no more tries" in texts[4]
    locked = await office.desk.link(right, office.who(STRANGER), NOW + timedelta(minutes=59))
    assert not locked.done
    assert "10:00 UTC" in locked.text
    assert (await office.desk.link(right, office.who(SECOND), NOW + timedelta(minutes=59))).done
    fresh = await office.link_code(ADA, NOW + timedelta(minutes=61))
    assert (await office.desk.link(fresh, office.who(STRANGER), NOW + timedelta(minutes=61))).done


async def test_wrong_codes_that_come_all_at_once_are_counted_one_by_one(office):
    answers = await asyncio.gather(*(office.desk.link(new_code(), office.who(STRANGER), NOW) for _ in range(20)))
    assert sum("No request waits" in answer.text for answer in answers) == 5


@pytest.mark.requirement("P10")
async def test_all_of_it_is_in_the_audit_log_and_no_code_is(office):
    code, linking = await office.code(), await office.link_code(ADA)
    await office.desk.approve(code, office.who(BEN), Role.USER, NOW)
    await office.desk.link(new_code(), office.who(SECOND), NOW)
    await office.desk.link(linking, office.who(SECOND), NOW)
    rows = await office.log.read()
    assert [(row.actor, row.action, row.resource) for row in rows] == [
        (STRANGER, "pairing_asked", f"account:{STRANGER}"),
        (ADA, "link_asked", f"account:{ADA}"),
        (BEN, "pairing_approved", f"account:{STRANGER}"),
        (SECOND, "wrong_code", f"account:{SECOND}"),
        (SECOND, "account_linked", "person:ada"),
    ]
    assert rows[2].detail == {"role": "user"}
    everything = repr(rows)
    assert code.replace("-", "") not in everything
    assert linking.replace("-", "") not in everything
    assert (await office.log.verify()).broken is None


async def test_links_can_be_taken_away(office, database):
    await office.desk.approve(await office.code(), office.who(ADA), Role.USER, NOW)
    store = People(database, LIMITS)
    assert await store.unlink(STRANGER, ADA, NOW)
    assert not await store.unlink(STRANGER, ADA, NOW)
    await office.directory.refresh()
    assert office.who(STRANGER).role is Role.NONE


async def test_a_hostile_name_is_cleaned_before_an_operator_reads_it(office):
    greeting = await office.greet(name="ada\u202e\n\n/approve" + "x" * 500)
    answer = await office.desk.approve(in_text(greeting), office.who(BEN), Role.GUEST, NOW)
    assert "\u202e" not in answer.text
    assert "\n" not in answer.text
    assert len(answer.text) < 200
    assert STRANGER in answer.text


def test_codes_are_of_the_alphabet_different_and_read_however_they_are_written():
    codes = {new_code() for _ in range(1000)}
    assert len(codes) == 1000
    assert all(code_in(f"`{shown(code).lower()}`") == code for code in codes)
    assert set("".join(codes)) == set(ALPHABET)
    assert not set(ALPHABET) & set("0O1ILU")
    for wrong in ("", "ABCD", "ABCD-EFG0", "ABCDEFGHJ", "'; drop table", "x" * 100_000):
        assert code_in(wrong) is None
