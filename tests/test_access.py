"""The gate: one table, default deny, and no way round it by name, kind or number of accounts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.access import (
    NEEDS,
    NOTHING,
    Action,
    Principal,
    Resource,
    ResourceKind,
    Role,
    authorise,
    may_grant,
)
from channels.base import Account, ChannelName, ThreadRef

ADA = Account("slack:T1/U1")
ADA_AT_HOME = Account("telegram:42")
BEN = Account("slack:T1/U2")

FOR_STRANGERS = {Action.HELP, Action.WHOAMI, Action.PAIR, Action.LINK}
FOR_GUESTS = FOR_STRANGERS | {Action.TALK, Action.STOP}


def principal(role: Role, *accounts: Account, is_bot: bool = False, name: str = "Ada") -> Principal:
    mine = accounts or (ADA,)
    return Principal(account=mine[0], person="ada", name=name, role=role, accounts=frozenset(mine), is_bot=is_bot)


def session_of(owner: Account, *more: Account, bots: bool = False) -> Resource:
    return Resource(kind=ResourceKind.SESSION, name="s1", owners=frozenset({owner, *more}), bots=bots)


roles = st.sampled_from(Role)
actions = st.sampled_from(Action)
accounts = st.sampled_from([ADA, ADA_AT_HOME, BEN])
resources = st.builds(
    Resource,
    kind=st.sampled_from(ResourceKind),
    name=st.text(max_size=8),
    owners=st.none() | st.frozensets(accounts, max_size=3),
    bots=st.booleans(),
)


@given(action=actions, resource=resources, low=roles, high=roles)
def test_a_higher_role_never_loses_a_right(action, resource, low, high):
    low, high = sorted((low, high))
    if authorise(principal(low), action, resource).allowed:
        assert authorise(principal(high), action, resource).allowed


@given(action=actions, resource=resources)
def test_a_stranger_may_only_ask_who_he_is_and_to_be_let_in(action, resource):
    assert authorise(principal(Role.NONE), action, resource).allowed == (action in FOR_STRANGERS)


@given(action=actions, resource=resources)
def test_the_owner_may_do_everything(action, resource):
    assert authorise(principal(Role.OWNER), action, resource).allowed


@given(action=actions, resource=resources, role=roles)
def test_a_bot_may_only_talk_and_only_where_a_route_lets_bots_in(action, resource, role):
    allowed = authorise(principal(role, is_bot=True), action, resource).allowed
    assert allowed == (action is Action.TALK and resource.bots)


@given(action=actions, resource=resources, role=roles, name=st.text())
def test_a_display_name_changes_nothing(action, resource, role, name):
    plain = authorise(principal(role), action, resource).allowed
    assert authorise(principal(role, name=name), action, resource).allowed == plain


@given(action=actions, resource=resources, role=roles)
def test_owning_a_thing_never_takes_a_right_away(action, resource, role):
    theirs = Resource(kind=resource.kind, owners=frozenset({BEN}))
    mine = Resource(kind=resource.kind, owners=frozenset({BEN, ADA}))
    if authorise(principal(role), action, theirs).allowed:
        assert authorise(principal(role), action, mine).allowed


@given(action=actions, resource=resources, role=roles)
def test_every_refusal_is_a_sentence_that_says_what_to_do(action, resource, role):
    verdict = authorise(principal(role), action, resource)
    assert verdict.allowed or (len(verdict.reason) > 40 and verdict.reason.endswith("."))


@pytest.mark.requirement("P9")
def test_a_guest_may_talk_and_stop_what_he_began_but_nothing_more():
    own = session_of(ADA)
    assert {action for action in Action if authorise(principal(Role.GUEST), action, own).allowed} == FOR_GUESTS
    assert not authorise(principal(Role.GUEST), Action.TALK, session_of(BEN)).allowed


@pytest.mark.requirement("P9")
def test_a_user_has_his_own_sessions_and_of_others_only_the_conversation_in_the_thread():
    theirs = session_of(BEN)
    allowed = {action for action in Action if authorise(principal(Role.USER), action, theirs).allowed}
    assert allowed == FOR_STRANGERS | {Action.TALK}
    for action in (Action.KILL, Action.STEER, Action.READ, Action.SEND, Action.MODEL, Action.APPROVE):
        assert authorise(principal(Role.USER), action, session_of(ADA)).allowed


def test_an_operator_looks_after_everybodys_sessions_but_not_the_audit_log_or_the_configuration():
    denied = {a for a in Action if not authorise(principal(Role.OPERATOR), a, session_of(BEN)).allowed}
    assert denied == {Action.AUDIT, Action.CONFIGURE, Action.FORGET}


def test_a_session_is_own_from_any_account_of_its_person_and_in_any_tree_that_the_person_began():
    at_home = principal(Role.USER, ADA_AT_HOME, ADA)
    assert authorise(at_home, Action.KILL, session_of(ADA)).allowed
    assert authorise(at_home, Action.KILL, session_of(BEN, ADA)).allowed
    assert not authorise(principal(Role.USER, ADA_AT_HOME), Action.KILL, session_of(ADA)).allowed


def test_a_monitor_of_the_configuration_is_nobodys_own():
    configured, made_in_chat = Resource.of_monitor("status", None), Resource.of_monitor("mine", ADA)
    assert not authorise(principal(Role.USER), Action.MONITORS_READ, configured).allowed
    assert authorise(principal(Role.USER), Action.MONITORS_READ, made_in_chat).allowed
    assert not authorise(principal(Role.USER), Action.MONITORS_WRITE, made_in_chat).allowed


def test_a_stranger_is_told_his_account_and_where_to_go():
    reason = authorise(principal(Role.NONE), Action.TALK).reason
    assert ADA in reason
    assert "Ask the people who run this bot" in reason


def test_an_action_that_the_table_does_not_know_is_denied_even_to_the_owner(monkeypatch):
    monkeypatch.delitem(NEEDS, Action.SPAWN)
    assert not authorise(principal(Role.OWNER), Action.SPAWN, NOTHING).allowed


@given(giver=roles, given_role=roles)
def test_nobody_but_the_owner_gives_a_role_as_high_as_his_own(giver, given_role):
    allowed = may_grant(principal(giver), given_role).allowed
    expected = given_role is not Role.NONE and (
        giver is Role.OWNER or (giver is Role.OPERATOR and given_role < Role.OPERATOR)
    )
    assert allowed == expected


def test_roles_are_read_by_their_names_and_a_wrong_one_is_explained():
    assert [Role.named(role.word) for role in Role] == list(Role)
    with pytest.raises(ValueError, match="none, guest, user, operator, owner"):
        Role.named("admin")


def test_a_resource_has_a_key_for_the_audit_log():
    room = Resource.of_room(ThreadRef(channel=ChannelName("slack"), space="T1", room="C2"))
    assert (session_of(ADA).key, room.key, NOTHING.key) == ("session:s1", "room:slack:T1/C2", "nothing")
