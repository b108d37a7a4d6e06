"""A message's text and entities, as Markdown without the mention that addressed the bot.

People write ``` and links in Telegram, and the client turns them into entities: without them an agent
would see code and addresses vanish. Other formatting says nothing to a reader of plain text and is left out.
Entities count UTF-16 units. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from channels.telegram.payloads import Entity


def read_text(text: str, entities: Sequence[Entity], bot_id: int, username: str) -> tuple[str, bool]:
    """The text in Markdown, and whether it mentions the bot."""
    if not entities:
        return text.strip(), False
    offsets = _Offsets(text)
    inserts: list[tuple[int, int, str]] = []  # (position, rank among those at one place, text)
    mentions: list[tuple[int, int]] = []
    for entity in entities:
        start, end = offsets.index(entity.offset), offsets.index(entity.offset + entity.length)
        if start >= end:
            continue
        if _names_bot(entity, text[start:end], bot_id, username):
            mentions.append((start, end))
        else:
            inserts += _markup(entity, text, start, end)
    return _rebuilt(text, inserts, mentions), bool(mentions)


class _Offsets:
    """From UTF-16 offsets to indices of a Python string."""

    def __init__(self, text: str) -> None:
        self._units: list[int] | None = None
        if not text.isascii() and any(character > "\uffff" for character in text):
            self._units = []
            for index, character in enumerate(text):
                self._units += [index] * (2 if character > "\uffff" else 1)
        self._length = len(text)

    def index(self, offset: int) -> int:
        if self._units is None:
            return min(max(offset, 0), self._length)
        if offset >= len(self._units):
            return self._length
        return self._units[max(offset, 0)]


def _names_bot(entity: Entity, text: str, bot_id: int, username: str) -> bool:
    if entity.type == "mention":
        return bool(username) and text.lower() == f"@{username.lower()}"
    return entity.type == "text_mention" and entity.user is not None and entity.user.id == bot_id


def _markup(entity: Entity, text: str, start: int, end: int) -> list[tuple[int, int, str]]:
    """What to insert where. Ends rank before beginnings, so that neighbours do not interlace."""
    inner = text[start:end]
    longest = max((len(run) for run in re.findall("`+", inner)), default=0)
    match entity.type:
        case "pre":
            fence = "`" * max(3, longest + 1)
            before = "" if start == 0 or text[start - 1] == "\n" else "\n"
            after = "" if end == len(text) or text[end] == "\n" else "\n"
            line_end = "" if inner.endswith("\n") else "\n"
            language = entity.language if entity.language.isprintable() and "`" not in entity.language else ""
            return [(start, 1, f"{before}{fence}{language}\n"), (end, 0, f"{line_end}{fence}{after}")]
        case "code":
            fence = "`" * (longest + 1)
            space = " " if "`" in (inner[0], inner[-1]) else ""
            return [(start, 1, fence + space), (end, 0, space + fence)]
        case "text_link" if entity.url:
            return [
                (start, 1, "["),
                (end, 0, f"](<{entity.url}>)" if set(entity.url) & set(" ()") else f"]({entity.url})"),
            ]
        case "blockquote" | "expandable_blockquote":
            lines = [start, *(start + found.end() for found in re.finditer("\n", inner) if start + found.end() < end)]
            return [(position, 1, "> ") for position in lines]
    return []


def _rebuilt(text: str, inserts: list[tuple[int, int, str]], mentions: list[tuple[int, int]]) -> str:
    marks = [(at, rank, mark, at) for at, rank, mark in inserts]
    marks += [(start, 2, "", _end_with_gap(text, start, end)) for start, end in mentions]
    pieces: list[str] = []
    position = 0
    for at, _, mark, end in sorted(marks, key=lambda found: found[:2]):
        pieces += [text[position:at], mark]
        position = max(position, end)
    pieces.append(text[position:])
    return "".join(pieces).strip()


def _end_with_gap(text: str, start: int, end: int) -> int:
    """The end of a mention with the space, comma or colon that set it off."""
    if start > 0 and not text[start - 1].isspace():
        return end
    gap = " " if text[:start].strip() else " ,:"
    return end + len(text[end:]) - len(text[end:].lstrip(gap))
