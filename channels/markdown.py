"""One Markdown syntax tree for every platform.

Agents write CommonMark with tables, strikethrough and spoilers; each adapter renders the tree in its platform's
own form. Parsing is shared because it is where text gets lost: raw HTML is kept as text, link definitions that nothing
uses are shown at the end, and nesting beyond the parser's limit gives the source as it stands instead of
dropping it. Pure: no I/O, no platform.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

_MAX_NESTING = 100
_MAX_BRACKETS = 5_000  # link parsing is quadratic in them: this many take 0.3 s
_WIDEST_COLUMN = 80
_SPOILER = "||"
_ZERO_WIDTH_JOINER = "\u200d"


def parse(text: str) -> SyntaxTreeNode:
    """The tree of a text. Node types are markdown-it's, and `spoiler` for `||hidden||`."""
    if text.count("[") > _MAX_BRACKETS:
        return SyntaxTreeNode(_verbatim(text))
    env: dict[str, Any] = {}
    tokens = _parser().parse(text, env)
    if any(token.level >= _MAX_NESTING - 1 for token in _walk(tokens)):
        return SyntaxTreeNode(_verbatim(text))
    unused = _unused_definitions(tokens, env)
    if unused:
        tokens += _verbatim("\n".join(unused))
    return SyntaxTreeNode(tokens)


def parse_blocks(text: str) -> SyntaxTreeNode:
    """The tree down to paragraphs, cells and fences: a quarter of the work, for who asks where they begin and end."""
    tokens = _block_parser().parse(text, {})
    return SyntaxTreeNode([] if any(token.level >= _MAX_NESTING - 1 for token in tokens) else tokens)


def plain(node: SyntaxTreeNode) -> str:
    """The text of a node without any markup, line breaks kept."""
    if node.type in ("softbreak", "hardbreak"):
        return "\n"
    if node.type == "image":
        return node.content or str(node.attrs.get("src", ""))
    if not node.children:
        return node.content if not node.is_root else ""
    between = "\n" if node.children[0].block else ""
    return between.join(plain(child) for child in node.children)


def table_rows(table: SyntaxTreeNode) -> list[list[SyntaxTreeNode]]:
    """The cells of a `table` node; the first row is its header."""
    return [row.children for part in table.children for row in part.children]


def grid(rows: Sequence[Sequence[str]]) -> str:
    """Rows of a table as aligned text for a fixed-width font, with a rule under the header.

    Columns that no screen shows side by side are not filled up: one long cell would multiply by the rows."""
    count = max((len(row) for row in rows), default=0)
    filled = [[*row, *[""] * (count - len(row))] for row in rows]
    widths = [min(_WIDEST_COLUMN, max(display_width(row[column]) for row in filled)) for column in range(count)]
    lines = [
        " │ ".join(cell + " " * (width - display_width(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in filled
    ]
    if len(lines) > 1:
        lines.insert(1, "─┼─".join("─" * width for width in widths))
    return "\n".join(lines)


def display_width(text: str) -> int:
    """Columns that a text takes in a fixed-width font: two for wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def safe_cut(text: str, index: int) -> int:
    """The nearest place at or before `index` where a cut leaves every grapheme whole; `index` when there is none."""
    cut = min(index, len(text))
    while 0 < cut < len(text) and _joins(text, cut):
        cut -= 1
    return cut or index


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": _MAX_NESTING})
    parser.enable(["table", "strikethrough"])
    parser.inline.ruler.before("emphasis", "spoiler", _spoiler)
    # Text rules end at these characters; "|" is not among them by default.
    parser.inline.add_terminator_char("|")
    return parser


@cache
def _block_parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False, "maxNesting": _MAX_NESTING}).enable("table").disable("inline")


def _spoiler(state: StateInline, silent: bool) -> bool:
    """`||hidden||`, closed on both sides against the text as emphasis is, so that code talk such as `a || b` stays."""
    start, end = state.pos, state.posMax
    if not state.src.startswith(_SPOILER, start, end):
        return False
    closing = state.src.find(_SPOILER, start + 2, end)
    hidden = state.src[start + 2 : closing] if closing > 0 else ""
    if not hidden.strip() or hidden[0].isspace() or hidden[-1].isspace() or "|" in (hidden[0], hidden[-1]):
        return False
    if not silent:
        state.push("spoiler_open", "span", 1)
        state.pos, state.posMax = start + 2, closing
        state.md.inline.tokenize(state)
        state.push("spoiler_close", "span", -1)
    state.pos, state.posMax = closing + 2, end
    return True


def _walk(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from token.children or ()


def _verbatim(text: str) -> list[Token]:
    """A paragraph whose only child is the text, unparsed."""
    lines: list[Token] = []
    for line in text.split("\n"):
        if lines:
            lines.append(Token("softbreak", "br", 0))
        lines.append(Token("text", "", 0, content=line))
    return [
        Token("paragraph_open", "p", 1, block=True),
        Token("inline", "", 0, content=text, children=lines, block=True),
        Token("paragraph_close", "p", -1, block=True),
    ]


def _unused_definitions(tokens: Sequence[Token], env: dict[str, Any]) -> list[str]:
    """Link definitions that no link of the text leads to: the reader would never see their addresses."""
    references = {**env.get("references", {})}
    if not references:
        return []
    shown = {address for token in _walk(tokens) for address in (token.attrGet("href"), token.attrGet("src")) if address}
    return [
        f"[{label.lower()}]: {reference['href']} {reference.get('title', '')}".rstrip()
        for label, reference in references.items()
        if reference["href"] not in shown
    ]


def _columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def _joins(text: str, cut: int) -> bool:
    """Whether the character at `cut` belongs to what stands before it."""
    before, here = text[cut - 1], text[cut]
    if before == _ZERO_WIDTH_JOINER or (before == "\r" and here == "\n"):
        return True
    if here == _ZERO_WIDTH_JOINER or unicodedata.category(here) in ("Mn", "Me", "Mc"):
        return True
    if "\U0001f3fb" <= here <= "\U0001f3ff" or "\U000e0020" <= here <= "\U000e007f":  # skin tones, flag tags
        return True
    if _is_regional(before) and _is_regional(here):
        # Two make a flag: an odd number of them before the cut means that it would fall inside one.
        run = 0
        while run < cut and _is_regional(text[cut - 1 - run]):
            run += 1
        return run % 2 == 1
    return False


def _is_regional(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"
