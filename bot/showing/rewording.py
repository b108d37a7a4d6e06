"""Puts another text in the place of something that was said, on whatever platform it stands by now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from channels.base import Capability, Channel, ChannelName, DeliveryKey, Rejected, TemporaryFailure, UnknownOutcome
from storage.outbox import Spoken

_EDIT_SECONDS = 30.0
_ON_ITS_WAY = timedelta(seconds=0.5)


class Outbox(Protocol):
    """`storage.outbox` fulfils it."""

    async def spoken(self, key: DeliveryKey) -> Spoken | None: ...
    async def reword_unsent(self, key: DeliveryKey, text: str) -> bool: ...
    async def reworded(self, key: DeliveryKey, text: str) -> None: ...


class Rewording:
    """`changed` hears the place and the key of what says something else now."""

    def __init__(
        self,
        outbox: Outbox,
        channel: Callable[[ChannelName], Channel | None],
        changed: Callable[[str, str], None] = lambda _place, _key: None,
    ) -> None:
        self._changed = changed
        self._outbox = outbox
        self._channel = channel

    async def reword(self, key: DeliveryKey, text: str, *, spare: bool = False) -> None:
        """Let the message with this key say that instead. What waits is said with the new text at once; done again, it
        changes nothing. A `spare` change takes no turn that another message needs.

        Raises TemporaryFailure while the message is on its way, Rejected when it cannot be changed (it was never said,
        was deleted, is several messages, or the platform cannot), and the channel's other errors.
        """
        found = await self._outbox.spoken(key)
        if found is None:
            raise Rejected(f"{key} is not said")
        if found.text == text:
            return
        if not found.sent:
            if await self._outbox.reword_unsent(key, text):
                return
            raise TemporaryFailure(f"{key} is on its way", retry_after=_ON_ITS_WAY)
        channel = self._channel(found.part.to.channel)
        if channel is None:
            raise TemporaryFailure(f"{found.part.to.channel} is not there")
        if Capability.EDIT not in channel.capabilities or len(found.message_ids) != 1:
            raise Rejected(f"{key} is nothing that {channel.name} could change")
        try:
            async with asyncio.timeout(_EDIT_SECONDS):
                await channel.edit(found.changed(text, spare=spare), found.message_ids[0])
        except TimeoutError as error:
            raise UnknownOutcome(f"no answer within {_EDIT_SECONDS:.0f} s") from error
        await self._outbox.reworded(key, text)
        self._changed(found.part.to.key, key)
