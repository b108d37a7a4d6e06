"""The router: each kind of event, the rules in order, who is answered, and that two bots end after three rounds."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from datetime import time as clock
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.base import AgentName, Epoch, Mode, QueueMode, Session, SessionId, State
from bot.access import Principal, Role
from bot.routing.conditions import Condition
from bot.routing.loop_guard import BEGUN_AT_MOST, QUIET, LoopGuard
from bot.routing.router import (
    BOT_ROUNDS,
    Amend,
    Ignore,
    Moved,
    NewSession,
    Park,
    Press,
    Refuse,
    Routes,
    Run,
    ThreadGone,
    ToSession,
    command_in,
    route,
)
from bot.routing.rules import Hours, On, Priority, Rule, parse_days
from channels.base import Account, Attachment, ChannelName, EventId, Inbound, Kind, Sender, ThreadRef

NOW = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)  # a Friday
SLACK, WEB = ChannelName("slack"), ChannelName("web")
ADA, BEN, ROBOT = Account("slack:T1/U1"), Account("slack:T1/U2"), Account("slack:T1/B7")
ROOM = ThreadRef(channel=SLACK, space="T1", room="C1")
THREAD = ThreadRef(channel=SLACK, space="T1", room="C1", thread="17.1")
DIRECT = ThreadRef(channel=SLACK, space="T1", room="D1")
COMMANDS = ("help", "kill", "spawn", "link", "whoami")
FILE = Attachment(name="a.png", media_type="image/png", size_bytes=1, source="F1")


def said(text: str = "hello", where: ThreadRef = ROOM, *, by: Account = ADA, bot: bool = False, **rest) -> Inbound:
    given: dict[str, Any] = {
        "id": EventId("e1"),
        "kind": Kind.MESSAGE,
        "sent_at": NOW,
        "message_id": "m1",
        "direct": where == DIRECT,
    }
    return Inbound(**given | rest, where=where, text=text, sender=Sender(account=by, name="N", is_bot=bot))


def who(role: Role = Role.USER, account: Account = ADA, *, bot: bool = False) -> Principal:
    return Principal(account=account, person=None, name="N", role=role, accounts=frozenset({account}), is_bot=bot)


def session(owner: Account = ADA, where: ThreadRef = THREAD, queue: QueueMode | None = None) -> Session:
    return Session(
        id=SessionId("s1"),
        label="helper-1",
        agent=AgentName("helper"),
        parent=None,
        root=SessionId("s1"),
        depth=0,
        mode=Mode.SESSION,
        state=State.IDLE,
        ended=None,
        epoch=Epoch(0),
        owner=owner,
        owner_name="Ada",
        task="",
        model=None,
        queue=queue,
        timeout_seconds=None,
        budget_usd=None,
        spent_usd=0.0,
        tree_usd=0.0,
        turns=0,
        crashes=0,
        result=None,
        home=where,
        doing="",
        created_at=NOW,
        active_at=NOW,
        ended_at=None,
    )


def rule(agent: str = "helper", **rest) -> Rule:
    return Rule(agent=AgentName(agent), **rest)


def routes(*rules: Rule, **rest) -> Routes:
    given: dict[str, Any] = {
        "first_agent": AgentName("first"),
        "local_channels": frozenset({WEB}),
        "commands": COMMANDS,
    }
    return Routes(**given | rest, rules=rules)


def decide(inbound: Inbound, *rules: Rule, principal: Principal | None = None, bound: Session | None = None, **rest):
    asked: dict[str, Any] = {"now": NOW, "principal": principal or who(bot=inbound.sender.is_bot), "session": bound}
    return route(inbound, **asked | rest, routes=routes(*rules)).decision


# --- what the platforms tell


def test_thread_events_are_mapped_without_asking_for_a_right():
    stranger = who(Role.NONE)
    bound = session()
    archived = decide(said(where=THREAD, kind=Kind.THREAD_ARCHIVED), bound=bound, principal=stranger)
    assert isinstance(archived, Park)
    assert archived.parked
    back = decide(said(where=THREAD, kind=Kind.THREAD_UNARCHIVED), bound=bound, principal=stranger)
    assert isinstance(back, Park)
    assert not back.parked
    assert isinstance(decide(said(where=THREAD, kind=Kind.THREAD_ARCHIVED)), Ignore)
    gone = decide(said(where=THREAD, kind=Kind.THREAD_DELETED), bound=bound, principal=stranger)
    assert gone == ThreadGone(where=THREAD, session=bound, reason="the thread was deleted")
    moved = decide(said(kind=Kind.ROOM_MOVED, payload="-100"), principal=stranger)
    assert isinstance(moved, Moved)
    assert (moved.where, moved.to) == (ROOM, "-100")
    assert isinstance(decide(said(kind=Kind.ROOM_MOVED)), Ignore)


def test_an_edit_names_its_writer_and_a_deletion_holds_whoever_did_it():
    edit = decide(said("new text", kind=Kind.EDIT))
    assert isinstance(edit, Amend)
    assert (edit.message_id, edit.text, edit.by) == ("m1", "new text", ADA)
    delete = decide(said("", kind=Kind.DELETE), principal=who(Role.NONE))
    assert isinstance(delete, Amend)
    assert (delete.text, delete.by) == (None, None)
    assert isinstance(decide(said(kind=Kind.EDIT), principal=who(Role.NONE)), Ignore)
    assert isinstance(decide(said(kind=Kind.EDIT, bot=True), rule(bots=True)), Ignore)
    assert isinstance(decide(said(kind=Kind.EDIT, message_id=None)), Ignore)


def test_a_button_is_handed_on_for_people_and_never_for_strangers_or_bots():
    pressed = decide(said("", kind=Kind.BUTTON, payload="b1"))
    assert isinstance(pressed, Press)
    assert pressed.button == "b1"
    stranger = decide(said("", kind=Kind.BUTTON, payload="b1"), principal=who(Role.NONE))
    assert isinstance(stranger, Refuse)
    assert stranger.offer_pairing
    assert isinstance(decide(said("", kind=Kind.BUTTON, payload="b1", bot=True), rule(bots=True)), Ignore)
    assert isinstance(decide(said("", kind=Kind.BUTTON)), Ignore)


def test_a_reaction_starts_nothing():
    assert isinstance(decide(said("", kind=Kind.REACTION, payload="+1"), rule(), bound=session()), Ignore)


# --- strangers


@pytest.mark.requirement("P9")
@given(
    text=st.sampled_from(["hello", "/help", "/kill all", "/link", "/whoami", "", "/spawn x"]),
    kind=st.sampled_from([Kind.MESSAGE, Kind.COMMAND, Kind.BUTTON, Kind.EDIT, Kind.REACTION]),
    where=st.sampled_from([ROOM, THREAD, DIRECT, ThreadRef(channel=WEB, room="main", thread="t")]),
    mentioned=st.booleans(),
    bound=st.sampled_from([None, session(), session(BEN)]),
    rules=st.lists(st.builds(rule, bots=st.booleans(), on=st.sampled_from(On), room=st.sampled_from([None, "C1"]))),
)
def test_a_stranger_never_reaches_an_agent_or_a_command(text, kind, where, mentioned, bound, rules):
    event = said(text, where, kind=kind, mentioned=mentioned, payload="x")
    decision = decide(event, *rules, principal=who(Role.NONE), bound=bound)
    assert isinstance(decision, Ignore | Refuse)
    if isinstance(decision, Refuse):
        assert decision.offer_pairing
        assert ADA in decision.answer


def test_a_stranger_is_answered_only_when_he_addressed_the_bot():
    stranger = who(Role.NONE)
    assert isinstance(decide(said(), rule(), principal=stranger), Ignore)
    assert isinstance(decide(said("/help"), rule(), principal=stranger), Ignore)
    assert isinstance(decide(said(mentioned=True), rule(), principal=stranger), Refuse)
    assert isinstance(decide(said(where=DIRECT), principal=stranger), Refuse)


def test_a_stranger_may_enter_a_link_code():
    run = decide(said("/link K7MQ-2XZD", DIRECT), principal=who(Role.NONE))
    assert isinstance(run, Run)
    assert (run.invocation.name, run.invocation.arguments_text) == ("link", "K7MQ-2XZD")


# --- commands


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/kill all", ("kill", "all")),
        ("/KILL", ("kill", "")),
        ("/spawn@threadmill_bot  compare X\nand Y ", ("spawn", "compare X\nand Y")),
        ("/spawn\nnow", ("spawn", "now")),
        ("/etc/hosts is wrong", None),
        ("//comment", None),
        ("/ kill", None),
        (" /kill", None),
        ("/kill!", None),
        ("/käse", None),
        ("/", None),
        ("", None),
        ("kill", None),
    ],
)
def test_a_command_is_a_slash_and_a_word(text, expected):
    assert command_in(text) == expected


def test_a_command_runs_before_everything_else_and_knows_its_session():
    bound = session()
    run = decide(said("/kill all", THREAD), rule(), bound=bound)
    assert isinstance(run, Run)
    assert run.invocation.name == "kill"
    assert run.invocation.arguments_text == "all"
    assert run.invocation.in_session is bound


def test_an_unknown_command_is_answered_with_the_nearest_names():
    refused = decide(said("/hlep me", DIRECT))
    assert isinstance(refused, Refuse)
    assert "Did you mean /help?" in refused.answer
    odd = decide(said("/@everyone *bold*", kind=Kind.COMMAND))
    assert isinstance(odd, Refuse)
    assert "@" not in odd.answer
    assert "*" not in odd.answer


def test_a_command_in_a_room_that_is_not_ours_is_left_to_others():
    elsewhere = ThreadRef(channel=SLACK, space="T1", room="C9")
    assert isinstance(decide(said("/help", elsewhere), rule(room="C1")), Ignore)
    assert isinstance(decide(said("/play music", elsewhere), rule(room="C1")), Ignore)
    assert isinstance(decide(said("/help", elsewhere, mentioned=True), rule(room="C1")), Run)
    assert isinstance(decide(said("/help", elsewhere, kind=Kind.COMMAND)), Run)
    assert isinstance(decide(said("/help", ROOM), rule(room="C1")), Run)


def test_bots_run_no_commands():
    for kind in (Kind.MESSAGE, Kind.COMMAND):
        event = said("/kill all", kind=kind, bot=True, mentioned=True)
        assert isinstance(decide(event, rule(bots=True), principal=who(Role.OWNER, bot=True)), Ignore)


def test_a_route_can_make_a_command_that_begins_a_session_with_the_rest_of_the_line():
    triage = rule("triage", on=On.COMMAND, open_thread=True)
    begun = decide(said("/triage the server burns"), triage)
    assert isinstance(begun, NewSession)
    assert (begun.agent, begun.text, begun.thread) == ("triage", "the server burns", True)
    assert isinstance(decide(said("/fix it"), rule("triage", on=On.COMMAND, command="fix")), NewSession)
    in_thread = decide(said("/triage more", THREAD), triage, bound=session())
    assert isinstance(in_thread, Refuse)
    assert "/spawn triage" in in_thread.answer
    for_operators = rule("triage", on=On.COMMAND, role_at_least=Role.OPERATOR)
    assert isinstance(decide(said("/triage x", DIRECT), for_operators), Refuse)
    assert isinstance(decide(said("/triage", DIRECT), rule("triage", on=On.COMMAND)), Refuse)
    near = decide(said("/triaje x", DIRECT), triage)
    assert isinstance(near, Refuse)
    assert "/triage" in near.answer


# --- bound places


def test_a_message_in_a_bound_thread_goes_to_its_session_without_the_rules():
    elsewhere = rule("other", role_at_least=Role.OWNER)
    bound = session(queue=QueueMode.COLLECT)
    decision = decide(said("go on", THREAD), elsewhere, bound=bound)
    assert decision == ToSession(session=bound, mode=QueueMode.COLLECT, reason="bound to helper-1")


def test_text_has_no_magic_words():
    for text in ("stop", "STOP!", "kill", "new", "!kill all", "cancel"):
        assert isinstance(decide(said(text, THREAD), bound=session()), ToSession)


def test_in_somebody_elses_thread_a_user_talks_along_and_a_guest_does_not():
    bound = session(BEN)
    assert isinstance(decide(said("me too", THREAD), bound=bound), ToSession)
    guest = who(Role.GUEST)
    assert isinstance(decide(said("me too", THREAD), bound=bound, principal=guest), Ignore)
    told = decide(said("me too", THREAD, mentioned=True), bound=bound, principal=guest)
    assert isinstance(told, Refuse)
    assert "guest" in told.answer
    assert isinstance(decide(said("mine", THREAD), bound=bound, principal=guest, root_owner=ADA), ToSession)


def test_an_empty_message_is_ignored_and_one_with_only_an_attachment_is_not():
    bound = session()
    assert isinstance(decide(said(" ", THREAD), bound=bound), Ignore)
    assert isinstance(decide(said("", THREAD, attachments=(FILE,)), bound=bound), ToSession)
    assert isinstance(decide(said(""), rule()), Ignore)
    assert isinstance(decide(said("", attachments=(FILE,)), rule()), NewSession)
    called = decide(said("", mentioned=True), rule())
    assert isinstance(called, Refuse)
    assert "/help" in called.answer


def test_a_bot_in_a_bound_thread_is_heard_only_where_a_rule_lets_bots_in():
    event, robot, bound = said("beep", THREAD, by=ROBOT, bot=True), who(Role.NONE, ROBOT, bot=True), session()
    assert isinstance(decide(event, rule(), principal=robot, bound=bound), Ignore)
    assert isinstance(decide(event, rule(bots=True), principal=robot, bound=bound), ToSession)
    assert isinstance(decide(event, rule(bots=True, room="C9"), principal=robot, bound=bound), Ignore)


# --- rules


def test_the_first_rule_that_matches_wins_and_each_says_why():
    routed = route(
        said("hello"),
        session=None,
        principal=who(),
        now=NOW,
        routes=routes(
            rule("a", channel=ChannelName("telegram")),
            rule("b", on=On.MENTION),
            rule("c", name="support", room="C1", priority=Priority.HIGH, open_thread=True),
            rule("d"),
            rule("e", room="C9"),
        ),
    )
    assert routed.decision == NewSession(
        agent=AgentName("c"),
        thread=True,
        rule_index=2,
        priority=Priority.HIGH,
        text="hello",
        reason="route 3 (support): agent c",
    )
    assert [(line.rule, line.matched, line.why) for line in routed.explained] == [
        ("route 1", False, "it is for the channel telegram"),
        ("route 2", False, "the bot is not mentioned"),
        ("route 3 (support)", True, "it takes the message: agent c"),
        ("route 4", False, "an earlier rule took the message"),
        ("route 5", False, "it is for the room C9"),
    ]


@pytest.mark.parametrize(
    ("asked", "event", "matches"),
    [
        ({"channel": SLACK, "space": "T1", "room": "C1"}, said(), True),
        ({"space": "T2"}, said(), False),
        ({"within": ""}, said(), True),
        ({"within": ""}, said(where=THREAD), False),
        ({"within": "?*"}, said(), False),
        ({"within": "17.*"}, said(where=THREAD), True),
        ({"within": "18.*"}, said(where=THREAD), False),
        ({"direct": True}, said(), False),
        ({"direct": True}, said(where=DIRECT), True),
        ({"direct": False}, said(where=DIRECT), False),
        ({"on": On.MENTION}, said(mentioned=True), True),
        ({"on": On.MENTION}, said(where=DIRECT), True),
        ({"on": On.MENTION}, said(), False),
        ({"on": On.COMMAND}, said("helper"), False),
        ({"role_at_least": Role.USER}, said(), True),
        ({"role_at_least": Role.OPERATOR}, said(), False),
        ({"contains": ("URGENT", "help")}, said("It is urgent"), True),
        ({"contains": ("urgent",)}, said("later"), False),
        ({"starts_with": ("Bug:",)}, said("bug: it burns"), True),
        ({"starts_with": ("bug:",)}, said("no bug: fine"), False),
        ({"hours": (Hours.parse("9-17"),)}, said(), True),
        ({"hours": (Hours.parse("9-10"), Hours.parse("11-12"))}, said(), False),
        ({"hours": (Hours.parse("9-17"),), "timezone": ZoneInfo("Asia/Tokyo")}, said(), False),
        ({"days": parse_days("mon-fri")}, said(), True),
        ({"days": parse_days("sat,sun")}, said(), False),
        ({"days": parse_days("fri"), "timezone": ZoneInfo("Pacific/Kiritimati")}, said(), False),
        ({"when": Condition.parse("hour == 10 and mentioned")}, said(mentioned=True), True),
        ({"when": Condition.parse("hour == 10 and mentioned")}, said(), False),
        ({"when": Condition.parse("hour == 19"), "timezone": ZoneInfo("Asia/Tokyo")}, said(), True),
        ({"when": Condition.parse("1 / (hour - 10) == 1")}, said(), False),
        ({"when": Condition.parse('role == "user" && account.startsWith("slack:")')}, said(), True),
    ],
)
def test_a_rule_takes_what_it_asks_for(asked, event, matches):
    decision = decide(event, rule(**asked))
    taken = isinstance(decision, NewSession) and decision.rule_index == 0
    assert taken is matches


def test_a_condition_that_fails_is_explained_as_no_match():
    rules = routes(rule(when=Condition.parse("1 / (hour - 10) == 1")))
    routed = route(said(), session=None, principal=who(), now=NOW, routes=rules)
    assert "its condition failed" in routed.explained[0].why


def test_the_bots_time_zone_counts_where_a_rule_has_none():
    rules = routes(rule(hours=(Hours.parse("19-20"),)), timezone=ZoneInfo("Asia/Tokyo"))
    routed = route(said(), session=None, principal=who(), now=NOW, routes=rules)
    assert isinstance(routed.decision, NewSession)


def test_hours_over_midnight_belong_to_the_day_on_which_they_began():
    night = Hours.parse("22-6")
    friday_evening, saturday_night = NOW.replace(hour=23), NOW.replace(day=21, hour=3)
    assert (night.day_of(friday_evening), night.day_of(saturday_night), night.day_of(NOW)) == (4, 4, None)
    weekdays = rule(hours=(night,), days=parse_days("mon-fri"))
    assert isinstance(decide(said(), weekdays, now=saturday_night), NewSession)
    assert isinstance(decide(said(), weekdays, now=NOW.replace(day=21, hour=23)), Ignore)


def test_hours_follow_the_clock_through_a_change_to_winter_time():
    office = rule(hours=(Hours.parse("9-17"),), timezone=ZoneInfo("Europe/Berlin"))
    for day, hour, expected in ((24, 6, Ignore), (24, 7, NewSession), (26, 7, Ignore), (26, 8, NewSession)):
        assert isinstance(decide(said(), office, now=datetime(2026, 10, day, hour, 30, tzinfo=UTC)), expected)


def test_hours_and_days_are_read_or_explained():
    assert Hours.parse("09:15 - 17:30") == Hours(begin=clock(9, 15), end=clock(17, 30))
    assert Hours.parse("18-24").day_of(NOW.replace(hour=23, minute=59)) == 4
    assert parse_days("fri-mon, wed") == {4, 5, 6, 0, 2}
    for wrong in ("9", "25-26", "9:99-10", "nine to five", ""):
        with pytest.raises(ValueError, match="09:00-17:30"):
            Hours.parse(wrong)
    for wrong in ("monday", "", "mon--fri", "1-5"):
        with pytest.raises(ValueError, match="mon-fri"):
            parse_days(wrong)


def test_a_thread_is_opened_under_a_post_and_never_inside_a_thread():
    opening = rule(open_thread=True)
    in_room, in_thread = decide(said(), opening), decide(said(where=THREAD), opening)
    assert isinstance(in_room, NewSession)
    assert isinstance(in_thread, NewSession)
    assert (in_room.thread, in_thread.thread) == (True, False)


def test_a_bot_begins_a_session_only_by_a_rule_for_bots():
    event, robot = said(by=ROBOT, bot=True, mentioned=True), who(Role.NONE, ROBOT, bot=True)
    assert isinstance(decide(event, rule(), principal=robot), Ignore)
    assert isinstance(decide(event, rule(bots=True), principal=robot), NewSession)
    direct = said(where=DIRECT, by=ROBOT, bot=True)
    assert isinstance(decide(direct, principal=who(Role.OWNER, ROBOT, bot=True)), Ignore)


# --- after the last rule


def test_direct_conversations_and_the_page_go_to_the_first_agent():
    page = ThreadRef(channel=WEB, room="main", thread="plans")
    for where in (DIRECT, page):
        decision = decide(said(where=where), rule(room="C1"))
        assert isinstance(decision, NewSession)
        assert (decision.agent, decision.thread, decision.rule_index) == ("first", False, None)


def test_a_guest_talks_in_routed_rooms_and_is_told_so_elsewhere():
    guest = who(Role.GUEST)
    assert isinstance(decide(said(), rule(room="C1"), principal=guest), NewSession)
    refused = decide(said(where=DIRECT), rule(room="C1"), principal=guest)
    assert isinstance(refused, Refuse)
    assert "rooms that are set up" in refused.answer


def test_without_any_agent_a_person_is_told_what_is_missing():
    bare = routes(first_agent=None)
    routed = route(said(where=DIRECT), session=None, principal=who(), now=NOW, routes=bare)
    assert isinstance(routed.decision, Refuse)
    assert "[agents]" in routed.decision.answer


def test_a_mention_that_no_rule_takes_is_answered_and_other_talk_is_not():
    assert isinstance(decide(said(), rule(room="C9")), Ignore)
    for role, told in ((Role.USER, "ask an operator"), (Role.OWNER, 'room = "C1"')):
        refused = decide(said(mentioned=True), rule(room="C9"), principal=who(role))
        assert isinstance(refused, Refuse)
        assert told in refused.answer


# --- two bots


def talk(event: Inbound, guard: LoopGuard, now: datetime, *rules: Rule, bound: Session | None = None):
    principal = who(Role.NONE if event.sender.is_bot else Role.USER, event.sender.account, bot=event.sender.is_bot)
    rounds = guard.rounds(event, now)
    decision = decide(event, *rules, principal=principal, bound=bound, now=now, bot_rounds=rounds)
    guard.decided(event, decision, now)
    return decision


def test_two_bots_talk_three_rounds_and_begin_anew_when_a_person_spoke():
    guard, bound, welcome = LoopGuard(), session(), rule(bots=True)
    beep = said("beep", THREAD, by=ROBOT, bot=True)
    answered = [isinstance(talk(beep, guard, NOW, welcome, bound=bound), ToSession) for _ in range(10)]
    assert answered == [True] * BOT_ROUNDS + [False] * 7
    assert isinstance(talk(said("stop it", THREAD), guard, NOW, welcome, bound=bound), ToSession)
    assert isinstance(talk(beep, guard, NOW, welcome, bound=bound), ToSession)
    other = said("beep", ThreadRef(channel=SLACK, room="C5"), by=ROBOT, bot=True)
    assert isinstance(talk(other, guard, NOW, welcome), NewSession)


def test_two_bots_that_mention_each_other_in_a_room_end_too_though_each_answer_opens_a_thread():
    guard, welcome = LoopGuard(), rule(bots=True, open_thread=True)
    beep = said("beep", by=ROBOT, bot=True, mentioned=True)
    assert sum(isinstance(talk(beep, guard, NOW, welcome), NewSession) for _ in range(10)) == BOT_ROUNDS


def test_a_bot_that_posts_news_is_heard_with_each_post_up_to_a_bound():
    guard, welcome = LoopGuard(), rule(bots=True, open_thread=True)
    alert = said("disk is full", by=ROBOT, bot=True)
    heard = [isinstance(talk(alert, guard, NOW, welcome), NewSession) for _ in range(50)]
    assert heard == [True] * BEGUN_AT_MOST + [False] * (50 - BEGUN_AT_MOST)
    assert isinstance(talk(alert, guard, NOW + QUIET, welcome), NewSession)


def test_a_bot_that_was_quiet_for_an_hour_is_heard_again():
    guard, bound, welcome = LoopGuard(), session(), rule(bots=True)
    beep = said("beep", THREAD, by=ROBOT, bot=True)
    heard = [talk(beep, guard, NOW, welcome, bound=bound) for _ in range(5)]
    assert isinstance(heard[-1], Ignore)
    assert isinstance(talk(beep, guard, NOW + QUIET, welcome, bound=bound), ToSession)


@pytest.mark.requirement("P8")
def test_the_guard_forgets_the_oldest_place_rather_than_grow():
    guard, welcome = LoopGuard(), rule(bots=True)
    for number in range(10_050):
        where = ThreadRef(channel=SLACK, room=f"C{number}")
        talk(said("beep", where, by=ROBOT, bot=True), guard, NOW + timedelta(milliseconds=number), welcome)
    assert len(guard._talks) == 10_000
    assert ThreadRef(channel=SLACK, room="C0") not in guard._talks


# --- the whole


@given(
    text=st.text(max_size=40) | st.sampled_from(["/help", "/kill all", "/x", "@bot"]),
    kind=st.sampled_from(Kind),
    where=st.sampled_from([ROOM, THREAD, DIRECT]),
    role=st.sampled_from(Role),
    bot=st.booleans(),
    payload=st.none() | st.text(max_size=5),
    message_id=st.none() | st.just("m1"),
    bound=st.sampled_from([None, session(), session(BEN)]),
)
def test_every_event_has_a_decision_with_a_reason(text, kind, where, role, bot, payload, message_id, bound):
    event = said(text, where, kind=kind, bot=bot, payload=payload, message_id=message_id)
    decision = decide(event, rule(bots=True, on=On.MENTION), rule(), principal=who(role, bot=bot), bound=bound)
    assert decision.reason


def test_the_router_reaches_no_event_loop_log_or_database():
    program = (
        "import sys, bot.routing.router; print([m for m in ('asyncio', 'logging', 'sqlite3') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_routing_past_twenty_rules_takes_less_than_a_tenth_of_a_millisecond():
    rules = [rule(room=f"C{n}", when=Condition.parse("hour > 8")) for n in range(2, 20)]
    rules += [rule(when=Condition.parse('hour == 1 or text.contains("nothing")')), rule(role_at_least=Role.USER)]
    table, event, principal = routes(*rules), said("hello there"), who()
    fastest = 1.0
    for _ in range(20):
        began = time.perf_counter()
        done = [route(event, session=None, principal=principal, routes=table, now=NOW) for _ in range(50)]
        fastest = min(fastest, (time.perf_counter() - began) / 50)
        assert isinstance(done[0].decision, NewSession)
    assert fastest < 100e-6
