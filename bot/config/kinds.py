"""The kinds of channels that can be configured, and their settings.

A platform's package exports `Settings` and imports no SDK, so that checking a file stays fast. Packages outside
of this tree add kinds through the entry point group `threadmill.channels`.
"""

from __future__ import annotations

from importlib import import_module

from pydantic import BaseModel

IN_TREE = ("discord", "slack", "telegram")
ALWAYS_THERE = ("web", "console", "api")
"""Channels of the program itself: they need no table and take no settings."""


def kinds() -> list[str]:
    """All that `kind` may say."""
    from importlib.metadata import entry_points

    return sorted({*IN_TREE, *(point.name for point in entry_points(group="threadmill.channels"))})


def settings_of(kind: str) -> type[BaseModel] | None:
    """The model of a kind's keys; None when there is no such kind."""
    if kind in IN_TREE:
        module = import_module(f"channels.{kind}")
    else:
        from importlib.metadata import entry_points

        points = [point for point in entry_points(group="threadmill.channels") if point.name == kind]
        if not points:
            return None
        module = points[0].load()
    settings: type[BaseModel] = module.Settings
    return settings
