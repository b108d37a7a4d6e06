"""Carries out what the router decides, an event at a time for each place (`event_queues` gives them in order).

One event, walked: who is it (people), what is bound here (sessions), what is to be done (router), done
(team, commands), and marked in the inbox. Everything an event causes carries a key made from the event's own
id, so an event that is dispatched again after a crash causes nothing twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol

from agents.base import Acknowledge, MailKey, MailKind, NewMail, Posted, Refused, Session, SessionId, State
from agents.ports import Mailbox, Sessions
from agents.questions import Given, Question
from agents.team import Task, Team
from bot.access import Principal
from bot.asking import Told
from bot.attachments import Kept
from bot.commands import Records, Reply
from bot.event_queues import EventQueues
from bot.people.directory import shown_name
from bot.routing.loop_guard import LoopGuard
from bot.routing.router import (
    Amend,
    Decision,
    Ignore,
    Invocation,
    Moved,
    NewSession,
    Park,
    Press,
    Refuse,
    Routed,
    Routes,
    Run,
    ThreadGone,
    ToSession,
    route,
)
from bot.seldom import Seldom
from channels.base import Account, ChannelName, DeliveryKey, Inbound, Outbound, ThreadRef
from storage.inbox import Inbox, Stored


class Knows(Protocol):
    """Who people are. `bot.people.directory` fulfils it."""

    def principal(self, account: Account, name: str, is_bot: bool = False) -> Principal: ...


class Greets(Protocol):
    """What a stranger is told. None: he was told within the hour."""

    async def greeting(self, stored: Stored, answer: str, now: datetime) -> str | None: ...


class RunsCommands(Protocol):
    """`bot.commands` fulfils it."""

    async def run(
        self, run: Run, principal: Principal, stored: Stored, now: datetime, files: Callable[[], Awaitable[Kept]]
    ) -> Reply: ...


class TakesAnswers(Protocol):
    """Answers to what sessions ask people. `bot.asking` fulfils it."""

    async def press(self, button: str, by: Principal, now: datetime) -> Told: ...
    async def awaited(self, event: Inbound, session: Session | None, by: Principal, now: datetime) -> Question | None:
        """The question that this message answers."""

    async def take(self, question: Question, given: Given, now: datetime) -> bool:
        """False: nobody waits for the answer any more."""


class Speaks(Protocol):
    """Puts a message of the bot itself into the outbox."""

    async def say(self, message: Outbound, *, session: SessionId | None = None) -> None: ...


class MarksMessages(Protocol):
    """Lets people see what became of what they wrote. `bot.showing.marks` fulfils it."""

    def marks(self, name: ChannelName) -> bool:
        """Whether people's messages can be marked there."""

    def look(self, session: SessionId) -> None:
        """Something of a person waits for this session."""

    def accepted(self, where: ThreadRef, message_id: str | None) -> None:
        """It is answered in a thread of its own."""

    def refused(self, where: ThreadRef, message_id: str | None) -> None:
        """Nobody will read it."""


class KeepsFiles(Protocol):
    """Fetches the files of a message into the store. `bot.attachments` fulfils it."""

    async def keep(self, event: Inbound) -> Kept: ...


