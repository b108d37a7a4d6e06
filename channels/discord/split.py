"""Long texts in parts that Discord takes.

Parts end between blocks where they can, else between words or lines; fences, links and emphasis are closed and opened
again, graphemes stay whole. What would take more than four messages is one message with its beginning and a
file: nobody reads seven messages in a row. So is an answer to an interaction, which is one message by nature. Pure.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace

from channels.base import Attachment, DeliveryKey, Outbound
from channels.discord.render import (
    Atom,
    Block,
    Code,
    Flow,
    block_text,
    blocks,
    code_text,
    cut_atom,
    flow_text,
    gap_before,
    units,
)

MESSAGE_UNITS = 2000
MOST_PARTS = 4
_BEGINNING_UNITS = 1500
_WORTH_CUTTING_UNITS = 500  # less room than this at the end of a part is left empty
_DATA = "data:text/markdown;base64,"
_FILE_NOTE = "-# The whole text is in the file."


def split(message: Outbound) -> Sequence[Outbound]:
    """See `Channel.split`."""
    texts = pieces(message.text, MESSAGE_UNITS)
    if len(texts) <= 1:
        return (message,)
    if len(texts) > MOST_PARTS or message.answer_with is not None:
        return (_as_file(message),)
    last = len(texts) - 1
    return tuple(
        replace(
            message,
            key=DeliveryKey(f"{message.key}#{number}"),
            text=text,
            attachments=message.attachments if number == last else (),
            buttons=message.buttons if number == last else (),
            reply_to=message.reply_to if number == 0 else None,
        )
        for number, text in enumerate(texts)
    )


def pieces(text: str, limit: int) -> list[str]:
    """A text, rendered, in pieces of at most `limit` units."""
    found: list[str] = []
    current = ""
    for block in blocks(text):
        whole = block_text(block)
        gap = gap_before(block) if current else ""
        room = limit - units(current) - units(gap)
        if units(whole) <= room:
            current += gap + whole
            continue
        if current and (units(whole) <= limit or room < _WORTH_CUTTING_UNITS):
            found.append(current)
            current, gap, room = "", "", limit
        if units(whole) <= limit and not current:
            current = whole
            continue
        first, *others = _cut(block, room, limit)
        found.append(current + gap + first if first else current)
        found += others[:-1]
        current = others[-1] if others else ""
    found.append(current)
    return [piece for piece in found if piece.strip()]


def file_content(attachment: Attachment) -> bytes | None:
    """The content of a file that `split` made; None for any other."""
    if not attachment.source.startswith(_DATA):
        return None
    return base64.b64decode(attachment.source.removeprefix(_DATA))


def _as_file(message: Outbound) -> Outbound:
    content = message.text.encode()
    whole = Attachment(
        name="message.md",
        media_type="text/markdown",
        size_bytes=len(content),
        source=_DATA + base64.b64encode(content).decode(),
    )
    beginning = pieces(message.text, _BEGINNING_UNITS)[0]
    return replace(message, text=f"{beginning}\n\n{_FILE_NOTE}", attachments=(whole, *message.attachments))


def _cut(block: Block, room: int, limit: int) -> list[str]:
    """A block in pieces: the first in `room` (empty when nothing fits), the others in `limit`."""
    if isinstance(block, Code):
        return _cut_code(block, room, limit)
    return _cut_flow(block, room, limit)


def _cut_code(block: Code, room: int, limit: int) -> list[str]:
    longest = limit - units(code_text(block, ["x"])) - 8
    lines = [piece.text for line in block.lines for piece in cut_atom(Atom(line), longest)]
    shown: list[str] = []
    begun: list[str] = []
    for line in lines:
        allowed = limit if shown else room
        if units(code_text(block, [*begun, line])) > allowed:
            shown.append(code_text(block, begun) if begun else "")
            begun = []
        begun.append(line)
    return [*shown, code_text(block, begun)]


def _cut_flow(block: Flow, room: int, limit: int) -> list[str]:
    longest = limit - units(block.first) - units(block.rest) - 40  # markers
    atoms = [piece for atom in block.atoms for piece in cut_atom(atom, longest)]
    shown: list[str] = []
    begun: list[Atom] = []
    size = 0
    for atom in atoms:
        allowed = limit if shown else room
        cost = (
            units(atom.text)
            + sum(2 * len(marker) for marker in atom.markers)
            + units(block.rest) * atom.text.count("\n")
        )
        if size + cost + units(block.first) + 8 > allowed:
            text = flow_text(block, begun, opening=not shown) if begun else ""
            fits = units(text) + cost
            if fits > allowed or not begun:
                shown.append(text)
                begun, size = [], 0
            else:
                size = units(text)
        if atom.text.isspace() and not begun:
            continue
        begun.append(atom)
        size += cost
    return [*shown, flow_text(block, begun, opening=not shown)]
