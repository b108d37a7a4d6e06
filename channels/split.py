"""Dividing a long Markdown text into messages that each stand for themselves.

What a message can hold is the platform's own counting, so the caller says what `size` a text has there and how much is
the `limit`. Counting may mean to render, so few questions are asked, each guessed from the answers before. Between
blocks is the best place to cut. A block that is too long alone is divided by its own nature: a fence between lines,
closed and opened again with its language; a list between items, numbers going on; a table between rows, its header
repeated; a quote stays quoted; prose is cut after a line, a sentence or a word, and only where the cut leaves every
link, emphasis and code span whole. Nothing is left out, and no grapheme is cut. Pure.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from markdown_it.tree import SyntaxTreeNode

from channels.markdown import parse, parse_blocks, plain, safe_cut

Item = TypeVar("Item")

_BOUNDARIES = (
    re.compile(r"\n"),
    re.compile(r"(?<=[.!?…:;])['\")\]]*\s+|(?<=[。！？])"),
    re.compile(r"\s+"),
)
_TRIES = 12  # places of each kind that are tried before the next kind
_MARKUP = re.compile(r"[*_~`|\[\]<>\\&]")
_BLOCK_START = re.compile(r"\s*(?:[#>+=-]|\d+[.)])")
_DEFINITION = re.compile(r" {0,3}\[([^\]]+)\]:\s*\S")


_FULL = 0.97  # of a message that is filled so far, the rest is not asked for
_SURELY_OVER = 1.15
_GUESSES = 6


@dataclass(frozen=True, slots=True)
class Room:
    """What a message can hold: texts of a `size` up to `limit`."""

    size: Callable[[str], int]
    limit: int

    def fits(self, text: str) -> bool:
        return self.size(text) <= self.limit

    def within(self, dressed: Callable[[str], str]) -> Room:
        """The room for a text that is sent inside something: a quote, an item of a list."""
        return Room(lambda part: self.size(dressed(part)), self.limit)


def divide(text: str, size: Callable[[str], int], limit: int) -> list[str]:
    """The texts of the messages, in order. A text that fits stays one."""
    return list(divided(text, size, limit))


def divided(text: str, size: Callable[[str], int], limit: int) -> Iterator[str]:
    """Like `divide`, one by one: who needs only the first few does not wait for all."""
    room = Room(size, limit)
    if room.fits(text):
        yield text
        return
    definitions, body = _definitions(text)
    unused = dict(definitions)
    for part in _blocks(body, room.within(lambda part: _with_used(part, definitions)) if definitions else room):
        for label in [label for label in unused if _uses(part, label)]:
            del unused[label]
        yield _with_used(part, definitions)
    if unused:
        yield from _blocks("\n\n".join(unused.values()), room)


def _parts(text: str, room: Room) -> Iterator[str]:
    return iter((text,)) if room.fits(text) else _blocks(text, room)


def _blocks(text: str, room: Room) -> Iterator[str]:
    lines = text.split("\n")
    blocks = [_Block(node, *node.map) for node in parse_blocks(text).children if node.map]
    if not blocks:
        return _prose(text, room)

    def together(some: Sequence[_Block]) -> str:
        return "\n".join(lines[some[0].start : some[-1].end]).rstrip()

    return _pack(blocks, together, room, lambda block: _break_up(block.node, together([block]), room))


@dataclass(frozen=True, slots=True)
class _Block:
    node: SyntaxTreeNode
    start: int
    end: int


def _pack(
    items: Sequence[Item], together: Callable[[Sequence[Item]], str], room: Room, alone: Callable[[Item], Iterator[str]]
) -> Iterator[str]:
    """As many neighbours as fit in each part; one that does not fit by itself is broken up by `alone`."""
    rest = items
    while rest:
        count = _most_that_fit(rest, together, room)
        if count:
            yield together(rest[:count])
        else:
            yield from alone(rest[0])
        rest = rest[max(count, 1) :]


def _most_that_fit(items: Sequence[Item], together: Callable[[Sequence[Item]], str], room: Room) -> int:
    """How many neighbours fit, 0 when not even one does; nearly the most.

    Markup is not counted by platforms, so how much source fills a message is guessed from what the source so far took.
    """
    low, high = 0, len(items) + 1
    near = room.limit
    for guess in range(_GUESSES + high.bit_length()):
        count = (low + high) // 2 if guess >= _GUESSES else _as_long_as(items, together, near, low, high)
        source = together(items[:count])
        size = room.size(source)
        if size <= room.limit:
            low = count
            if size >= _FULL * room.limit or low + 1 == high:
                break
        else:
            high = count
            if low + 1 == high:
                break
        near = len(source) * room.limit // max(size, 1)
        if low and len(together(items[: low + 1])) > near * _SURELY_OVER:
            break
    return low


def _as_long_as(
    items: Sequence[Item], together: Callable[[Sequence[Item]], str], length: int, low: int, high: int
) -> int:
    """The number between `low` and `high` whose source is about this long."""
    reach = low + 1
    while reach < high - 1 and len(together(items[:reach])) <= length:
        reach = min(2 * reach, high - 1)
    between = range(low + 1, reach + 1)
    found = bisect_right(between, length, key=lambda count: len(together(items[:count])))
    return between[max(found - 1, 0)]


def _break_up(node: SyntaxTreeNode, source: str, room: Room) -> Iterator[str]:
    match node.type:
        case "fence" | "code_block":
            return _code(node, room)
        case "bullet_list" | "ordered_list":
            return _list(node, source, room)
        case "blockquote":
            inner = "\n".join(re.sub(r"^ {0,3}> ?", "", line) for line in source.split("\n"))
            return (_quoted(part) for part in _parts(inner, room.within(_quoted)))
        case "table":
            return _table(source, room)
    return _prose(source, room)


def _code(node: SyntaxTreeNode, room: Room) -> Iterator[str]:
    longest = max((len(run) for run in re.findall("`{3,}", node.content)), default=2)
    fence = "`" * (longest + 1)
    info = node.info.strip() if "`" not in node.info else ""

    def fenced(lines: Sequence[str]) -> str:
        return "\n".join([f"{fence}{info}", *lines, fence])

    def cut(line: str) -> Iterator[str]:
        while line:
            end = safe_cut(line, max(1, _most_that_fit(line, lambda some: fenced([str(some)]), room)))
            yield fenced([line[:end]])
            line = line[end:]

    return _pack(node.content.removesuffix("\n").split("\n"), fenced, room, cut)


def _list(node: SyntaxTreeNode, source: str, room: Room) -> Iterator[str]:
    lines = source.split("\n")
    top = node.map[0] if node.map else 0
    start = int(str(node.attrs.get("start", 1)))
    items = [
        _Item(number=start + index, first=child.map[0] - top, end=child.map[1] - top)
        for index, child in enumerate(node.children)
        if child.map
    ]

    def together(some: Sequence[_Item]) -> str:
        text = "\n".join(lines[some[0].first : some[-1].end]).rstrip()
        if node.type == "ordered_list":
            text = re.sub(r"^(\s*)\d{1,9}", lambda found: f"{found[1]}{some[0].number}", text, count=1)
        return text

    def alone(item: _Item) -> Iterator[str]:
        text = together([item])
        found = re.match(r"\s*(?:[-+*]|\d{1,9}[.)])(?:[ \t]{1,4}|$)", text, re.MULTILINE)
        marker = found[0] if found else "- "
        indent = " " * len(marker)
        inner = "\n".join(line.removeprefix(indent) for line in text[len(marker) :].split("\n"))

        def marked(part: str) -> str:
            return marker + part.replace("\n", f"\n{indent}")

        for index, part in enumerate(_parts(inner, room.within(marked))):
            yield part if index else marked(part)

    return _pack(items, together, room, alone)


@dataclass(frozen=True, slots=True)
class _Item:
    number: int
    first: int
    end: int


def _table(source: str, room: Room) -> Iterator[str]:
    head, rule, *rows = source.split("\n")

    def headed(some: Sequence[str]) -> str:
        return "\n".join([head, rule, *some])

    if not room.fits(headed([])):
        return _prose(source, room)
    return _pack(rows, headed, room, lambda row: _prose(row, room))


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def _prose(text: str, room: Room) -> Iterator[str]:
    """Cut running text so that each piece fits and says the same as before."""
    rest = text.strip("\n")
    while rest and not room.fits(rest):
        reach = max(1, _most_that_fit(rest, _itself, room))
        cut = _good_cut(rest, reach)
        yield rest[:cut].rstrip()
        rest = rest[cut:].lstrip()
    if rest:
        yield rest


def _itself(text: Sequence[str]) -> str:
    return str(text)


def _good_cut(text: str, reach: int) -> int:
    window = text[: reach + 1]
    ends: list[int] = []
    for boundary in _BOUNDARIES:
        ends = [found.end() for found in boundary.finditer(window) if reach // 3 < found.end() <= reach]
        for end in reversed(ends[-_TRIES:]):
            if _says_the_same(text[:end], text[end : end + reach]):
                return end
    return safe_cut(text, ends[-1] if ends else reach)


def _says_the_same(left: str, right: str) -> bool:
    """Whether a cut here changes no meaning: marks that lose their partner would show up in the text."""
    if not _MARKUP.search(left) and not _MARKUP.search(right) and not _BLOCK_START.match(right):
        return True
    return _letters(left + right) == _letters(left.rstrip()) + _letters(right.lstrip())


def _letters(text: str) -> str:
    return "".join(plain(parse(text)).split())


def _definitions(text: str) -> tuple[list[tuple[str, str]], str]:
    """Link definitions (label, line) and the text without them: every part needs those that it uses."""
    lines = text.split("\n")
    found = {index: label[1] for index, line in enumerate(lines) if (label := _DEFINITION.match(line))}
    if not found:
        return [], text
    covered = {line for node in parse_blocks(text).children if node.map for line in range(*node.map)}
    found = {index: label for index, label in found.items() if index not in covered}
    body = "\n".join(line for index, line in enumerate(lines) if index not in found)
    return [(label, lines[index]) for index, label in found.items()], body


def _with_used(part: str, definitions: Sequence[tuple[str, str]]) -> str:
    used = [line for label, line in definitions if _uses(part, label)]
    return "\n\n".join([part, "\n".join(used)]) if used else part


def _uses(part: str, label: str) -> bool:
    return f"[{label.lower()}]" in part.lower()
