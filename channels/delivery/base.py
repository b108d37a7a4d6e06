"""The nouns of delivery, and the ports that it needs.

A delivery is a row before it is a message. Its states, and who moves it:

    pending ──take──▸ sending ──said──▸ sent          said, with the platform's receipt
       ▴                 │ ──later────▸ pending       it was not said: try again
       │                 │ ──bury─────▸ dead          it cannot be said
       │                 └─── ─────── ▸ unknown       nobody can tell whether it was said
       └──retry─── dead, unknown                      a person's decision
    pending ──kill, drop──▸ cancelled

What is *sending* in the store while nobody sends it is *in doubt*: the process that handed it over is gone, or the
answer was lost. It is never sent again before that is settled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from random import SystemRandom
from typing import Protocol

from channels.base import Channel, ChannelName, OpenThread, Outbound, Receipt, ThreadRef


class DeliveryState(Enum):
    PENDING = "pending"
    SENDING = "sending"  # on its way, or cut off there: in doubt
    SENT = "sent"
    UNKNOWN = "unknown"  # it may have been said; nobody can tell
    DEAD = "dead"  # a dead letter
    CANCELLED = "cancelled"  # its session was killed, or a person dropped it


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One outgoing message (or thread to be opened) on its way."""

    n: int
    lane: str  # key of the place whose order it keeps
    message: Outbound  # for a thread to be opened: its first post, addressed to the placeholder
    opening: OpenThread | None
    session: str | None
    killed: bool  # its session was killed, and it is no control reply: say nothing more of it
    state: DeliveryState
    attempt: int  # tries that failed
    not_before: datetime
    parts: tuple[Outbound, ...]  # the split, fixed at the first try; empty before
    part: int  # how many parts are said
    message_ids: tuple[str, ...]
    tried: tuple[ThreadRef, ...]  # places that were unavailable
    created_at: datetime
    sending_at: datetime | None  # when the part that is on its way was first handed over

    @property
    def channel(self) -> ChannelName:
        return self.message.to.channel


@dataclass(frozen=True, slots=True, kw_only=True)
class NotYet:
    """The lane's head must wait."""

    until: datetime


Head = Delivery | NotYet | None
"""What a lane says next: something that is due, nothing before some moment, or nothing at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A receipt is saved: the delivery as it is now (*sending* when parts are left), and what its lane says next."""

    delivery: Delivery
    head: Head


class PlaceTaken(Exception):
    """Another living session is bound to that place."""


class Outbox(Protocol):
    """The rows behind the courier. Every method is one transaction."""

    async def lanes(self) -> Sequence[str]:
        """Every lane that has something to say."""

    async def head(self, lane: str, now: datetime) -> Head:
        """What is due first in a lane. Control replies keep an order of their own, and go first: neither waits for
        a try of the other to become due again."""

    async def place_of(self, lane: str) -> str | None:
        """The lane that took the place of a placeholder's; None while there is none."""

    async def take(self, delivery: Delivery, parts: Sequence[Outbound], now: datetime) -> Delivery | None:
        """Mark it *sending*, its parts fixed. None when it is not to be said any more, because it was moved,
        cancelled, or is a killed session's (then it is cancelled here)."""

    async def said(self, delivery: Delivery, receipt: Receipt, now: datetime) -> Said:
        """Save the receipt of the part that was handed over. With the last one it is sent, and stands in the place's
        timeline. The next one counts as handed over from now on, unless the session was killed: then the delivery
        ends here."""

    async def later(self, delivery: Delivery, not_before: datetime, why: str, *, doubt: bool = False) -> None:
        """Try again then; one in doubt stays *sending*."""

    async def bury(self, delivery: Delivery, state: DeliveryState, why: str) -> None:
        """Dead, unknown or cancelled."""

    async def move(self, delivery: Delivery, to: ThreadRef, rest: str, note: str, now: datetime) -> None:
        """To another place, with what is left of its text, and behind it whatever waits in this lane for the same
        session. The note stands before the text when it is not empty. The place is bound to the session. Of a thread
        to be opened, the session's home is there. Raises PlaceTaken."""

    async def behind(self, lane: str, sessions: Sequence[str]) -> Delivery | None:
        """The first that waits in this lane for a session that is none of these."""

    async def opened(self, delivery: Delivery, thread: ThreadRef, now: datetime) -> None:
        """The thread is there: everything that was addressed to the placeholder is addressed to it."""

    async def not_opened(self, delivery: Delivery, now: datetime) -> Sequence[str]:
        """There are no threads: the session talks in the room when that is free, and else has no home, and what it says
        goes to its parent's. The lanes to look at."""

    async def in_doubt_again(self, channel: ChannelName, since: datetime) -> Sequence[str]:
        """Take up again what was given up as *unknown* since then, for a channel that can look it up; the lanes."""


class Routes(Protocol):
    """Where else a session's person can be reached. `bot.people.reach` fulfils it."""

    async def next_place(self, session: str | None, tried: Sequence[ThreadRef]) -> ThreadRef | None:
        """The next place, which nobody can read who could not read the ones that were tried. None: wait."""


class FinishLive(Protocol):
    """Ends the preview of a text that is being written, before the text itself is said there."""

    async def __call__(self, where: ThreadRef) -> None: ...


class FollowRoom(Protocol):
    """Lets every stored reference to a room follow it to its new id, its deliveries too, and notifies their lanes."""

    async def __call__(self, room: ThreadRef, to: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CourierParts:
    outbox: Outbox
    routes: Routes
    channel: Callable[[ChannelName], Channel | None]
    """None when it is not configured; raises TemporaryFailure while it is being made."""
    clock: Callable[[], datetime]
    fallback_after: timedelta
    max_age: timedelta
    follow_room: FollowRoom
    ended: Callable[[Delivery, DeliveryState, str], None]
    """Sent, dead, unknown or cancelled, once that is committed, with the reason: for the page, metrics, operators."""
    finish_live: FinishLive | None = None
    settle: timedelta = timedelta(seconds=2)
    """How long a platform is given to finish what it was doing when its answer was lost."""
    chance: Callable[[], float] = SystemRandom().random
    """From 0 to 1, for the jitter of what is tried again."""
