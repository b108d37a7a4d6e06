"""The kinds of channels that can be configured, and their settings.

A platform's package exports `Settings` and `create(settings, context) -> Channel`, and imports no SDK before that is
called, so that checking a file stays fast. Packages outside of this tree add kinds through the entry point group
`threadmill.channels`.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from pydantic import BaseModel

IN_TREE = ("discord", "slack", "telegram")
ALWAYS_THERE = ("web", "console", "api")
"""Channels of the program itself: they need no table and take no settings."""


def kinds() -> list[str]:
    """All that `kind` may say."""
    from importlib.metadata import entry_points

    return sorted({*IN_TREE, *(point.name for point in entry_points(group="threadmill.channels"))})


def package_of(kind: str) -> ModuleType | None:
    """What makes channels of this kind; None when there is no such kind."""
    if kind in IN_TREE:
        return import_module(f"channels.{kind}")
    from importlib.metadata import entry_points

    points = [point for point in entry_points(group="threadmill.channels") if point.name == kind]
    package: ModuleType | None = points[0].load() if points else None
    return package


def settings_of(kind: str) -> type[BaseModel] | None:
    """The model of a kind's keys; None when there is no such kind."""
    package = package_of(kind)
    return package.Settings if package is not None else None
