"""Telegram for the conformance suite: a forum group that Ada, Eve and the bot share."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from channels.base import (
    Attachment,
    Channel,
    ChannelContext,
    ChannelName,
    Kind,
    ThreadRef,
    Unavailable,
)
from channels.telegram import Settings, create
from tests.conformance.harness import Fault, RecordingIntake, Shown
from tests.fakes.telegram import FakeTelegram
from tests.fakes.telegram.server import broken_gateway, lose_answer, refuse
from tests.fakes.telegram.world import ADA, EVE, FORUM

NAME = ChannelName("telegram")

_FAULTS = {
    Fault.RATE_LIMITED: refuse(429, "Too Many Requests: retry after 1", retry_after=1),
    Fault.SERVER_ERROR: broken_gateway(),
    Fault.FORBIDDEN: refuse(400, "Bad Request: not enough rights to send text messages to the chat"),
    Fault.UNKNOWN_ROOM: refuse(400, "Bad Request: chat not found"),
    Fault.ANSWER_LOST: lose_answer,
}


@dataclass
class StoredFiles:
    """An attachment store in memory."""

    contents: dict[str, bytes] = field(default_factory=dict)

    async def read(self, attachment: Attachment) -> bytes:
        try:
            return self.contents[attachment.source]
        except KeyError:
            raise FileNotFoundError(attachment.source) from None

    def add(self, content: bytes, name: str, media_type: str) -> Attachment:
        source = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.contents[source] = content
        return Attachment(name=name, media_type=media_type, size_bytes=len(content), source=source)


@dataclass
class TelegramRig:
    server: FakeTelegram
    intake: RecordingIntake = field(default_factory=RecordingIntake)
    files: StoredFiles = field(default_factory=StoredFiles)
    context: ChannelContext = field(init=False)
    settings: dict[str, Any] = field(default_factory=dict)
    channel: Channel = field(init=False)
    running: asyncio.Task[None] | None = None
    room: ThreadRef = field(default_factory=lambda: ThreadRef(channel=NAME, room=str(FORUM)))
    ada_account: str = f"{NAME}:{ADA}"
    stranger_account: str = f"{NAME}:{EVE}"
    silent: frozenset[Kind] = frozenset({Kind.DELETE})  # Telegram tells a bot nothing of deletions

    def __post_init__(self) -> None:
        self.context = ChannelContext(name=NAME, files=self.files)

    @property
    def world(self) -> Any:
        return self.server.world

    async def start(self) -> None:
        values = {"token": self.server.token, "base_url": self.server.base_url} | self.settings
        self.channel = create(Settings.model_validate(values), self.context)
        await self.channel.__aenter__()
        before = len(self.server.called("getUpdates"))
        self.running = asyncio.create_task(self._supervise())
        await self.world.wait_until(lambda: len(self.server.called("getUpdates")) > before)

    async def stop(self) -> None:
        if self.running is not None:
            self.running.cancel()
            with suppress(asyncio.CancelledError):
                await self.running
        await self.channel.__aexit__(None, None, None)

    async def _supervise(self) -> None:
        """As bot.app does: run again while the platform cannot be reached."""
        while True:
            with suppress(Unavailable):
                await self.channel.run(self.intake)
            await asyncio.sleep(0.05)

    # --- the person's side -----------------------------------------------------------------------

    async def says(self, where: ThreadRef, text: str, *, by: str | None = None, mention: bool = False) -> str:
        sender = int((by or self.ada_account).partition(":")[2])
        text = f"@threadmill_bot {text}" if mention else text
        return str(self.world.says(_chat(where), text, by=sender, topic=_topic(where)))

    async def sends_file(self, where: ThreadRef, name: str, content: bytes) -> str:
        return str(self.world.sends_file(_chat(where), name, content, topic=_topic(where)))

    async def edits(self, where: ThreadRef, message_id: str, text: str) -> None:
        self.world.edits(_chat(where), int(message_id), text)

    async def deletes(self, where: ThreadRef, message_id: str) -> None:
        self.world.deletes(_chat(where), int(message_id))

    async def commands(self, where: ThreadRef, text: str) -> None:
        """In a group, the menu adds whom the command is for."""
        name, _, arguments = text.partition(" ")
        self.world.says(_chat(where), f"{name}@threadmill_bot {arguments}".rstrip(), topic=_topic(where))

    async def presses(self, where: ThreadRef, message_id: str, button_id: str) -> None:
        self.world.presses(_chat(where), int(message_id), button_id)

    async def shown(self, where: ThreadRef) -> list[Shown]:
        return [self._shown(message) for message in self.world.in_topic(_chat(where), _topic(where))]

    def _shown(self, message: dict[str, Any]) -> Shown:
        rows = message.get("reply_markup", {}).get("inline_keyboard", [])
        files = [(file["file_name"], self.world.files[file["file_id"]][1]) for file in _files_of(message)]
        return Shown(
            message_id=str(message["message_id"]),
            text=message.get("text") or message.get("caption") or "",
            buttons=tuple((button["callback_data"], button["text"]) for row in rows for button in row),
            files=tuple(files),
            by_bot=message["from"]["id"] == self.world.bot["id"],
        )

    async def marks(self, where: ThreadRef, message_id: str) -> list[str]:
        """See `harness.MarkRig`."""
        return list(self.world.reactions.get((_chat(where), int(message_id)), ()))

    async def typing_shown(self, where: ThreadRef) -> bool:
        until = self.world.actions.get((_chat(where), _topic(where)), 0.0)
        return bool(until > self.world.clock())

    async def fail(self, fault: Fault) -> None:
        if fault is Fault.UNREACHABLE:
            await self.server.refuse_connections()
        else:
            self.server.fail_next("send", _FAULTS[fault])

    async def heal(self) -> None:
        self.server.faults.clear()
        await self.server.accept_connections()

    async def drop_connections(self) -> None:
        self.server.drop_polls()

    async def repeat_last_event(self) -> None:
        self.world.repeats_last_update()

    async def acknowledged(self, message_id: str) -> bool:
        updates = [update for (_, message), update in self.world.update_of.items() if str(message) == message_id]
        with suppress(TimeoutError):  # the bot says so with its next question, which may be on its way
            await self.world.wait_until(lambda: max(updates) <= self.world.confirmed, 0.5)
        return bool(updates) and max(updates) <= self.world.confirmed

    async def reconnect(self) -> None:
        await self.stop()
        await self.start()

    async def stored_file(self, content: bytes, name: str, media_type: str) -> Attachment:
        return self.files.add(content, name, media_type)


@asynccontextmanager
async def rig(tmp_path: Path) -> AsyncIterator[TelegramRig]:
    async with joined() as joined_rig:
        yield joined_rig


@asynccontextmanager
async def joined(server: FakeTelegram | None = None, **settings: Any) -> AsyncIterator[TelegramRig]:
    """A rig on this server, or on one of its own."""
    async with server or FakeTelegram() as running:
        joined_rig = TelegramRig(server=running, settings=settings)
        await joined_rig.start()
        try:
            yield joined_rig
        finally:
            await joined_rig.stop()


def _chat(where: ThreadRef) -> int:
    return int(where.room)


def _topic(where: ThreadRef) -> int | None:
    return None if where.thread is None else int(where.thread)


def _files_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    return [message["document"]] if "document" in message else message.get("photo", [])[-1:]
