"""The tool over a session's own children: list, steer, kill, and wait for them.

Waiting holds nothing: the turn is parked until a child ends, a person writes, or the time is over. A child's
result always comes as mail, exactly once; `wait` only says who has ended and how, in the runtime's words.
"""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from agents.base import Ended, Mode, Posted, Session, State
from agents.ports import Sessions
from agents.team import Team
from agents.tools.base import Call, Park, ToolError
from agents.tools.sessions import describe


class SubagentsArguments(BaseModel):
    model_config = ConfigDict(extra="forbid")
    action: Literal["list", "steer", "kill", "wait"]
    target: str = Field(
        default="all",
        description="A child's label or id; for kill `all`; for wait `all` or `any` of those with the mode run.",
    )
    message: str | None = Field(default=None, max_length=20_000, description="The note, for steer.")
    timeout_seconds: int = Field(default=300, ge=1, le=86_400, description="The longest wait.")


class SubagentsTool:
    """subagents."""

    name: ClassVar[str] = "subagents"
    description: ClassVar[str] = (
        "Your spawned sessions: list them, steer one with a message, kill one or all, or wait until one, any or all"
        " have ended."
    )
    arguments: ClassVar[type[BaseModel]] = SubagentsArguments
    repeatable: ClassVar[bool] = True
    timeout_seconds: ClassVar[float] = 30.0

    def __init__(self, team: Team, sessions: Sessions) -> None:
        self._team = team
        self._sessions = sessions

    async def run(self, call: Call, arguments: SubagentsArguments) -> str:
        below = [session for session in await self._sessions.tree(call.session.id) if session.id != call.session.id]
        match arguments.action:
            case "list":
                return "\n".join(describe(session, call.now) for session in below) or "You have spawned nobody."
            case "steer":
                return await self._steer(call, below, arguments)
            case "kill":
                return await self._kill(call, below, arguments)
            case "wait":
                return self._wait(call, below, arguments)

    async def _steer(self, call: Call, below: list[Session], arguments: SubagentsArguments) -> str:
        if not arguments.message:
            raise ToolError("steer needs a message: what shall it do differently?")
        child = _one(below, arguments.target)
        if child.state is State.ENDED:
            raise ToolError(f"{child.label} has ended: it cannot be steered. Its result was sent to you.")
        posted = await self._team.steer(
            child,
            arguments.message,
            by=call.session.label,
            key=call.key,
            from_session=call.session.id,
            max_hops=call.profile.max_hops,
        )
        match posted:
            case Posted.ENDED:
                raise ToolError(f"{child.label} has just ended: the note did not reach it. Its result is sent to you.")
            case Posted.FULL:
                raise ToolError(f"the queue of {child.label} is full: wait until it has worked some of it off.")
            case Posted.QUEUED | Posted.KNOWN:
                return f"{child.label} gets the note at its next step."

    async def _kill(self, call: Call, below: list[Session], arguments: SubagentsArguments) -> str:
        if arguments.target == "all":
            targets = [child for child in below if child.parent == call.session.id]
        else:
            targets = [_one(below, arguments.target)]
        killed = [
            ended.label
            for target in targets
            for ended in (
                await self._team.kill(target.id, by=call.session.label, actor=f"session:{call.session.id}")
            ).sessions
        ]
        return f"Killed: {', '.join(killed)}." if killed else "Nobody was alive."

    def _wait(self, call: Call, below: list[Session], arguments: SubagentsArguments) -> str:
        # Who lives on does not end by itself: it is waited for by name only.
        children = [child for child in below if child.parent == call.session.id and child.mode is Mode.RUN]
        one = arguments.target not in ("all", "any")
        waited = [_one(below, arguments.target)] if one else children
        if not waited:
            return "There is nobody to wait for: you have spawned nobody with the mode run."
        ended = [child for child in waited if child.state is State.ENDED]
        enough = bool(ended) if arguments.target == "any" else len(ended) == len(waited)
        until = call.begun_at + timedelta(seconds=arguments.timeout_seconds)
        if not enough and not call.news and call.now < until:
            raise Park(until)
        lines = [f"{child.label}: {_outcome(child)}" for child in waited]
        if call.news and not enough:
            lines.append("Waiting was ended early: a new message came in for you.")
        elif not enough:
            lines.append(
                f"The {arguments.timeout_seconds} s are over; those that run go on, and tell you when they end."
            )
        return "\n".join(lines)


def _one(below: list[Session], name: str) -> Session:
    found = [child for child in below if name in (child.label, child.id)]
    if not found:
        names = ", ".join(child.label for child in below) or "nobody"
        raise ToolError(f"{name!r} is none of yours; you have spawned: {names}.")
    return found[-1]


def _outcome(child: Session) -> str:
    if child.ended is None:
        return f"{child.state.value}{', ' + child.doing if child.doing else ''}"
    return "done" if child.ended is Ended.DONE else child.ended.value.replace("_", " ")
