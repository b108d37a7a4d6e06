"""Two bots cannot keep each other talking.

What is counted is a bot's message that we answered where it will read the answer, or that answers ours, since a
person last spoke in the place. The router ignores the bot after three. A bot that only posts news into a room, each
with its thread, is not stopped by that; for it there is a bound on conversations begun in an hour.

Pure state: no I/O, the time is an argument. It starts empty after a restart, which gives a loop three more rounds.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta

from bot.routing.decisions import Decision, NewSession, ToSession
from bot.routing.router import BOT_ROUNDS
from channels.base import Inbound, Kind, ThreadRef

QUIET = timedelta(hours=1)  # after which a place begins anew
BEGUN_AT_MOST = 20  # conversations that bots begin in one room within QUIET
_PLACES = 10_000  # remembered; the one not heard of for longest is forgotten


class _Talk:
    __slots__ = ("begun", "heard_at", "rounds")

    def __init__(self, now: datetime) -> None:
        self.rounds = 0
        self.begun: list[datetime] = []
        self.heard_at = now


class LoopGuard:
    """One for the whole bot."""

    def __init__(self) -> None:
        self._talks: OrderedDict[ThreadRef, _Talk] = OrderedDict()

    def rounds(self, inbound: Inbound, now: datetime) -> int:
        """What the router is to be told about this message: `BOT_ROUNDS` or more stops it."""
        talk = self._talks.get(inbound.where)
        if talk is None or not inbound.sender.is_bot:
            return 0
        if sum(now - moment < QUIET for moment in talk.begun) >= BEGUN_AT_MOST:
            return BOT_ROUNDS
        return talk.rounds if now - talk.heard_at < QUIET else 0

    def decided(self, inbound: Inbound, decision: Decision, now: datetime) -> None:
        """Remember what became of a message."""
        if inbound.kind not in {Kind.MESSAGE, Kind.COMMAND}:
            return
        if not inbound.sender.is_bot:
            self._talks.pop(inbound.where, None)
            return
        if not isinstance(decision, ToSession | NewSession):
            return
        talk = self._talks.get(inbound.where)
        if talk is None:
            talk = self._talks[inbound.where] = _Talk(now)
            if len(self._talks) > _PLACES:
                self._talks.popitem(last=False)
        self._talks.move_to_end(inbound.where)
        if now - talk.heard_at >= QUIET:
            talk.rounds = 0
        talk.heard_at = now
        if isinstance(decision, NewSession) and decision.thread:
            talk.begun = [moment for moment in talk.begun if now - moment < QUIET] + [now]
            talk.rounds += inbound.mentioned
        else:
            talk.rounds += 1
