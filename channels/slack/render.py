"""Markdown to what Slack shows: pure.

A message goes out twice in one call: as a `markdown` block, which Slack renders itself (headings, tables,
lists, code with its language), and as `text` in Slack's older mrkdwn, which notifications and screen readers
use and which stays when a block is refused. Nothing in either notifies anybody.

Sources: *markdown block* (12,000 characters over all such blocks of a message), chat.postMessage (`text` up to
40,000), *button element* (text 75, action_id 255), *actions block* (25 elements).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from markdown_it.tree import SyntaxTreeNode

from channels.base import Button
from channels.markdown import grid, parse, plain, safe_cut, table_rows
from channels.split import divide

TEXT_UNITS = 11_000
"""A part's length. Slack says 12,000 for markdown blocks; the rest is room for what it adds when it converts them."""

BUTTONS = 25
PLAIN_UNITS = 39_000

_JOINER = "\u2060"
_OPENING = r"(?:<|&lt;|&\#0*60;|&\#[xX]0*3[cC];)"
_CALLS = re.compile(rf"({_OPENING})(?=[!](?:channel|here|everyone|group|subteam|date)\b|@[A-Za-z0-9])", re.IGNORECASE)
_COMMAND = re.compile(  # fenced code is shown as it is: somebody may be asked to allow exactly that
    r"^(?P<fence>`{3,})[^\n]*\n.*?^(?P=fence)`*|(?:(?<=[\s(*])|^)(?P<tick>`?)/(?P<name>[a-z]+)(?=[\s`.,;:!?)]|$)",
    re.MULTILINE | re.DOTALL,
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BARE_CALLS = re.compile(r"(?<![\w.])@(?=(?:channel|here|everyone|group)\b)", re.IGNORECASE)


def harmless(text: str) -> str:
    """The same to the eye; nobody is called by it."""
    text = _CONTROLS.sub("", text)
    return _BARE_CALLS.sub("@" + _JOINER, _CALLS.sub(rf"\1{_JOINER}", text))


def units(text: str) -> int:
    """Length as counted in UTF-16, the larger of the ways in which Slack's clients and servers count."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def blocks(text: str, buttons: Sequence[Button] = ()) -> list[dict[str, Any]]:
    """Block Kit for a part that fits."""
    found: list[dict[str, Any]] = []
    if text.strip():
        found.append({"type": "markdown", "text": harmless(text)})
    if buttons:
        found.append(actions(buttons))
    return found


def plain_blocks(text: str, buttons: Sequence[Button]) -> list[dict[str, Any]]:
    """The oldest form of all, for when Slack refuses a block: sections of plain text, and the buttons."""
    body = harmless(plain(parse(text)) or text)
    sections = [body[at : at + 2900] for at in range(0, len(body), 2900)][:40]
    found: list[dict[str, Any]] = [
        {"type": "section", "text": {"type": "plain_text", "text": section, "emoji": False}}
        for section in sections
        if section.strip()
    ]
    return [*found, actions(buttons)] if buttons else found


def actions(buttons: Sequence[Button]) -> dict[str, Any]:
    elements: list[dict[str, Any]] = []
    for button in buttons[:BUTTONS]:
        label = harmless(button.label) or "…"
        element: dict[str, Any] = {
            "type": "button",
            "action_id": button.id,
            "text": {"type": "plain_text", "text": label if len(label) <= 75 else label[:74] + "…", "emoji": True},
        }
        if button.danger:
            element["style"] = "danger"
        elements.append(element)
    return {"type": "actions", "elements": elements}


def escape(text: str) -> str:
    """Slack's three control characters, as its documents ask."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def quoted(text: str) -> str:
    """One line of plain text as Markdown that shows exactly that."""
    return re.sub(r"([\\`*_~\[\]<>|#!])", r"\\\1", text)


def with_commands(text: str, commands: frozenset[str], *, here: str) -> str:
    """Commands as they are given here: `/stop` is `!stop` in a thread, where Slack offers no slash commands."""

    def named(found: re.Match[str]) -> str:
        return f"{found['tick']}{here}{found['name']}" if found["name"] in commands else found[0]

    return _COMMAND.sub(named, text)


def mrkdwn(text: str) -> str:
    """The text in Slack's older markup, at most PLAIN_UNITS long."""
    rendered = harmless(_blocks(parse(text)))
    if len(rendered) <= PLAIN_UNITS:
        return rendered
    return rendered[: safe_cut(rendered, PLAIN_UNITS)] + " …"


def split_text(text: str) -> list[str]:
    """Parts that each fit into one message."""
    return divide(text, _size, TEXT_UNITS)


def fits(text: str) -> bool:
    """Whether Slack takes this text in one message."""
    return _size(text) <= TEXT_UNITS


def _size(text: str) -> int:
    return units(harmless(text))


def _blocks(node: SyntaxTreeNode, tight: bool = False) -> str:
    return ("\n" if tight else "\n\n").join(part for part in (_block(child) for child in node.children) if part)


def _block(node: SyntaxTreeNode) -> str:
    match node.type:
        case "heading":
            inner = "".join(_inline(node.children))
            return f"*{inner}*" if inner.strip() and "*" not in inner else inner
        case "fence" | "code_block":
            return "```\n" + escape(node.content.rstrip("\n")) + "\n```"
        case "blockquote":
            return "\n".join("> " + line for line in _blocks(node).split("\n"))
        case "bullet_list" | "ordered_list":
            return "\n".join(_items(node))
        case "table":
            rows = [[plain(cell) for cell in row] for row in table_rows(node)]
            return "```\n" + escape(grid(rows)) + "\n```"
        case "hr":
            return "———"
        case "paragraph" | "inline":
            return "".join(_inline([node]))
        case _:
            return escape(plain(node))


def _items(node: SyntaxTreeNode) -> Iterator[str]:
    start = int(node.attrs.get("start", 1) or 0) if node.type == "ordered_list" else None
    for index, item in enumerate(node.children):
        sign = "• " if start is None else f"{start + index}. "
        yield sign + _blocks(item, tight=True).replace("\n", "\n" + " " * 4)


def _inline(nodes: Sequence[SyntaxTreeNode]) -> Iterator[str]:
    for node in nodes:
        inner = "".join(_inline(node.children))
        match node.type:
            case "strong":
                yield _around(inner, "*")
            case "em":
                yield _around(inner, "_")
            case "s":
                yield _around(inner, "~")
            case "code_inline":
                yield "`" + escape(node.content) + "`"
            case "link":
                yield _link(str(node.attrs.get("href", "")), inner, plain(node))
            case "image":
                yield _link(str(node.attrs.get("src", "")), escape(plain(node)), plain(node))
            case "softbreak" | "hardbreak":
                yield "\n"
            case "paragraph" | "inline" | "spoiler":
                yield inner
            case _:
                yield inner or escape(node.content)


def _around(inner: str, sign: str) -> str:
    """Signs stand at words only: Slack shows them as they are next to a space."""
    stripped = inner.strip()
    if not stripped or sign in stripped or "\n" in stripped:
        return inner
    return inner.replace(stripped, f"{sign}{stripped}{sign}", 1)


def _link(address: str, inner: str, label: str) -> str:
    safe = escape(address).replace("|", "%7C").replace(" ", "%20")
    if not re.match(r"(?:https?|mailto|tel):", address, re.IGNORECASE):
        return f"{inner} ({safe})" if address and address != label else inner
    if label == address:
        return f"<{safe}>"
    return f"<{safe}|{inner.replace('|', '¦').replace(chr(10), ' ')}>" if inner.strip() else f"<{safe}>"
