"""How many tokens a text has, about, without asking anybody.

Bytes of UTF-8 divided by 3.5: a little too many for English prose, about right for code, JSON and scripts
where a character is a token of its own. Who knows the real count of an earlier request corrects by it
(`compaction` does).
"""

from __future__ import annotations

import json
import math

from agents.models.base import Block, Image, Message, Request, Text, Thinking, ToolCall, ToolResult

BYTES_A_TOKEN = 3.5
IMAGE_TOKENS = 1_600
"""What a picture of the largest size that providers do not shrink costs."""
MESSAGE_TOKENS = 4
"""What a message's frame costs."""


def text_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="replace"))


def text_tokens(text: str) -> int:
    return math.ceil(text_bytes(text) / BYTES_A_TOKEN)


def block_tokens(block: Block) -> int:
    match block:
        case Text() | ToolResult():
            return text_tokens(block.text)
        case Thinking():
            return text_tokens(block.text) + text_tokens(block.signature)
        case ToolCall():
            return text_tokens(block.name) + text_tokens(block.broken or json.dumps(block.arguments))
        case Image():
            return IMAGE_TOKENS


def message_tokens(message: Message) -> int:
    return MESSAGE_TOKENS + sum(block_tokens(block) for block in message.blocks)


def request_tokens(request: Request) -> int:
    """Everything that is sent: instructions, tools and conversation."""
    tools = sum(
        text_tokens(tool.name) + text_tokens(tool.description) + text_tokens(json.dumps(tool.schema))
        for tool in request.tools
    )
    return text_tokens(request.system) + tools + sum(message_tokens(message) for message in request.messages)
