"""Files that people send: kept by their hash, small texts given to the agent, what cannot be had is said."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bot.attachments import AttachmentKeeper
from channels.base import (
    Account,
    Attachment,
    ChannelName,
    EventId,
    Inbound,
    Kind,
    Rejected,
    Sender,
    ThreadRef,
)
from storage.database import opened
from storage.files import FileStore

SLACK = ChannelName("slack")


class _Platform:
    """A channel whose files are given by their source."""

    def __init__(self, **files: bytes) -> None:
        self.files = files

    async def fetch(self, attachment: Attachment, limit_bytes: int) -> AsyncIterator[bytes]:
        content = self.files.get(attachment.source)
        if content is None:
            raise Rejected("the file is gone")
        yield content


def sent(*attachments: Attachment) -> Inbound:
    return Inbound(
        id=EventId("1"),
        kind=Kind.MESSAGE,
        where=ThreadRef(channel=SLACK, room="C1"),
        sender=Sender(account=Account("slack:T1/U1"), name="Ada"),
        text="look",
        sent_at=datetime(2026, 11, 21, tzinfo=UTC),
        attachments=attachments,
    )


def file(source: str, media_type: str = "image/png") -> Attachment:
    return Attachment(name=f"{source}.bin", media_type=media_type, size_bytes=None, source=source)


async def test_files_are_kept_and_small_texts_are_given_to_the_agent(tmp_path: Path) -> None:
    platform: Any = _Platform(picture=b"\x89PNG", notes=b"milk and bread")
    async with opened(tmp_path) as database:
        store = FileStore(tmp_path / "files", database)
        keeper = AttachmentKeeper(store, lambda _: platform, limit_bytes=1_000)
        kept = await keeper.keep(sent(file("picture"), file("notes", "text/plain")))
        assert all(attachment.source.startswith("sha256:") for attachment in kept.attachments)
        assert await store.read(kept.attachments[0]) == b"\x89PNG"
        assert "milk and bread" in kept.text
        assert "PNG" not in kept.text


async def test_what_is_gone_too_large_or_too_many_is_said_and_holds_nothing_up(tmp_path: Path) -> None:
    platform: Any = _Platform(large=b"x" * 2_000, fine=b"ok")
    async with opened(tmp_path) as database:
        keeper = AttachmentKeeper(FileStore(tmp_path / "files", database), lambda _: platform, limit_bytes=1_000)
        kept = await keeper.keep(sent(file("gone"), file("large"), *(file("fine") for _ in range(10))))
        assert len(kept.attachments) == 8
        assert "gone.bin could not be fetched: the file is gone" in kept.text
        assert "large.bin could not be fetched" in kept.text
        assert "2 more files were left out" in kept.text
