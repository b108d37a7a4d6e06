"""What a session may do: its own profile, cut down to what every session above it may do.

A child never has more than its parent: not a tool, not a call without asking where one above must ask, and not
money when a session above has used up its own.
"""

from __future__ import annotations

from dataclasses import replace

from agents.base import Session
from agents.ports import Profile, Profiles, Sessions


class Rights:
    """The profiles of sessions as they apply now."""

    def __init__(self, profiles: Profiles, sessions: Sessions) -> None:
        self._profiles = profiles
        self._sessions = sessions

    async def profile_of(self, session: Session) -> Profile | None:
        """The profile with only the tools and addressees that everybody above has too, and asking first where anybody
        above must. None: not configured any more."""
        profile = self._profiles.profile(session.agent)
        if profile is None or session.parent is None:
            return profile
        tools, approve, state, addressees = profile.tools, profile.approve, profile.state, profile.may_message
        for ancestor in await self._above(session):
            above = self._profiles.profile(ancestor.agent)
            tools = tuple(tool for tool in tools if above is not None and tool in above.tools)
            state = tuple(scope for scope in state if above is not None and scope in above.state)
            addressees = tuple(agent for agent in addressees if above is not None and agent in above.may_message)
            approve = (*approve, *(above.approve if above is not None else ()))
        asked = tuple(dict.fromkeys(approve))
        return replace(profile, tools=tools, approve=asked, state=state, may_message=addressees)

    async def ancestor_without_money(self, session: Session) -> Session | None:
        """The nearest session above that has, with its tree, spent its budget."""
        for ancestor in await self._above(session):
            budget = self.budget_of(ancestor)
            if budget is not None and ancestor.tree_usd >= budget:
                return ancestor
        return None

    def budget_of(self, session: Session) -> float | None:
        """US dollars that a session may spend; None: no bound."""
        if session.budget_usd is not None:
            return session.budget_usd
        profile = self._profiles.profile(session.agent)
        return profile.budget_usd if profile else None

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
