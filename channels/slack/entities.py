"""What Slack writes into angle brackets, turned into text that people and models read.

Slack escapes `&`, `<` and `>` in a message's text and puts users, rooms, groups, links and dates between
brackets. Source: *Formatting message text*, "Retrieving messages".
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_ENTITY = re.compile(r"<((?:[@#!]|[A-Za-z][A-Za-z0-9+.-]*:)[^<>\n]+)>")
_USER = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^<>]*)?>")


def users_in(text: str) -> frozenset[str]:
    """The user ids that the text mentions."""
    return frozenset(_USER.findall(text))


def without_mention(text: str, user: str) -> tuple[str, bool]:
    """The text without the mention of this user, and whether there was one."""
    mention = re.compile(rf"[ \t]*<@{re.escape(user)}(?:\|[^<>]*)?>[:,]?")
    left, count = mention.subn("", text)
    return (left.strip(), True) if count else (text, False)


def readable(text: str, names: Mapping[str, str]) -> str:
    """Markdown for a reader. `names` gives the users whose names are known; others keep their id."""

    def replace(match: re.Match[str]) -> str:
        body, _, label = match[1].partition("|")
        if body.startswith("@"):
            return "@" + (names.get(body[1:]) or label or body[1:])
        if body.startswith("#"):
            return "#" + (label or body[1:])
        if body.startswith("!"):
            return _special(body[1:], label)
        return _link(body, label)

    return _unescape(_ENTITY.sub(replace, text))


def _special(body: str, label: str) -> str:
    if body.startswith("date^"):
        return label
    name = label.removeprefix("@") or body.partition("^")[2] or body
    return "@" + name


def _link(address: str, label: str) -> str:
    bare = address.removeprefix("mailto:").removeprefix("tel:")
    plain = {address, bare, bare.removeprefix("https://"), bare.removeprefix("http://")}
    if not label:
        return bare
    if label in plain or label.rstrip("/") in plain:
        return label if bare != address else address
    return f"[{label}]({address})"


def _unescape(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
