"""Previews that could not be taken away: the answer that they were showing is not said a second time below them.

A preview is deleted when its text is about to be said for good. Where the platform refuses that, or does not answer,
the preview stands; then it is made final by an edit, or left as it is when it shows the whole text already. Two
places of an adapter meet here: its live message leaves what stays, its `send` claims it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from channels.base import ChannelError, Outbound, Receipt, ThreadRef

_MOST = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Left:
    message_id: str
    text: str  # as it was shown, without what was added about the state of things


class Stayed:
    """The newest such preview of each place."""

    def __init__(self) -> None:
        self._left: OrderedDict[ThreadRef, _Left] = OrderedDict()

    def leave(self, where: ThreadRef, message_id: str, text: str) -> None:
        self._left[where] = _Left(message_id=message_id, text=text.strip())
        while len(self._left) > _MOST:
            self._left.popitem(last=False)

    async def say(self, part: Outbound, edit: Callable[[Outbound, str], Awaitable[None]]) -> Receipt | None:
        """Say the part with the preview that shows it already. None: there is none, send it as ever."""
        left = None if part.control or part.private or part.attachments else self._left.get(part.to)
        text = part.text.strip()
        if left is None or not left.text or not text.startswith(left.text):
            return None
        del self._left[part.to]
        try:
            await edit(part, left.message_id)
        except ChannelError:
            if left.text != text:
                return None
        return Receipt(message_ids=(left.message_id,), sent_at=datetime.now(UTC))