class MovesRooms(Protocol):
    """`bot.moved_rooms` fulfils it."""

    async def follow(self, room: ThreadRef, to: str) -> None:
        """Every stored reference to a room follows it to its new id, in one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchParts:
    inbox: Inbox
    sessions: Sessions
    mailbox: Mailbox
    team: Team
    people: Knows
    greeter: Greets
    commands: RunsCommands
    answers: TakesAnswers
    speaker: Speaks
    marks: MarksMessages
    rooms: MovesRooms
    files: KeepsFiles
    audit: Records
    routes: Callable[[], Routes]
    decided: Callable[[Stored, Decision], None]  # for metrics and the page
    clock: Callable[[], datetime]


_BEGIN = frozenset({"spawn", "retry"})  # commands after which an agent works


class Dispatcher:
    """Routes what was committed. `run` must be running for `offer` to have an effect."""

    def __init__(self, parts: DispatchParts) -> None:
        self._parts = parts
        self._guard = LoopGuard()
        self._seldom = Seldom()
        self._queues = EventQueues(parts.inbox, self._dispatch, self._bury)

    @property
    def waiting(self) -> int:
        """Events in memory that are not decided yet."""
        return self._queues.waiting

    def offer(self, events: Sequence[Stored]) -> None:
        self._queues.offer(events)

    async def run(self) -> None:
        """Take up what a former run left, then serve until cancelled."""
        await self._queues.run()

    async def _bury(self, stored: Stored, failure: Exception) -> None:
        kind = type(failure).__name__
        await self._parts.inbox.mark(stored.n, "dead", f"{kind}: {failure}")
        await self._reply(stored, f"Something went wrong here ({kind}). The log has it.")

    async def _dispatch(self, stored: Stored) -> None:
        parts, event, now = self._parts, stored.event, self._parts.clock()
        principal = parts.people.principal(event.sender.account, event.sender.name, event.sender.is_bot)
        session = await parts.sessions.bound(event.where)
        root = session
        if session is not None and session.root != session.id:
            root = await parts.sessions.session(session.root)
        routed: Routed = route(
            event,
            session=session,
            principal=principal,
            routes=parts.routes(),
            now=now,
            root_owner=root.owner if root else None,
            bot_rounds=self._guard.rounds(event, now),
        )
        self._guard.decided(event, routed.decision, now)
        parts.decided(stored, routed.decision)
        await self._carry_out(routed.decision, principal, stored, now)

    async def _carry_out(self, decision: Decision, principal: Principal, stored: Stored, now: datetime) -> None:
        match decision:
            case Ignore(reason=reason):
                await self._parts.inbox.mark(stored.n, "ignored", reason)
            case Refuse():
                await self._refuse(decision, stored, now)
            case Run():
                await self._run(decision, principal, stored, now)
            case ToSession() | NewSession():
                if not await self._answered(decision, principal, stored, now):
                    await self._to_agent(decision, principal, stored)
            case Amend():
                await self._amend(decision, stored)
            case Press():
                await self._press(decision, principal, stored, now)
            case Park(reason=reason):
                await self._parts.inbox.mark(stored.n, "routed", reason)
            case ThreadGone():
                if decision.session is not None:
                    await self._parts.team.kill(
                        decision.session.id, by="the deletion of its thread", answered_in=stored.event.where
                    )
                await self._parts.inbox.mark(stored.n, "routed", decision.reason)
            case Moved():
                await self._parts.rooms.follow(decision.where.in_room, decision.to)
                await self._parts.inbox.mark(stored.n, "routed", decision.reason)

    async def _refuse(self, decision: Refuse, stored: Stored, now: datetime) -> None:
        answer: str | None = decision.answer
        if decision.offer_pairing:
            answer = await self._parts.greeter.greeting(stored, decision.answer, now)
        if answer:
            await self._reply(stored, answer)
        event = stored.event
        await self._parts.audit.record(
            at=now, actor=event.sender.account, action="refused", resource=event.where.key, reason=decision.reason
        )
        await self._parts.inbox.mark(stored.n, "refused", decision.reason)

    async def _run(self, decision: Run, principal: Principal, stored: Stored, now: datetime) -> None:
        if decision.invocation.name in _BEGIN and await self._overtaken(stored):
            return
        answer = await self._parts.commands.run(decision, principal, stored, now, partial(self._kept_in_time, stored))
        await self._reply(stored, answer.text, private=answer.private)
        await self._parts.inbox.mark(stored.n, "routed", decision.reason)

    async def _to_agent(self, decision: ToSession | NewSession, principal: Principal, stored: Stored) -> None:
        if isinstance(decision, ToSession):
            await self._post(decision, principal, stored)
        else:
            await self._begin(decision, principal, stored)

    async def _answered(
        self, decision: ToSession | NewSession, principal: Principal, stored: Stored, now: datetime
    ) -> bool:
        """Whether the message was the answer to what a session asked, and has been passed on as that."""
        event = stored.event
        session = decision.session if isinstance(decision, ToSession) else None
        if (session is None or session.state is State.IDLE) and not event.direct:
            return False
        question = await self._parts.answers.awaited(event, session, principal, now)
        if question is None:
            return False
        kept = await self._kept(event)
        here = session is not None and question.session == session.id
        given = Given(
            text=_joined(event.text, kept.text),
            by=principal.account,
            name=principal.byline,
            inbox=stored.n,
            where=event.where if here else None,
            reply_to=event.message_id if here else None,
            attachments=kept.attachments,
        )
        if not await self._parts.answers.take(question, given, now):
            return False
        if not here:
            await self._reply(stored, "Passed on as your answer.")
        return True

    async def _post(self, decision: ToSession, principal: Principal, stored: Stored) -> None:
        event, session = stored.event, decision.session
        kept = await self._kept(event)
        mail = NewMail(
            key=MailKey(f"in:{stored.key}"),
            session=session.id,
            kind=MailKind.PERSON,
            text=_joined(event.text, kept.text),
            sender=principal.account,
            sender_name=principal.name,
            inbox=stored.n,
            where=event.where,
            reply_to=event.message_id,
            mode=decision.mode,
            attachments=kept.attachments,
            acknowledge=self._acknowledge(event, session),
        )
        match await self._parts.team.post(mail, session):
            case Posted.FULL:
                self._parts.marks.refused(event.where, event.message_id)
                if self._seldom.says(f"full:{session.id}", self._parts.clock()):
                    await self._reply(
                        stored,
                        f"{session.label} has too much waiting, so this message was not taken in, and neither is what"
                        " follows until there is room. Send it again later, or /stop ends the running turn.",
                    )
                await self._parts.inbox.mark(stored.n, "refused", "the session's queue is full", session.id)
            case Posted.ENDED:  # between the look and the post: decide anew, with nothing bound
                await self._dispatch(stored)
            case Posted.KNOWN:
                await self._parts.inbox.mark(stored.n, "routed", decision.reason, session.id)
            case Posted.QUEUED:  # marked as routed in the same commit
                if mail.acknowledge is not None:
                    self._parts.marks.look(session.id)

    def _acknowledge(self, event: Inbound, session: Session) -> Acknowledge | None:
        """What a turn begins with is seen by its typing; what comes while one runs gets a mark."""
        runs = session.state is not State.IDLE
        if not runs or event.message_id is None or not self._parts.marks.marks(event.where.channel):
            return None
        return Acknowledge(where=event.where, message_id=event.message_id)

    async def _begin(self, decision: NewSession, principal: Principal, stored: Stored) -> None:
        event = stored.event
        kept = await self._kept(event)
        if await self._overtaken(stored):
            return
        task = Task(
            key=f"in:{stored.key}",
            agent=decision.agent,
            text=_joined(decision.text, kept.text),
            owner=principal.account,
            owner_name=principal.name,
            near=event.where,
            thread=decision.thread,
            anchor=event.message_id,
            inbox=stored.n,
            attachments=kept.attachments,
        )
        try:
            if decision.thread and (await self._parts.team.spawn(task)).session.home is not None:
                self._parts.marks.accepted(event.where, event.message_id)
            else:
                await self._parts.team.begin(task, event.where)
        except Refused as refused:
            await self._reply(stored, str(refused))
            await self._parts.inbox.mark(stored.n, "refused", str(refused))

    async def _overtaken(self, stored: Stored) -> bool:
        """Whether a /kill went ahead of what would begin something: then nothing is begun."""
        if not self._queues.overtaken(stored):
            return False
        event = stored.event
        self._parts.marks.refused(event.where, event.message_id)
        if self._seldom.says(f"overtaken:{event.where.key} {event.sender.account}", self._parts.clock()):
            text = "What you wrote before the /kill and nobody had read is not taken up: send it again if it counts."
            await self._reply(stored, text)
        await self._parts.inbox.mark(stored.n, "refused", "a /kill went ahead of it")
        return True

    async def _kept_in_time(self, stored: Stored) -> Kept:
        """The files of a command. Raises Refused when a /kill went ahead while they were fetched."""
        kept = await self._kept(stored.event)
        if self._queues.overtaken(stored):
            raise Refused("Your /kill went ahead of this, so nothing is begun: send it again if it counts.")
        return kept

    async def _kept(self, event: Inbound) -> Kept:
        return await self._parts.files.keep(event) if event.attachments else Kept(attachments=(), text="")

    async def _amend(self, decision: Amend, stored: Stored) -> None:
        parts, where = self._parts, stored.event.where
        original = await parts.inbox.original(where, decision.message_id)
        if original is None or (decision.by is not None and original.event.sender.account != decision.by):
            await parts.inbox.mark(stored.n, "ignored", "no message of this sender to change")
            return
        if decision.text == original.event.text:
            await parts.inbox.mark(stored.n, "ignored", "the message says that already")
            return
        # The message itself is changed last: by its text a second try, after a crash in between, knows what is done.
        if decision.text is None:
            changed = await parts.mailbox.withdraw(original.n)
        else:
            changed = await parts.mailbox.reword(original.n, decision.text)
        # A post in a room is answered in a thread, which is bound in the room's stead.
        session = await parts.mailbox.answering(original.n) or await parts.sessions.bound(where)
        if not changed and session is not None and session.state in (State.RUNNING, State.WAITING):
            await self._tell_of_change(session, original, decision, stored)
        await parts.inbox.reword(original.n, decision.text or "")
        await parts.inbox.mark(stored.n, "routed", decision.reason)

    async def _tell_of_change(self, session: Session, original: Stored, decision: Amend, stored: Stored) -> None:
        name = shown_name(original.event.sender.name, original.event.sender.account)
        text = (
            f"{name} deleted the message: {original.event.text[:500]}"
            if decision.text is None
            else f"{name} changed a message. It now says: {decision.text}"
        )
        mail = NewMail(
            key=MailKey(f"in:{stored.key}"), session=session.id, kind=MailKind.NOTICE, text=text, sender_name=name
        )
        await self._parts.team.post(mail)

    async def _press(self, decision: Press, principal: Principal, stored: Stored, now: datetime) -> None:
        """A command's button runs it as whoever pressed; another one answers a question. Both pass the gate."""
        if not decision.button.startswith("/"):
            told = await self._parts.answers.press(decision.button, principal, now)
            if not told.done:  # what was taken is said under the question
                await self._reply(stored, told.text)
        else:
            session = await self._parts.sessions.bound(stored.event.where)
            name, _, rest = decision.button.lstrip("/").partition(" ")
            invocation = Invocation(name=name, arguments_text=rest, in_session=session)
            answer = await self._parts.commands.run(
                Run(invocation=invocation, reason=decision.reason),
                principal,
                stored,
                now,
                partial(self._kept, stored.event),
            )
            await self._reply(stored, answer.text, private=answer.private)
        await self._parts.inbox.mark(stored.n, "routed", decision.reason)

    async def _reply(self, stored: Stored, text: str, *, private: bool = True) -> None:
        event = stored.event
        message = Outbound(
            key=DeliveryKey(f"reply:{stored.key}"),
            to=event.where,
            text=text,
            control=True,
            private=private,
            reply_to=event.message_id if event.where.thread is None else None,
            answer_with=event.answer_with,
        )
        await self._parts.speaker.say(message)


def _joined(text: str, more: str) -> str:
    return f"{text}\n\n{more}".strip() if more else text
