"""Previews that could not be taken away: the answer that they were showing is not said a second time below them.

A preview is deleted when its text is about to be said for good. Where the platform refuses that, or does not answer,
the preview may stand; then it is made final by an edit. Only where the platform refuses both, so that it surely stands,
and it shows the whole text, is it left as it is: to say a thing twice is better than not at all. Two places of
an adapter meet here: its live message leaves what stays, its `send` claims it.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from channels.base import ChannelError, DeliveryKey, Outbound, Receipt, Rejected, ThreadRef, Unavailable

K = TypeVar("K", ThreadRef, DeliveryKey)

_MOST = 1_000
_SECONDS = 60.0
"""What begins alike later is another answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Left:
    message_id: str
    text: str  # as it was shown, without what was added about the state of things
    stands: bool  # the platform refused to delete it; otherwise it may be gone
    at: float


class Stayed:
    """The newest such preview of each place."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left: OrderedDict[ThreadRef, _Left] = OrderedDict()
        self._tried: OrderedDict[DeliveryKey, _Left] = OrderedDict()  # whose edit may have been made

    def leave(self, where: ThreadRef, message_id: str, text: str, *, stands: bool) -> None:
        _keep(self._left, where, _Left(message_id=message_id, text=text.strip(), stands=stands, at=self._clock()))

    async def say(self, part: Outbound, edit: Callable[[Outbound, str], Awaitable[None]]) -> Receipt | None:
        """Say the part with the preview that shows it already. None: there is none, send it as ever.

        Raises TemporaryFailure or UnknownOutcome of `edit`: the part then comes back to the same preview.
        """
        left = self._tried.pop(part.key, None) or self._claimed(part)
        if left is None:
            return None
        try:
            await edit(part, left.message_id)
        except ChannelError as error:
            if not (left.stands and left.text == part.text.strip()):
                if isinstance(error, Rejected | Unavailable):
                    return None  # nothing was done
                _keep(self._tried, part.key, left)
                raise
        return Receipt(message_ids=(left.message_id,), sent_at=datetime.now(UTC))

    def _claimed(self, part: Outbound) -> _Left | None:
        if part.control or part.private or part.attachments:
            return None
        left = self._left.pop(part.to, None)
        if left is None or not left.text or self._clock() - left.at > _SECONDS:
            return None
        return left if part.text.strip().startswith(left.text) else None


def _keep(kept: OrderedDict[K, _Left], key: K, left: _Left) -> None:
    kept[key] = left
    while len(kept) > _MOST:
        kept.popitem(last=False)
