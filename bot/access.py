"""The one gate: may this person do that to this thing?

Every kind of event (message, edit, button, command, webhook) is asked about here before anything happens,
so rights can be read in one table and tested as one function. What is not in the table is denied. A right
hangs on the platform's immutable account id alone; the display name is never looked at.

Two decisions are worth knowing. Whoever may write in a thread is part of the conversation there: a user may
*talk* in a thread that belongs to somebody else's session, as everybody in it sees; steering, stopping,
killing or reading a session from elsewhere needs the owner's account or the role operator. And a stranger
(role none) never reaches an agent: he may ask who he is, ask to be let in, and enter a link code.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Self

from agents.base import Session
from channels.base import Account, ThreadRef


class Role(IntEnum):
    """What a person may do here; each role may do all that a lower one may."""

    NONE = 0  # a stranger
    GUEST = 1  # talks where a route lets him
    USER = 2  # has sessions of his own
    OPERATOR = 3  # looks after everybody's sessions
    OWNER = 4  # may do everything

    @property
    def word(self) -> str:
        """As it is written in the configuration."""
        return self.name.lower()

    @classmethod
    def named(cls, word: str) -> Self:
        """Raises ValueError with a sentence for a person."""
        try:
            return cls[word.strip().upper()]
        except KeyError:
            words = ", ".join(role.word for role in cls)
            raise ValueError(f"{word!r} is not a role: write one of {words}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks. `accounts` are all accounts of the same person, `account` included."""

    account: Account
    person: str | None  # the directory's name of the person; None for a stranger
    name: str  # for display only
    role: Role
    accounts: frozenset[Account]
    is_bot: bool = False
    by_token: bool = False  # came in with the bearer token, which only who runs the bot has

    @property
    def byline(self) -> str:
        """Who it was, where others read it and rely on it: the configured name, which nobody chooses for himself, or
        else the display name with the account that cannot be chosen."""
        named = self.person is not None and ":" not in self.person
        if self.by_token and not named:
            return "the owner"
        return str(self.person) if named else f"{self.name} ({self.account})"


class Action(Enum):
    """What is asked for. The value is what the audit log says."""

    HELP = "help"
    WHOAMI = "whoami"
    PAIR = "pair"  # ask to be let in
    LINK = "link"  # join a second account to a person
    TALK = "talk"  # say something to an agent
    STOP = "stop"  # end a turn
    SPAWN = "spawn"
    NEW = "new"  # begin a new conversation in a place
    STEER = "steer"
    KILL = "kill"
    READ = "read"  # status, history, what was said
    SEND = "send"  # a message to a session by its name
    FOCUS = "focus"  # bind a place to another session
    RETRY = "retry"
    MODEL = "model"  # see and change a session's model
    QUEUE = "queue"  # see and change a session's queue mode
    COST = "cost"
    AGENTS = "agents"  # list sessions
    APPROVE = "approve"  # answer what a session asked a person: a tool call, a question
    HEALTH = "health"
    MONITORS_READ = "monitors_read"
    MONITORS_WRITE = "monitors_write"
    DEAD_LETTERS = "dead_letters"
    PAIRINGS = "pairings"  # let a stranger in, or not
    AUDIT = "audit"
    CONFIGURE = "configure"
    FORGET = "forget"  # delete a person's data


class ResourceKind(Enum):
    NOTHING = "nothing"
    SESSION = "session"
    ROOM = "room"
    MONITOR = "monitor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """What it is done to. `owners` None: it belongs to nobody in particular (a room, the bot itself), and only
    the role counts. An empty set: it is somebody else's for everyone (a monitor of the configuration)."""

    kind: ResourceKind
    name: str = ""
    owners: frozenset[Account] | None = None
    bots: bool = False  # a route lets bots talk here

    @classmethod
    def of_session(cls, session: Session, root_owner: Account | None = None, *, bots: bool = False) -> Resource:
        """A session belongs to the account that caused it and to the one that caused the tree it is in."""
        owners = {session.owner} if root_owner is None else {session.owner, root_owner}
        return cls(kind=ResourceKind.SESSION, name=session.id, owners=frozenset(owners), bots=bots)

    @classmethod
    def of_room(cls, where: ThreadRef, *, bots: bool = False) -> Resource:
        return cls(kind=ResourceKind.ROOM, name=where.key, bots=bots)

    @classmethod
    def of_monitor(cls, name: str, owner: Account | None) -> Resource:
        """`owner` is the account that made it in chat, None for a monitor of the configuration."""
        owners = frozenset() if owner is None else frozenset({owner})
        return cls(kind=ResourceKind.MONITOR, name=name, owners=owners)

    @property
    def key(self) -> str:
        """For the audit log: `session:sab12`, `room:slack:T1/C2`."""
        return f"{self.kind.value}:{self.name}" if self.name else self.kind.value


