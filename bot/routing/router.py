"""What is to be done with an event: a pure function of the event, the binding, the person, the rules and the clock.

It decides and explains in one pass; the dispatcher carries the decision out. The order is the promise:

1. our own echo, and a bot that has talked with us for three rounds, end here;
2. what a platform tells about a thread (archived, deleted, moved) and about a message (edited, deleted) is mapped;
3. a stranger never gets further: he is told who he is, once an hour (`bot.people.pairing` keeps the hour), when he
   addressed the bot, and is not answered otherwise;
4. a command runs, whatever the place is bound to;
5. a bound place's message goes to its session, without asking the rules;
6. the first rule that matches takes it; and after the last rule, direct conversations and the local
   channels (page, console, HTTP) go to the first agent.

No text has magic powers beyond the command's leading slash. Talking is asked of `bot.access` here; the right
to run a command is asked by the dispatcher, which knows what the command is about to touch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from difflib import get_close_matches

from agents.base import AgentName, Session
from bot.access import Action, Principal, Resource, Role, authorise
from bot.routing.decisions import (
    Amend,
    Decision,
    Ignore,
    Invocation,
    Moved,
    NewSession,
    Park,
    Press,
    Refuse,
    Run,
    ThreadGone,
    ToSession,
)
from bot.routing.rules import Facts, On, Priority, Rule, not_here, why_not
from channels.base import Account, ChannelName, Inbound, Kind, ThreadRef

__all__ = [  # the decisions are part of the router's face
    "BOT_ROUNDS",
    "Amend",
    "Decision",
    "Explained",
    "Ignore",
    "Invocation",
    "Moved",
    "NewSession",
    "Park",
    "Press",
    "Refuse",
    "Routed",
    "Routes",
    "Run",
    "ThreadGone",
    "ToSession",
    "command_in",
    "route",
]

BOT_ROUNDS = 3  # of a bot and us in one place, without a person in between


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """What the configuration says about routing, made anew when it changes."""

    rules: tuple[Rule, ...] = ()
    first_agent: AgentName | None = None  # takes what no rule takes, in direct conversations
    local_channels: frozenset[ChannelName] = frozenset()  # page, console, HTTP: only people with the token
    commands: tuple[str, ...] = ()  # names without the slash
    timezone: tzinfo = UTC

    def rooms_named(self, channel: ChannelName) -> tuple[ThreadRef, ...]:
        """The rooms of a channel that rules name."""
        named = (
            ThreadRef(channel=channel, space=rule.space or "", room=rule.room)
            for rule in self.rules
            if rule.room and rule.channel in (None, channel)
        )
        return tuple(dict.fromkeys(named))


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """What was asked, whether it took the message, and why (not)."""

    rule: str
    matched: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    decision: Decision
    explained: tuple[Explained, ...]


def route(
    inbound: Inbound,
    *,
    session: Session | None,
    principal: Principal,
    routes: Routes,
    now: datetime,
    root_owner: Account | None = None,
    bot_rounds: int = 0,
) -> Routed:
    """Decide. `session` is the living session bound to the place, `root_owner` the owner of the tree that it is in,
    `bot_rounds` what `bot.routing.loop_guard` counted here. What the bot said itself is left out by the adapters."""
    question = _Question(inbound, session, principal, routes, now, root_owner)
    decision = (
        _loop(inbound, bot_rounds)
        or _thread_event(inbound, session)
        or _message_event(inbound, principal)
        or question.stranger()
        or question.command()
        or question.bound()
        or question.ruled()
        or question.last_resort()
    )
    return Routed(decision=decision, explained=tuple(question.explained))


def _loop(inbound: Inbound, bot_rounds: int) -> Decision | None:
    if inbound.sender.is_bot and bot_rounds >= BOT_ROUNDS and inbound.kind in {Kind.MESSAGE, Kind.COMMAND}:
        return Ignore(reason=f"a bot has talked with us for {BOT_ROUNDS} rounds: a person has to say something first")
    return None


def _thread_event(inbound: Inbound, session: Session | None) -> Decision | None:
    """The platform's own news of a place. Nobody asks for anything here, so no right is needed."""
    match inbound.kind:
        case Kind.THREAD_DELETED:
            return ThreadGone(where=inbound.where, session=session, reason="the thread was deleted")
        case Kind.ROOM_MOVED if inbound.payload:
            return Moved(where=inbound.where, to=inbound.payload, reason=f"the room is now {inbound.payload}")
        case Kind.ROOM_MOVED:
            return Ignore(reason="the room moved, and the platform did not say where")
        case Kind.THREAD_ARCHIVED | Kind.THREAD_UNARCHIVED:
            if session is None:
                return Ignore(reason="no session is bound to this thread")
            parked = inbound.kind is Kind.THREAD_ARCHIVED
            return Park(session=session, parked=parked, reason="archived" if parked else "no longer archived")
    return None


