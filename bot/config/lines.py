"""On which line does a key of a TOML file stand?

The standard parser gives values without their lines, and an error that does not name its line makes a person
search. This walks the text once more and notes where each table, key and list element begins. It expects text
that `tomllib` has accepted, so it needs to know TOML's tokens but none of its errors.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right

Path = tuple[str | int, ...]
"""A place in a document: `("agents", "assistant", "tools", 0)`."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SPACE = re.compile(r"[ \t]*")
_GAP = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")  # between elements: blanks, ends of lines, comments
_SCALAR = re.compile(r"[^,\]}#\n]*")
_STRINGS = (  # longest delimiters first; each pattern matches the whole string
    ('"""', re.compile(r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}', re.DOTALL)),
    ("'''", re.compile(r"'''(?:[^']|'(?!''))*'{3,5}", re.DOTALL)),
    ('"', re.compile(r'"(?:[^"\\\n]|\\.)*"')),
    ("'", re.compile(r"'[^'\n]*'")),
)


def written(path: Path) -> str:
    """A path as a person reads it: `agents.assistant.tools[0]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            word = part if _BARE.fullmatch(part) else '"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"'
            text += f".{word}" if text else word
    return text


def lines_of(text: str) -> dict[Path, int]:
    """The line (from 1) of every table, key and list element of a valid TOML text."""
    return _Walk(text.replace("\r\n", "\n")).lines


def line_of(lines: dict[Path, int], path: Path) -> int | None:
    """The line of a path, or of the nearest thing around it: a key that is missing has its table's line."""
    for length in range(len(path), 0, -1):
        line = lines.get(path[:length])
        if line is not None:
            return line
    return None


class _Walk:
    """One pass over the text; `lines` is what it found."""

    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._text = text
        self._at = 0
        self._ends = [match.start() for match in re.finditer("\n", text)]
        self._counts: dict[Path, int] = {}  # how many tables an array of tables has so far
        table: Path = ()
        self._skip(_GAP)
        while self._at < len(text):
            if text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_GAP)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._at)
        assert match is not None, "these patterns match the empty text too"
        self._at = match.end()

    def _note(self, path: Path, at: int) -> None:
        self.lines.setdefault(path, bisect_right(self._ends, at - 1) + 1)

    def _header(self) -> Path:
        begin, array = self._at, self._text.startswith("[[", self._at)
        self._at += 2 if array else 1
        keys = self._keys()
        self._at += 2 if array else 1
        path: Path = ()
        for depth, key in enumerate(keys):
            path += (key,)
            self._note(path, begin)
            last = depth == len(keys) - 1
            if last and array:
                self._counts[path] = self._counts.get(path, 0) + 1
            if path in self._counts:
                path += (self._counts[path] - 1,)
                self._note(path, begin)
        # A table that was only implied by the header of one inside it is on the line of its own header.
        if not array:
            self.lines[path] = bisect_right(self._ends, begin - 1) + 1
        return path

    def _pair(self, table: Path) -> None:
        begin = self._at
        path = table
        for key in self._keys():
            path += (key,)
            self._note(path, begin)
        self._at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)

    def _keys(self) -> list[str]:
        """A dotted key, up to the sign that ends it."""
        keys = []
        while True:
            self._skip(_SPACE)
            match = _BARE.match(self._text, self._at)
            if match is not None:
                keys.append(match[0])
                self._at = match.end()
            else:
                keys.append(tomllib.loads(f"key = {self._string()}")["key"])
            self._skip(_SPACE)
            if self._text[self._at] != ".":
                return keys
            self._at += 1

    def _string(self) -> str:
        for opening, pattern in _STRINGS:
            if self._text.startswith(opening, self._at):
                match = pattern.match(self._text, self._at)
                assert match is not None, "the text was accepted by tomllib"
                self._at = match.end()
                return match[0]
        raise AssertionError("the text was accepted by tomllib")

    def _value(self, path: Path) -> None:
        sign = self._text[self._at]
        if sign in "\"'":
            self._string()
        elif sign == "[":
            self._elements(path)
        elif sign == "{":
            self._inline_table(path)
        else:
            self._skip(_SCALAR)

    def _elements(self, path: Path) -> None:
        index = 0
        while self._another("]"):
            element = (*path, index)
            self._note(element, self._at)
            self._value(element)
            index += 1

    def _inline_table(self, path: Path) -> None:
        while self._another("}"):
            self._pair(path)

    def _another(self, closing: str) -> bool:
        """Step over the opening bracket or a comma to the next element; False at the closing bracket."""
        self._skip(_GAP)
        if self._text[self._at] in "[{," and self._text[self._at] != closing:
            self._at += 1
            self._skip(_GAP)
        if self._text[self._at] == closing:
            self._at += 1
            return False
        return True
