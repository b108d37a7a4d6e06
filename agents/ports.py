"""What the thinking side needs from others, each as a small protocol.

`storage` fulfils Journal; `agents.engine` fulfils Engine; `bot` fulfils Profiles and connects everything.
Times are handed in (`now`), so that decisions can be tested and a clock jump does no harm.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from agents.base import (
    Activation,
    AgentName,
    Claim,
    Committed,
    Ended,
    MailKey,
    NewMail,
    NewStep,
    Outcome,
    Posted,
    QueueMode,
    Session,
    SessionId,
    Spawn,
    Spawned,
    Step,
)
from agents.models.base import ModelName
from channels.base import Attachment, OpenThread, Outbound, ThreadRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What an agent is: its prompt and everything it may do. From the configuration; a child gets no more
    than its parent's (see `agents.team`)."""

    name: AgentName
    model: ModelName
    prompt: str
    models: tuple[ModelName, ...] = ()  # others that its sessions may be spawned with
    description: str = ""
    tools: tuple[str, ...] = ()  # expanded: tool names, not groups
    spawns: tuple[AgentName, ...] = ()
    may_message: tuple[AgentName, ...] = ()
    queue: QueueMode = QueueMode.STEER
    queue_limit: int = 50  # mails that wait
    debounce_seconds: float = 0.0
    max_depth: int = 3  # generations of sessions below each of its own
    max_children: int = 5
    max_running: int | None = None  # turns of this agent at once, over all its sessions; others wait
    spawns_per_minute: int = 60  # in the whole tree of the session that spawns
    max_steps: int = 50  # model calls a turn
    turn_timeout_seconds: float = 600.0
    idle_timeout_seconds: float = 120.0  # no event from the model or a tool
    expire_after_hours: float | None = None
    budget_usd: float | None = None
    budget_usd_per_day: float | None = None
    max_tokens: int = 8192
    thinking_tokens: int | None = None
    approve: tuple[str, ...] = ()  # tools whose calls a person must allow first
    escalate_to: tuple[str, ...] = ()  # people or roles who are asked next when nobody answers
    ping_pong_turns: int = 5  # rounds of messages with another session without a person in between
    max_hops: int = 20  # messages in a row that sessions cause one another to send, without a person in between
    ask_timeout_seconds: float = 3600.0  # for each of them to answer
    workspace: str | None = None  # shared:<name>; None: each session has its own
    state: tuple[str, ...] = ("tree",)  # scopes of shared values: tree, agent, everyone
    skills: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Skill:
    """How something is done, for those whose profile names it. See `agents.skills`."""

    name: str
    description: str
    body: str


class Profiles(Protocol):
    """The configured agents, as they are now: an edit of the configuration changes what this returns."""

    def profile(self, name: AgentName) -> Profile | None: ...
    def names(self) -> Sequence[AgentName]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """What a kill ended: the sessions, the root of the kill first."""

    sessions: tuple[Session, ...]
    tool_calls: int  # that they had made


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """What a parent gets in the stead of a child's long result. See `agents.results`."""

    text: str
    attachments: tuple[Attachment, ...] = ()


class Journal(Protocol):
    """The durable side of turns. Every method is one transaction.

    Methods that take a Claim raise Fenced when its epoch is over, and then nothing was written.
    """

    async def activate(self, session: SessionId, now: datetime) -> Activation | None:
        """Claim the session (the epoch rises), begin a turn or take up the one that was begun, and take the
        mail in. None when there is nothing to do or the session has ended."""

    async def commit(
        self,
        claim: Claim,
        steps: Sequence[NewStep],
        now: datetime,
        *,
        say: Sequence[Outbound] = (),
        doing: str = "",
    ) -> Committed:
        """Write steps, what they cost and what is said, and take in the mail that may join a running turn."""

    async def end_turn(
        self,
        claim: Claim,
        outcome: Outcome,
        steps: Sequence[NewStep],
        now: datetime,
        *,
        say: Sequence[Outbound] = (),
        result: str | None = None,
        handed: Handed | None = None,
        park_until: datetime | None = None,
    ) -> Committed | None:
        """End the turn: the session becomes idle (waiting, the turn parked, with `park_until`), or ends when it
        is a run.

        When mail that joins a running turn has come meanwhile and the outcome is DONE, the turn does not
        end: the steps are written, that mail is taken in (and `say` is said all the same), and
        the turn goes on. A run that ends posts its result to its parent (or the nearest living ancestor, or
        says it at its home) in the same transaction, a long one as what is `handed` instead. A session that stays
        and has mail waiting is woken.
        """

    async def history(self, session: SessionId, after: int = 0, limit: int = 200) -> Sequence[Step]: ...
    async def recent(self, session: SessionId, limit: int = 20) -> Sequence[Step]:
        """The last steps, oldest first."""

    async def spent_today(self, agent: AgentName, now: datetime) -> float: ...
    async def to_resume(self) -> Sequence[SessionId]:
        """Sessions with a begun turn or waiting mail: what a start takes up."""

    async def due(self, now: datetime) -> tuple[Sequence[SessionId], datetime | None]:
        """Waiting sessions whose time to be woken has come, and when the next one's comes."""

    async def release(self) -> None:
        """Give up what this process holds, before it stops: what goes on elsewhere then is no crash."""


