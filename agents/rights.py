"""What a session may do: its own profile, cut down to what every session above it may do.

A child never has more than its parent: not a tool, an agent to spawn, a model to choose or somebody to write to; not a
call without asking where one above must ask; and no money when a session above has used up its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from agents.base import Session
from agents.ports import Profile, Profiles, Sessions


class Rights:
    """The profiles of sessions as they apply now."""

    def __init__(self, profiles: Profiles, sessions: Sessions) -> None:
        self._profiles = profiles
        self._sessions = sessions

    async def profile_of(self, session: Session) -> Profile | None:
        """The profile cut down to what everybody above has too, and asking first where anybody above must. None: not
        configured any more."""
        profile = self._profiles.profile(session.agent)
        if profile is None or session.parent is None:
            return profile
        for ancestor in await self._above(session):
            profile = _cut(profile, self._profiles.profile(ancestor.agent), session.depth - ancestor.depth)
        return profile

    async def ancestor_without_money(self, session: Session) -> Session | None:
        """The nearest session above that has, with its tree, spent its budget."""
        for ancestor in await self._above(session):
            budget = self.budget_of(ancestor)
            if budget is not None and ancestor.tree_usd >= budget:
                return ancestor
        return None

    def budget_of(self, session: Session) -> float | None:
        """US dollars that a session and all below it may spend; None: no bound."""
        profile = self._profiles.profile(session.agent)
        bounds = [session.budget_usd, profile.budget_usd if profile else None]
        return min((bound for bound in bounds if bound is not None), default=None)

    async def money_left(self, session: Session) -> float | None:
        """US dollars that something new below this session could spend at the most; None: no bound."""
        left = [
            budget - each.tree_usd
            for each in [session, *await self._above(session)]
            if (budget := self.budget_of(each)) is not None
        ]
        return max(0.0, min(left)) if left else None

    async def _above(self, session: Session) -> list[Session]:
        above: list[Session] = []
        parent = session.parent
        while parent is not None:
            found = await self._sessions.session(parent)
            if found is None:
                break
            above.append(found)
            parent = found.parent
        return above


def _cut(profile: Profile, above: Profile | None, generations: int) -> Profile:
    """A profile with nothing that an agent so many generations above it has not. None: it is not configured any more,
    and gives nothing."""
    if above is None:
        return replace(profile, tools=(), spawns=(), models=(), state=(), may_message=(), max_depth=0)
    return replace(
        profile,
        tools=_tools_in_both(profile.tools, above.tools),
        spawns=_in_both(profile.spawns, (*above.spawns, above.name)),  # its own kind brings nothing new
        models=_in_both(profile.models, (above.model, *above.models)),
        state=_in_both(profile.state, above.state),
        may_message=_in_both(profile.may_message, above.may_message),
        approve=tuple(dict.fromkeys((*profile.approve, *above.approve))),
        max_depth=max(0, min(profile.max_depth, above.max_depth - generations)),
        spawns_per_minute=min(profile.spawns_per_minute, above.spawns_per_minute),
    )


def _tools_in_both(tools: tuple[str, ...], above: tuple[str, ...]) -> tuple[str, ...]:
    """`mcp:NAME` stands for every tool of that server, whose names begin with `NAME_` (no other tool's do)."""
    found: list[str] = []
    for word in tools:
        if word in above or f"mcp:{word.partition('_')[0]}" in above:
            found.append(word)
        elif word.startswith("mcp:"):
            found += [name for name in above if name.startswith(f"{word.removeprefix('mcp:')}_")]
    return tuple(dict.fromkeys(found))


_Name = TypeVar("_Name", bound=str)


def _in_both(names: tuple[_Name, ...], allowed: tuple[_Name, ...]) -> tuple[_Name, ...]:
    return tuple(name for name in names if name in allowed)
