"""What the bot says on its own account: command replies, refusals, news for operators."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog

from agents.base import SessionId
from channels.base import Account, Channel, ChannelError, ChannelName, ChannelState, DeliveryKey, Outbound, ThreadRef
from storage.outbox import SqliteOutbox

log = structlog.get_logger("speaker")


class Speaker:
    """Puts messages into the outbox and tells the courier."""

    def __init__(
        self,
        outbox: SqliteOutbox,
        notify: Callable[[str], None],
        channel: Callable[[ChannelName], Channel | None],
        clock: Callable[[], datetime],
    ) -> None:
        self._outbox = outbox
        self._channel = channel
        self._notify = notify
        self._clock = clock

    async def say(self, message: Outbound, *, session: SessionId | None = None) -> None:
        if await self._outbox.put(message, session=session, now=self._clock()):
            self._notify(message.to.key)

    async def tell(self, account: Account, place: ThreadRef | None, text: str, key: str) -> bool:
        """Something to one account: where it wrote to us, or directly. False: there is no place to say it now."""
        where = place or await self._direct(account)
        if where is not None:
            await self.say(Outbound(key=DeliveryKey(key), to=where, text=text, control=True, private=True))
        return where is not None

    async def _direct(self, account: Account) -> ThreadRef | None:
        channel = self._channel(ChannelName(account.partition(":")[0]))
        if channel is None or channel.health().state is ChannelState.DOWN:
            return None
        try:
            return await channel.direct(account)
        except ChannelError as error:
            log.warning("cannot be told", account=account, reason=str(error))
            return None
