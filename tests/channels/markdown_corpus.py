"""Five hundred documents as agents write them, and as they should not: the same ones at every run.

Every renderer is held to them: no platform may refuse a part, and what a reader could read must arrive.
"""

# ruff: noqa: E501 — the documents are easier to tell apart side by side

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache

from channels.markdown import parse, plain

_WORDS = [
    "the",
    "agent",
    "found",
    "that",
    "three",
    "of",
    "seven",
    "providers",
    "answer",
    "slowly",
    "while",
    "Müller's",
    "naïve",
    "approach",
    "keeps",
    "résumé",
    "data",
    "日本語",
    "テスト",
    "数据",
    "ответ",
    "сервера",
    "تقرير",
    "العميل",
    "דוח",
    "यूनिकोड",
    "ひらがな",
    "👩\u200d👩\u200d👧\u200d👦",
    "🇩🇪",
    "🇫🇷",
    "👍🏽",
    "étude",
    "snake_case_name",
    "2*3*4",
    "a_b_c",
    "<tag>",
    "&amp;",
    "\\*escaped\\*",
    "C++",
    "f(x)",
    "50%",
    "#tag",
    "/path/to/file",
    "user@example.org",
    "@ada",
    "@channel",
    "$HOME",
    "https://example.org/a_b?c=d&e=f",
]
_ADDRESSES = (
    "https://example.org/docs/a_(b)", "http://example.org?q=1&r=2#f", "mailto:ada@example.org", "tg://user?id=42",
    "ftp://example.org/x", "/relative", "https://example.org/ünïcode", "#fragment", "",
)  # fmt: skip
_LANGUAGES = ("python", "js", "", "c++", "text", "objective-c", "not a language!", "diff")


@cache
def corpus() -> Sequence[str]:
    """The documents."""
    return tuple(_document(random.Random(seed), seed) for seed in range(500))


def kept(document: str, shown: list[str]) -> float:
    """Which part of the document's letters is in what is shown, of 1.0. (Words may be cut, and headers repeated.)"""
    readable, arrived = _readable(document), _letters_of("".join(shown))
    total = readable.total()
    return (readable & arrived).total() / total if total else 1.0


@cache  # every platform asks for every document
def _readable(document: str) -> Counter[str]:
    return _letters_of(plain(parse(document)))


def _letters_of(text: str) -> Counter[str]:
    return Counter(re.sub(r"[\W_]+", "", text))


def _document(draw: random.Random, seed: int) -> str:
    if seed < len(_ODD):
        return _ODD[seed]
    blocks = [draw.choice(_BLOCKS)(draw) for _ in range(draw.randint(1, 3))]
    if seed % 25 == 0:  # some are long
        blocks *= 6
    return draw.choice(("\n\n", "\n\n", "\n")).join(blocks)


def _say(draw: random.Random, least: int = 1, most: int = 40) -> str:
    return " ".join(draw.choice(_WORDS) for _ in range(draw.randint(least, most)))


def _rich(draw: random.Random) -> str:
    forms: list[Callable[[str], str]] = [
        lambda text: f"**{text}**", lambda text: f"*{text}*", lambda text: f"_{text}_", lambda text: f"***{text}***",
        lambda text: f"~~{text}~~", lambda text: f"||{text}||", lambda text: f"`{text}`", lambda text: f"``{text}` ``",
        lambda text: f"[{text}]({draw.choice(_ADDRESSES)})", lambda text: f"![{text}]({draw.choice(_ADDRESSES)})",
        lambda text: f"<b>{text}</b>", lambda text: f"**{text} `code` [l*i*nk](https://example.org)**",
        lambda text: f"[{text} **`bold code`**](https://example.org/x 'title')", lambda text: f"<https://example.org/{seed}>",
        lambda text: text, lambda text: f"**{text}", lambda text: f"`{text}", lambda text: f"[{text}][ref]",
    ]  # fmt: skip
    seed = draw.randint(0, 99)
    return " ".join(draw.choice(forms)(_say(draw, 1, 6)) for _ in range(draw.randint(1, 6)))


def _heading(draw: random.Random) -> str:
    return "#" * draw.randint(1, 6) + " " + _rich(draw)


def _paragraph(draw: random.Random) -> str:
    return draw.choice(("\n", " ", "  \n", "\\\n")).join(_rich(draw) for _ in range(draw.randint(1, 3)))


def _wall(draw: random.Random) -> str:
    return _say(draw, 40, 120)


def _bullets(draw: random.Random, depth: int = 0) -> str:
    lines = []
    for number in range(draw.randint(1, 6)):
        marker = draw.choice(("- ", "* ", "1. ", f"{number + 1}. ", "- [x] ", "- [ ] ")) if depth else "- "
        lines.append("   " * depth + marker + _rich(draw).replace("\n", " "))
        if depth < 3 and draw.random() < 0.3:
            lines.append(_bullets(draw, depth + 1))
    return "\n".join(lines)


