"""Long texts in parts that Discord takes.

Parts end between blocks where they can, else between words or lines; fences, links and emphasis are closed and opened
again, graphemes stay whole. What would take more than four messages is one message with its beginning and a
file: nobody reads seven messages in a row. So is an answer to an interaction, which is one message by nature. Pure.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import replace

from channels.base import Attachment, DeliveryKey, Outbound
from channels.discord.render import (
    Atom,
    Block,
    Code,
    Flow,
    Marker,
    block_text,
    blocks,
    code_text,
    common,
    cut_atom,
    flow_text,
    is_plain,
    units,
)

MESSAGE_UNITS = 2000
MOST_PARTS = 4
_BEGINNING_UNITS = 1500
_WORTH_CUTTING_UNITS = 500  # less room than this at the end of a part is left empty
_PART_KEY = re.compile(r"#[0-9]+$")
_DATA = "data:text/markdown;base64,"
_FILE_NOTE = "-# The whole text is in the file."


def split(message: Outbound) -> Sequence[Outbound]:
    """See `Channel.split`."""
    if units(message.text) <= MESSAGE_UNITS and is_plain(message.text):
        return (message,)
    texts = pieces(message.text, MESSAGE_UNITS)
    if len(texts) <= 1:
        if units(message.text) <= MESSAGE_UNITS:
            return (message,)
        # The source is longer than what it shows.
        return (replace(message, key=DeliveryKey(f"{message.key}#0"), text="".join(texts)),)
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
        gap = block.gap if current else ""
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


def is_part(message: Outbound) -> bool:
    """Whether `split` made this message, so that its text is rendered already."""
    return _PART_KEY.search(message.key) is not None


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
    return replace(
        message,
        key=DeliveryKey(f"{message.key}#0"),
        text=f"{beginning}\n\n{_FILE_NOTE}",
        attachments=(whole, *message.attachments),
    )


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
    # What is escaped at the start of lines is seen only when the text is put together: some units are kept for it.
    prefix = max(units(block.first), units(block.rest)) + 8
    rest = replace(block, first=block.rest.lstrip(), rest=block.rest.lstrip())  # an indent makes no sense in a new part
    shown: list[str] = []
    begun: list[Atom] = []
    size = prefix
    for atom in (piece for whole in block.atoms for piece in cut_atom(whole, limit - prefix - _marked(whole, ()))):
        before = begun[-1].markers if begun else ()
        cost = units(atom.text) + _marked(atom, before) + prefix * atom.text.count("\n")
        if size + cost > (limit if shown else room):
            shown.append(flow_text(rest if any(shown) else block, begun, opening=True) if begun else "")
            begun, size = [], prefix
            cost = units(atom.text) + _marked(atom, ())
        if begun or not atom.text.isspace():
            begun.append(atom)
            size += cost
    return [*shown, flow_text(rest if any(shown) else block, begun, opening=True)] if begun else shown


def _marked(atom: Atom, before: Sequence[Marker]) -> int:
    """Units that an atom's markers take, beyond those that are open already."""
    return sum(units(opening) + units(closing) for opening, closing in atom.markers[common(before, atom.markers) :])
