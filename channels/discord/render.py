"""CommonMark in Discord's dialect.

Discord knows most of Markdown and some of its own: no tables, no rules, three levels of headings, `__` underlines, `||`
hides, a line break breaks. Text that only looks like markup to Discord is escaped, so that people read what was
written. The result is made of blocks that can be cut anywhere between words with their markup closed and opened
again (see `split`). Rendering a text that is already rendered changes nothing. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from markdown_it.tree import SyntaxTreeNode

from channels.markdown import display_width, grid, parse, plain, safe_cut, table_rows

_WIDEST_GRID = 80
Marker = tuple[str, str]
"""What opens and what closes it."""

_BOLD = ("**", "**")
_MARKERS = {"strong": _BOLD, "em": ("*", "*"), "s": ("~~", "~~"), "spoiler": ("||", "||")}
_WORDS = re.compile(r"\s+|\S+")
_ADDRESS = re.compile(r"https?://[^\s<>]+")
_LANGUAGE = re.compile(r"[A-Za-z0-9_+\-.#]+")
_LINE_START = re.compile(r"#{1,6}(?=\s|$)|-#(?=\s)|>|[-+](?=\s|$)|\d{1,9}(?=[.)](\s|$))|(?=[-=:| ]*[-=][-=:| ]*$)")
_NOTHING_SPECIAL = re.compile(r"[^\W\d_][^\\`*_~|\[\]<>#&!\n\r\t]*(?<=\S)")
_ENTITY = re.compile(r"&#?\w+;")
_ZERO_WIDTH_SPACE = "\u200b"
_FENCE = "```"


@dataclass(frozen=True, slots=True)
class Atom:
    """Text that is cut only when it alone is too long, and the markers around it, outermost first."""

    text: str
    markers: tuple[Marker, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Running text. `first` stands before its first line, `rest` before the others."""

    atoms: Sequence[Atom]
    first: str = ""
    rest: str = ""
    gap: str = "\n\n"  # between the block before and this one


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """Lines in a fence. `rest` stands before every line."""

    lines: Sequence[str]
    language: str = ""
    rest: str = ""
    gap: str = "\n\n"


Block = Flow | Code


def units(text: str) -> int:
    """A text's length as Discord may count it. Its documents say characters; UTF-16 units are never fewer."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2


def render(text: str) -> str:
    """A whole text in Discord's dialect."""
    if is_plain(text):
        return text
    shown = ""
    for block in blocks(text):
        shown += (block.gap if shown else "") + block_text(block)
    return shown


def is_plain(text: str) -> bool:
    """Whether a text is one line that means the same everywhere."""
    return _NOTHING_SPECIAL.fullmatch(text) is not None


@lru_cache(maxsize=128)  # a message is rendered to be split, and again to be sent, with others in between
def blocks(text: str) -> Sequence[Block]:
    """The blocks of a text, in order."""
    return tuple(block for child in parse(text).children for block in _blocks(child))


def block_text(block: Block) -> str:
    """A whole block as it is sent."""
    if isinstance(block, Code):
        return code_text(block, block.lines)
    return flow_text(block, block.atoms, opening=True)


def code_text(block: Code, lines: Sequence[str]) -> str:
    inside = [line.replace(_FENCE, f"`{_ZERO_WIDTH_SPACE}`{_ZERO_WIDTH_SPACE}`") for line in lines]
    if not any(line.strip() for line in inside):
        inside = [" "]  # Discord shows an empty fence as three backticks
    return "\n".join(block.rest + line for line in [_FENCE + block.language, *inside, _FENCE])


def flow_text(block: Flow, atoms: Sequence[Atom], *, opening: bool) -> str:
    """Atoms with their markers opened and closed where they change. Spaces never stand inside the edge of a
    marker, where they would undo it."""
    shown: list[str] = []
    open_markers: tuple[Marker, ...] = ()
    space, kept_over_space = "", 99
    for atom in atoms:
        if atom.text.isspace():
            space += atom.text
            kept_over_space = min(kept_over_space, common(open_markers, atom.markers))
            continue
        kept = min(common(open_markers, atom.markers), kept_over_space)
        shown += [closing for _, closing in reversed(open_markers[kept:])]
        shown += [space, *(opening_ for opening_, _ in atom.markers[kept:]), atom.text]
        open_markers, space, kept_over_space = atom.markers, "", 99
    shown += [closing for _, closing in reversed(open_markers)]
    lines = "".join(shown).split("\n")
    first = block.first if opening else block.rest
    return "\n".join(
        (block.rest if number else first) + line for number, line in enumerate(_escaped_starts(lines, block))
    )


