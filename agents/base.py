"""The nouns of thinking: sessions and where they are bound, their mail, turns and steps, and who owns them.

A *session* is one agent's conversation. *Mail* is what waits for it: a person's message, a steering note,
a child's result, a monitor's finding. A *turn* is one run of its loop; a *step* is one journalled move in a
turn. A *claim* is the right to write for a session: it carries the epoch, and the store refuses every write
of an older one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, NewType

from channels.base import Account, Attachment, DeliveryKey, ThreadRef

SessionId = NewType("SessionId", str)
"""`s` and 10 characters of base32: short enough to type."""

TurnId = NewType("TurnId", str)
AgentName = NewType("AgentName", str)
Epoch = NewType("Epoch", int)
MailKey = NewType("MailKey", str)
"""Deterministic: the same cause makes the same key, and the second copy is not stored."""


class State(Enum):
    """What a session is doing. The moves are in `agents.session`."""

    IDLE = "idle"  # no turn; mail wakes it
    RUNNING = "running"  # a turn runs (or is to be resumed after a crash)
    WAITING = "waiting"  # a turn is parked until mail comes: children, a person's answer
    STOPPING = "stopping"  # the turn is being ended; the session stays
    ENDED = "ended"


class Ended(Enum):
    DONE = "done"
    KILLED = "killed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    EXPIRED = "expired"


class Mode(Enum):
    RUN = "run"  # one task, then it ends
    SESSION = "session"  # lives on


class QueueMode(Enum):
    """What happens with mail that comes while a turn runs."""

    STEER = "steer"  # joins the running turn at the next boundary between steps
    FOLLOWUP = "followup"  # one turn a message, in order
    COLLECT = "collect"  # waits, then all of it in one turn
    INTERRUPT = "interrupt"  # ends the running turn, then starts the next


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    id: SessionId
    label: str  # an address, unique among living sessions
    agent: AgentName
    parent: SessionId | None
    root: SessionId
    depth: int
    mode: Mode
    state: State
    ended: Ended | None
    epoch: Epoch
    owner: Account  # the account that caused it, for reach, rights and cost
    owner_name: str
    task: str  # what it was asked first
    model: str | None  # overrides the profile's
    queue: QueueMode | None  # overrides the profile's
    timeout_seconds: int | None
    budget_usd: float | None
    spent_usd: float
    tree_usd: float  # with everything below it
    turns: int
    crashes: int  # in a row on the same step
    result: str | None  # of a run that ended
    home: ThreadRef | None
    doing: str  # a few words for people: "running web_fetch"
    created_at: datetime
    active_at: datetime
    ended_at: datetime | None
    workspace: str | None = None  # kind:name of another than its own
    board: str | None = None  # key of the message in its parent's thread that shows it


class MailKind(Enum):
    PERSON = "person"  # text from a person in a thread
    STEER = "steer"  # a note given with /steer, the tool or the page: always joins the running turn
    AGENT = "agent"  # from another session (sessions_send, ask)
    RESULT = "result"  # a child ended
    MONITOR = "monitor"  # a monitor found something
    NOTICE = "notice"  # from the runtime: an edit, a tool interrupted by a crash
    ANSWER = "answer"  # to what the session asked: a person (ask_human, an approval) or another session
    RETRY = "retry"  # /retry: run the last request again


ALWAYS_JOIN = frozenset({MailKind.STEER, MailKind.RESULT, MailKind.ANSWER, MailKind.NOTICE})
"""Mail that joins a running turn, and never ends it, whatever the queue mode: it was meant for that turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledge:
    """How a person sees that mail was taken in: by a mark on the message, or by our reply to it, which then says so."""

    where: ThreadRef
    message_id: str | None = None
    reply: DeliveryKey | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMail:
    key: MailKey
    session: SessionId
    kind: MailKind
    text: str
    sender: Account | None = None
    sender_name: str = ""
    from_session: SessionId | None = None
    inbox: int | None = None  # the inbox row that it came from
    where: ThreadRef | None = None  # where the answer belongs; None: the session's home
    reply_to: str | None = None  # platform message id
    mode: QueueMode | None = None  # None: the session's
    attachments: tuple[Attachment, ...] = ()
    acknowledge: Acknowledge | None = None
    wants_answer: bool = False  # from a session that waits: what the turn that takes it in says is sent back
    max_hops: int | None = None  # of the session that sends: how long a chain of messages it may go on with


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A stored row. `turn` is the turn that took it in."""

    n: int
    mail: NewMail
    created_at: datetime
    turn: TurnId | None = None


class Posted(Enum):
    """What became of mail that was posted."""

    QUEUED = "queued"
    KNOWN = "known"  # the same key was posted before
    FULL = "full"  # the session's queue is full: nothing stored
    ENDED = "ended"  # the session has ended: nothing stored


class StepKind(Enum):
    """`body` by kind: see `Step`."""

    INPUT = "input"  # {"mail": [{"n", "kind", "text", "name", "session", "attachments"}…]}: taken in
    MODEL = "model"  # {"blocks": […], "stop", "detail"}: one model answer
    CALL = "call"  # {"call_id", "name", "arguments"}: a tool call has begun
    RESULT = "result"  # {"call_id", "name", "text", "error": bool, "skipped": bool, "limit"?}: it ended
    SUMMARY = "summary"  # {"messages": […], "answers": of this turn}: what stands for everything before it
    NOTE = "note"  # {"text"}: said by the runtime to people reading the history; not part of the conversation


@dataclass(frozen=True, slots=True, kw_only=True)
class NewStep:
    kind: StepKind
    body: dict[str, Any]
    model: str = ""  # provider's model id
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float = 0.0
    started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    n: int
    turn: TurnId | None
    step: NewStep
    ended_at: datetime


class Outcome(Enum):
    """How a turn ended; by the runtime, never by the model's words."""

    DONE = "done"
    STOPPED = "stopped"  # /stop
    INTERRUPTED = "interrupted"  # newer mail took over (queue mode interrupt)
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    OVER_BUDGET = "over_budget"
    KILLED = "killed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    id: TurnId
    session: SessionId
    started_at: datetime
    ended_at: datetime | None
    outcome: Outcome | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to write for a session. Every write with it is refused once the epoch has moved on."""

    session: SessionId
    epoch: Epoch
    turn: TurnId


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """All that a turn needs to begin, or to go on after a crash."""

    claim: Claim
    session: Session
    steps: tuple[Step, ...]  # the conversation since the last summary; what was taken in now is its last step
    resumed: bool  # the turn was begun before: parked, or its holder is gone
    crashed: bool  # its holder is gone
    interrupted: bool  # mail that ends the running turn is waiting
    stopping: bool  # somebody asked for this turn to end
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Where a turn's answer belongs."""

    to: ThreadRef | None
    reply_to: str | None = None  # message id there
    report_to: tuple[ThreadRef, ...] = ()  # nobody in particular asked (a monitor's finding): said in all of these


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """What the store tells at a step boundary."""

    taken: tuple[Step, ...]  # the INPUT step of the mail taken in with this commit: joins the next model call
    stopping: bool  # somebody asked for this turn to end
    session: Session
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Spawn:
    """A session to be made. Idempotent by `key`."""

    key: str
    agent: AgentName
    task: str
    owner: Account
    owner_name: str
    parent: SessionId | None = None
    label: str | None = None  # None: one is made from the agent's name
    mode: Mode = Mode.SESSION
    model: str | None = None
    queue: QueueMode | None = None
    timeout_seconds: int | None = None
    budget_usd: float | None = None
    home: ThreadRef | None = None  # bound there at once
    forked_from: SessionId | None = None  # starts with that conversation
    workspace: str | None = None  # kind:name of another than its own
    shown: bool = False  # on a board in its parent's thread
    mail: NewMail | None = None  # its first mail (session id is filled in)
    instead: bool = False  # it goes on in the parent's place: no generation further down
    max_children: int | None = None  # of the parent
    deepest: int | None = None  # the greatest depth that the agents above allow
    max_per_minute: int | None = None  # of the parent's whole tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Spawned:
    session: Session
    new: bool
    told: str | None = None  # the lane in which people are told of it


class Refused(Exception):
    """A limit or a rule says no. Its text names the limit and what to do; `limit` is the key of the profile."""

    def __init__(self, text: str, *, limit: str = "") -> None:
        super().__init__(text)
        self.limit = limit


class Fenced(Exception):
    """The claim's epoch is over: the session was killed, or somebody else owns it. Stop, write nothing."""


class NotFound(Exception):
    """No such session. Its text says so to a person."""
