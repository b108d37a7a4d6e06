"""What a person may name in a command, offered while it is typed.

The same gate decides as for the command itself: a session, monitor or dead letter is offered only to somebody who may
use this very command on it, so nobody learns a label or a task by typing. Only memory and the store are read; nothing
is written, no platform asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from agents.base import Session, SessionId
from agents.models.base import Models
from agents.monitors.service import Monitors
from agents.ports import Profiles, Sessions
from agents.progress import age
from agents.team import first_line
from bot.access import NOTHING, Action, Principal, Resource, authorise
from bot.commands.base import Command
from bot.commands.deadletters import Letters
from channels.base import Account, Sender, Suggestion, Takes, ThreadRef

MOST = 25
_LOOKED_THROUGH = 1_000  # sessions, those used last first


class Knows(Protocol):
    """Who people are. `bot.people.directory` fulfils it."""

    def principal(self, account: Account, name: str, is_bot: bool = False) -> Principal: ...


class CommandSuggestions:
    """Fulfils `channels.base.Suggestions`."""

    def __init__(
        self,
        *,
        people: Knows,
        commands: Callable[[], Sequence[Command]],
        sessions: Sessions,
        profiles: Profiles,
        models: Models,
        monitors: Monitors,
        letters: Letters,
        clock: Callable[[], datetime],
    ) -> None:
        self._people = people
        self._commands = commands
        self._sessions = sessions
        self._profiles = profiles
        self._models = models
        self._monitors = monitors
        self._letters = letters
        self._clock = clock

    async def suggest(
        self, sender: Sender, where: ThreadRef, command: str, takes: Takes, typed: str
    ) -> Sequence[Suggestion]:
        principal = self._people.principal(sender.account, sender.name, sender.is_bot)
        action = next((each.action for each in self._commands() if each.name == command), None)
        if action is None or not authorise(principal, action).allowed:
            return []
        return _fitting(await self._all(principal, action, where, takes), typed)

    async def _all(self, principal: Principal, action: Action, where: ThreadRef, takes: Takes) -> list[Suggestion]:
        match takes:
            case Takes.SESSION:
                return await self._named_sessions(principal, action, where)
            case Takes.AGENT:
                return self._agents()
            case Takes.MODEL:
                return await self._named_models(principal, action, where)
            case Takes.MONITOR:
                return await self._named_monitors(principal, action)
            case Takes.DEAD_LETTER:
                return await self._dead_letters()

    async def _named_sessions(self, principal: Principal, action: Action, where: ThreadRef) -> list[Suggestion]:
        here = await self._sessions.bound(where)
        living = list(await self._sessions.living(_LOOKED_THROUGH))
        if here is not None:
            living = [here, *(session for session in living if session.id != here.id)]
        owners = {session.id: session.owner for session in living}
        now = self._clock()
        return [
            _session(session, now)
            for session in living
            if authorise(principal, action, await self._resource(session, owners)).allowed
        ]

    async def _resource(self, session: Session, owners: Mapping[SessionId, Account]) -> Resource:
        owner = owners.get(session.root)
        if owner is None:
            root = await self._sessions.session(session.root)
            owner = root.owner if root is not None else None
        return Resource.of_session(session, owner)

    def _agents(self) -> list[Suggestion]:
        profiles = [self._profiles.profile(name) for name in self._profiles.names()]
        return [
            Suggestion(value=profile.name, label=_label(profile.name, profile.description))
            for profile in profiles
            if profile is not None
        ]

    async def _named_models(self, principal: Principal, action: Action, where: ThreadRef) -> list[Suggestion]:
        """Models are chosen for the session of this place."""
        here = await self._sessions.bound(where)
        resource = NOTHING if here is None else await self._resource(here, {})
        if not authorise(principal, action, resource).allowed:
            return []
        return [
            Suggestion(
                value=info.name,
                label=_label(info.name, f"{info.kind} {info.model}", "" if info.available else "not available"),
            )
            for info in self._models.infos()
        ]

    async def _named_monitors(self, principal: Principal, action: Action) -> list[Suggestion]:
        return [
            Suggestion(
                value=monitor.name,
                label=_label(monitor.name, monitor.when, "paused" if record.paused else "", first_line(monitor.prompt)),
            )
            for record in await self._monitors.records()
            if authorise(
                principal, action, Resource.of_monitor((monitor := record.monitor).name, monitor.owner)
            ).allowed
        ]

    async def _dead_letters(self) -> list[Suggestion]:
        return [
            Suggestion(value=letter.id, label=_label(letter.id, letter.place, letter.reason, first_line(letter.text)))
            for letter in await self._letters.list(100)
        ]


def _session(session: Session, now: datetime) -> Suggestion:
    doing = session.doing or session.state.value
    old = age(now - session.created_at)
    return Suggestion(
        value=session.label, label=_label(f"{session.label} ({session.id})", doing, old, first_line(session.task))
    )


def _label(*parts: str) -> str:
    return " · ".join(part for part in parts if part)


def _fitting(found: Sequence[Suggestion], typed: str) -> list[Suggestion]:
    """Those in which all that was typed occurs; first those whose value begins with it, else in the order given."""
    begun = typed.strip().casefold()
    fitting = [each for each in found if begun in each.value.casefold() or begun in each.label.casefold()]
    fitting.sort(key=lambda each: not each.value.casefold().startswith(begun))
    return fitting[:MOST]
