"""Where a conversation goes on when its platform is down: the owner's `reach`, in order, and only in private.

A conversation is carried only to the direct place of the very person who owns it, so that nobody sees it who
could not before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from agents.base import SessionId
from agents.ports import Sessions
from channels.base import Account, Capability, Channel, ChannelError, ChannelName, ChannelState, ThreadRef

log = structlog.get_logger("reach")


class Reaches(Protocol):
    """`bot.people.directory` fulfils it."""

    def reach_of(self, account: Account) -> Sequence[tuple[ChannelName, Account]]: ...


class Reach:
    """Finds the next place for what a session says."""

    def __init__(self, people: Reaches, sessions: Sessions, channel: Callable[[ChannelName], Channel | None]) -> None:
        self._people = people
        self._sessions = sessions
        self._channel = channel

    async def next_place(self, session: str | None, tried: Sequence[ThreadRef]) -> ThreadRef | None:
        """The first private place of the owner, on a channel that is connected and was not tried."""
        if session is None:
            return None
        found = await self._sessions.session(SessionId(session))
        if found is None:
            return None
        passed = {place.channel for place in tried}
        for name, account in self._people.reach_of(found.owner):
            channel = self._channel(name)
            if name in passed or channel is None or Capability.DIRECT not in channel.capabilities:
                continue
            if channel.health().state is ChannelState.DOWN:
                continue
            try:
                return await channel.direct(account)
            except ChannelError as error:
                log.warning("no direct place", channel=name, reason=str(error))
        return None
