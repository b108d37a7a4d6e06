"""Who is asked, where, and whose answer counts: the people's side of `agents.questions`.

The session's own person is asked in the session's thread; somebody else directly, at the first place where she can
be reached in private, or in that thread when there is none. An answer is a button, a command, or what is simply
written where the question stands. Each of them passes the gate as `Action.APPROVE`: the person the session
belongs to, those who were asked, and operators may answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

import structlog

from agents.base import NotFound, Session
from agents.ports import Sessions
from agents.questions import ALWAYS, DENY, ONCE, Addressee, Given, Question, QuestionKind, Questions, Taken
from bot.access import Action, Principal, Resource, Verdict, authorise
from channels.base import (
    Account,
    Capability,
    Channel,
    ChannelError,
    ChannelName,
    ChannelState,
    Inbound,
    ThreadRef,
)

log = structlog.get_logger("asking")


class KnowsPeople(Protocol):
    """`bot.people.directory` fulfils it."""

    def accounts_named(self, name: str) -> tuple[tuple[Account, ...], ...]: ...
    def names(self) -> tuple[str, ...]: ...
    def reach_of(self, account: Account) -> Sequence[tuple[ChannelName, Account]]: ...


class PeopleToAsk:
    """Fulfils `agents.questions.Addressees`."""

    def __init__(
        self, people: KnowsPeople, sessions: Sessions, channel: Callable[[ChannelName], Channel | None]
    ) -> None:
        self._people = people
        self._sessions = sessions
        self._channel = channel

    async def find(self, name: str | None, session: Session) -> Addressee:
        home = await self._home(session)
        if name is None:
            places = [home] if home is not None else [await self._direct((session.owner,))]
            return _addressee(session.owner_name, (session.owner,), places)
        people = self._people.accounts_named(name)
        if not people:
            known = ", ".join(self._people.names()) or "nobody"
            raise NotFound(
                f"there is nobody called {name!r} to ask; there are: {known}, and the roles user, operator and owner."
            )
        reached = [(accounts, await self._direct(accounts)) for accounts in people]
        theirs = frozenset(place for accounts, place in reached if place and session.owner not in accounts)
        accounts = tuple(account for each in people for account in each)
        return _addressee(name, accounts, [place or home for _, place in reached], theirs)

    async def _home(self, session: Session) -> ThreadRef | None:
        """The session's own thread, or that of the nearest session above that has one."""
        found: Session | None = session
        while found is not None and found.home is None and found.parent is not None:
            found = await self._sessions.session(found.parent)
        return found.home if found is not None else None

    async def _direct(self, accounts: Sequence[Account]) -> ThreadRef | None:
        for name, account in self._people.reach_of(accounts[0]):
            channel = self._channel(name)
            if channel is None or Capability.DIRECT not in channel.capabilities:
                continue
            if channel.health().state is ChannelState.DOWN:
                continue
            try:
                return await channel.direct(account)
            except ChannelError as error:
                log.warning("cannot be asked directly", channel=name, reason=str(error))
        return None


def _addressee(
    name: str,
    accounts: tuple[Account, ...],
    places: Sequence[ThreadRef | None],
    theirs: frozenset[ThreadRef] = frozenset(),
) -> Addressee:
    reached = tuple(dict.fromkeys(place for place in places if place is not None))
    if not reached:
        raise NotFound(f"{name} cannot be reached anywhere now: ask somebody else, or go on without an answer.")
    return Addressee(name=name, accounts=accounts, places=reached, theirs=theirs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What whoever answered is told. `done`: it was taken, and stands under the question then (`bot.closing`)."""

    text: str
    done: bool = False


class Records(Protocol):
    """The audit log."""

    async def record(
        self, *, at: datetime, actor: str, action: str, resource: str, session: str | None = None, **detail: object
    ) -> int: ...


class AnswerDesk:
    """Where answers are taken in. `answered` is called after each."""

    def __init__(
        self,
        questions: Questions,
        sessions: Sessions,
        audit: Records,
        answered: Callable[[], None] = lambda: None,
    ) -> None:
        self._answered = answered
        self._questions = questions
        self._sessions = sessions
        self._audit = audit

    async def press(self, button: str, by: Principal, now: datetime) -> Told:
        """A button under a question."""
        found = await self._questions.behind(button)
        if found is None:
            return Told(text="This button is not valid any more.")
        question, answer = found
        return await self._decide(question, Given(text=answer, by=by.account, name=by.byline), by, now)

    async def approve(self, id: str, word: str, by: Principal, now: datetime) -> Told | None:
        """/approve and /deny for a tool call. None: there is no such request."""
        question = await self._questions.find(id.strip().lower())
        if question is None:
            return None
        if question.kind is not QuestionKind.APPROVAL:
            return Told(text="That is a question: answer it with its buttons, or write the answer where it stands.")
        return await self._decide(question, Given(text=word, by=by.account, name=by.byline), by, now)

    async def awaited(self, event: Inbound, session: Session | None, by: Principal, now: datetime) -> Question | None:
        """The question that this message answers: one of the session of this thread, or one that was put to the
        writer here in private (where that has choices, only one of them is an answer)."""
        if session is None and not event.direct:
            return None
        question = await self._questions.awaited(session.id if session else None, event.where, now)
        if question is None or not (await self._verdict(question, by)).allowed:
            return None
        if session is not None and question.session == session.id:
            return question
        private = event.direct and by.account in question.asked
        return question if private and (not question.choices or _chosen(question, event.text)) else None

    async def take(self, question: Question, given: Given, now: datetime) -> bool:
        """What was written as the answer. False when nobody waits for it any more."""
        given = replace(given, text=_chosen(question, given.text) or given.text)
        taken = await self._questions.answer(question.id, given, now)
        self._answered()
        return taken is Taken.TAKEN

    async def _decide(self, question: Question, given: Given, by: Principal, now: datetime) -> Told:
        verdict = await self._verdict(question, by)
        if not verdict.allowed:
            await self._audit.record(
                at=now, actor=by.account, action="denied", resource=f"answer:{question.id}", session=question.session
            )
            return Told(text=verdict.reason)
        match await self._questions.answer(question.id, given, now):
            case Taken.TAKEN:
                self._answered()
                return Told(text=_said(question, given), done=True)
            case Taken.ANSWERED:
                first = await self._questions.find(question.id)
                name = first.answered_by if first is not None else "Somebody"
                return Told(text=f"{name} was first: this is answered already.")
            case Taken.OVER:
                return Told(text="Nobody waits for this answer any more: its time is over, or the work went on.")

    async def _verdict(self, question: Question, by: Principal) -> Verdict:
        session = await self._sessions.session(question.session)
        if session is None:
            return Verdict(allowed=False, reason="The session that asked is gone.")
        root = await self._sessions.session(session.root) if session.root != session.id else session
        resource = Resource.of_session(session, root.owner if root else None)
        owners = frozenset(question.asked) | (resource.owners or frozenset())
        return authorise(by, Action.APPROVE, replace(resource, owners=owners))


def _chosen(question: Question, text: str) -> str | None:
    """The choice that somebody wrote, however he wrote it."""
    wanted = text.strip().casefold()
    return next((choice.label for choice in question.choices if choice.label.casefold() == wanted), None)


def _said(question: Question, given: Given) -> str:
    if question.kind is QuestionKind.QUESTION:
        return f"{given.name} answered: {given.text}"
    what = {ONCE: "allowed", ALWAYS: "allowed, for the rest of this session,", DENY: "denied"}[given.text]
    return f"{given.name} {what} `{question.tool}` (`{question.id}`)."
