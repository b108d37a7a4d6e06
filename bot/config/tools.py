"""The words that an agent's `tools` may have: names of tools, and groups that stand for several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

INSTALLED = "threadmill.tools"
"""The entry point group of the tools of other packages."""

GROUPS: Mapping[str, tuple[str, ...]] = {
    "spawn": ("sessions_spawn", "subagents", "attachment_read"),
    "send": ("sessions_send", "sessions_list", "sessions_history"),
    "files": ("file_read", "file_write", "file_edit", "file_list", "file_search", "file_delete", "attachment_read"),
    "skills": ("skill",),
    "state": ("state_get", "state_set", "state_list", "state_delete"),
}

BUILT_IN = frozenset(name for names in GROUPS.values() for name in names) | {
    "ask_human",
    "handoff",
    "web_fetch",
    "schedule",
}


def expanded(words: Iterable[str]) -> tuple[str, ...]:
    """Tool names in the order given, each once."""
    return tuple(dict.fromkeys(name for word in words for name in GROUPS.get(word, (word,))))


def known_tools() -> frozenset[str]:
    """What may be written: groups, the tools of this program, and those of installed packages."""
    from importlib.metadata import entry_points

    return BUILT_IN | GROUPS.keys() | {point.name for point in entry_points(group=INSTALLED)}
