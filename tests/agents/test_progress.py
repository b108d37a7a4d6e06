"""The text of the message that shows children: pure, so each case is a call."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from agents.base import AgentName, Ended, Epoch, Mode, Session, SessionId, State
from agents.progress import as_tree, board, over, what
from channels.base import Account

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def session(id: str, parent: str = "root", *, seconds: int = 42, **changes: object) -> Session:
    made = Session(
        id=SessionId(id),
        label=id,
        agent=AgentName("researcher"),
        parent=SessionId(parent),
        root=SessionId("root"),
        depth=1,
        mode=Mode.RUN,
        state=State.RUNNING,
        ended=None,
        epoch=Epoch(1),
        owner=Account("web:ada"),
        owner_name="Ada",
        task="look",
        model=None,
        queue=None,
        timeout_seconds=None,
        budget_usd=None,
        spent_usd=0.01,
        tree_usd=0.02,
        turns=1,
        crashes=0,
        result=None,
        home=None,
        doing="",
        created_at=NOW - timedelta(seconds=seconds),
        active_at=NOW,
        ended_at=None,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def ended(id: str, how: Ended, parent: str = "root") -> Session:
    return session(id, parent, state=State.ENDED, ended=how, ended_at=NOW - timedelta(seconds=2))


def test_each_child_has_a_line_with_its_address_what_it_does_its_age_and_its_cost() -> None:
    text = board(
        [session("alpha"), ended("beta", Ended.TIMED_OUT)],
        NOW,
        doing=lambda id: "running web_fetch" if id == "alpha" else "",
        link=lambda id: f"https://example.org/{id}",
    )
    assert text.splitlines() == [
        "**1 of 2 agents at work** · $0.0400",
        "- [**alpha**](https://example.org/alpha) (researcher) · running web_fetch · 42s · $0.0100",
        "- ✗ [**beta**](https://example.org/beta) (researcher) · timed out · 40s · $0.0100",
    ]


def test_what_is_below_a_child_stands_below_it_and_one_whose_parent_is_gone_on_top() -> None:
    sessions = [session("b", seconds=20), session("a", seconds=30), session("a1", "a"), session("x", "gone", seconds=5)]
    assert [(level, each.id) for level, each in as_tree(sessions)] == [(0, "a"), (1, "a1"), (0, "b"), (0, "x")]
    assert "    - **a1**" in board(sessions, NOW)


def test_fifty_children_fit_into_one_message_and_the_rest_is_counted() -> None:
    many = [session(f"child-{number:02}") for number in range(40)]
    many += [ended(f"over-{number:02}", Ended.DONE) for number in range(10)]
    text = board(many, NOW, link=lambda id: f"https://discord.com/channels/1573656616052457477/15736566185489{id}")
    assert len(text) <= 2_000
    assert text.startswith("**40 of 50 agents at work**")
    assert "done" in text.splitlines()[-1]
    assert "alive" in text.splitlines()[-1]
    assert board([], NOW) == ""


def test_when_all_have_ended_it_says_how() -> None:
    sessions = [ended("a", Ended.DONE), ended("b", Ended.DONE), ended("c", Ended.FAILED)]
    assert over(sessions)
    assert board(sessions, NOW).startswith("**3 agents have ended**: 2 done, 1 failed")


def test_states_are_told_in_words() -> None:
    assert what(session("a", state=State.IDLE, turns=0)) == "about to begin"
    assert what(session("a", state=State.IDLE)) == "idle"
    assert what(session("a", doing="compacting")) == "compacting"
    assert what(session("a", state=State.WAITING)) == "waiting"
    assert what(session("a", state=State.STOPPING)) == "stopping"
