"""Files that people send: fetched into the store before their message goes to an agent.

A file that cannot be had never holds up the message: the agent is told what is missing, and why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from agents.fenced import fenced
from channels.base import Attachment, Channel, ChannelError, ChannelName, Inbound
from storage.database import StorageError
from storage.files import FileStore

log = structlog.get_logger("attachments")

_FETCH_SECONDS = 60.0
_INLINE_BYTES = 50_000
_MOST = 10  # files of one message
_TEXT_TYPES = ("text/", "application/json", "application/xml", "application/toml", "application/yaml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What an agent gets: files in the store, and text to stand behind the message's own."""

    attachments: tuple[Attachment, ...]
    text: str


class AttachmentKeeper:
    """Fetches what came in."""

    def __init__(self, files: FileStore, channel: Callable[[ChannelName], Channel | None], limit_bytes: int) -> None:
        self._files = files
        self._channel = channel
        self._limit_bytes = limit_bytes

    async def keep(self, event: Inbound) -> Kept:
        """Never raises for a file's sake."""
        kept: list[Attachment] = []
        texts: list[str] = []
        for attachment in event.attachments[:_MOST]:
            try:
                stored = await self._fetched(event, attachment)
            except (ChannelError, StorageError, TimeoutError, ValueError) as error:
                log.warning("file not fetched", name=attachment.name, reason=str(error))
                texts.append(f"[The file {attachment.name} could not be fetched: {str(error) or 'it took too long'}]")
                continue
            kept.append(stored)
            texts.extend(await self._inline(stored))
        if len(event.attachments) > _MOST:
            texts.append(f"[{len(event.attachments) - _MOST} more files were left out: {_MOST} are the most]")
        return Kept(attachments=tuple(kept), text="\n\n".join(texts))

    async def _fetched(self, event: Inbound, attachment: Attachment) -> Attachment:
        if attachment.source.startswith("sha256:"):
            return attachment
        channel = self._channel(event.where.channel)
        if channel is None:
            raise ValueError(f"{event.where.channel} is not connected")
        async with asyncio.timeout(_FETCH_SECONDS):
            chunks = channel.fetch(attachment, self._limit_bytes)
            return await self._files.store(attachment.name, attachment.media_type, chunks, self._limit_bytes)

    async def _inline(self, stored: Attachment) -> list[str]:
        """A small text is given to the agent as it is, between marks: who sends a file need not have written it."""
        size = stored.size_bytes or 0
        if not stored.media_type.startswith(_TEXT_TYPES) or not 0 < size <= _INLINE_BYTES:
            return []
        text = (await self._files.read(stored)).decode("utf-8", "replace").replace("\x00", "")
        return [f"[The file {stored.name}:]\n{fenced(text)}"]