def _message_event(inbound: Inbound, principal: Principal) -> Decision | None:
    """Edits, deletions, reactions and buttons."""
    match inbound.kind:
        case Kind.EDIT | Kind.DELETE if inbound.message_id is None:
            return Ignore(reason="the platform did not say which message it is about")
        case Kind.DELETE:
            return Amend(message_id=str(inbound.message_id), text=None, by=None, reason="the message was deleted")
        case Kind.EDIT:
            return _edit(inbound, str(inbound.message_id), principal)
        case Kind.REACTION:
            return Ignore(reason="a reaction starts nothing")
        case Kind.BUTTON if not inbound.payload or inbound.sender.is_bot:
            return Ignore(reason="a button without an id, or pressed by a bot")
        case Kind.BUTTON if principal.role is not Role.NONE:
            return Press(button=str(inbound.payload), reason="a button was pressed")
    return None


def _edit(inbound: Inbound, message_id: str, principal: Principal) -> Decision:
    if inbound.sender.is_bot:
        return Ignore(reason="a bot's edit changes nothing")
    if principal.role is Role.NONE:
        return Ignore(reason="a stranger edited a message")
    by = inbound.sender.account
    return Amend(message_id=message_id, text=inbound.text, by=by, reason="the message was edited")


_COMMAND = re.compile(r"/([A-Za-z][A-Za-z0-9_-]{0,31})(?:@[\w.-]{1,64})?(?=\s|$)", re.ASCII)


def command_in(text: str) -> tuple[str, str] | None:
    """The name and the rest of the line, when the text is a command. `/etc/hosts is wrong` is none."""
    match = _COMMAND.match(text)
    return (match.group(1).lower(), text[match.end() :].strip()) if match else None


