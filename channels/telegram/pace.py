"""Telegram's limits as arithmetic: when may the next message go?

30 messages a second over all, 1 a second in a chat with short bursts above it, 20 a minute in a group
(https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this). All that the bot sends asks here.
Control replies have a share of their own, so that a kill is confirmed while thousands of messages
wait; live previews take only what would be left over. A place in the queue is booked when it is given: those
who wait do so in order, and nobody is waked for nothing. Pure: `now` is any clock's seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

_CHATS_KEPT = 10_000


class Lane(Enum):
    CONTROL = "control"  # a command's reply
    MESSAGE = "message"
    LIVE = "live"  # a preview: what is not sent now is overtaken by the next one


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
        """How many could go at once."""
        return self.burst - max(0.0, self._theoretical - now) * self.rate

    def idle(self, now: float) -> bool:
        return self._theoretical <= now


@dataclass(slots=True)
class _Share:
    """A limit, divided between ordinary messages and control replies."""

    ordinary: Bucket
    control: Bucket

    def choose(self, now: float, lane: Lane) -> Bucket:
        if lane is Lane.CONTROL and self.control.delay(now) <= self.ordinary.delay(now):
            return self.control
        return self.ordinary

    def idle(self, now: float) -> bool:
        return self.ordinary.idle(now) and self.control.idle(now)


def _overall(ceiling: float) -> _Share:
    """Bursts and rates add up to the ceiling in any second."""
    control = max(1.0, ceiling / 15)
    ordinary = max(1.0, ceiling - 2 * control)
    burst = max(1, int(ordinary / 5))
    return _Share(Bucket(max(0.5, ordinary - burst), burst), Bucket(control, max(1, int(control))))


def _chat(chat: str) -> _Share:
    if chat.startswith("-"):
        # A group: in any minute 8 + 9 ordinary ones and 2 + 1 control replies are 20.
        return _Share(Bucket(9 / 60, 8), Bucket(1 / 60, 2))
    return _Share(Bucket(1.0, 5), Bucket(0.5, 3))


@dataclass(slots=True)
class Pace:
    """The state of all limits. `ceiling` is None where no overall limit is known yet."""

    ceiling: float | None
    _total: _Share | None = field(init=False)
    _chats: dict[str, _Share] = field(init=False, default_factory=dict)
    _paused: dict[str, float] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._total = None if self.ceiling is None else _overall(self.ceiling)

    def reserve(self, chat: str, now: float, lane: Lane, patience: float) -> float:
        """Seconds until this may go. Booked when that is within `patience`; otherwise ask again then."""
        share = self._share(chat, now)
        shares = [share] if self._total is None else [share, self._total]
        buckets = [each.choose(now, lane) for each in shares]
        wait = max([self._paused.get(chat, now) - now, 0.0, *(bucket.delay(now) for bucket in buckets)])
        if lane is Lane.LIVE and any(bucket.spare(now) < max(2, bucket.burst // 2) for bucket in buckets):
            # The burst is for messages that stay.
            wait = max(wait, *(1 / bucket.rate for bucket in buckets))
        if wait <= patience:
            for bucket in buckets:
                bucket.book(now + wait)
        return wait

    def refused(self, chat: str, now: float, retry_after: float) -> None:
        """The platform said 429: this chat is silent until then; the others go on."""
        self._paused[chat] = max(self._paused.get(chat, 0.0), now + retry_after)
        if self._total is None:
            self._total = _overall(30.0)

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
        self._paused = {chat: until for chat, until in self._paused.items() if until > now}
