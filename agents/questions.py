"""What a session asks people: questions with `ask_human`, and leave to run a tool.

A question is a row, and whoever waits for its answer is a parked turn: nothing is held while a person thinks, and a
restart loses nothing. Who is asked when, who is reminded and who is asked next follow from the moment of the
question and the clock alone (`stage`), so there is no timer to lose either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import NewType, Protocol

from agents.base import Claim, Session, SessionId, TurnId
from channels.base import Account, Attachment, Button, Outbound, ThreadRef

QuestionId = NewType("QuestionId", str)
"""`q` and 10 characters of base32; a pairing code has 8, so neither can be taken for the other."""

ONCE, ALWAYS, DENY = "once", "always", "deny"
"""The answers to an approval, in the order of its buttons."""

_SHOWN = 200  # characters of an answer that stand under its question


class QuestionKind(Enum):
    QUESTION = "question"  # the answer is for the model
    APPROVAL = "approval"  # the answer is for the runtime: once, always or deny


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question and, once there is one, its answer."""

    id: QuestionId
    key: str  # of the call that asks: made again, it finds this question
    session: SessionId
    turn: TurnId
    call: str  # the model's id of the call that waits
    kind: QuestionKind
    text: str
    choices: tuple[Button, ...] = ()  # shown as buttons
    tool: str = ""  # of an approval
    arguments_hash: str = ""  # what the approval is bound to
    asked: tuple[Account, ...] = ()  # who was asked beside the session's own person: may answer too
    places: tuple[ThreadRef, ...] = ()  # where it was asked
    expires_at: datetime
    answer: str | None = None
    answered_by: str = ""  # name


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """An answer on its way in, and from whom."""

    text: str
    by: Account
    name: str
    inbox: int | None = None
    where: ThreadRef | None = None
    reply_to: str | None = None
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A message of a question as it stands in its place: its last part has the buttons."""

    whole: Outbound
    part: Outbound
    message_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Over:
    """A question that nobody can answer any more, and the messages that still look as if somebody could."""

    question: Question
    since: datetime
    messages: tuple[Asked, ...]
    all_said: bool  # False: a message is on its way still


class Taken(Enum):
    """What became of an answer."""

    TAKEN = "taken"
    ANSWERED = "answered"  # somebody was first
    OVER = "over"  # nobody waits for it any more: it expired, or the turn went on or ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """How far the asking has come. `level` counts those who are asked one after the other."""

    level: int
    reminded: bool
    until: datetime  # when the next thing is to be done
    over: bool


def stage(asked_at: datetime, now: datetime, each: timedelta, people: int) -> Stage:
    """Everybody has the time `each`, is reminded after half of it, and then the next one is asked."""
    level = max(0, (now - asked_at) // each)
    began = asked_at + level * each
    reminded = now >= began + each / 2
    return Stage(level=level, reminded=reminded, until=began + (each if reminded else each / 2), over=level >= people)


def closed_text(text: str, question: Question, now: datetime) -> str:
    """What a question's message says once it is over. Its last paragraph told how to answer (`agents.tools.asking`):
    what came of it takes its place."""
    before, _, _ = text.rpartition("\n\n")
    return f"{before}\n\n{outcome(question, now)}".strip()


def outcome(question: Question, now: datetime) -> str:
    """What came of a question, in a sentence."""
    if question.answer is None:
        return "*Nobody answered in time.*" if question.expires_at <= now else "*Nobody waits for this any more.*"
    if question.kind is QuestionKind.QUESTION:
        said = " ".join(question.answer.split())
        return f"**Answered by {question.answered_by}:** {said[:_SHOWN] + ' …' if len(said) > _SHOWN else said}"
    verb = {ONCE: "Allowed once", ALWAYS: "Allowed for the rest of this session", DENY: "Denied"}[question.answer]
    return f"**{verb} by {question.answered_by}.**"


class Questions(Protocol):
    """Where questions are kept. `storage.questions` fulfils it; every method is one transaction."""

    async def ask(self, claim: Claim, question: Question, say: Sequence[Outbound], now: datetime) -> None:
        """Keep a question with its buttons and say it. Made again with the same key, only who was asked and where
        is brought up to date, and what was said is not said again. Raises Fenced."""

    async def by_key(self, key: str) -> Question | None: ...
    async def find(self, id: str) -> Question | None: ...
    async def behind(self, button: str) -> tuple[Question, str] | None:
        """The question of a button, and what pressing it answers."""

    async def awaited(self, session: SessionId | None, place: ThreadRef, now: datetime) -> Question | None:
        """The newest open question (no approval) of this session, or one that was asked at this place."""

    async def answer(self, question: QuestionId, given: Given, now: datetime) -> Taken:
        """Take the first answer: it is kept, told to the session as mail, and recorded, all or nothing."""

    async def granted(self, session: SessionId, tool: str) -> bool:
        """Whether somebody allowed this tool for the rest of the session."""

    async def over(self, now: datetime, after: QuestionId | None = None) -> Sequence[Over]:
        """Questions that are over and not closed, the oldest first, a page of them; the next page comes `after` its
        last one."""

    async def close(self, question: QuestionId, now: datetime) -> None:
        """Its messages say what came of it, or nothing can be done about them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressee:
    """Somebody (or everybody of a role) to be asked, and where that is done."""

    name: str
    accounts: tuple[Account, ...]
    places: tuple[ThreadRef, ...]
    theirs: frozenset[ThreadRef] = frozenset()  # those of the places that are not the session's own person's


class Addressees(Protocol):
    """Who can be asked. `bot.asking` fulfils it."""

    async def find(self, name: str | None, session: Session) -> Addressee:
        """A person or role by name; None: the session's own person, in the session's own thread.
        Raises NotFound with a sentence that names those who can be asked."""