def cut_atom(atom: Atom, longest: int) -> list[Atom]:
    """An atom in pieces of at most `longest` units, graphemes whole."""
    pieces: list[Atom] = []
    text = atom.text
    while units(text) > longest:
        index = min(len(text), longest)
        while index > 1 and units(text[:index]) > longest:
            index -= max(1, (units(text[:index]) - longest) // 2)
        index = safe_cut(text, max(1, index))
        pieces.append(replace(atom, text=text[:index]))
        text = text[index:]
    return [*pieces, replace(atom, text=text)]


def common(left: Sequence[Marker], right: Sequence[Marker]) -> int:
    """How many of the outermost markers two atoms share."""
    count = 0
    while count < min(len(left), len(right)) and left[count] == right[count]:
        count += 1
    return count


def _escaped_starts(lines: Sequence[str], block: Flow) -> Iterator[str]:
    """What would begin a heading, a quote or a list at the start of a line loses that meaning."""
    for number, line in enumerate(lines):
        if number == 0 and block.first.startswith("#"):
            yield line
            continue
        found = _LINE_START.match(line)
        if found is None:
            yield line
        elif found.group(0)[:1].isdigit():
            yield f"{found.group(0)}\\{line[found.end() :]}"
        else:
            yield f"\\{line}"


# --- blocks --------------------------------------------------------------------------------------


def _blocks(node: SyntaxTreeNode) -> list[Block]:
    match node.type:
        case "paragraph":
            return [Flow(atoms=_inline(node.children))]
        case "heading":
            return [_heading(node)]
        case "fence" | "code_block":
            found = _LANGUAGE.match(node.info.strip()) if node.type == "fence" else None
            lines = node.content.removesuffix("\n").split("\n")
            return [Code(lines=lines, language=found.group(0) if found else "")]
        case "bullet_list" | "ordered_list":
            return _list(node)
        case "blockquote":
            return _quote(node)
        case "table":
            return _table(node)
        case "hr":
            return [Flow(atoms=[Atom("───")])]
        case _:
            text = plain(node)
            return [Flow(atoms=_text_atoms(text, ()))] if text else []


def _heading(node: SyntaxTreeNode) -> Flow:
    level = int(node.tag[1:])
    if level <= 3:
        return Flow(atoms=_on_one_line(_inline(node.children)), first="#" * level + " ")
    return Flow(atoms=_on_one_line(_inline(node.children, (_BOLD,))))


def _quote(node: SyntaxTreeNode) -> list[Block]:
    inner = [block for child in node.children for block in _blocks(child)]
    # An empty line would end the quote.
    return [
        replace(_prefixed(block, "> ", "> "), gap=_quoted_gap(block.gap) if place else "\n\n")
        for place, block in enumerate(inner)
    ]


def _quoted_gap(gap: str) -> str:
    return "\n".join(["", *(f"> {line}" for line in gap.split("\n")[1:-1]), ""])


def _list(node: SyntaxTreeNode) -> list[Block]:
    start = int(node.attrs.get("start", 1)) if node.type == "ordered_list" else None
    shown: list[Block] = []
    for number, item in enumerate(node.children):
        shown += _list_item(item, "- " if start is None else f"{start + number}. ", shown)
    return shown


def _list_item(item: SyntaxTreeNode, marker: str, before: Sequence[Block]) -> list[Block]:
    indent = " " * len(marker)
    inner = [(child.type, block) for child in item.children for block in _blocks(child)]
    shown: list[Block] = []
    if not inner or isinstance(inner[0][1], Code):
        # Discord shows an indented fence with the indent inside it, so the marker stands alone.
        shown.append(Flow(atoms=[], first=marker.rstrip(), gap=_item_gap(before)))
    for kind, block in inner:
        if isinstance(block, Code):
            shown.append(block)
        elif not shown:
            shown.append(replace(_prefixed(block, marker, indent), gap=_item_gap(before)))
        else:
            gap = _item_gap(shown) if kind.endswith("_list") else block.gap
            shown.append(replace(_prefixed(block, indent, indent), gap=gap))
    return shown


def _item_gap(shown: Sequence[Block]) -> str:
    return "\n\n" if not shown or isinstance(shown[-1], Code) else "\n"


def _on_one_line(atoms: Sequence[Atom]) -> list[Atom]:
    return [replace(atom, text=" ") if atom.text.isspace() else atom for atom in atoms]


def _prefixed(block: Block, first: str, rest: str) -> Block:
    if isinstance(block, Code):
        return replace(block, rest=rest + block.rest)
    return replace(block, first=first + block.first, rest=rest + block.rest)


def _table(node: SyntaxTreeNode) -> list[Block]:
    """A grid in a fence where it fits on a screen, else each row as a list of its cells by their headings."""
    rows = table_rows(node)
    lines = grid([[plain(cell).replace("\n", " ") for cell in row] for row in rows]).split("\n")
    linked = any(part.type in ("link", "image") for part in node.walk())
    if not linked and max(map(display_width, lines)) <= _WIDEST_GRID:
        return [Code(lines=lines)]
    header, *records = rows
    shown: list[Block] = []
    for record in records or [header]:
        for place, cell in enumerate(record):
            heading = _inline(header[place].children, (_BOLD,)) if records and place < len(header) else []
            atoms = [*heading, *([Atom(":"), Atom(" ")] if heading else []), *_inline(cell.children)]
            first = "- " if place == 0 else "  "
            shown.append(Flow(atoms=atoms, first=first, rest="  ", gap="\n" if shown else "\n\n"))
    return shown


# --- inline --------------------------------------------------------------------------------------


def _inline(nodes: Sequence[SyntaxTreeNode], markers: tuple[Marker, ...] = ()) -> list[Atom]:
    atoms: list[Atom] = []
    for node in nodes:
        atoms += _inline_atoms(node, markers)
    return atoms


def _inline_atoms(node: SyntaxTreeNode, markers: tuple[Marker, ...]) -> list[Atom]:
    match node.type:
        case "inline":
            return _inline(node.children, markers)
        case "text" | "text_special":
            return _text_atoms(node.content, markers)
        case "softbreak" | "hardbreak":
            return [Atom("\n", markers)]
        case "code_inline":
            return _code(node.content, markers)
        case "strong" | "em" | "s" | "spoiler":
            marker = _MARKERS[node.type]
            return _inline(node.children, markers if marker in markers else (*markers, marker))
        case "link":
            return _link(node, str(node.attrs.get("href", "")), _inline(node.children), markers)
        case "image":
            address = str(node.attrs.get("src", ""))
            return _link(node, address, _text_atoms(node.content or address, ()), markers)
        case _:
            return _text_atoms(plain(node), markers)


def _link(node: SyntaxTreeNode, address: str, label: Sequence[Atom], markers: tuple[Marker, ...]) -> list[Atom]:
    if not address.startswith(("http://", "https://")):
        # Discord makes links of the web's addresses only.
        shown = plain(node)
        hidden = address and address.removeprefix("mailto:") != shown
        inside = [Atom(atom.text, (*markers, *(m for m in atom.markers if m not in markers))) for atom in label]
        return [*inside, *(_text_atoms(f" ({address})", markers) if hidden else [])]
    safe = address.replace("(", "%28").replace(")", "%29").replace(" ", "%20").replace("<", "%3C").replace(">", "%3E")
    if plain(node) in (address, safe) or not any(atom.text.strip() for atom in label):
        return [Atom(f"<{safe}>", markers)]
    link = ("[", f"]({safe})")
    return [Atom(" " if atom.text == "\n" else atom.text, (*markers, link, *atom.markers)) for atom in label]


def _code(content: str, markers: tuple[Marker, ...]) -> list[Atom]:
    """Code in a line, word by word, so that it can be cut like any text."""
    longest = max((len(run) for run in re.findall(r"`+", content)), default=0)
    ticks = "`" * (longest + 1)
    pad = " " if content.startswith("`") or content.endswith("`") else ""
    if not content.strip() or content != content.strip():
        return [Atom(f"{ticks}{pad}{content}{pad}{ticks}", markers)]
    code = (ticks + pad, pad + ticks)
    return [Atom(word, (*markers, code)) for word in _WORDS.findall(content)]


def _text_atoms(text: str, markers: tuple[Marker, ...]) -> list[Atom]:
    return [Atom(word if word.isspace() else _escaped(word), markers) for word in _WORDS.findall(text)]


def _escaped(word: str) -> str:
    """A word without the meanings that Discord would see in it. Web addresses stay whole."""
    found = _ADDRESS.search(word)
    if found is not None:
        return _escaped_plain(word[: found.start()]) + found.group(0) + _escaped_plain(word[found.end() :])
    return _escaped_plain(word)


def _escaped_plain(word: str) -> str:
    if word.isalnum():
        return word
    shown: list[str] = []
    for place, character in enumerate(word):
        before = word[place - 1] if place else ""
        after = word[place + 1] if place + 1 < len(word) else ""
        if _means_something(character, before, after) or (character == "&" and _ENTITY.match(word, place)):
            shown.append("\\")
        shown.append(character)
    return "".join(shown)


def _means_something(character: str, before: str, after: str) -> bool:
    match character:
        case "*" | "`":
            return True
        case "_":
            return not (before.isalnum() and after.isalnum())
        case "~" | "|":
            return character in (before, after)
        case "\\":
            return bool(after) and after.isascii() and not after.isalnum()
        case "]":
            return after in ("(", "[")
        case "[":
            return False
        case _:
            return False
