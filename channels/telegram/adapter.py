"""Telegram as a channel: who we are there, what comes in, what goes out.

What there is to do has modules of its own: polling takes updates in, parts and render make messages, sending says
them, live shows them while they are written, client keeps the pace and puts errors in the core's words. Here they meet.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from pydantic import ValidationError
from telegram.error import TelegramError

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
    NoThreads,
    OpenThread,
    Outbound,
    Receipt,
    Rejected,
    TemporaryFailure,
    ThreadRef,
    Unavailable,
)
from channels.telegram import Settings, live, marks, menu, parts, polling, sending, threads
from channels.telegram.chains import Chains
from channels.telegram.client import Client
from channels.telegram.errors import NOT_LET_IN, Refusal, timed_out, translate
from channels.telegram.normalize import GENERAL_TOPIC, Me, normalize
from channels.telegram.pace import Lane
from channels.telegram.payloads import User
from channels.telegram.previews import Previews

_log = logging.getLogger(__name__)

_UPLOAD_BYTES = 50_000_000
_DOWNLOAD_BYTES = 20_000_000
_FORUMS_KEPT = 10_000

_CAPABILITIES = (
    Capability.THREADS
    | Capability.EDIT
    | Capability.BUTTONS
    | Capability.ATTACHMENTS_IN
    | Capability.ATTACHMENTS_OUT
    | Capability.TYPING
    | Capability.DIRECT
    | Capability.BACKFILL
    | Capability.REACT
)


class TelegramChannel:
    """One bot. Fulfils channels.base.Channel."""

    def __init__(self, settings: Settings, context: ChannelContext) -> None:
        self._settings = settings
        self._context = context
        self._client = Client(settings)
        self._previews = Previews(self._client)
        self._sender = sending.Sender(self._client, context.files, self._previews.stayed)
        self._me: Me | None = None
        self._forums: set[str] = set()
        self._chains = Chains()
        self._side_tasks: set[asyncio.Task[None]] = set()
        self._health = Health(state=ChannelState.CONNECTING, since=_now())

    @property
    def name(self) -> ChannelName:
        return self._context.name

    @property
    def capabilities(self) -> Capability:
        return _CAPABILITIES | Capability.STREAM if self._settings.stream else _CAPABILITIES

    @property
    def limits(self) -> Limits:
        return Limits(
            text_units=4096,
            attachment_bytes=_UPLOAD_BYTES,
            per_thread_per_second=1.0,
            burst_per_thread=5,
            per_second=self._settings.ceiling or 1000.0,
            button_count=100,
        )

    def health(self) -> Health:
        return self._health

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    # --- coming in -------------------------------------------------------------------------------

    async def run(self, intake: Intake) -> None:
        self._report(ChannelState.CONNECTING, "")
        failure: ChannelError | None = None
        async with asyncio.TaskGroup() as tasks:
            try:
                await self._receive(intake, tasks)
            except TemporaryFailure as error:
                failure = Unavailable(str(error))
            except ChannelError as error:
                failure = error
            finally:
                for task in self._side_tasks:
                    task.cancel()
                self._report(ChannelState.DOWN, str(failure) if failure else "nothing is received: it was stopped")
        if failure is not None:
            raise failure

    async def _receive(self, intake: Intake, tasks: asyncio.TaskGroup) -> None:
        me = self._me = await self._who_am_i()
        self._report(ChannelState.CONNECTED, "")
        self._chains.know(await intake.bound_threads())
        self._beside(tasks, self._previews.tidy(intake))
        self._beside(
            tasks, menu.set_menus(self._client, intake, self._context.commands, self._context.operators(), me.id)
        )

        def answer(callbacks: Sequence[str]) -> None:
            for callback in callbacks:
                self._beside(tasks, self._answer(callback))

        incoming = polling.Incoming(
            read=self._read, answer=answer, connected=lambda detail: self._report(ChannelState.CONNECTED, detail)
        )
        if self._settings.webhook_url:
            from channels.telegram.webhook import Webhook

            await Webhook(client=self._client, incoming=incoming, settings=self._settings).run(intake)
        else:
            hold = self._settings.poll_timeout_seconds
            await polling.Poller(client=self._client, incoming=incoming, hold_seconds=hold, bot_id=me.id).run(intake)

    async def _who_am_i(self) -> Me:
        try:
            user = User.model_validate(await self._client.attempt("getMe"))
        except Refusal as error:
            if error.answer.status in (401, 404):
                raise Rejected(NOT_LET_IN) from error
            raise Unavailable(str(translate(error, "getMe"))) from error
        except TelegramError as error:
            raise Unavailable(str(translate(error, "getMe"))) from error
        except TimeoutError as error:
            raise Unavailable(str(timed_out("getMe"))) from error
        except ValidationError as error:
            raise Unavailable("what answers at base_url is no Bot API server: getMe names no bot") from error
        return Me(
            id=user.id,
            username=user.username,
            has_topics=user.has_topics_enabled,
            reads_everything=user.can_read_all_group_messages,
        )

    def _read(self, raw: list[Any]) -> polling.Batch:
        me, now = self._me, _now()
        assert me is not None
        chains = self._chains
        batch = polling.read_updates(
            raw, lambda update: normalize(update, channel=self.name, me=me, now=now, chains=chains), chains
        )
        if len(self._forums) < _FORUMS_KEPT:
            self._forums |= batch.forums
        return batch

    async def _answer(self, callback: str) -> None:
        """Until it is answered, the person's button shows that it works. It may be too late, that is no harm."""
        with suppress(ChannelError):
            await self._client.call(
                "answerCallbackQuery", repeatable=True, lane=Lane.CONTROL, callback_query_id=callback
            )

    def _beside(self, tasks: asyncio.TaskGroup, work: Coroutine[Any, Any, None]) -> None:
        """Something that nothing waits for, and that ends with `run`."""
        task = tasks.create_task(work)
        self._side_tasks.add(task)
        task.add_done_callback(self._side_tasks.discard)

    def _report(self, state: ChannelState, detail: str) -> None:
        if (state, detail) != (self._health.state, self._health.detail):
            since = self._health.since if state is self._health.state else _now()
            self._health = Health(state=state, since=since, detail=detail)

    # --- going out -------------------------------------------------------------------------------

    def split(self, message: Outbound) -> Sequence[Outbound]:
        return parts.split(message)

    async def send(self, part: Outbound) -> Receipt:
        return await self._sender.send(part)

    async def edit(self, part: Outbound, message_id: str) -> None:
        await self._sender.edit(part, message_id)

    async def react(
        self,
        where: ThreadRef,
        message_id: str,
        mark: Mark | None,
        instead_of: Mark | None = None,  # noqa: ARG002 - a bot has one reaction, and the new one replaces it
    ) -> None:
        await marks.put(self._client, where, message_id, mark)

    def confined(self, where: ThreadRef) -> bool:  # noqa: ARG002
        return False  # whoever sees a chat sees all its topics

    async def link(self, where: ThreadRef) -> str | None:
        return parts.link(where)

    async def find(self, part: Outbound, since: datetime) -> Receipt | None:
        raise Rejected(f"Telegram cannot tell whether {part.key} was sent since {since:%H:%M}: it offers no look-up")

    async def open_thread(self, request: OpenThread) -> ThreadRef:
        if not request.room.room.startswith("-") and self._me is not None and not self._me.has_topics:
            raise NoThreads("topics in private chats are off for this bot: BotFather turns them on (Threaded Mode)")
        return await threads.opened(self._client, self._sender, self._chains, request)

    async def direct(self, account: Account) -> ThreadRef:
        channel, _, user = account.partition(":")
        if channel != self.name or not user.isdigit():
            raise Rejected(f"{account} is no person at {self.name}")
        # A bot may not begin a conversation: getChat knows whether the person did.
        chat = await self._client.call("getChat", repeatable=True, doing="a private message", chat_id=int(user))
        if isinstance(chat, dict) and chat.get("type", "private") != "private":
            raise Rejected(f"{account} is no person at {self.name}")
        return ThreadRef(channel=self.name, room=user)

    async def typing(self, where: ThreadRef) -> None:
        place = parts.addressed(where)
        place.pop("direct_messages_topic_id", None)  # the action knows no such topics
        if where.room in self._forums:
            # Unlike messages, the action needs to be told when it is for the General topic.
            place.setdefault("message_thread_id", GENERAL_TOPIC)
        with suppress(ChannelError):
            await self._client.call("sendChatAction", repeatable=True, **place, action="typing")

    async def fetch(self, attachment: Attachment, limit_bytes: int) -> AsyncIterator[bytes]:
        limit = min(limit_bytes, _DOWNLOAD_BYTES)
        too_large = f"{attachment.name} is larger than {limit // 1000} kB"
        if (attachment.size_bytes or 0) > limit:
            raise Rejected(too_large)
        file = await self._client.call(
            "getFile", repeatable=True, doing=f"the download of {attachment.name}", file_id=attachment.source
        )
        path = file.get("file_path") if isinstance(file, dict) else None
        if not isinstance(path, str) or not path:
            raise Rejected(f"Telegram does not say where {attachment.name} is")
        received = 0
        async for piece in self._client.download(path):
            received += len(piece)
            if received > limit:
                raise Rejected(too_large)
            yield piece

    async def live(self, where: ThreadRef, reply_to: str | None = None) -> LiveText:
        return live.begin(self._client, self._previews, where, reply_to)


def _now() -> datetime:
    return datetime.now(UTC)
