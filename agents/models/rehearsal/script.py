"""A rehearsal's script file: canned exchanges, so that a demonstration or a test always goes the same way.

TOML or JSON of one shape:

    default = ["say I only know two things."]     # optional: when nothing matches; else the message's own steps

    [[exchange]]
    match = "status of (?P<what>\\\\w+)"            # a regular expression, searched in the text, case ignored
    agent = "helper"                              # optional: only where this stands in the system prompt
    steps = ["wait 1s", "say All is well with {what}."]

The first exchange that matches is taken. In a step `{text}` is the whole message and `{name}` a named group
of the match; other braces stay as they are. Read once, when the model is made: a mistake is a ValueError
that names the place and what to write.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agents.models.rehearsal.steps import Step, parse

LARGEST_FILE_BYTES = 1_000_000
LONGEST_MATCHED_TEXT = 10_000


class _Exchange(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    match: str
    steps: list[str] = Field(min_length=1)
    agent: str = ""


class _File(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    exchange: list[_Exchange] = Field(default_factory=list)
    default: list[str] = Field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    match: re.Pattern[str]
    steps: tuple[str, ...]
    agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """All exchanges of a file, in order."""

    exchanges: tuple[Exchange, ...] = ()
    default: tuple[str, ...] = ()

    def steps(self, text: str, system: str) -> tuple[Step, ...]:
        """The steps for a message; none when nothing matches and there is no default."""
        for exchange in self.exchanges:
            found = exchange.match.search(text[:LONGEST_MATCHED_TEXT])
            if found is not None and exchange.agent in system:
                named = {"text": text} | {name: value or "" for name, value in found.groupdict().items()}
                return _parsed(exchange.steps, named)
        return _parsed(self.default, {"text": text})


def load(path: Path) -> Script:
    """Read a script file. Raises ValueError with a sentence that names the file and the place."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(content) > LARGEST_FILE_BYTES:
        raise ValueError(f"{path}: is larger than {LARGEST_FILE_BYTES} bytes")
    try:
        text = content.decode()
        file = _File.model_validate(json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{path}: {place}: {first['msg']}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return Script(
        exchanges=tuple(_exchange(path, place, each) for place, each in enumerate(file.exchange)),
        default=_checked(path, "default", file.default),
    )


def _exchange(path: Path, place: int, written: _Exchange) -> Exchange:
    try:
        match = re.compile(written.match, re.IGNORECASE | re.DOTALL)
    except re.error as error:
        raise ValueError(f"{path}: exchange.{place}.match: no regular expression: {error}") from error
    steps = _checked(path, f"exchange.{place}.steps", written.steps)
    return Exchange(match=match, steps=steps, agent=written.agent)


def _checked(path: Path, key: str, steps: list[str]) -> tuple[str, ...]:
    for number, step in enumerate(steps):
        if not parse(step):
            raise ValueError(f"{path}: {key}.{number}: {step!r} is no step; see docs/rehearsal.md")
    return tuple(steps)


def _parsed(steps: tuple[str, ...], named: dict[str, str]) -> tuple[Step, ...]:
    filled = (re.sub(r"\{(\w+)\}", lambda hole: named.get(hole[1], hole[0]), step) for step in steps)
    return tuple(step for text in filled for step in parse(text))
