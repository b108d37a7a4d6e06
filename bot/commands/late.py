"""A command that was given while nobody listened is not carried out hours later.

What a platform kept for us is read when it is back. A message is answered then; but a `/kill all` would hit what lives
now, and a `/spawn` begin what somebody has long done by hand. Whoever gave it is asked to say it again.

A machine whose clock is wrong sees every command late, and must obey all the same. So a repetition counts when it came
in as long after the first one as it was written after it: then both came in at once, and it is the clock that is wrong.

Pure state: no I/O, the time is an argument. After a restart it asks once more.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta

from agents.progress import age
from channels.base import Account, Inbound, Kind, ThreadRef

LATE = timedelta(minutes=10)
_APART = timedelta(seconds=3)  # a repetition that comes in sooner was waiting beside the first
_WAY = timedelta(seconds=30)  # by which the ways of two messages to us may differ
_ASKED = 1_000  # remembered


class LateCommands:
    """One for the whole bot."""

    def __init__(self) -> None:
        self._asked: OrderedDict[tuple[ThreadRef, Account], tuple[datetime, datetime]] = OrderedDict()

    def question(self, event: Inbound, line: str, now: datetime) -> str | None:
        """What to ask instead of carrying out the command `line`. None: it is carried out."""
        late = now - event.sent_at
        if late < LATE or event.kind not in {Kind.MESSAGE, Kind.COMMAND, Kind.BUTTON}:
            return None
        who = (event.where, event.sender.account)
        first = self._asked.pop(who, None)
        if first is not None:
            written, read = event.sent_at - first[0], now - first[1]
            if read >= _APART and abs(written - read) <= _WAY:
                return None
        self._asked[who] = (event.sent_at, now)
        if len(self._asked) > _ASKED:
            self._asked.popitem(last=False)
        return (
            f"You gave `/{line}` {age(late)} ago, while I could not hear you, so I have not carried it out."
            " Say it again if you still mean it."
        )