NOTHING = Resource(kind=ResourceKind.NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`reason` is a sentence for the person: what happened and what to do."""

    allowed: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Need:
    """The least role, by whose thing it is, and what it is called in a sentence."""

    own: Role
    others: Role
    doing: str


def _need(own: Role, others: Role, doing: str) -> _Need:
    return _Need(own=own, others=others, doing=doing)


NEEDS: dict[Action, _Need] = {
    Action.HELP: _need(Role.NONE, Role.NONE, "asking for help"),
    Action.WHOAMI: _need(Role.NONE, Role.NONE, "asking who you are"),
    Action.PAIR: _need(Role.NONE, Role.NONE, "asking to be let in"),
    Action.LINK: _need(Role.NONE, Role.NONE, "linking accounts"),
    Action.TALK: _need(Role.GUEST, Role.USER, "talking to an agent"),
    Action.STOP: _need(Role.GUEST, Role.OPERATOR, "stopping a turn"),
    Action.SPAWN: _need(Role.USER, Role.OPERATOR, "spawning an agent"),
    Action.NEW: _need(Role.USER, Role.OPERATOR, "beginning a new conversation"),
    Action.STEER: _need(Role.USER, Role.OPERATOR, "steering a session"),
    Action.KILL: _need(Role.USER, Role.OPERATOR, "killing a session"),
    Action.READ: _need(Role.USER, Role.OPERATOR, "reading a session"),
    Action.SEND: _need(Role.USER, Role.OPERATOR, "sending to a session"),
    Action.FOCUS: _need(Role.USER, Role.OPERATOR, "binding a session to a place"),
    Action.RETRY: _need(Role.USER, Role.OPERATOR, "retrying a request"),
    Action.MODEL: _need(Role.USER, Role.OPERATOR, "choosing a session's model"),
    Action.QUEUE: _need(Role.USER, Role.OPERATOR, "choosing a session's queue mode"),
    Action.COST: _need(Role.USER, Role.OPERATOR, "seeing costs"),
    Action.AGENTS: _need(Role.USER, Role.OPERATOR, "listing sessions"),
    Action.APPROVE: _need(Role.USER, Role.OPERATOR, "answering for a session"),
    Action.HEALTH: _need(Role.USER, Role.OPERATOR, "seeing the state of the channels"),
    Action.MONITORS_READ: _need(Role.USER, Role.OPERATOR, "seeing monitors"),
    Action.MONITORS_WRITE: _need(Role.OPERATOR, Role.OPERATOR, "changing monitors"),
    Action.DEAD_LETTERS: _need(Role.OPERATOR, Role.OPERATOR, "handling dead letters"),
    Action.PAIRINGS: _need(Role.OPERATOR, Role.OPERATOR, "letting people in"),
    Action.AUDIT: _need(Role.OWNER, Role.OWNER, "reading the audit log"),
    Action.CONFIGURE: _need(Role.OWNER, Role.OWNER, "changing the configuration"),
    Action.FORGET: _need(Role.OWNER, Role.OWNER, "deleting a person's data"),
}

_YES = Verdict(allowed=True)


def authorise(principal: Principal, action: Action, resource: Resource = NOTHING) -> Verdict:
    """May `principal` do `action` to `resource`? Whatever the table does not allow is denied."""
    need = NEEDS.get(action)
    if need is None:
        return Verdict(allowed=False, reason=f"Nobody may do this here ({action.value}).")
    if principal.is_bot:
        # A bot's role is not asked: the person who wrote `bots = true` into a route let it in, and only to talk.
        if action is Action.TALK and resource.bots:
            return _YES
        return Verdict(allowed=False, reason="Bots may only talk, and only where a route says `bots = true`.")
    own = resource.owners is None or not resource.owners.isdisjoint(principal.accounts)
    if principal.role >= (need.own if own else need.others):
        return _YES
    return Verdict(allowed=False, reason=_refusal(principal, need, own))


def _refusal(principal: Principal, need: _Need, own: bool) -> str:
    if principal.role is Role.NONE:
        return (
            f"I do not know you here (your account is {principal.account}), so {need.doing} is not possible yet."
            " Ask the people who run this bot to let you in."
        )
    if not own and principal.role >= need.own:
        return (
            f"{need.doing.capitalize()} that belongs to somebody else needs the role {need.others.word},"
            f" and yours is {principal.role.word}. Ask an operator; /agents lists your own sessions."
        )
    least = need.own if own else need.others
    return (
        f"{need.doing.capitalize()} needs the role {least.word}, and yours is {principal.role.word}."
        " Ask the owner of this bot for it; /whoami tells what he needs to know."
    )


def may_grant(principal: Principal, role: Role) -> Verdict:
    """May `principal` let somebody in with this role? Everybody below the owner gives only roles below his own,
    so that nobody makes himself an equal whom he cannot control."""
    verdict = authorise(principal, Action.PAIRINGS)
    if not verdict.allowed:
        return verdict
    if role is Role.NONE:
        return Verdict(
            allowed=False, reason="The role none lets nobody in: choose guest or user, or /deny the request."
        )
    if principal.role is Role.OWNER or role < principal.role:
        return _YES
    return Verdict(
        allowed=False,
        reason=f"As {principal.role.word} you can only give roles below your own. Ask the owner to give {role.word}.",
    )
