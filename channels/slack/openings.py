"""Opening threads: under a message that is there, or under a first post of their own.

A thread that was asked for before, in a try whose answer was lost, is looked for by the key of its first post: also
after a restart nobody gets a second one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from channels.base import ChannelError, DeliveryKey, OpenThread, Outbound, Receipt, ThreadRef
from channels.slack.lookup import Lookup
from channels.slack.render import quoted, split_text
from channels.slack.writer import Writer

logger = logging.getLogger(__name__)


class Openings:
    """Opens the threads of one channel. `native` writes commands as they are given in a place."""

    def __init__(self, writer: Writer, lookup: Lookup, native: Callable[[str, ThreadRef], str]) -> None:
        self._writer = writer
        self._lookup = lookup
        self._native = native

    async def open(self, request: OpenThread) -> ThreadRef:
        """See Channel.open_thread."""
        room, thread = request.room, request.anchor
        first_text = self._native(request.first_text, replace(room, thread=thread or "its own"))
        texts = split_text(first_text) if first_text.strip() else []
        if thread is None:
            title = " ".join(request.title.split())
            heading = f"**{quoted(title)}**" if title else ""
            first = "\n\n".join(text for text in (heading, *texts[:1]) if text)
            pieces = [*split_text(first), *texts[1:]]
            root = Outbound(key=request.key, to=room, text=pieces[0])
            await self._writer.turn(root)
            thread, texts = (await self._once(root, request.tried_at)).message_ids[0], pieces[1:]
        place = replace(room, thread=thread)
        for index, text in enumerate(texts):
            part = Outbound(key=DeliveryKey(f"{request.key}#{index}"), to=place, text=text)
            try:
                await self._once(part, request.tried_at)
            except ChannelError as error:
                if index == 0 and request.anchor is not None:
                    raise
                # The thread stands: to report a failure would have it opened again.
                logger.warning("the first text of %s is not whole: %s", place.key, error)
                break
        return place

    async def _once(self, part: Outbound, tried_at: datetime | None) -> Receipt:
        if tried_at is not None and (found := await self._lookup.post(part, tried_at)) is not None:
            return found
        return await self._writer.post(part)
