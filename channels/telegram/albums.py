"""An album is one message to people, and one update a file to a bot.

The updates that carry the same album become one event with all the files, so that an agent sees what was sent. They
come close together but not always in one batch: whoever asks for updates looks once more before it commits. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from channels.base import Inbound
from channels.telegram.payloads import Update

_MOST_FILES = 10  # in an album

Album = tuple[int, str]
"""The chat and the id that the album's messages share."""


def album_of(update: Update) -> Album | None:
    message = update.message
    return (message.chat.id, message.media_group_id) if message and message.media_group_id else None


def gathered(read: Sequence[tuple[Update, Inbound | None]]) -> list[Inbound]:
    """The events in order, each album as one event in the place of its first."""
    events: list[list[Inbound]] = []
    albums: dict[Album, list[Inbound]] = {}
    for update, event in read:
        if event is None:
            continue
        album = album_of(update)
        if album is not None and album in albums:
            albums[album].append(event)
            continue
        events.append([event])
        if album is not None:
            albums[album] = events[-1]
    return [_together(parts) for parts in events]


def unfinished(updates: Sequence[Update]) -> int:
    """How many files are in albums that may go on: what has followed them in their chat ends an album."""
    newest: dict[int, Album | None] = {}
    files: dict[Album, int] = {}
    for update in updates:
        if update.message is not None:
            album = newest[update.message.chat.id] = album_of(update)
            if album is not None:
                files[album] = files.get(album, 0) + 1
    return sum(files[album] for album in newest.values() if album is not None and files[album] < _MOST_FILES)


def _together(parts: Sequence[Inbound]) -> Inbound:
    if len(parts) == 1:
        return parts[0]
    # The caption belongs to one of the files; that message is the one that may be edited.
    titled = next((part for part in parts if part.text), parts[0])
    return replace(
        titled,
        id=parts[0].id,
        attachments=tuple(file for part in parts for file in part.attachments),
        mentioned=any(part.mentioned for part in parts),
        reply_to=next((part.reply_to for part in parts if part.reply_to), None),
    )
