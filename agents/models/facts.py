"""What a summary must not lose, found without a model: numbers, ids, addresses, names, promises. Pure.

A model that summarises may leave out the order number that the next question is about. So what looks like a
fact is taken from the text by rules, each with the few words around it that say what it is, and what the
summary lacks is added to it. What people said comes before what the agent said, and that before what tools
returned; later before earlier, as far as there is room.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agents.models.base import Message, Text, ToolCall, ToolResult
from agents.models.estimate import text_bytes

AROUND_CHARACTERS = 32
LONGEST_FACT_CHARACTERS = 120
MOST_PER_TEXT = 100
LONGEST_TEXT_CHARACTERS = 20_000

_URL = r"https?://[^\s<>\"')\]]{3,200}"
_ADDRESS = r"[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{2,24}){1,4}"
_PATH = r"(?:~|\.{1,2})?/[\w.@-]+(?:/[\w.@-]+)+"
_FILE = r"\b[\w-]{1,80}\.(?:py|md|txt|csv|json|toml|ya?ml|pdf|docx?|xlsx?|png|jpe?g|zip|html?|js|ts|sql|log|sh)\b"
_DATE = r"\b\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2})?|\b\d{1,2}:\d{2}\b"
_ID = r"[#@]?\b(?=[\w./-]{0,60}\d)(?=[\w./-]{0,60}[A-Za-z_])[A-Za-z0-9][\w./-]{2,60}\b"
_NUMBER = r"[$€£]?\d[\d.,'\u202f]{0,30}\d%?|[$€£]\d|\b\d(?:%| [a-z]{3,20}\b)"
_NAME = r"\b[A-Z][\w'-]{1,40}(?: (?:[A-Z][\w'-]{1,40}|de|van|von|of)){1,3}\b"
_MENTION = r"[@#][\w.-]{2,60}"
_TOKEN = re.compile("|".join((_URL, _ADDRESS, _PATH, _FILE, _DATE, _ID, _NUMBER, _MENTION, _NAME)))
_FOR_SURE = re.compile("|".join((_URL, _ADDRESS, _PATH, _ID)))
_DAY = r"tomorrow|tonight|noon|monday|tuesday|wednesday|thursday|friday|saturday|sunday"
_PROMISE = re.compile(
    r"\b(?:I(?:'|’)ll|I will|we(?:'|’)ll|we will|I promise|remind (?:me|you|us)|let me know|to ?do:|deadline|"
    rf"don(?:'|’)t forget|until|by (?:{_DAY}))\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")


@dataclass(frozen=True, slots=True)
class Fact:
    token: str  # what a summary has when it has this fact
    words: str  # the same, with what stands around it


def facts(messages: Sequence[Message]) -> list[Fact]:
    """Everything that looks like a fact, the most important first, each token once."""
    ranked: list[tuple[int, Fact]] = []
    for message in reversed(messages):
        for block in message.blocks:
            ranked.extend(_of_block(message.role, block))
    ranked.sort(key=lambda each: each[0])
    found: dict[str, Fact] = {}
    for _, fact in ranked:
        found.setdefault(fact.token.casefold(), fact)
    return list(found.values())


def lacking(known: Sequence[Fact], summary: str, *, size_bytes: int) -> list[str]:
    """The facts that a summary lacks, as lines, as many as there is room for."""
    text = summary.casefold()
    lines: list[str] = []
    for fact in known:
        if _stands_in(fact.token.casefold(), text):
            continue
        size_bytes -= text_bytes(fact.words) + 3
        if size_bytes < 0:
            break
        lines.append(fact.words)
        text += "\n" + fact.words.casefold()
    return lines


def _stands_in(token: str, text: str) -> bool:
    """As a word of its own: 12 does not stand in 2012."""
    place = text.find(token)
    while place >= 0:
        before, after = text[place - 1 : place] if place else "", text[place + len(token) : place + len(token) + 1]
        if not (before.isalnum() or after.isalnum()):
            return True
        place = text.find(token, place + 1)
    return False


def _of_block(role: str, block: object) -> Iterator[tuple[int, Fact]]:
    match block:
        case Text() if role == "user":
            yield from ((0, fact) for fact in _promises(block.text))
            yield from ((1, fact) for fact in _tokens(block.text, _TOKEN))
        case Text():
            yield from ((1, fact) for fact in _promises(block.text))
            yield from ((2, fact) for fact in _tokens(block.text, _TOKEN))
        case ToolCall():
            for name, value in block.arguments.items():
                if isinstance(value, str) and 2 < len(value) <= LONGEST_FACT_CHARACTERS and "\n" not in value:
                    yield 3, Fact(value, f"{block.name} {name}: {value}")
        case ToolResult():
            yield from ((4, fact) for fact in _tokens(block.text, _FOR_SURE))


def _tokens(text: str, pattern: re.Pattern[str]) -> Iterator[Fact]:
    text = text[:LONGEST_TEXT_CHARACTERS]
    for number, found in enumerate(pattern.finditer(text)):
        if number == MOST_PER_TEXT:
            return
        token = found[0].rstrip(".,;:")
        if token:
            yield Fact(token, _around(text, found.start(), found.start() + len(token)))


def _around(text: str, start: int, end: int) -> str:
    """The token with the words beside it, on one line; at most a sentence."""
    before = text[max(0, start - AROUND_CHARACTERS) : start]
    after = text[end : end + AROUND_CHARACTERS]
    if start > AROUND_CHARACTERS:
        before = before.partition(" ")[2]
    if end + AROUND_CHARACTERS < len(text):
        after = after.rpartition(" ")[0]
    before = _SENTENCE_END.split(before)[-1]
    after = _SENTENCE_END.split(after)[0]
    return " ".join(f"{before}{text[start:end]}{after}".split())


def _promises(text: str) -> Iterator[Fact]:
    for sentence in _SENTENCE_END.split(text[:LONGEST_TEXT_CHARACTERS])[:200]:
        line = " ".join(sentence.split())
        if 8 < len(line) <= 2 * LONGEST_FACT_CHARACTERS and _PROMISE.search(line):
            yield Fact(line, line)
