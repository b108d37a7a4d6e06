"""The tool with which an agent gives its thread to another one, with the conversation so far.

The thread is bound to the new session in the transaction that makes it, so what people write next goes there; a note in
the thread says so. The new session is a child of the one that hands over: it has no more rights, tools or
money, and a kill of the old one ends it too.
"""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, Field

from agents.base import AgentName, SessionId
from agents.ports import Sessions
from agents.team import Team
from agents.tools.base import Call, Park, ToolError
from channels.base import DeliveryKey, Outbound

_OPENING = timedelta(minutes=2)  # how long a thread may take to be opened


class Says(Protocol):
    """Puts a message of the bot itself into the outbox, once for each key. `bot.speaker` fulfils it."""

    async def say(self, message: Outbound, *, session: SessionId | None = None) -> None: ...


class HandoffArguments(BaseModel):
    model_config = ConfigDict(extra="forbid")
    agent: str = Field(description="Which agent takes over.")
    note: str = Field(
        min_length=1, max_length=4_000, description="What it must know and do next; people in the thread read it too."
    )


class HandoffTool:
    """handoff."""

    name: ClassVar[str] = "handoff"
    description: ClassVar[str] = (
        "Give this thread to another agent, which goes on with the conversation so far. Afterwards people's messages"
        " here go to it, not to you."
    )
    arguments: ClassVar[type[BaseModel]] = HandoffArguments
    repeatable: ClassVar[bool] = True  # the new session's key and the note's are the call's
    timeout_seconds: ClassVar[float] = 30.0

    def __init__(self, team: Team, sessions: Sessions, says: Says) -> None:
        self._sessions = sessions
        self._team = team
        self._says = says

    async def run(self, call: Call, arguments: HandoffArguments) -> str:
        session = await self._sessions.session(call.session.id)
        home = session.home if session is not None else None
        if home is None:
            raise ToolError("you have no thread of your own to hand over: use sessions_spawn instead.")
        if (home.thread or "").startswith("+"):  # still being opened: the thread must be there to be given away
            if call.now - call.begun_at > _OPENING:
                raise ToolError("your thread could not be opened so far, so it cannot be handed over: try again later.")
            raise Park(call.now + timedelta(seconds=1))
        spawned = await self._team.hand_over(
            call.session, AgentName(arguments.agent), arguments.note, home, key=f"handoff:{call.key}"
        )
        taker = spawned.session
        text = (
            f"**{call.session.label}** hands this thread to **{taker.label}** ({taker.agent}, `{taker.id}`), who knows"
            f" what was said here:\n\n> {' '.join(arguments.note.split())}"
        )
        await self._says.say(Outbound(key=DeliveryKey(f"handoff:{call.key}"), to=home, text=text), session=taker.id)
        return f"{taker.label} has taken over. End your turn now, and say no more here: people have read your note."