class _Question:
    """One event of a person (or bot) who says something; each method is one step of the order above."""

    def __init__(
        self,
        inbound: Inbound,
        session: Session | None,
        principal: Principal,
        routes: Routes,
        now: datetime,
        root_owner: Account | None,
    ) -> None:
        self.inbound = inbound
        self.session = session
        self.principal = principal
        self.routes = routes
        self.root_owner = root_owner
        self.explained: list[Explained] = []
        self.given = command_in(inbound.text) if inbound.kind in {Kind.MESSAGE, Kind.COMMAND} else None
        self.facts = Facts(
            inbound,
            principal,
            now=now,
            timezone=routes.timezone,
            command=self.given[0] if self.given else None,
        )
        self.local = inbound.where.channel in routes.local_channels
        self.addressed = (
            inbound.direct or inbound.mentioned or self.local or inbound.kind in {Kind.COMMAND, Kind.BUTTON}
        )

    def stranger(self) -> Decision | None:
        if self.principal.role is not Role.NONE or self.principal.is_bot:
            return None
        if self.given and self.given[0] == "link" and self.given[1] and self.addressed:
            return self._run("link", self.given[1], "a stranger may enter a link code")
        if not self.addressed:
            return Ignore(reason="a stranger, who did not address the bot")
        answer = authorise(self.principal, Action.TALK).reason
        return Refuse(reason="a stranger", answer=answer, offer_pairing=True)

    def command(self) -> Decision | None:
        if self.given is None and self.inbound.kind is not Kind.COMMAND:
            return None
        if self.principal.is_bot:
            return Ignore(reason="bots run no commands")
        if not (self.addressed or self.session or self._routed_place()):
            return None  # somebody else's command in a room that is not ours
        name, rest = self.given or (self.inbound.text, "")
        if name in self.routes.commands:
            return self._run(name, rest, f"the command /{name}")
        if any(rule.on is On.COMMAND and rule.command_name == name for rule in self.routes.rules):
            return self._route_command(name, rest)
        return self._unknown_command(name)

    def bound(self) -> Decision | None:
        session, sender = self.session, self.inbound.sender
        if session is None:
            return None
        self._note("bound place", True, f"it belongs to the session {session.label}")
        if self._says_nothing():
            return Ignore(reason="an empty message")
        bots = sender.is_bot and any(rule.bots and not why_not(rule, self.facts) for rule in self.routes.rules)
        verdict = authorise(self.principal, Action.TALK, Resource.of_session(session, self.root_owner, bots=bots))
        if verdict.allowed:
            return ToSession(session=session, mode=session.queue, reason=f"bound to {session.label}")
        return self._denied(verdict.reason)

    def ruled(self) -> Decision | None:
        """The first rule that matches; the others are asked too, only to explain them."""
        found: Decision | None = None
        for index, rule in enumerate(self.routes.rules):
            why = why_not(rule, self.facts)
            if why is None and found is None:
                self._note(_name(index, rule), True, f"it takes the message: agent {rule.agent}")
                found = self._begin(index, rule, self.inbound.text)
            else:
                self._note(_name(index, rule), False, why or "an earlier rule took the message")
        return found

    def last_resort(self) -> Decision:
        inbound, agent = self.inbound, self.routes.first_agent
        if not (inbound.direct or self.local) or inbound.sender.is_bot:
            self._note("last rule", False, "it is for direct conversations and the local channels")
            return self._nobody()
        if agent is None:
            self._note("last rule", False, "no agent is configured")
            return Refuse(
                reason="no agent is configured",
                answer="No agent is configured yet: the owner adds one under [agents] in the configuration.",
            )
        if self.principal.role < Role.USER:
            self._note("last rule", False, f"it is for users and above, and the sender is {self.principal.role.word}")
            return Refuse(
                reason="a guest outside the routed rooms",
                answer="As a guest you can talk to me in the rooms that are set up for it, not here."
                " Ask the owner for the role user; /whoami tells what he needs to know.",
            )
        self._note("last rule", True, f"direct conversations go to the first agent: {agent}")
        if self._says_nothing():
            return self._empty()
        return NewSession(
            agent=agent,
            thread=False,
            rule_index=None,
            priority=Priority.NORMAL,
            text=inbound.text,
            reason=f"no rule matches: the first agent, {agent}",
        )

    # --- pieces

    def _note(self, rule: str, matched: bool, why: str) -> None:
        self.explained.append(Explained(rule=rule, matched=matched, why=why))

    def _run(self, name: str, rest: str, why: str) -> Run:
        self._note("commands", True, why)
        return Run(invocation=Invocation(name=name, arguments_text=rest, in_session=self.session), reason=why)

    def _routed_place(self) -> bool:
        return any(not_here(rule, self.inbound) is None for rule in self.routes.rules)

    def _route_command(self, name: str, rest: str) -> Decision:
        """A command that a route made. In a bound thread it would need a second session in one place."""
        for index, rule in enumerate(self.routes.rules):
            if rule.on is not On.COMMAND or rule.command_name != name:
                continue
            why = why_not(rule, self.facts)
            self._note(_name(index, rule), why is None, why or f"it takes the command: agent {rule.agent}")
            if why is not None:
                continue
            if self.session is not None and not self._opens_thread(rule):
                return Refuse(
                    reason=f"/{name} in a place that is bound to {self.session.label}",
                    answer=f"This place belongs to {self.session.label}. /spawn {rule.agent} does the task beside it,"
                    f" and after /new, /{name} begins here.",
                )
            return self._begin(index, rule, rest)
        return Refuse(
            reason=f"no route takes /{name} here",
            answer=f"/{name} is not available to you here now. /help lists what is.",
        )

    def _unknown_command(self, name: str) -> Refuse:
        routed = [rule.command_name for rule in self.routes.rules if rule.on is On.COMMAND]
        shown = "".join(letter for letter in name[:32] if letter.isalnum() or letter in "_-")
        near = get_close_matches(shown.lower(), [*self.routes.commands, *routed], n=3)
        meant = f" Did you mean {' or '.join(f'/{other}' for other in near)}?" if near else ""
        self._note("commands", False, f"there is no command /{shown}")
        return Refuse(
            reason=f"unknown command /{shown}", answer=f"There is no command /{shown}.{meant} /help lists all."
        )

    def _opens_thread(self, rule: Rule) -> bool:
        return rule.open_thread and self.inbound.where.thread is None

    def _begin(self, index: int, rule: Rule, text: str) -> Decision:
        resource = Resource.of_room(self.inbound.where, bots=rule.bots)
        verdict = authorise(self.principal, Action.TALK, resource)
        if not verdict.allowed:
            return self._denied(verdict.reason)
        if not text.strip() and not self.inbound.attachments:
            return self._empty()
        return NewSession(
            agent=rule.agent,
            thread=self._opens_thread(rule),
            rule_index=index,
            priority=rule.priority,
            text=text,
            reason=f"{_name(index, rule)}: agent {rule.agent}",
        )

    def _says_nothing(self) -> bool:
        return not self.inbound.text.strip() and not self.inbound.attachments

    def _empty(self) -> Decision:
        if not self.addressed or self.inbound.sender.is_bot:
            return Ignore(reason="an empty message")
        return Refuse(reason="an empty message", answer="You called, but wrote nothing: say what you need, or /help.")

    def _denied(self, reason: str) -> Decision:
        """Who addressed the bot is told; who only writes where it listens is not disturbed."""
        if self.addressed and not self.inbound.sender.is_bot:
            return Refuse(reason="no right to talk here", answer=reason)
        return Ignore(reason="no right to talk here")

    def _nobody(self) -> Decision:
        if not self.inbound.mentioned or self.inbound.sender.is_bot:
            return Ignore(reason="no rule matches")
        place = self.inbound.where
        hint = (
            f' The owner can add one under [[routes]] (channel = "{place.channel}", room = "{place.room}").'
            if self.principal.role >= Role.OPERATOR
            else " Write to me directly, or ask an operator."
        )
        return Refuse(
            reason="no rule matches a mention", answer=f"No agent answers here: no route takes this message.{hint}"
        )


def _name(index: int, rule: Rule) -> str:
    return f"route {index + 1} ({rule.name})" if rule.name else f"route {index + 1}"
