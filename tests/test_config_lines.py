"""Where a key stands: the locator finds exactly the keys that the parser finds, each on its own line."""

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.config.lines import Path, line_of, lines_of, written

CORPUS = {
    "headers": (
        '[a]\nx = 1\n[a.b]\ny = 2\n["c d".e]\nz = 3\n',
        {("a", "x"): 2, ("a", "b", "y"): 4, ("c d", "e", "z"): 6},
    ),
    "arrays of tables": (
        "[[r]]\nx = 1\n\n[[r]]\nx = 2\n[r.sub]\ny = 3\n[[r.deep]]\nz = 1\n[[r.deep]]\nz = 2\n",
        {("r", 0): 1, ("r", 0, "x"): 2, ("r", 1): 4, ("r", 1, "sub", "y"): 7, ("r", 1, "deep", 1, "z"): 11},
    ),
    "dotted keys": ('a.b."c.d" = 1\na.e = 2\n', {("a", "b", "c.d"): 1, ("a", "e"): 2}),
    "inline tables": ("t = { a = 1, b = { c = [1, 2] }, d.e = 'x' }\nu = 1\n", {("t", "b", "c", 1): 1, ("u",): 2}),
    "arrays over lines": (
        "a = [ # one\n  1,\n\n  # two\n  [2,\n   3],\n]\nb = 1\n",
        {("a", 0): 2, ("a", 1, 1): 6, ("b",): 8},
    ),
    "brackets and hashes in strings": ("a = \"[x] # y = 1\"\nb = '[[z]]'\nc = 1 # [d]\n", {("b",): 2, ("c",): 3}),
    "multi-line strings": (
        'a = """\n[not.a.table]\nx = 1\n\\""" still ""\\"\n"""\nb = \'\'\'\n[nor.this]\n\'\'\'\nc = 1\n',
        {("b",): 6, ("c",): 9},
    ),
    "quotes at the end of a string": ("a = \"\"\"\"x\"\"\"\"\"\nb = ''''y'''''\nc = 1\n", {("b",): 2, ("c",): 3}),
    "escapes": ('a = "\\\\"\nb = "\\" # no"\n"\\u0063" = 1\n', {("b",): 2, ("c",): 3}),
    "dates with a blank": ("a = 1979-05-27 07:32:00 # then\nb = 1\n", {("b",): 2}),
    "windows": ("[a]\r\nx = 1\r\n\r\ny = '''\r\n'''\r\nz = 2\r\n", {("a", "x"): 2, ("a", "z"): 6}),
    "no end of line": ("a = [1]", {("a", 0): 1}),
    "a table named after the one inside it": ("[a.b]\nx = 1\n[a]\ny = 2\n", {("a",): 3, ("a", "b"): 1}),
    "nothing": ("", {}),
}


def paths_in(value: Any, path: Path = ()) -> set[Path]:
    """Every table, key and element that the parser gives."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {path, *(inner for key, item in items for inner in paths_in(item, (*path, key)))}


@pytest.mark.parametrize(("text", "expected"), CORPUS.values(), ids=CORPUS.keys())
def test_every_key_is_found_on_its_line(text: str, expected: dict[Path, int]) -> None:
    lines = lines_of(text)
    assert set(lines) == paths_in(tomllib.loads(text)) - {()}
    assert {path: lines[path] for path in expected} == expected


BARE = st.from_regex(r"[A-Za-z0-9_-]{1,6}", fullmatch=True)
KEYS = BARE | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=5)
SCALARS = (
    st.integers(-9, 9) | st.booleans() | st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=12)
)
DOCUMENTS = st.dictionaries(
    KEYS,
    st.recursive(
        SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
    ),
    max_size=5,
)


class Writer:
    """Writes a document in one of the many ways that TOML has, and notes the line of each path."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.text = ""
        self.lines: dict[Path, int] = {}

    def note(self, path: Path) -> None:
        self.lines.setdefault(path, self.text.count("\n") + 1)

    def document(self, values: dict[str, Any]) -> None:
        plain = {key: value for key, value in values.items() if not self.as_table(value)}
        for key, value in plain.items():
            self.gap()
            self.pair((), key, value)
            self.text += self.draw(st.sampled_from(["\n", " # [x] = 'y'\n"]))
        for key, value in values.items():
            if key in plain:
                continue
            self.gap()
            if isinstance(value, list):
                for index, item in enumerate(value):
                    self.note((key,))
                    self.note((key, index))
                    self.text += f"[[ {self.key(key)} ]]\n"
                    self.body((key, index), item)
            else:
                self.note((key,))
                self.text += f"[{self.key(key)}]\n"
                self.body((key,), value)

    def as_table(self, value: Any) -> bool:
        tables = isinstance(value, dict) or (
            isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)
        )
        return tables and bool(self.draw(st.booleans()))

    def body(self, path: Path, values: dict[str, Any]) -> None:
        for key, value in values.items():
            self.gap()
            self.pair(path, key, value)
            self.text += "\n"

    def pair(self, path: Path, key: str, value: Any) -> None:
        self.note((*path, key))
        self.text += f"{self.key(key)} = "
        self.value((*path, key), value)

    def gap(self) -> None:
        self.text += self.draw(st.sampled_from(["", "\n", "# a = [1]\n", "  "]))

    def key(self, key: str) -> str:
        return key if key and key.isascii() and key.replace("-", "").replace("_", "").isalnum() else self.basic(key)

    def basic(self, text: str) -> str:
        return '"' + "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in text) + '"'

    def value(self, path: Path, value: Any) -> None:
        if isinstance(value, dict):
            self.text += "{ "
            for index, (key, item) in enumerate(value.items()):
                self.text += ", " if index else ""
                self.pair(path, key, item)
            self.text += " }"
        elif isinstance(value, list):
            self.text += "["
            for index, item in enumerate(value):
                self.text += self.draw(st.sampled_from(["", " ", "\n", "\n# ] }\n"]))
                self.note((*path, index))
                self.value((*path, index), item)
                self.text += ","
            self.text += "]"
        elif isinstance(value, bool):
            self.text += str(value).lower()
        elif isinstance(value, int):
            self.text += str(value)
        elif (
            self.draw(st.booleans())
            and "'''" not in value
            and not value.endswith("'")
            and value.replace("\n", "").isprintable()
        ):
            self.text += f"'''\n{value}'''"
        else:
            self.text += self.basic(value)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_way_a_document_is_written_its_keys_are_found(data: st.DataObject) -> None:
    values = data.draw(DOCUMENTS)
    writer = Writer(data.draw)
    writer.document(values)
    assert tomllib.loads(writer.text) == values, "the writer writes what it should"
    assert lines_of(writer.text) == writer.lines


def test_a_path_that_is_not_there_has_the_line_of_what_is_around_it() -> None:
    lines = lines_of("\n[a]\nx = 1\n")
    assert line_of(lines, ("a", "missing", 3)) == 2
    assert line_of(lines, ("b",)) is None


def test_paths_read_like_the_keys_that_one_writes() -> None:
    assert written(("agents", "assistant", "tools", 0)) == "agents.assistant.tools[0]"
    assert written(("people", 'a "b"', "role")) == 'people."a \\"b\\"".role'
