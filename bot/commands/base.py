"""What a chat command is, and how one finds the session it is about.

A command answers at once, ahead of every queue, with one text. It asks the gate itself, for the very
session that it is about, so that a label typed from elsewhere is no way around a right.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from agents.base import NotFound, Session
from agents.ports import Sessions
from bot.access import NEEDS, NOTHING, Action, Principal, Resource, Role, authorise
from bot.attachments import Kept
from bot.commands.translations import MENU_TEXTS
from channels.base import CommandOption, CommandSpec, DeliveryKey, Takes, ThreadRef


class Denied(Exception):
    """The gate says no. Its text is for the person."""


class Misused(Exception):
    """The command's words are off. Its text says how it is written."""


async def _no_files() -> Kept:
    return Kept(attachments=(), text="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One invocation. `key` is deterministic: what the command causes is caused once."""

    principal: Principal
    where: ThreadRef
    direct: bool
    bound: Session | None
    arguments: str
    key: str
    inbox: int
    message_id: str | None
    now: datetime
    files: Callable[[], Awaitable[Kept]] = (
        _no_files  # that came with it, fetched when they are asked for: after the gate
    )

    @property
    def reply_key(self) -> DeliveryKey:
        """Of the message that answers this command."""
        return DeliveryKey(f"reply:{self.key.removeprefix('in:')}")

    def word(self) -> tuple[str, str]:
        """The first word of the arguments, and the rest."""
        first, _, rest = self.arguments.strip().partition(" ")
        return first, rest.strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A chat command. `options` are for the platforms' menus; `usage` is for people. `action` is what the gate is asked
    before something is offered as an option's value; the command itself asks again."""

    name: str
    summary: str
    usage: str
    run: Callable[[Request], Awaitable[str]]
    options: tuple[CommandOption, ...] = ()
    action: Action = Action.READ
    public: bool = False  # its answer is for everybody in the place: it changed what they are part of
    decides: bool = False  # what it did is noted in the audit log (a spawn, a steer and a kill note themselves)
    looks: frozenset[str] = frozenset()  # first words with which it only looks; "" is no word at all
    soon: bool = False  # it ends or begins something: nobody means it an hour later without saying it again
    in_private: bool = False  # it is about codes that others should not see

    @property
    def spec(self) -> CommandSpec:
        return CommandSpec(
            name=self.name,
            description=self.summary,
            options=self.options,
            descriptions=tuple((each, texts[self.name]) for each, texts in MENU_TEXTS.items() if self.name in texts),
            for_operators=NEEDS[self.action].own >= Role.OPERATOR,
            in_private=self.in_private,
        )


SESSION = CommandOption(
    name="session", description="A session's label or id; nothing for the one of this thread", takes=Takes.SESSION
)


class Targets:
    """Finds the session that a command is about, and asks the gate for it."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def named(self, request: Request, name: str, action: Action) -> Session:
        """By label or id. Raises NotFound, Denied."""
        session = await self._sessions.find(name)
        await self._allow(request, session, action)
        return session

    async def here(self, request: Request, action: Action) -> Session:
        """The session of this thread. Raises NotFound, Denied."""
        if request.bound is None:
            raise NotFound("No session is bound to this place. Name one (/agents lists them), or write to begin one.")
        await self._allow(request, request.bound, action)
        return request.bound

    async def named_or_here(self, request: Request, name: str, action: Action) -> Session:
        return await self.named(request, name, action) if name else await self.here(request, action)

    async def leading_or_here(self, request: Request, action: Action) -> tuple[Session, str]:
        """`S rest…` when the first word names a session, else this thread's session and all of the text."""
        first, rest = request.word()
        if first and rest:
            try:
                session = await self._sessions.find(first)
            except NotFound:
                session = None
            if session is not None and first in (session.label, session.id):
                await self._allow(request, session, action)
                return session, rest
        return await self.here(request, action), request.arguments.strip()

    async def _allow(self, request: Request, session: Session, action: Action) -> None:
        root = await self._sessions.session(session.root) if session.root != session.id else session
        allow(request, action, Resource.of_session(session, root.owner if root else None))


def allow(request: Request, action: Action, resource: Resource = NOTHING) -> None:
    """Raises Denied with the gate's reason."""
    verdict = authorise(request.principal, action, resource)
    if not verdict.allowed:
        raise Denied(verdict.reason)


def owns(request: Request, session: Session) -> bool:
    return session.owner in request.principal.accounts
