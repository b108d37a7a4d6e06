"""What the engine runs for each session that is awake: one turn at a time, as long as mail waits.

Every way for a turn to go wrong ends here, in an outcome and a sentence for the thread; nothing of it reaches
another session.
"""

from __future__ import annotations

import asyncio

import structlog

from agents.base import Activation, AgentName, Fenced, Outcome, Session, SessionId, State
from agents.models.base import ModelError, ModelName
from agents.money import OverBudget
from agents.ports import Profile
from agents.room import Room
from agents.turn import Turn, TurnParts

log = structlog.get_logger("runner")

_NO_LIMIT = 1_000_000  # the limit was taken away in this instant
_CRASHES = 3  # in a row on the same step: then the session is parked and the person told


class TurnRunner:
    """What the engine runs for each session that is awake."""

    def __init__(self, parts: TurnParts) -> None:
        self._parts = parts
        self.room = Room()
        self._partial: dict[SessionId, str] = {}  # what an aborted turn had streamed until then
        self._bugs: dict[SessionId, int] = {}  # tries of a turn that failed by themselves, in a row

    async def activate(self, session: SessionId) -> None:
        """Run one turn. The journal wakes the session again when mail waits at its end. Cancellation is an abort:
        the next activation finds out why."""
        with structlog.contextvars.bound_contextvars(session=session):
            agent = await self._limited(session)
            if agent is None:
                await self._activate(session)
                return
            if not self.room.enter(agent, session, self._room_of(agent) or _NO_LIMIT):
                return  # woken when a turn of this agent ends
            try:
                await self._activate(session)
            finally:
                for waiting in self.room.leave(agent, session, self._room_of(agent)):
                    self._parts.wake(waiting)

    async def _activate(self, session: SessionId) -> None:
        await self._gather(session)
        activation = await self._parts.journal.activate(session, self._parts.clock())
        if activation is None:
            self._partial.pop(session, None)
            self._bugs.pop(session, None)
            return
        try:
            await self._run(activation)
        except Fenced:
            log.info("turn given up", reason="killed or taken over")

    async def _limited(self, id: SessionId) -> AgentName | None:
        """The session's agent, where not all of its sessions may run at once."""
        if not any(self._room_of(name) is not None for name in self._parts.profiles.names()):
            return None
        session = await self._parts.sessions.session(id)
        limited = session is not None and self._room_of(session.agent) is not None
        return session.agent if session is not None and limited else None

    def _room_of(self, agent: AgentName) -> int | None:
        profile = self._parts.profiles.profile(agent)
        return profile.max_running if profile is not None else None

    async def _gather(self, id: SessionId) -> None:
        """Wait for what people write in several messages one after the other, where the profile says so."""
        profiles = (self._parts.profiles.profile(name) for name in self._parts.profiles.names())
        if not any(profile is not None and profile.debounce_seconds > 0 for profile in profiles):
            return
        session = await self._parts.sessions.session(id)
        profile = self._parts.profiles.profile(session.agent) if session is not None else None
        if session is not None and session.state is State.IDLE and profile is not None:
            await asyncio.sleep(profile.debounce_seconds)

    async def _run(self, activation: Activation) -> None:
        parts, session = self._parts, activation.session
        profile = await parts.rights.profile_of(session)
        partial = self._partial.pop(session.id, "")
        turn = Turn(parts, activation, profile or Profile(name=session.agent, model=ModelName("default"), prompt=""))
        if activation.stopping:
            await turn.end(Outcome.STOPPED, partial=partial)
        elif activation.interrupted:
            await turn.end(Outcome.INTERRUPTED, partial=partial)
        elif profile is None:
            names = ", ".join(parts.profiles.names())
            await turn.end(Outcome.FAILED, f"The agent {session.agent} is not configured any more. There are: {names}.")
        elif session.crashes >= _CRASHES:
            await turn.end(
                Outcome.FAILED,
                f"Threadmill stopped {session.crashes} times in a row at this point of the work, so it is not tried"
                " again by itself. /retry tries once more.",
            )
        else:
            await self._run_guarded(turn, profile, session)

    async def _run_guarded(self, turn: Turn, profile: Profile, session: Session) -> None:
        seconds = session.timeout_seconds or profile.turn_timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                await turn.run()
            self._bugs.pop(session.id, None)
        except TimeoutError:
            await turn.end(
                Outcome.TIMED_OUT, f"This took longer than {seconds:g} s, so it was ended. /retry tries again."
            )
        except OverBudget as error:
            await turn.end(Outcome.OVER_BUDGET, str(error))
        except ModelError as error:
            await turn.end(Outcome.FAILED, f"The model gave no answer: {error} /retry tries again.")
        except asyncio.CancelledError:
            self._partial[session.id] = turn.streamed
            raise
        except Fenced:
            raise
        except Exception as bug:
            tries = self._bugs[session.id] = self._bugs.get(session.id, 0) + 1
            if tries < _CRASHES:
                raise  # the engine tries again after a while: the store may have been full
            log.exception("turn failed", tries=tries)
            await turn.end(
                Outcome.FAILED,
                f"This failed {tries} times in a row ({type(bug).__name__}), so it is not tried again by itself. The"
                " operator's log has the details. /retry tries once more.",
            )
            self._bugs.pop(session.id, None)
