"""Running tool calls: checked, bounded in time, and every way of going wrong becomes a result the model can read."""

from __future__ import annotations

import asyncio
from datetime import datetime

import structlog
from pydantic import BaseModel

from agents import wellformed
from agents.base import Claim, Fenced, NewStep, NotFound, Refused, Session, StepKind
from agents.models.base import ToolCall
from agents.ports import Live, Profile
from agents.tools.approvals import Approvals
from agents.tools.base import Call, Park, Tool, Toolbox, ToolError, parse

log = structlog.get_logger("tools")

_GRACE_SECONDS = 0.5  # for a tool to tidy up after it was cancelled
_left_alone: set[asyncio.Task[str]] = set()  # the loop itself holds tasks weakly

LONGEST_RESULT = 100_000  # characters of a result that a model is given


class CallRunner:
    """Runs the calls of one turn."""

    def __init__(
        self, toolbox: Toolbox, live: Live, profile: Profile, claim: Claim, approvals: Approvals | None = None
    ) -> None:
        self._toolbox = toolbox
        self._approvals = approvals
        self._live = live
        self._profile = profile
        self._claim = claim

    def repeatable(self, call: ToolCall) -> bool:
        """Whether the call may be made again after it was cut off. A call that will be refused may."""
        try:
            return self._toolbox.tool(self._profile, call.name).repeatable
        except ToolError:
            return True

    def is_cut_off(self, call: ToolCall, begun: bool) -> bool:
        """Whether this call was begun by somebody who is gone and must not be made again."""
        return begun and not self.repeatable(call)

    def begin(self, call: ToolCall, now: datetime) -> NewStep:
        body = {"call_id": call.id, "name": call.name, "arguments": call.arguments}
        return NewStep(kind=StepKind.CALL, body=body, started_at=now)

    def interrupted(self, call: ToolCall, now: datetime) -> NewStep:
        text = (
            f"{call.name} was interrupted when Threadmill stopped. It may have taken effect or not, and was not run"
            " again: find out before you repeat it."
        )
        return _result(call, text, error=True, started=now)

    async def refused(self, call: ToolCall, session: Session, *, begun_at: datetime, now: datetime) -> NewStep | None:
        """The result of a call that a person must allow and did not. Before it begins: what was begun and cut off
        could not tell a wait from a crash. Raises Park while nobody has decided."""
        if self._approvals is None or not self._toolbox.covers(self._profile.approve, call.name):
            return None
        try:
            tool = self._checked(call)
            parse(tool, call.arguments)
            made = self._call(call, session, begun_at, False, now)
            await self._approvals.require(made, call.name, call.arguments)
        except (ToolError, NotFound) as refused:
            return _result(call, str(refused), error=True, started=now)
        return None

    async def run(self, call: ToolCall, session: Session, *, begun_at: datetime, news: bool, now: datetime) -> NewStep:
        """The call's result. Raises Park, Fenced, and cancellation."""
        self._live.publish(session.id, "tool", {"call_id": call.id, "name": call.name, "arguments": call.arguments})
        error, limit = True, ""
        try:
            text = await self._attempt(call, session, begun_at, news, now)
            error = False
        except (ToolError, Refused) as refused:
            text, limit = str(refused), refused.limit
        except NotFound as unknown:
            text = str(unknown)
        except (Park, Fenced):
            raise
        except Exception as bug:
            log.exception("tool failed", tool=call.name)
            text = f"{call.name} failed by itself ({type(bug).__name__}). The operator's log has the details."
        self._live.publish(session.id, "tool_done", {"call_id": call.id, "name": call.name, "error": error})
        return _result(call, text, error=error, started=now, limit=limit)

    async def _attempt(self, call: ToolCall, session: Session, begun_at: datetime, news: bool, now: datetime) -> str:
        tool = self._checked(call)
        arguments = parse(tool, call.arguments)
        made = self._call(call, session, begun_at, news, now)
        try:
            text = await _run(tool, made, arguments)
        except TimeoutError:
            raise ToolError(f"{call.name} took longer than {tool.timeout_seconds:g} s and was stopped.") from None
        if len(text) > LONGEST_RESULT:
            return text[:LONGEST_RESULT] + f"\n[cut: {len(text)} characters in all]"
        return text

    def _checked(self, call: ToolCall) -> Tool:
        tool = self._toolbox.tool(self._profile, call.name)
        if call.broken:
            raise ToolError(f"{call.name} was not run: its arguments were no JSON object. Make the call again.")
        return tool

    def _call(self, call: ToolCall, session: Session, begun_at: datetime, news: bool, now: datetime) -> Call:
        return Call(
            id=call.id,
            session=session,
            profile=self._profile,
            claim=self._claim,
            now=now,
            begun_at=begun_at,
            news=news,
        )


async def _run(tool: Tool, call: Call, arguments: BaseModel) -> str:
    """Run a tool in a task of its own: one that does not heed its cancellation holds up neither a kill nor its own
    timeout. It is left to itself then; what it still wants to write for the session, the store refuses after a kill.

    Raises TimeoutError, and what the tool raises."""
    running = asyncio.create_task(tool.run(call, arguments), name=f"tool-{tool.name}")
    try:
        done, _ = await asyncio.wait([running], timeout=tool.timeout_seconds)
    finally:
        if not running.done():
            running.cancel()
            ended, _ = await asyncio.wait([running], timeout=_GRACE_SECONDS)
            if not ended:
                log.error("a tool does not heed its cancellation and is left to itself", tool=tool.name)
                _left_alone.add(running)
                running.add_done_callback(_forget)
    if not done:
        raise TimeoutError
    if running.cancelled():
        raise ToolError(f"{tool.name} was cancelled from within, and has no result.")
    return running.result()


def _forget(task: asyncio.Task[str]) -> None:
    _left_alone.discard(task)
    if not task.cancelled():
        task.exception()  # looked at: nobody else will


def skipped(call: ToolCall, why: str, now: datetime) -> NewStep:
    """The result of a call that was not run."""
    return _result(call, why, error=True, started=now, skipped=True)


def _result(
    call: ToolCall, text: str, *, error: bool, started: datetime, skipped: bool = False, limit: str = ""
) -> NewStep:
    body = {"call_id": call.id, "name": call.name, "text": wellformed.text(text), "error": error, "skipped": skipped}
    if limit:
        body["limit"] = limit  # for the audit log
    return NewStep(kind=StepKind.RESULT, body=body, started_at=started)