def _numbers(draw: random.Random) -> str:
    start = draw.choice((1, 1, 7, 99))
    return "\n".join(f"{start + number}. {_rich(draw)}" for number in range(draw.randint(1, 12)))


def _fence(draw: random.Random) -> str:
    mark = draw.choice(("```", "~~~", "````"))
    lines = [_say(draw, 0, 12) + draw.choice(("", " ``", " **x**", "\t")) for _ in range(draw.randint(0, 25))]
    return "\n".join([mark + draw.choice(_LANGUAGES), *lines, mark])


def _table(draw: random.Random) -> str:
    columns = draw.randint(1, 6)

    def cell() -> str:
        return draw.choice(
            (_say(draw, 0, 3), f"**{_say(draw, 1, 2)}**", "`a`", "[l](https://example.org)", "")
        ).replace("|", "/")

    rows = ["| " + " | ".join(cell() for _ in range(columns)) + " |" for _ in range(draw.randint(1, 10))]
    return "\n".join([rows[0], "|" + draw.choice((" --- |", ":-:|", "---:|")) * columns, *rows[1:]])


def _quote(draw: random.Random) -> str:
    inner = draw.choice(_BLOCKS)(draw) if draw.random() < 0.6 else _rich(draw)
    return "\n".join("> " + line for line in inner.split("\n"))


def _definitions(draw: random.Random) -> str:
    return f"See [one][ref] and [ref].\n\n[ref]: https://example.org/{draw.randint(0, 9)} 'Title'\n[never used]: https://example.org/u"


def _rule(draw: random.Random) -> str:
    return draw.choice(("---", "***", "- - -"))


_BLOCKS: tuple[Callable[[random.Random], str], ...] = (
    _heading, _paragraph, _paragraph, _wall, _bullets, _numbers, _fence, _table, _quote, _definitions, _rule,
)  # fmt: skip

_ODD = (
    "x", "**", "```", "`", "||", "[](", "![]()", "---", "# ", ">", "- ", "1.", "|a|\n|-|", "\\", "&nbsp;", "<!-- note -->",
    "<script>alert(1)</script>", "a" * 9000, "😀" * 5000, "👩‍👩‍👧‍👦" * 900, "🇩🇪" * 3000, "e\u0301" * 5000, "word " * 4000,
    "**" + "bold words " * 1500 + "**", "[" + "link words " * 900 + "](https://example.org)", "`" + "code words " * 900 + "`",
    "```python\n" + "x = 1  # comment\n" * 900 + "```", "```\n" + "y" * 12000 + "\n```", "~~~\n```\nnested\n```\n~~~",
    "> " + "quoted words " * 900, "> > > > deep\n> > quotes\n> here", ">" * 60 + " deep", "- " * 40 + "deep", ">" * 300 + " too deep",
    "".join(f"{'  ' * depth}- level {depth}\n" for depth in range(30)), "- " + "item words " * 1200,
    "\n".join(f"{number}. item" for number in range(1, 700)), "| a | b |\n|---|---|\n" + "| cell words | more |\n" * 400,
    "| " + " | ".join("column" for _ in range(40)) + " |\n|" + "---|" * 40 + "\n| " + " | ".join("v" for _ in range(40)) + " |",
    "| a |\n|---|\n| " + "long cell " * 900 + " |", "*a* " * 300, "**`x`** " * 150, "[a](https://example.org) " * 250,
    "@ada " * 900, "@everyone @here @channel <!channel> <@42> <@&42>", "\u202eright to left\u202c and back", "a\u200bb\u2060c",
    "\x00\x01\x02 control\x7f", "line\r\nline\rline", "\ttabs\n\n    indented code\n\n\tmore", "# " + "heading words " * 600,
    "a\n" * 2500, "\n\n\n\n", " " * 50 + "indented", "text\n===\n\nunder\n---\n\nmore", "[x]: https://example.org/only",
    "[a]: <https://example.org/b c> 'title'\n\n[a] and [A][a]", "1) paren list\n2) second", "+ plus\n+ list", "***bold italic* bold**",
    "$$\\int_0^1 x^2 dx$$ and \\(a_b\\)", "term\n: definition", "footnote[^1]\n\n[^1]: note text", "https://example.org/a_b_c.", "====",
    "`` ` ``", "*" * 200, "_" * 200, "~" * 200, "[" * 1500, "(" * 4000, "![" * 500, "<" * 500, "&#x41; &copy; &unknown;", "||a|| b || c ||d||",
)  # fmt: skip
