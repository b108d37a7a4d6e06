"""Markdown as safe HTML.

Agents' and people's texts are untrusted. Nothing of them reaches the page but through this renderer, which writes a
fixed set of tags itself and escapes every piece of text. Links keep only addresses that a browser can open without
running anything; pictures become links, since the page loads nothing from outside; no attribute is taken over but an
ordered list's start and a table cell's alignment, as a class.
"""

from __future__ import annotations

from functools import lru_cache
from html import escape
from urllib.parse import urlsplit

from markdown_it.tree import SyntaxTreeNode

from channels.markdown import parse, plain

_WRAPPED = {
    "paragraph": "p",
    "strong": "strong",
    "em": "em",
    "s": "s",
    "blockquote": "blockquote",
    "bullet_list": "ul",
    "list_item": "li",
    "thead": "thead",
    "tbody": "tbody",
    "tr": "tr",
}
_VOID = {"softbreak": "<br>", "hardbreak": "<br>", "hr": "<hr>"}
_SCHEMES = frozenset({"http", "https", "mailto"})
_ALIGNMENTS = {"text-align:left": "left", "text-align:center": "center", "text-align:right": "right"}


@lru_cache(maxsize=512)
def html(text: str) -> str:
    """The HTML of a text that will not change."""
    return render(text)


def render(text: str) -> str:
    """The HTML of a text that is still growing."""
    return _children(parse(text))


def _children(node: SyntaxTreeNode) -> str:
    return "".join(_render(child) for child in node.children)


def _render(node: SyntaxTreeNode) -> str:
    kind = node.type
    if kind == "paragraph" and node.hidden:  # of a tight list
        return _children(node)
    if kind in _WRAPPED:
        return f"<{_WRAPPED[kind]}>{_children(node)}</{_WRAPPED[kind]}>"
    if kind == "text":
        return escape(node.content)
    if kind == "code_inline":
        return f"<code>{escape(node.content)}</code>"
    if kind in ("fence", "code_block"):
        return _code(node)
    if kind == "link":
        return _link(node)
    return _rare(node)


def _rare(node: SyntaxTreeNode) -> str:
    kind = node.type
    if kind == "heading":  # the page's own headings stand above those of a message
        level = min(6, int(node.tag[1]) + 2)
        return f"<h{level}>{_children(node)}</h{level}>"
    if kind == "ordered_list":
        start = node.attrs.get("start")
        return f"<ol{_attribute('start', None if start is None else int(start))}>{_children(node)}</ol>"
    if kind == "table":
        return f'<div class="table"><table>{_children(node)}</table></div>'
    if kind in ("th", "td"):
        side = _ALIGNMENTS.get(str(node.attrs.get("style", "")))
        return f"<{kind}{_attribute('class', side)}>{_children(node)}</{kind}>"
    if kind == "spoiler":
        return f'<span class="spoiler" tabindex="0">{_children(node)}</span>'
    if kind in _VOID:
        return _VOID[kind]
    if kind == "image":
        return _anchor(str(node.attrs.get("src", "")), f"▧ {escape(plain(node))}")
    return _children(node) if node.children else escape(node.content if not node.is_root else "")


def _code(node: SyntaxTreeNode) -> str:
    language = node.info.split()[0][:30] if node.type == "fence" and node.info.strip() else ""
    label = f'<span class="language">{escape(language)}</span>' if language else ""
    return f'<div class="code">{label}<pre tabindex="0"><code>{escape(node.content)}</code></pre></div>'


def _link(node: SyntaxTreeNode) -> str:
    return _anchor(str(node.attrs.get("href", "")), _children(node))


def _anchor(address: str, inner: str) -> str:
    try:
        scheme = urlsplit(address).scheme.lower()
    except ValueError:
        scheme = ""
    if address.startswith("/t/") and not scheme:  # a thread of this page
        return f'<a href="{escape(address)}">{inner}</a>'
    if scheme not in _SCHEMES:
        return f"{inner} ({escape(address)})" if address and escape(address) != inner else inner
    return f'<a href="{escape(address)}" rel="noopener noreferrer nofollow" target="_blank">{inner}</a>'


def _attribute(name: str, value: str | int | None) -> str:
    return "" if value is None else f' {name}="{value}"'
