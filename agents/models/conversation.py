"""A conversation as every provider takes it. Pure.

Providers refuse a request whose roles do not alternate, that has an empty block, or in which a tool call
has no result right after it. A history can come to that without anybody's fault: a crash between call and
result, reasoning dropped for another model, several messages that waited together. One refusal would then
refuse the session for ever, so what is sent is brought into form here; the journal stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from agents.models.base import Block, Message, Text, Thinking, ToolCall, ToolResult

INTERRUPTED = "(interrupted: there is no result)"


def in_form(messages: Sequence[Message]) -> list[Message]:
    """The same conversation: it begins with the user, roles alternate, nothing is empty, each call is answered
    first thing in the next message, and no result is without its call."""
    formed: list[Message] = []
    for message in _merged(messages):
        calls = _calls(formed[-1]) if formed and formed[-1].role == "assistant" else {}
        if message.role == "user" and (calls or any(isinstance(block, ToolResult) for block in message.blocks)):
            formed.append(replace(message, blocks=_answered(message.blocks, calls)))
        else:
            formed.append(message)
    if formed and formed[-1].role == "assistant" and (calls := _calls(formed[-1])):
        formed.append(Message(role="user", blocks=_answered((), calls)))
    if formed and formed[0].role == "assistant":
        formed.insert(0, Message(role="user", blocks=(Text(text="(The conversation goes on.)"),)))
    return formed


def _merged(messages: Sequence[Message]) -> list[Message]:
    merged: list[Message] = []
    for message in messages:
        blocks = tuple(block for block in message.blocks if not _empty(block))
        if not blocks:
            continue
        if merged and merged[-1].role == message.role:
            merged[-1] = replace(merged[-1], blocks=merged[-1].blocks + blocks)
        else:
            merged.append(message if len(blocks) == len(message.blocks) else replace(message, blocks=blocks))
    return merged


def _empty(block: Block) -> bool:
    return (isinstance(block, Text) and not block.text.strip()) or (
        isinstance(block, Thinking) and not block.signature and not block.text
    )


def _calls(message: Message) -> dict[str, ToolCall]:
    return {block.id: block for block in message.blocks if isinstance(block, ToolCall)}


def _answered(blocks: tuple[Block, ...], calls: dict[str, ToolCall]) -> tuple[Block, ...]:
    """Results in the order of their calls, then the rest. A result without a call becomes text."""
    results: dict[str, ToolResult] = {}
    rest: list[Block] = []
    for block in blocks:
        if isinstance(block, ToolResult):
            if block.call_id in calls and block.call_id not in results:
                results[block.call_id] = block
            elif block.text.strip():
                rest.append(Text(text=f"(Result of an earlier tool call) {block.text}"))
        else:
            rest.append(block)
    ordered = [
        results.get(call_id) or ToolResult(call_id=call_id, text=INTERRUPTED, is_error=True) for call_id in calls
    ]
    found = (*ordered, *rest)
    return found or (Text(text="(nothing)"),)


def parsed_call(call_id: str, name: str, written: str) -> ToolCall:
    """A call from the JSON that the model wrote. What is no object is kept as `broken`, to be answered by an error."""
    try:
        arguments = json.loads(written)
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        return ToolCall(id=call_id, name=name, arguments={}, broken=written)
    return ToolCall(id=call_id, name=name, arguments=arguments)
