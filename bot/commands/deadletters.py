"""/deadletters: what could not be done, kept for a person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from agents.team import first_line
from bot.access import Action
from bot.commands.base import Command, Misused, Request, allow
from channels.base import CommandOption, Takes


class Letter(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def at(self) -> datetime: ...
    @property
    def place(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def reason(self) -> str: ...


class Letters(Protocol):
    async def list(self, limit: int) -> Sequence[Letter]: ...
    async def retry(self, id: str) -> bool: ...
    async def drop(self, id: str) -> bool: ...


def command(letters: Callable[[], Letters]) -> Command:
    async def run(request: Request) -> str:
        allow(request, Action.DEAD_LETTERS)
        verb, id = request.word()
        match verb:
            case "" | "list":
                found = await letters().list(20)
                lines = [
                    f"- `{letter.id}` {letter.at:%Y-%m-%d %H:%M} to {letter.place}: {letter.reason}"
                    f" — {first_line(letter.text)}"
                    for letter in found
                ]
                return "\n".join(lines) or "There are no dead letters."
            case "retry":
                return "It is tried again." if await letters().retry(id) else f"There is no dead letter {id!r}."
            case "drop":
                return "It is dropped." if await letters().drop(id) else f"There is no dead letter {id!r}."
            case _:
                raise Misused("Say what to do with them: list, retry ID or drop ID.")

    return Command(
        name="deadletters",
        summary="What could not be delivered",
        usage="/deadletters [list|retry ID|drop ID]",
        run=run,
        decides=True,
        looks=frozenset({"", "list"}),
        options=(
            CommandOption(
                name="action", description="What to do; nothing lists them", choices=("list", "retry", "drop")
            ),
            CommandOption(name="id", description="Which one", takes=Takes.DEAD_LETTER),
        ),
        action=Action.DEAD_LETTERS,
    )
