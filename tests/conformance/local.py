"""An open page, as far as a channel of the program itself knows: it shows what it is told, one element for each id.

People's side is what the page, the terminal and HTTP clients do: hand a message to `receive`, and hand it over again
under the same id while they are told that it was not taken.
"""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from channels.base import (
    Account,
    Attachment,
    ChannelContext,
    ChannelName,
    Kind,
    NotAccepted,
    Outbound,
    ThreadRef,
    Unavailable,
)
from channels.local import LocalChannel
from channels.local import Shown as News
from tests.conformance.harness import CannotDo, Fault, RecordingIntake, Shown


@dataclass
class MemoryFiles:
    contents: dict[str, bytes] = field(default_factory=dict)

    async def read(self, attachment: Attachment) -> bytes:
        if attachment.source not in self.contents:
            raise FileNotFoundError(attachment.source)
        return self.contents[attachment.source]

    def add(self, content: bytes, name: str, media_type: str) -> Attachment:
        source = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.contents[source] = content
        return Attachment(name=name, media_type=media_type, size_bytes=len(content), source=source)


class LocalRig:
    """See `harness.Rig`."""

    def __init__(self, name: str) -> None:
        self.name = ChannelName(name)
        self.intake = RecordingIntake()
        self.files = MemoryFiles()
        self.room = ThreadRef(channel=self.name, room="main", thread="home")
        self.ada_account = f"{name}:owner"
        self.stranger_account = f"{name}:somebody"
        self.page: defaultdict[str, dict[str, Shown]] = defaultdict(dict)
        self.typing: set[str] = set()
        self.taken: set[str] = set()
        self.last: dict[str, Any] = {}
        self.repeating: set[asyncio.Task[None]] = set()
        self.running: asyncio.Task[None] | None = None
        self.channel = self._fresh()

    def _fresh(self) -> LocalChannel:
        return LocalChannel(ChannelContext(name=self.name, files=self.files), shown=self._look, reword=self._reword)

    def _look(self, news: News) -> None:
        if news.part is None:
            self.typing.add(news.where.key)
            return
        if news.kind == "said":
            self.page[news.where.key][news.message_id] = self._element(news.part, news.message_id)

    async def _reword(self, part: Outbound, message_id: str) -> None:
        self.page[part.to.key][message_id] = self._element(part, message_id)

    def _element(self, part: Outbound, message_id: str) -> Shown:
        return Shown(
            message_id=message_id,
            text=part.text,
            buttons=tuple((button.id, button.label) for button in part.buttons),
            files=tuple((file.name, self.files.contents[file.source]) for file in part.attachments),
        )

    # The adapter's life -------------------------------------------------------------------------------------

    async def start(self) -> None:
        self.channel = await self._fresh().__aenter__()
        self.running = asyncio.create_task(self.channel.run(self.intake))
        await asyncio.sleep(0)  # `run` has the intake before anybody is served

    async def stop(self) -> None:
        if self.running is not None:
            self.running.cancel()
            await asyncio.gather(self.running, return_exceptions=True)
            self.running = None
        await self.channel.__aexit__(None, None, None)

    async def reconnect(self) -> None:
        await self.stop()
        await self.start()

    # What people do -----------------------------------------------------------------------------------------

    async def _hands_over(self, where: ThreadRef, **message: Any) -> str:
        self.last = {
            "thread": where.thread,
            "text": "",
            "id": uuid.uuid4().hex,
            "account": Account(self.ada_account),
            "name": "Ada",
            **message,
        }
        return await self._until_taken(self.last)

    async def _until_taken(self, message: dict[str, Any]) -> str:
        event = f"{message['thread']}/{message['id']}"
        try:
            await self.channel.receive(**message)
            self.taken.add(event)
        except (NotAccepted, Unavailable):
            task = asyncio.create_task(self._repeats(message))
            self.repeating.add(task)
            task.add_done_callback(self.repeating.discard)
        return event

    async def _repeats(self, message: dict[str, Any]) -> None:
        await asyncio.sleep(0.02)
        await self._until_taken(message)

    async def says(self, where: ThreadRef, text: str, *, by: str | None = None, mention: bool = False) -> str:
        event = await self._hands_over(where, text=text, account=Account(by or self.ada_account))
        self.page[where.key][event] = Shown(message_id=event, text=text, by_bot=False)
        return event

    async def sends_file(self, where: ThreadRef, name: str, content: bytes) -> str:
        file = self.files.add(content, name, "application/octet-stream")
        return await self._hands_over(where, attachments=[file])

    async def edits(self, where: ThreadRef, message_id: str, text: str) -> None:
        raise CannotDo("people do not change what they have written on the page")

    async def deletes(self, where: ThreadRef, message_id: str) -> None:
        raise CannotDo("people do not delete what they have written on the page")

    async def presses(self, where: ThreadRef, message_id: str, button_id: str) -> None:
        await self._hands_over(where, kind=Kind.BUTTON, payload=button_id)

    async def commands(self, where: ThreadRef, text: str) -> None:
        await self._hands_over(where, text=text)

    async def repeat_last_event(self) -> None:
        await self._until_taken(self.last)

    async def acknowledged(self, message_id: str) -> bool:
        return message_id in self.taken

    # What people see ----------------------------------------------------------------------------------------

    async def shown(self, where: ThreadRef) -> list[Shown]:
        return list(self.page[where.key].values())

    async def typing_shown(self, where: ThreadRef) -> bool:
        return where.key in self.typing

    async def fail(self, fault: Fault) -> None:
        raise CannotDo("nothing lies between the program and its own page")

    async def heal(self) -> None:
        pass

    async def drop_connections(self) -> None:
        raise CannotDo("nothing lies between the program and its own page")

    async def stored_file(self, content: bytes, name: str, media_type: str) -> Attachment:
        return self.files.add(content, name, media_type)


@asynccontextmanager
async def joined(name: str) -> AsyncIterator[LocalRig]:
    made = LocalRig(name)
    await made.start()
    try:
        yield made
    finally:
        for task in made.repeating:
            task.cancel()
        await made.stop()
