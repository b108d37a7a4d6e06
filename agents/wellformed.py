"""Text that can be stored and sent, whatever a model or a tool has put out. Pure.

A model's JSON may hold half of a surrogate pair (an emoji that was cut in two), and a tool may answer with anything.
That cannot be written as UTF-8, and a zero character ends a text where others read it. Such characters become the
replacement character, once, where an answer or a result comes in: an odd character must not cost a turn.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agents.models.base import Block, Finished, Text, Thinking, ToolCall


def text(given: str) -> str:
    """The text without what cannot be written."""
    if "\0" in given:
        given = given.replace("\0", "\ufffd")
    try:
        given.encode()
    except UnicodeEncodeError:
        return given.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # halves that meet make a whole
    return given


def value(given: Any) -> Any:
    """The same for all texts of a JSON value, keys too."""
    match given:
        case str():
            return text(given)
        case dict():
            return {text(str(key)): value(item) for key, item in given.items()}
        case list():
            return [value(item) for item in given]
        case _:
            return given


def answer(finished: Finished) -> Finished:
    """The same for a model's answer. Reasoning is signed, so it is left out rather than changed."""
    blocks = [_block(block) for block in finished.blocks if not (isinstance(block, Thinking) and _is_odd(block.text))]
    return replace(finished, blocks=tuple(blocks))


def _is_odd(given: str) -> bool:
    return text(given) != given


def _block(block: Block) -> Block:
    match block:
        case Text(text=said):
            return replace(block, text=text(said)) if _is_odd(said) else block
        case ToolCall(arguments=arguments, name=name):
            return replace(block, arguments=value(dict(arguments)), name=text(name))
        case _:
            return block
