"""What can go wrong, named by what the caller should do.

ChannelError
├── TemporaryFailure   try again later, at the same place
├── Unavailable        the platform cannot be reached: wait, and fall back to the next place
├── Rejected           give up and tell somebody
│   ├── NoThreads      this room has no threads: talk in the room itself
│   └── RoomMoved      the room has another id now: follow it, and say it there
└── UnknownOutcome     it may have been done: find out before it is sent again
NotAccepted            the intake could not commit: do not acknowledge to the platform
"""

from __future__ import annotations

from datetime import timedelta


class ChannelError(Exception):
    """Its text is a sentence for the operator; it never carries a token."""


class TemporaryFailure(ChannelError):
    """Try again later at the same place, not before `retry_after` when it is given."""

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(ChannelError):
    """The platform cannot be reached or does not let us in. Nothing was sent."""


class Rejected(ChannelError):
    """It will not work however often it is tried: unknown room, no permission, bot blocked, bad payload."""


class NoThreads(Rejected):
    """This room has no threads."""


class RoomMoved(Rejected):
    """The platform gave the room another id, `to`. Nothing was done at the old one."""

    def __init__(self, message: str, *, to: str) -> None:
        super().__init__(message)
        self.to = to


class UnknownOutcome(ChannelError):
    """The request left, its answer did not come. It may have been done."""


class NotAccepted(Exception):
    """The event is not committed. Do not acknowledge it: the platform shall send it again."""
