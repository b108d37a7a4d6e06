"""Budgets: of a session, of the sessions above it, and of an agent's day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from agents.base import Session
from agents.ports import Journal, Profile
from agents.rights import Rights


class OverBudget(Exception):
    """The money is used up. Its text says whose, and what to do."""


class Money:
    """Asked before each model call."""

    def __init__(self, journal: Journal, rights: Rights, clock: Callable[[], datetime]) -> None:
        self._journal = journal
        self._rights = rights
        self._clock = clock

    async def check(self, profile: Profile, session: Session) -> None:
        """A call is made only while there is money, for the session and all below it together: so a budget is overspent
        by the calls under way at the most, one of each session that runs.

        Raises OverBudget."""
        budget = self._rights.budget_of(session)
        if budget is not None and session.tree_usd >= budget:
            below = " with the sessions below it" if session.tree_usd > session.spent_usd else ""
            raise OverBudget(
                f"This session has spent {session.tree_usd:.4f} of its {budget:g} USD{below}, so it stopped. Raise"
                f" budget_usd of the agent {profile.name}, or begin anew with /new."
            )
        if profile.budget_usd_per_day is not None:
            spent = await self._journal.spent_today(profile.name, self._clock())
            if spent >= profile.budget_usd_per_day:
                raise OverBudget(
                    f"The agent {profile.name} has spent {spent:.4f} of its {profile.budget_usd_per_day:g} USD for"
                    " today, so it stopped. Raise budget_usd_per_day, or go on tomorrow."
                )
        empty = await self._rights.ancestor_without_money(session)
        if empty is not None:
            raise OverBudget(
                f"{empty.label} and the sessions below it have spent {empty.tree_usd:.4f} USD, all that they may,"
                " so this one stopped with it."
            )
