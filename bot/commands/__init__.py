"""The chat commands: one file each, one grammar on every platform."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from agents.base import NotFound, Refused
from bot.access import Principal
from bot.attachments import Kept
from bot.commands.base import Command, Denied, Misused, Request
from bot.commands.late import LateCommands
from bot.routing.router import Run
from channels.base import CommandSpec
from storage.inbox import Stored

_LONGEST_WORDS = 100


class Records(Protocol):
    """The audit log. `storage.audit` fulfils it."""

    async def record(
        self, *, at: datetime, actor: str, action: str, resource: str, session: str | None = None, **detail: Any
    ) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A command's answer. `private`: only for whoever asked, where the platform can."""

    text: str
    private: bool = True


class Commands:
    """All commands by name, and how one is run."""

    def __init__(self, audit: Records) -> None:
        self._audit = audit
        self._commands: dict[str, Command] = {}
        self._late = LateCommands()

    def add(self, commands: Iterable[Command]) -> None:
        for command in commands:
            assert command.name not in self._commands, command.name
            self._commands[command.name] = command

    def all(self) -> Sequence[Command]:
        return tuple(self._commands.values())

    def names(self) -> tuple[str, ...]:
        return tuple(self._commands)

    def specs(self) -> tuple[CommandSpec, ...]:
        """For the platforms' menus."""
        return tuple(command.spec for command in self._commands.values())

    async def run(
        self, run: Run, principal: Principal, stored: Stored, now: datetime, files: Callable[[], Awaitable[Kept]]
    ) -> Reply:
        """The command's answer; what is refused or misused is an answer too."""
        command = self._commands[run.invocation.name]
        line = (
            f"{command.name} {run.invocation.arguments_text}".split("\n")[0].replace("`", "'").strip()[:_LONGEST_WORDS]
        )
        if command.soon and (asked := self._late.question(stored.event, line, now)) is not None:
            return Reply(text=asked, private=False)
        request = Request(
            principal=principal,
            where=stored.event.where,
            direct=stored.event.direct,
            bound=run.invocation.in_session,
            arguments=run.invocation.arguments_text,
            key=f"in:{stored.key}",
            inbox=stored.n,
            message_id=stored.event.message_id,
            now=now,
            files=files,
        )
        try:
            answer = await command.run(request)
        except Denied as denied:
            await self._audit.record(
                at=now,
                actor=principal.account,
                action="denied",
                resource=f"/{command.name}",
                session=request.bound.id if request.bound else None,
            )
            return Reply(text=str(denied))
        except Refused as refused:
            await self._audit.record(
                at=now,
                actor=principal.account,
                action="refused",
                resource=f"/{command.name}",
                session=request.bound.id if request.bound else None,
                limit=refused.limit,
            )
            return Reply(text=str(refused))
        except NotFound as unknown:
            return Reply(text=str(unknown))
        except Misused as error:
            return Reply(text=f"{error}\n\nUsage: `{command.usage}`")
        if command.decides and request.word()[0].lower() not in command.looks:
            # A crash before this row runs the command again, which does nothing twice and then notes it.
            await self._audit.record(
                at=now,
                actor=principal.account,
                action=command.name,
                resource=request.bound.label if request.bound else request.where.key,
                session=request.bound.id if request.bound else None,
                # what to and how, never a person's text: the log cannot forget it
                words=" ".join(request.arguments.split()[: 2 if command.looks else 1])[:_LONGEST_WORDS],
            )
        return Reply(text=answer, private=not command.public)
