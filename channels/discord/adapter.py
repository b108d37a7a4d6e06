"""Discord as a channel.

Sending goes by REST alone, so it works while the gateway is down. A message carries a nonce made from its
delivery's key, and Discord gives back the message that it already has for it: a send may be repeated. Threads are
opened under a message, whose id is then the thread's, so that opening may be repeated too. Nothing we say mentions
anybody or unfolds a link.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Self

import aiohttp
import discord

from channels.base import (
    Account,
    Attachment,
    Capability,
    ChannelContext,
    ChannelError,
    ChannelName,
    ChannelState,
    Health,
    Intake,
    Limits,
    LiveText,
    Mark,
    OpenThread,
    Outbound,
    Receipt,
    Rejected,
    TemporaryFailure,
    ThreadRef,
    Unavailable,
)
from channels.discord import OFFICIAL_BASE_URL, Settings, marks
from channels.discord.errors import spoken
from channels.discord.files import Downloads
from channels.discord.gateway import GatewayClient, Patience
from channels.discord.live import LiveMessage
from channels.discord.normalize import Identity
from channels.discord.pace import OVERALL_PER_SECOND, Pace
from channels.discord.places import Places
from channels.discord.receiver import Receiver
from channels.discord.rest import Rest, new_session
from channels.discord.speaker import MOST_BUTTONS, Speaker
from channels.discord.split import MESSAGE_UNITS, split
from channels.discord.threads import ThreadOpener

_log = logging.getLogger(__name__)
_ATTACHMENT_BYTES = 10 * 1024 * 1024  # of a server without boosts


class DiscordChannel:
    """Fulfils `channels.base.Channel`. Several may run in one process, each with its own base address."""

    capabilities = (
        Capability.THREADS
        | Capability.EDIT
        | Capability.BUTTONS
        | Capability.ATTACHMENTS_IN
        | Capability.ATTACHMENTS_OUT
        | Capability.TYPING
        | Capability.DIRECT
        | Capability.IDEMPOTENT_SEND
        | Capability.RECONCILE
        | Capability.EPHEMERAL
        | Capability.BACKFILL
        | Capability.STREAM
        | Capability.REACT
    )

    def __init__(
        self,
        settings: Settings,
        context: ChannelContext,
        *,
        patience: Patience | None = None,
    ) -> None:
        self._settings = settings
        self._context = context
        self._patience = patience or Patience()
        official = settings.base_url == OFFICIAL_BASE_URL
        overall = settings.requests_per_second or (OVERALL_PER_SECOND if official else None)
        self._pace = Pace(overall)
        # Another server's limits are not known before it tells them; the pace keeps them then.
        self.limits = Limits(
            text_units=MESSAGE_UNITS,
            attachment_bytes=_ATTACHMENT_BYTES,
            # Five in five seconds, of which one is kept for control replies.
            per_thread_per_second=0.8 if official else 1000.0,
            burst_per_thread=4 if official else 1,
            per_second=1000.0 if overall is None else overall * 0.9,
            button_count=MOST_BUTTONS,
        )
        self._places = Places()
        self._session: aiohttp.ClientSession | None = None
        self._rest_or_none: Rest | None = None
        self._speaker_or_none: Speaker | None = None
        self._state = ChannelState.CONNECTING
        self._since = datetime.now(UTC)
        self._detail = "not connected yet"
        self._trouble = ""
        self._connected = asyncio.Event()
        self._disconnected = asyncio.Event()
        self._me: Identity | None = None

    @property
    def name(self) -> ChannelName:
        return self._context.name

    def health(self) -> Health:
        return Health(state=self._state, since=self._since, detail=self._trouble or self._detail)

    async def __aenter__(self) -> Self:
        self._session = new_session()
        self._rest_or_none = self._new_rest(self._session)
        self._speaker_or_none = Speaker(self._rest_or_none, self.name, self._context.files, lambda: self._me)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
        self._session, self._rest_or_none, self._speaker_or_none = None, None, None

    async def connected(self) -> None:
        """Wait until the gateway has let us in."""
        await self._connected.wait()

    # --- receiving -------------------------------------------------------------------------------

    async def run(self, intake: Intake) -> None:
        """See the contract. A short loss of the connection is resumed inside; a long one ends the run."""
        self._now(ChannelState.CONNECTING, "connecting")
        try:
            async with asyncio.TaskGroup() as group:
                receiver = Receiver(
                    self._context,
                    intake,
                    self._rest,
                    self._places,
                    spawn=group.create_task,
                    previews=self._speaker.previews,
                    connected=self._is_connected,
                    troubled=self._is_troubled,
                )
                await receiver.load()
                group.create_task(receiver.ingress.commit_forever(receiver.acknowledge))
                group.create_task(self._listen(receiver))
        except BaseExceptionGroup as failures:
            error = _first(failures)
            self._now(ChannelState.DOWN, str(error))
            raise error from failures
        finally:
            self._connected.clear()
            if self._state is ChannelState.CONNECTED:
                self._now(ChannelState.DOWN, "not running")

    async def _listen(self, receiver: Receiver) -> None:
        """One client from its login to its end."""
        assert self._session is not None
        client = GatewayClient(
            self._new_rest(self._session),
            read=receiver.read,
            lost=self._is_lost,
            patience=self._patience,
        )
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(client.stay_connected(self._settings.token.get_secret_value()))
                group.create_task(self._watch_outage())
        finally:
            await client.close()

    async def _watch_outage(self) -> None:
        """End a run that has been without a connection for so long that a new client is the better try."""
        while True:
            try:
                async with asyncio.timeout(self._patience.outage_seconds):
                    await self._connected.wait()
            except TimeoutError:
                raise Unavailable("Discord's gateway has not let us in for too long") from None
            await self._disconnected.wait()

    def _is_connected(self, me: Identity) -> None:
        self._me = me
        self._connected.set()
        self._disconnected.clear()
        self._now(ChannelState.CONNECTED, "")

    def _is_lost(self) -> None:
        self._connected.clear()
        self._disconnected.set()
        self._now(ChannelState.CONNECTING, "the connection to Discord's gateway was lost; connecting again")

    def _is_troubled(self, trouble: str) -> None:
        self._trouble = trouble

    def _now(self, state: ChannelState, detail: str) -> None:
        if state is not self._state:
            self._since = datetime.now(UTC)
        self._state, self._detail = state, detail

    # --- sending ---------------------------------------------------------------------------------

    def split(self, message: Outbound) -> Sequence[Outbound]:
        return split(message)

    async def send(self, part: Outbound) -> Receipt:
        try:
            return await self._speaker.send(part)
        except TemporaryFailure as error:
            if error.retry_after is None and self._state is not ChannelState.CONNECTED:
                # A refusal alone is a hiccup; together with a lost gateway it is an outage.
                raise Unavailable(f"{error}, and its gateway is not connected") from error
            raise

    async def edit(self, part: Outbound, message_id: str) -> None:
        await self._speaker.edit(part, message_id)

    async def react(self, where: ThreadRef, message_id: str, mark: Mark | None, instead_of: Mark | None = None) -> None:
        await marks.put(self._rest, where, message_id, mark, instead_of)

    def confined(self, where: ThreadRef) -> bool:
        if where.thread is None or not where.thread.isdecimal():
            return False  # a thread that is still to be opened is one of ours, for everybody
        place = self._places[where.thread]
        return place is None or place.private is not False

    def _parked(self, where: ThreadRef) -> bool:
        """Whether this is an archived thread. To speak in one brings it back, which only an answer is worth."""
        place = self._places[where.thread] if where.thread is not None else None
        return place is not None and place.archived

    async def link(self, where: ThreadRef) -> str | None:
        return f"https://discord.com/channels/{where.space or '@me'}/{where.thread or where.room}"

    async def find(self, part: Outbound, since: datetime) -> Receipt | None:
        return await self._speaker.find(part, since)

    async def open_thread(self, request: OpenThread) -> ThreadRef:
        return await ThreadOpener(self._rest, self._places, self._speaker).open(request)

    async def direct(self, account: Account) -> ThreadRef:
        channel, _, user_id = account.partition(":")
        if channel != self.name or not user_id.isdecimal():
            raise Rejected(f"{account!r} is not an account of {self.name}: write {self.name}:<user id>")
        return ThreadRef(channel=self.name, room=await self._speaker.direct_room(user_id))

    async def typing(self, where: ThreadRef) -> None:
        if self._parked(where):
            return
        try:
            await self._rest.send_typing(where.thread or where.room)
        except (ChannelError, discord.DiscordException, aiohttp.ClientError, TimeoutError, OSError) as error:
            _log.debug("typing could not be shown in %s: %s", where.key, type(error).__name__)

    async def fetch(self, attachment: Attachment, limit_bytes: int) -> AsyncIterator[bytes]:
        with spoken("download an attachment"):
            async for chunk in self._downloads.fetch(attachment, limit_bytes):
                yield chunk

    async def live(self, where: ThreadRef, reply_to: str | None = None) -> LiveText:
        return LiveMessage(self._speaker, where, reply_to, parked=partial(self._parked, where))

    # --- parts -----------------------------------------------------------------------------------

    @property
    def _rest(self) -> Rest:
        if self._rest_or_none is None:
            raise Unavailable("the Discord channel is not open")
        return self._rest_or_none

    @property
    def _speaker(self) -> Speaker:
        if self._speaker_or_none is None:
            raise Unavailable("the Discord channel is not open")
        return self._speaker_or_none

    @property
    def _downloads(self) -> Downloads:
        assert self._session is not None
        official = self._settings.base_url == OFFICIAL_BASE_URL
        return Downloads(self._session, self._rest, base_url=self._settings.base_url, official=official)

    def _new_rest(self, session: aiohttp.ClientSession) -> Rest:
        return Rest(
            base_url=self._settings.base_url,
            token=self._settings.token.get_secret_value(),
            session=session,
            pace=self._pace,
            user_agent=self._context.user_agent,
        )


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that ended a run: one that only a person can help first, then any of the contract's, then any."""
    found: list[BaseException] = []
    waiting: list[BaseException] = [failures]
    while waiting:
        error = waiting.pop()
        if isinstance(error, BaseExceptionGroup):
            waiting.extend(error.exceptions)
        else:
            found.append(error)
    found.sort(key=lambda error: (not isinstance(error, Rejected), not isinstance(error, ChannelError)))
    return found[0]