class Mailbox(Protocol):
    """What waits for sessions. Posting is idempotent by the mail's key."""

    async def post(self, mail: NewMail, now: datetime, limit: int = 50) -> Posted:
        """Put mail into a session's box. FULL stores nothing."""

    async def known(self, key: MailKey) -> bool:
        """Whether mail with this key was posted before."""

    async def answered(self, key: MailKey) -> bool:
        """Whether the answer to this mail, which wanted one, has been posted to its sender."""

    async def exchanged(self, one: SessionId, other: SessionId) -> int:
        """How often each of two sessions has written to the other since a person last wrote to either: rounds."""

    async def withdraw(self, inbox: int) -> bool:
        """Take back mail that waits (its message was deleted). False when it was taken in already."""

    async def reword(self, inbox: int, text: str) -> bool:
        """Change the text of mail that waits (its message was edited). False when it was taken in already."""

    async def answering(self, inbox: int) -> Session | None:
        """The session whose turn, not ended yet, has taken this message in."""


class Sessions(Protocol):
    """The sessions themselves: made, found, bound to places, ended. Every method is one transaction."""

    async def spawn(self, spawn: Spawn, now: datetime, opening: OpenThread | None = None) -> Spawned:
        """Make a session with its binding, its first mail and, with `opening`, the delivery that opens its
        thread (its `home` is then the placeholder `…/+<session id>` until the thread is there).
        A second call with the same key returns the session that is there. Raises Refused when a limit or
        the label says no, or the parent has ended."""

    async def stop(self, session: SessionId) -> bool:
        """Ask for the running turn to end. False when none runs."""

    async def kill(
        self, session: SessionId, by: str, now: datetime, *, answered_in: ThreadRef | None = None, actor: str = ""
    ) -> Killed:
        """End a session and everything below it: epochs rise, waiting mail and unsent deliveries (control replies
        excepted) are dropped, and the parent of the root is told. Each one's thread is told who killed it and what it
        had done, but not the one where the command for it is answered. `actor` is whom the audit log names instead of
        `by`. Empty when it had ended before."""

    async def end(self, session: SessionId, ended: Ended, result: str, now: datetime) -> None:
        """End one session without a kill (expired, its thread deleted). A run's parent is told."""

    async def session(self, id: SessionId) -> Session | None: ...
    async def find(self, name: str) -> Session:
        """By id, a unique beginning of an id, or label (living ones first). Raises NotFound with a sentence."""

    async def bound(self, where: ThreadRef) -> Session | None:
        """The living session of a place."""

    async def bind(self, session: SessionId, where: ThreadRef, now: datetime, *, home: bool = False) -> None:
        """Bind a place to this session, away from any other."""

    async def unbind(self, where: ThreadRef) -> bool: ...
    async def places(self, session: SessionId) -> Sequence[ThreadRef]: ...
    async def living(self, limit: int = 200) -> Sequence[Session]: ...
    async def idle_since(self, agent: AgentName, before: datetime, limit: int = 100) -> Sequence[SessionId]:
        """Idle sessions of an agent, without living children, that nobody used since then."""

    async def children(self, parent: SessionId) -> Sequence[Session]: ...
    async def tree(self, root: SessionId) -> Sequence[Session]:
        """A session and everything below it, parents before children."""

    async def change(
        self,
        session: SessionId,
        *,
        model: str | None = None,
        queue: QueueMode | None = None,
        label: str | None = None,
    ) -> Session:
        """Change what a person may change. Raises Refused when the label is taken."""


class Engine(Protocol):
    """One activation of a session at a time, wake-up, abort, takeover when its holder is gone."""

    def wake(self, session: SessionId, *, after_seconds: float = 0.0) -> None:
        """At least one activation that begins after this call sees everything committed before it."""

    def abort(self, session: SessionId) -> None:
        """Cancel the running activation, wherever it is. What was committed before (stop, kill, new mail) says why."""

    async def run(self, activate: Callable[[SessionId], Awaitable[None]]) -> None:
        """Serve until cancelled."""

    @property
    def awake(self) -> int:
        """How many activations run now."""


class Signals(Protocol):
    """What the journal tells this process after a commit. Calls must not block or raise."""

    def mail(self, session: SessionId) -> None: ...
    def said(self, lane: str) -> None: ...
    def ended(self, session: SessionId) -> None: ...


class Live(Protocol):
    """Where what happens now is shown: text as it comes, tools as they run. Transient and lossy."""

    def publish(self, session: SessionId, kind: str, data: Mapping[str, Any]) -> None:
        """Never blocks, never raises.

        Kinds: turn {turn}, text {text} (a delta), thinking {text}, restarted {reason}, tool {call_id, name,
        arguments}, tool_done {call_id, name, error}, taken {text, by, what}, cost {spent_usd, tokens},
        state {state, doing}, turn_done {outcome}.
        """
