"""Markdown as Telegram shows it: plain text and entities.

Entities need no escaping, so nothing that an agent writes can be refused as bad markup. Their offsets count UTF-16
units, as do the limits. Telegram allows no formatting inside code, no quote in a quote and no link in a
link, so styles are interrupted around code, except a spoiler, which must keep hidden what it hides. A table
becomes aligned text while a phone can show it, else one record a row. Mentions are broken up by an invisible joiner:
an answer never calls people. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from markdown_it.tree import SyntaxTreeNode

from channels.markdown import display_width, grid, parse, plain, safe_cut, table_rows
from channels.telegram.characters import utf16_units, whole_characters

TEXT_UNITS = 4096
CAPTION_UNITS = 1024
ENTITY_COUNT = 100

_TABLE_COLUMNS = 44  # what a phone shows of fixed-width text without wrapping
_RULE = "———"
_LONG_QUOTE = 500  # units, or lines, from which a quote is folded: people open it with a tap
_QUOTE_LINES = 8
_MENTION = re.compile(r"(https?://[\w-]+(?:\.[\w-]+)+(?::\d+)?/[^\s()<>\"']*)|(?<!\w)@(?=\w{2})")
_WORD_JOINER = "\u2060"
_NOT_SHOWN_FOR_SURE = re.compile(
    r"\]\([^)]*\)|<[^>\n]*>|&#?\w+;|^ {0,3}\[[^\]\n]*\]:.*$|^.{0,20}(?:`{3,}|~{3,}).*$|[\W_]+", re.MULTILINE
)
_LANGUAGE = re.compile(r"[\w+#./-]{1,32}")
_QUOTES = ("blockquote", "expandable_blockquote")
_STYLES = {"strong": "bold", "em": "italic", "s": "strikethrough", "spoiler": "spoiler"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A text with its entities in the Bot API's form."""

    text: str
    entities: tuple[dict[str, Any], ...] = ()

    def size(self, limit: int) -> int:
        """How much of a message of `limit` units this takes: entities fill it up, too."""
        return max(utf16_units(self.text), -(-len(self.entities) * limit // ENTITY_COUNT))

    def fits(self, limit: int) -> bool:
        return self.size(limit) <= limit


def least_units(markdown: str) -> int:
    """Units that the text takes at least, without rendering it: its letters and digits outside of addresses."""
    return len(_NOT_SHOWN_FOR_SURE.sub("", markdown))


@lru_cache(maxsize=64)  # a text is rendered to be measured, and again to be sent
def render(markdown: str) -> Rendered:
    """The text as it is shown. Its source stands in when nothing would be visible."""
    markdown = whole_characters(markdown)
    writer = _Writer()
    _blocks(writer, parse(markdown).children)
    rendered = writer.finished()
    return rendered if _visible(rendered.text) else Rendered(text=_harmless(markdown.strip()))


def shorten(rendered: Rendered, units: int) -> Rendered:
    """The end of a text that is too long, for a preview: what is being written is at the end."""
    if rendered.fits(units):
        return rendered
    room = units - 2
    text = rendered.text
    start = len(text)
    while start > 0 and room > 0:
        start -= 1
        room -= 2 if text[start] > "\uffff" else 1
    start = min(len(text), safe_cut(text, start + 1) + (1 if room < 0 else 0))
    dropped = utf16_units(text[:start]) - 2
    entities = []
    for entity in rendered.entities:
        begin, end = entity["offset"] - dropped, entity["offset"] + entity["length"] - dropped
        if end > 2:
            entities.append({**entity, "offset": max(begin, 2), "length": end - max(begin, 2)})
    return Rendered(text=f"…\n{text[start:]}", entities=tuple(entities[-ENTITY_COUNT:]))


@dataclass(slots=True)
class _Writer:
    """Text and entities as they grow."""

    _pieces: list[str] = field(default_factory=list)
    _units: int = 0
    _entities: list[dict[str, Any]] = field(default_factory=list)
    _styles: list[tuple[str, int]] = field(default_factory=list)
    indent: str = ""
    in_quote: bool = False
    in_link: bool = False

    def write(self, text: str) -> None:
        if text:
            self._pieces.append(text)
            self._units += utf16_units(text)

    def say(self, text: str) -> None:
        self.write(_harmless(text))

    def line_break(self, count: int = 1) -> None:
        self.write("\n" * count + self.indent)

    @contextmanager
    def entity(self, kind: str, **more: str) -> Iterator[None]:
        start = self._units
        yield
        self._add(kind, start, more)

    @contextmanager
    def style(self, kind: str) -> Iterator[None]:
        if any(kind == open_style for open_style, _ in self._styles):
            yield
            return
        self._styles.append((kind, self._units))
        yield
        kind, start = self._styles.pop()
        self._add(kind, start, {})

    def code(self, text: str) -> None:
        """Code in running text: the styles around it pause. In a link or a spoiler it is plain text."""
        if self.in_link or any(kind == "spoiler" for kind, _ in self._styles):
            self.say(text)
            return
        for kind, start in reversed(self._styles):
            self._add(kind, start, {})
        with self.entity("code"):
            self.write(text)
        self._styles = [(kind, self._units) for kind, _ in self._styles]

    def finished(self) -> Rendered:
        text = "".join(self._pieces)
        lead = utf16_units(text) - utf16_units(text.lstrip())
        text = text.strip()
        end = utf16_units(text)
        entities = []
        # Outer ones first; where two cover the same text, the quote is the outer one.
        for entity in sorted(
            self._entities, key=lambda each: (each["offset"], -each["length"], each["type"] not in _QUOTES)
        ):
            start, stop = max(0, entity["offset"] - lead), min(end, entity["offset"] + entity["length"] - lead)
            if stop > start:
                entities.append({**entity, "offset": start, "length": stop - start})
        return Rendered(text=text, entities=tuple(entities))

    def _add(self, kind: str, start: int, more: dict[str, str]) -> None:
        if self._units > start:
            self._entities.append({"type": kind, "offset": start, "length": self._units - start, **more})


def _blocks(writer: _Writer, nodes: list[SyntaxTreeNode], between: int = 2) -> None:
    for index, node in enumerate(nodes):
        if index:
            writer.line_break(between)
        _block(writer, node)


def _block(writer: _Writer, node: SyntaxTreeNode) -> None:
    match node.type:
        case "heading":
            with writer.style("bold"):
                _inline(writer, node)
        case "fence" | "code_block":
            _code_block(writer, node)
        case "blockquote":
            _quote(writer, node)
        case "bullet_list" | "ordered_list":
            _list(writer, node)
        case "table":
            _table(writer, node)
        case "hr":
            writer.write(_RULE)
        case "html_block":
            writer.say(node.content.rstrip("\n"))
        case _:
            _inline(writer, node)


def _code_block(writer: _Writer, node: SyntaxTreeNode) -> None:
    words = node.info.split() if node.type == "fence" else []
    language = words[0] if words and _LANGUAGE.fullmatch(words[0]) else ""
    with writer.entity("pre", **({"language": language} if language else {})):
        # Empty code would be an entity of no length.
        writer.write(node.content.removesuffix("\n") or " ")


def _quote(writer: _Writer, node: SyntaxTreeNode) -> None:
    if writer.in_quote:
        writer.write("› ")
        _blocks(writer, node.children)
        return
    writer.in_quote = True
    with writer.entity(_quote_form(plain(node))):
        _blocks(writer, node.children)
    writer.in_quote = False


def _quote_form(text: str) -> str:
    long = len(text) >= _LONG_QUOTE or text.count("\n") >= _QUOTE_LINES
    return "expandable_blockquote" if long else "blockquote"


def _list(writer: _Writer, node: SyntaxTreeNode) -> None:
    first = int(str(node.attrs.get("start", 1)))
    outer = writer.indent
    for index, item in enumerate(node.children):
        writer.indent = outer
        if index:
            writer.line_break()
        marker = f"{first + index}. " if node.type == "ordered_list" else "• "
        writer.write(marker)
        writer.indent = outer + "   "
        for position, child in enumerate(item.children):
            if position:
                writer.line_break(1 if child.type.endswith("_list") else 2)
            _block(writer, child)
    writer.indent = outer


def _table(writer: _Writer, node: SyntaxTreeNode) -> None:
    rows = table_rows(node)
    texts = [[plain(cell).replace("\n", " ").strip() for cell in row] for row in rows]
    drawn = grid(texts)
    fits = all(display_width(line) <= _TABLE_COLUMNS for line in drawn.split("\n"))
    if fits and not any(_holds_link(cell) for row in rows for cell in row):
        with writer.entity("pre"):
            writer.write(drawn)
        return
    header, *records = rows
    if not records:
        _cells(writer, header)
    for index, record in enumerate(records):
        if index:
            writer.line_break(2)
        _record(writer, header, record)


def _record(writer: _Writer, header: list[SyntaxTreeNode], record: list[SyntaxTreeNode]) -> None:
    """A row as lines of `name: value`, under its first cell."""
    for column, cell in enumerate(record):
        if column == 0:
            with writer.style("bold"):
                if plain(header[0]).strip():
                    _inline(writer, header[0])
                    writer.write(": ")
                _inline(writer, cell)
            continue
        if not plain(cell).strip() and not plain(header[column]).strip():
            continue
        writer.line_break()
        _inline(writer, header[column])
        writer.write(": ")
        _inline(writer, cell)


def _cells(writer: _Writer, cells: list[SyntaxTreeNode]) -> None:
    with writer.style("bold"):
        for index, cell in enumerate(cells):
            writer.write(" | " if index else "")
            _inline(writer, cell)


def _holds_link(node: SyntaxTreeNode) -> bool:
    return any(child.type in ("link", "image") for child in node.walk())


def _inline(writer: _Writer, node: SyntaxTreeNode) -> None:
    for child in node.children:
        _span(writer, child)


def _span(writer: _Writer, node: SyntaxTreeNode) -> None:
    if style := _STYLES.get(node.type):
        with writer.style(style):
            _inline(writer, node)
        return
    match node.type:
        case "softbreak" | "hardbreak":
            writer.line_break()
        case "code_inline":
            writer.code(node.content)
        case "link":
            _link(writer, str(node.attrs.get("href", "")), plain(node), lambda: _inline(writer, node))
        case "image":
            label = plain(node)
            _link(writer, str(node.attrs.get("src", "")), label, lambda: writer.say(label))
        case _ if node.children:
            _inline(writer, node)
        case _:
            writer.say(node.content)


def _link(writer: _Writer, address: str, label: str, write_label: Callable[[], None]) -> None:
    """Only web links are made: `tg://user` is a mention, and other schemes Telegram drops together with the address."""
    web = address.startswith(("https://", "http://"))
    if writer.in_link or not label.strip() or (web and _same_address(address, label)):
        # Telegram makes links of bare addresses itself.
        write_label() if label.strip() else writer.say(address)
        return
    if not web:
        write_label()
        if not _same_address(address, label):
            writer.say(f" ({address})")
        return
    writer.in_link = True
    with writer.entity("text_link", url=address):
        write_label()
    writer.in_link = False


def _same_address(address: str, label: str) -> bool:
    return unquote(address.removeprefix("mailto:")).rstrip("/") == unquote(label.strip()).rstrip("/")


def _harmless(text: str) -> str:
    if "@" not in text:
        return text
    return _MENTION.sub(lambda found: found[1] or f"@{_WORD_JOINER}", text)


def _visible(text: str) -> bool:
    return any(not character.isspace() and display_width(character) > 0 for character in text)
