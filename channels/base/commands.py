"""Chat commands as a platform's own menus show them, and what may be named in them while somebody types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from channels.base.nouns import Sender, ThreadRef


class Takes(Enum):
    """What kind of thing an argument names, where a platform can offer what there is."""

    SESSION = "session"
    AGENT = "agent"
    MODEL = "model"
    MONITOR = "monitor"
    DEAD_LETTER = "dead_letter"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandOption:
    """One argument of a command. The last one takes the rest of the line. With `choices` and `takes`, both are offered;
    with `takes` anything else may be typed too."""

    name: str
    description: str
    required: bool = False
    choices: tuple[str, ...] = ()
    takes: Takes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSpec:
    """A chat command, for a platform's native menu. What is chosen there comes back as text: `/kill all`."""

    name: str
    description: str
    options: tuple[CommandOption, ...] = ()
    descriptions: tuple[tuple[str, str], ...] = ()  # in other languages, by ISO 639-1 code
    for_operators: bool = False  # nobody else may use it
    in_private: bool = False  # it is about codes that others should not see


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """Something that may be typed as an argument. `label` tells a person what it is."""

    value: str
    label: str


class Suggestions(Protocol):
    """What there is to be named in a command, for a platform that asks while somebody types. `bot.suggestions` fulfils
    it."""

    async def suggest(
        self, sender: Sender, where: ThreadRef, command: str, takes: Takes, typed: str
    ) -> Sequence[Suggestion]:
        """At most 25 things that fit what was typed and that this person may use the command on, the likeliest first.
        Nothing is committed by asking. A stranger is offered nothing. The caller sets the time-out."""
