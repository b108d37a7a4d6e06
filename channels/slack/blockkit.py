"""The words of a message that is made of blocks or of the older attachments, as text in Slack's markup. Pure.

Apps often post blocks and leave the text empty, or put only a summary for notifications there; what people see
are the blocks. Sources: Block Kit's reference of blocks, *rich text*, and *secondary attachments*.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from channels.slack.render import escape

MOST_DEPTH = 8
MOST_UNITS = 40_000
"""Slack's own limit of a message's text; blocks may say more, and more is cut off."""

Node = Mapping[str, Any]


def words_in(blocks: Any) -> str:
    """What the blocks say, a block a paragraph. Blocks that say nothing, or that we do not know, are passed over."""
    return _cut("\n".join(text for block in _list(blocks) if (text := _block(block, 0))))


def words_attached(attachments: Any) -> str:
    """What the older attachments say, but for previews: those only show what a link in the message leads to."""
    said = (_attachment(one) for one in _list(attachments) if isinstance(one, Mapping) and not _is_preview(one))
    return _cut("\n".join(text for text in said if text))


def _is_preview(attachment: Node) -> bool:
    return bool(attachment.get("from_url")) and not attachment.get("is_share")


def _attachment(attachment: Node) -> str:
    blocks = words_in(attachment.get("blocks"))
    if blocks:
        return blocks
    title, link = _str(attachment.get("title")), _str(attachment.get("title_link"))
    fields = [
        f"{_str(field.get('title'))}: {_str(field.get('value'))}".strip(": ")
        for field in _list(attachment.get("fields"))
        if isinstance(field, Mapping)
    ]
    said = [
        _str(attachment.get("pretext")),
        f"<{link}|{title}>" if link and title else title,
        _str(attachment.get("text")),
        *fields,
    ]
    return _cut("\n".join(text for text in said if text) or _str(attachment.get("fallback")))


def _block(block: Any, depth: int) -> str:
    if not isinstance(block, Mapping) or depth > MOST_DEPTH:
        return ""
    match block.get("type"):
        case "section" | "header":
            parts = [_text(block.get("text")), *(_text(field) for field in _list(block.get("fields")))]
            return "\n".join(part for part in parts if part)
        case "context":
            return " ".join(part for element in _list(block.get("elements")) if (part := _text(element)))
        case "markdown":
            return _str(block.get("text"))
        case "rich_text":
            return "\n".join(part for element in _list(block.get("elements")) if (part := _rich(element, depth)))
        case "image" | "video":
            return _text(block.get("title")) or escape(_str(block.get("alt_text")))
        case "table":
            rows = [[_cell(cell, depth) for cell in _list(row)] for row in _list(block.get("rows"))]
            return "\n".join(" | ".join(row) for row in rows)
        case _:
            return ""


def _cell(cell: Any, depth: int) -> str:
    if isinstance(cell, Mapping) and cell.get("type") == "rich_text":
        return _block(cell, depth + 1).replace("\n", " ")
    return _text(cell)


def _text(value: Any) -> str:
    """A text object, or an element that holds words."""
    return _str(value.get("text")) or escape(_str(value.get("alt_text"))) if isinstance(value, Mapping) else ""


def _rich(element: Any, depth: int) -> str:
    if not isinstance(element, Mapping) or depth > MOST_DEPTH:
        return ""
    inside = _list(element.get("elements"))
    match element.get("type"):
        case "rich_text_list":
            ordered, indent = element.get("style") == "ordered", "    " * min(_int(element.get("indent")), MOST_DEPTH)
            items = (_rich(item, depth + 1) for item in inside)
            return "\n".join(
                f"{indent}{f'{number}.' if ordered else '•'} {item}" for number, item in enumerate(items, start=1)
            )
        case "rich_text_preformatted":
            return f"```\n{''.join(_run(run) for run in inside)}\n```"
        case "rich_text_quote":
            return "\n".join(f"> {line}" for line in "".join(_run(run) for run in inside).split("\n"))
        case _:
            return "".join(_run(run) for run in inside)


def _run(run: Any) -> str:
    """A piece of a line. Its text is not escaped, unlike that of messages."""
    if not isinstance(run, Mapping):
        return ""
    match run.get("type"):
        case "link":
            label = escape(_str(run.get("text")))
            return f"<{_str(run.get('url'))}{f'|{label}' if label else ''}>"
        case "user":
            return f"<@{_str(run.get('user_id'))}>"
        case "channel":
            return f"<#{_str(run.get('channel_id'))}>"
        case "usergroup":
            return f"<!subteam^{_str(run.get('usergroup_id'))}>"
        case "broadcast":
            return f"<!{_str(run.get('range'))}>"
        case "emoji":
            return f":{_str(run.get('name'))}:"
        case _:
            return escape(_str(run.get("text")) or _str(run.get("fallback")))


def _cut(text: str) -> str:
    return text if len(text) <= MOST_UNITS else text[:MOST_UNITS] + " …"


def _str(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _int(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
