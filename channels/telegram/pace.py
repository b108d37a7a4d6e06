"""Telegram's limits as arithmetic: when may the next message go?

30 messages a second over all, 1 a second in a chat with short bursts above it, 20 a minute in a group
(https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this). All that the bot sends asks here.
Control replies have a share of their own, so that a kill is confirmed while thousands of messages wait; live previews
take only what would be left over. A place in the queue is booked when it is given: those who wait do so in
order, and nobody is waked for nothing.

Another server than Telegram's own may have other limits, or none. There the pace is kept only for a while after the
server complained. Pure: `now` is any clock's seconds.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

DOCUMENTED_PER_SECOND = 30.0

_CHATS_KEPT = 10_000
_COMPLAINT_LASTS_SECONDS = 600.0


class Lane(Enum):
    CONTROL = "control"  # a command's reply
    MESSAGE = "message"
    LIVE = "live"  # a preview: what is not sent now is overtaken by the next one


class Limit(Protocol):
    """One rule's memory."""

    burst: int

    def delay(self, now: float) -> float:
        """Seconds until the next one may go."""

    def book(self, at: float) -> None:
        """One goes then. Times never go back."""

    def spare(self, now: float) -> float:
        """How many could go at once."""


@dataclass(slots=True)
class Bucket:
    """`rate` a second with `burst` at once: no stretch of t seconds sees more than burst + rate * t."""

    rate: float
    burst: int
    _theoretical: float = 0.0  # when the last booked one would go at an even pace

    def delay(self, now: float) -> float:
        return max(0.0, self._theoretical - (self.burst - 1) / self.rate - now)

    def book(self, at: float) -> None:
        self._theoretical = max(self._theoretical, at) + 1 / self.rate

    def spare(self, now: float) -> float:
        return self.burst - max(0.0, self._theoretical - now) * self.rate


@dataclass(slots=True)
class Window:
    """At most `burst` in any `seconds`."""

    burst: int
    seconds: float
    _booked: deque[float] = field(default_factory=deque)

    def delay(self, now: float) -> float:
        if len(self._booked) < self.burst:
            return 0.0
        return max(0.0, self._booked[-self.burst] + self.seconds - now)

    def book(self, at: float) -> None:
        self._booked.append(at)
        while len(self._booked) > self.burst:
            self._booked.popleft()

    def spare(self, now: float) -> float:
        return self.burst - sum(1 for at in self._booked if at > now - self.seconds)


@dataclass(slots=True)
class _Share:
    """A limit, divided between ordinary messages and control replies."""

    ordinary: Limit
    control: Limit

    def choose(self, now: float, lane: Lane) -> Limit:
        if lane is Lane.CONTROL and self.control.delay(now) <= self.ordinary.delay(now):
            return self.control
        return self.ordinary

    def idle(self, now: float) -> bool:
        return all(limit.spare(now) >= limit.burst for limit in (self.ordinary, self.control))


def _overall(ceiling: float) -> _Share:
    """Bursts and rates add up to the ceiling in any second."""
    control = max(1.0, ceiling / 15)
    ordinary = max(1.0, ceiling - 2 * control)
    burst = max(1, int(ordinary / 5))
    return _Share(Bucket(max(0.5, ordinary - burst), burst), Bucket(control, max(1, int(control))))


def _chat(chat: str) -> _Share:
    if chat.startswith("-"):
        return _Share(Window(17, 60.0), Window(3, 60.0))
    return _Share(Bucket(1.0, 5), Bucket(0.5, 3))


def _booked(share: _Share, now: float, lane: Lane, patience: float, at_least: float = 0.0) -> float:
    limit = share.choose(now, lane)
    wait = max(at_least, limit.delay(now))
    if lane is Lane.LIVE and limit.spare(now) < max(2, limit.burst // 2):
        wait = max(wait, 1.0)  # the burst is for messages that stay
    if wait <= patience:
        limit.book(now + wait)
    return wait


@dataclass(slots=True)
class Pace:
    """The state of all limits. `ceiling` is None where the server's limits are not known."""

    ceiling: float | None
    _total: _Share = field(init=False)
    _chats: dict[str, _Share] = field(init=False, default_factory=dict)
    _silent_until: dict[str, float] = field(init=False, default_factory=dict)
    _no_previews_until: dict[str, float] = field(init=False, default_factory=dict)
    _kept_until: float = field(init=False, default=float("-inf"))

    def __post_init__(self) -> None:
        self._total = _overall(self.ceiling or DOCUMENTED_PER_SECOND)

    def in_chat(self, chat: str, now: float, lane: Lane, patience: float) -> float:
        """Seconds until the chat takes this. Booked when that is within `patience`; otherwise ask again then."""
        silences = [self._silent_until.get(chat, now)]
        if lane is Lane.LIVE:
            silences.append(self._no_previews_until.get(chat, now))
        silence = max(0.0, max(silences) - now)
        if not self._is_kept(now):
            return silence
        return _booked(self._share(chat, now), now, lane, patience, silence)

    def over_all(self, now: float, lane: Lane, patience: float) -> float:
        """Seconds until the bot may say one more. Asked when the chat takes it, so that no chat's wait is others'."""
        return _booked(self._total, now, lane, patience) if self._is_kept(now) else 0.0

    def refused(self, chat: str, now: float, retry_after: float, lane: Lane) -> None:
        """The server said 429: this chat is silent until then, others go on. A refused preview silences previews."""
        silent = self._no_previews_until if lane is Lane.LIVE else self._silent_until
        silent[chat] = max(silent.get(chat, now), now + retry_after)
        self._kept_until = now + max(_COMPLAINT_LASTS_SECONDS, retry_after)

    def _is_kept(self, now: float) -> bool:
        return self.ceiling is not None or now < self._kept_until

    def _share(self, chat: str, now: float) -> _Share:
        share = self._chats.get(chat)
        if share is None:
            if len(self._chats) >= _CHATS_KEPT:
                self._forget(now)
            share = self._chats[chat] = _chat(chat)
        return share

    def _forget(self, now: float) -> None:
        """Chats whose limits are untouched again need no memory."""
        self._chats = {chat: share for chat, share in self._chats.items() if not share.idle(now)}
        for silent in (self._silent_until, self._no_previews_until):
            for chat in [chat for chat, until in silent.items() if until <= now]:
                del silent[chat]
