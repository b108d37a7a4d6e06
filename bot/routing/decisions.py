"""What may be done with an event. The router decides which; the dispatcher carries it out, one branch a kind.

Each carries its reason in a few words, which is kept with the event in the inbox.
"""

from __future__ import annotations

from dataclasses import dataclass

from agents.base import AgentName, QueueMode, Session
from bot.routing.rules import Priority
from channels.base import Account, ThreadRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignore:
    """Nothing is done and nothing is said."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """Nothing is done; the sender alone is told `answer` (privately where the platform can). With
    `offer_pairing`, he is a stranger: `bot.people.pairing` writes the answer, at most once an hour."""

    reason: str
    answer: str
    offer_pairing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """A command as it was given. `arguments_text` is the rest of the line, as written."""

    name: str
    arguments_text: str
    in_session: Session | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Run a command at once, ahead of any queue. Its right is not yet asked."""

    invocation: Invocation
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToSession:
    """Into the mailbox of the session bound here. `mode` None: the profile's."""

    session: Session
    mode: QueueMode | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """A new session of `agent` with `text` as its first mail. With `thread`, in a new thread under the message;
    else in the place itself. `rule_index` counts from 0; None: the implicit last rule."""

    agent: AgentName
    thread: bool
    rule_index: int | None
    priority: Priority
    text: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Amend:
    """A message was edited (`text` is the new one) or deleted (None). With `by`, only when that account wrote it."""

    message_id: str
    text: str | None
    by: Account | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """A button was pressed. What it means and who may press it stands in the store."""

    button: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Park:
    """The thread was archived (parked, not killed) or, with `parked` False, came back."""

    session: Session
    parked: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadGone:
    """The place is deleted: its session ends there."""

    where: ThreadRef
    session: Session | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """The room has a new id: every stored reference follows in one transaction."""

    where: ThreadRef
    to: str
    reason: str


Decision = Ignore | Refuse | Run | ToSession | NewSession | Amend | Press | Park | ThreadGone | Moved
