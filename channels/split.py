"""Dividing a long Markdown text into messages that each stand for themselves.

What a message can hold is the platform's own counting, so the caller says what `fits`. Between blocks is the best place
to cut. A block that is too long alone is divided by its own nature: a fence between lines, closed and
opened again with its language; a list between items, numbers going on; a table between rows, its header repeated; a
quote stays quoted; prose is cut after a line, a sentence or a word, and only where the cut leaves every link,
emphasis and code span whole. Nothing is left out, and no grapheme is cut. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from markdown_it.tree import SyntaxTreeNode

from channels.markdown import parse, plain, safe_cut

Fits = Callable[[str], bool]
Item = TypeVar("Item")

_BOUNDARIES = (
    re.compile(r"\n"),
    re.compile(r"(?<=[.!?…:;])['\")\]]*\s+|(?<=[。！？])"),
    re.compile(r"\s+"),
)
_TRIES = 12  # places of each kind that are tried before the next kind


def divide(text: str, fits: Fits) -> list[str]:
    """The texts of the messages, in order. A text that fits stays one."""
    if fits(text):
        return [text]
    definitions, body = _definitions(text)
    if not definitions:
        return _blocks(text, fits)
    parts = _blocks(body, lambda part: fits(_with_used(part, definitions)))
    dressed = [_with_used(part, definitions) for part in parts]
    unused = [line for label, line in definitions if not any(_uses(part, label) for part in parts)]
    return dressed + (_blocks("\n\n".join(unused), fits) if unused else [])


def _blocks(text: str, fits: Fits) -> list[str]:
    lines = text.split("\n")
    blocks = [_Block(node, *node.map) for node in parse(text).children if node.map]
    if not blocks:
        return list(_prose(text, fits))

    def together(some: Sequence[_Block]) -> str:
        return "\n".join(lines[some[0].start : some[-1].end]).rstrip()

    return _pack(blocks, together, fits, lambda block: _break_up(block.node, together([block]), fits))


@dataclass(frozen=True, slots=True)
class _Block:
    node: SyntaxTreeNode
    start: int
    end: int


def _pack(
    items: Sequence[Item], together: Callable[[Sequence[Item]], str], fits: Fits, alone: Callable[[Item], Sequence[str]]
) -> list[str]:
    """As many neighbours as fit in each part; one that does not fit by itself is broken up by `alone`."""
    parts: list[str] = []
    rest = items
    while rest:
        count = _most_that_fit(rest, together, fits)
        if count:
            parts.append(together(rest[:count]))
        else:
            parts += alone(rest[0])
        rest = rest[max(count, 1) :]
    return parts


def _most_that_fit(items: Sequence[Item], together: Callable[[Sequence[Item]], str], fits: Fits, first: int = 1) -> int:
    return _most(len(items), lambda n: fits(together(items[:n])), first)


def _most(limit: int, good: Callable[[int], bool], first: int = 1) -> int:
    """The largest n up to `limit` that is good (0 when none is), asked in a logarithmic number of questions."""
    low, step = 0, first
    while low < limit and good(min(low + step, limit)):
        low = min(low + step, limit)
        step *= 2
    high = min(low + step, limit + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if good(middle) else (low, middle)
    return low


def _break_up(node: SyntaxTreeNode, source: str, fits: Fits) -> Sequence[str]:
    match node.type:
        case "fence" | "code_block":
            return _code(node, fits)
        case "bullet_list" | "ordered_list":
            return _list(node, source, fits)
        case "blockquote":
            inner = "\n".join(re.sub(r"^ {0,3}> ?", "", line) for line in source.split("\n"))
            return [_quoted(part) for part in divide(inner, lambda part: fits(_quoted(part)))]
        case "table":
            return _table(source, fits)
    return list(_prose(source, fits))


def _code(node: SyntaxTreeNode, fits: Fits) -> list[str]:
    longest = max((len(run) for run in re.findall("`{3,}", node.content)), default=2)
    fence = "`" * (longest + 1)
    info = node.info.strip() if "`" not in node.info else ""

    def fenced(lines: Sequence[str]) -> str:
        return "\n".join([f"{fence}{info}", *lines, fence])

    def cut(line: str) -> Iterator[str]:
        while line:
            end = safe_cut(line, max(1, _most_that_fit(line, lambda some: fenced(["".join(some)]), fits, first=1024)))
            yield fenced([line[:end]])
            line = line[end:]

    lines = node.content.removesuffix("\n").split("\n")
    return _pack(lines, fenced, fits, lambda line: list(cut(line)))


def _list(node: SyntaxTreeNode, source: str, fits: Fits) -> list[str]:
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

    def alone(item: _Item) -> list[str]:
        text = together([item])
        found = re.match(r"\s*(?:[-+*]|\d{1,9}[.)])(?:[ \t]{1,4}|$)", text, re.MULTILINE)
        marker = found[0] if found else "- "
        indent = " " * len(marker)
        inner = "\n".join(line.removeprefix(indent) for line in text[len(marker) :].split("\n"))

        def marked(part: str) -> str:
            return marker + part.replace("\n", f"\n{indent}")

        first, *rest = divide(inner, lambda part: fits(marked(part)))
        return [marked(first), *rest]

    return _pack(items, together, fits, alone)


@dataclass(frozen=True, slots=True)
class _Item:
    number: int
    first: int
    end: int


def _table(source: str, fits: Fits) -> list[str]:
    head, rule, *rows = source.split("\n")

    def headed(some: Sequence[str]) -> str:
        return "\n".join([head, rule, *some])

    if not fits(headed([])):
        return list(_prose(source, fits))
    return _pack(rows, headed, fits, lambda row: list(_prose(row, fits)))


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def _prose(text: str, fits: Fits) -> Iterator[str]:
    """Cut running text so that each piece fits and says the same as before."""
    rest = text.strip("\n")
    while rest and not fits(rest):
        reach = max(1, _most_that_fit(rest, "".join, fits, first=1024))
        cut = _good_cut(rest, reach)
        yield rest[:cut].rstrip()
        rest = rest[cut:].lstrip()
    if rest:
        yield rest


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
    whole = _letters(left + right)
    return whole == _letters(left.rstrip()) + _letters(right.lstrip())


def _letters(text: str) -> str:
    return "".join(plain(parse(text)).split())


def _definitions(text: str) -> tuple[list[tuple[str, str]], str]:
    """Link definitions (label, line) and the text without them: every part needs those that it uses."""
    covered = {line for node in parse(text).children if node.map for line in range(*node.map)}
    lines = text.split("\n")
    found = {
        index: label[1]
        for index, line in enumerate(lines)
        if index not in covered and (label := re.match(r" {0,3}\[([^\]]+)\]:\s*\S", line))
    }
    body = "\n".join(line for index, line in enumerate(lines) if index not in found)
    return [(label, lines[index]) for index, label in found.items()], body


def _with_used(part: str, definitions: Sequence[tuple[str, str]]) -> str:
    used = [line for label, line in definitions if _uses(part, label)]
    return "\n\n".join([part, "\n".join(used)]) if used else part


def _uses(part: str, label: str) -> bool:
    return f"[{label.lower()}]" in part.lower()
