"""What the children of a session are doing, as the text of one message in its thread. Pure.

A line for each, with the address of its thread: its state, what it is doing now, its age and what it has cost; when all
have ended, how. The outcome is the runtime's word. What a message cannot hold is counted instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from agents.base import Ended, Mode, Session, SessionId, State

_LONGEST = 1_800  # characters: what the narrowest platform takes in one message, with some to spare
_SIGNS = {
    Ended.DONE: "✓",
    Ended.FAILED: "✗",
    Ended.TIMED_OUT: "✗",
    Ended.KILLED: "■",
    Ended.EXPIRED: "■",
}


def age(span: timedelta) -> str:
    """A span in its largest unit: 42s, 5m, 3h, 2d."""
    seconds = max(0, int(span.total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def counted(number: int, noun: str) -> str:
    """Such as: 1 turn, 2 turns."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def what(session: Session, doing: str = "") -> str:
    """What a session is doing now, in a few words; how it ended, when it has."""
    if session.ended is not None:
        return str(session.ended.value).replace("_", " ")
    match session.state:
        case State.IDLE:
            return "about to begin" if session.turns == 0 else "idle"
        case State.RUNNING:
            return doing or session.doing or "thinking"
        case State.WAITING:
            return doing or "waiting"
    return str(session.state.value)


def as_tree(sessions: Sequence[Session]) -> list[tuple[int, Session]]:
    """Sessions with their level, each below its parent, oldest first. One whose parent is not among them is on top."""
    known = {session.id for session in sessions}
    below: dict[SessionId | None, list[Session]] = {}
    for session in sorted(sessions, key=lambda each: (each.created_at, each.id)):
        below.setdefault(session.parent if session.parent in known else None, []).append(session)
    found: list[tuple[int, Session]] = []
    waiting = [(0, session) for session in reversed(below.get(None, []))]
    while waiting:
        level, session = waiting.pop()
        found.append((level, session))
        waiting.extend((level + 1, child) for child in reversed(below.get(session.id, [])))
    return found


def at_work(session: Session) -> bool:
    return session.state in (State.RUNNING, State.STOPPING)


def over(children: Sequence[Session]) -> bool:
    """Whether nothing that is shown will change any more."""
    return all(child.ended is not None for child in children)


def board(
    sessions: Sequence[Session],
    now: datetime,
    *,
    doing: Callable[[SessionId], str] = lambda _: "",
    link: Callable[[SessionId], str | None] = lambda _: None,
) -> str:
    """The message about these children and what is below them."""
    if not sessions:
        return ""
    tree = as_tree(sessions)
    children = [session for level, session in tree if level == 0]
    lines = [_heading(children)] if len(children) > 1 else []
    used = sum(map(len, lines))
    for index, (level, session) in enumerate(tree):
        line = "    " * level + _line(session, now, doing(session.id), link(session.id))
        if used + len(line) > _LONGEST and index:
            lines.append(f"- … and {_counted([left for _, left in tree[index:]])}")
            break
        lines.append(line)
        used += len(line) + 1
    return "\n".join(lines)


def _heading(children: Sequence[Session]) -> str:
    left = [child for child in children if child.ended is None]
    cost = sum(child.tree_usd for child in children)
    if left:
        return f"**{len(left)} of {len(children)} agents at work** · ${cost:.4f}"
    return f"**{len(children)} agents have ended**: {_counted(children)} · ${cost:.4f}"


def _counted(sessions: Sequence[Session]) -> str:
    """Such as: 30 done, 2 failed, 5 alive."""
    words = [session.ended.value.replace("_", " ") if session.ended else "alive" for session in sessions]
    return ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))


def _line(session: Session, now: datetime, doing: str, link: str | None) -> str:
    sign = f"{_SIGNS[session.ended]} " if session.ended else ""
    name = f"**{session.label}**" if link is None else f"[**{session.label}**]({link})"
    lasted = age((session.ended_at or now) - session.created_at)
    agent = "" if session.label.startswith(session.agent) else f" ({session.agent})"
    alive = " · lives on" if session.mode is Mode.SESSION and session.ended is None else ""
    return f"- {sign}{name}{agent} · {what(session, doing)}{alive} · {lasted} · ${session.spent_usd:.4f}"
