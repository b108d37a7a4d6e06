"""A turn: model, tools, model … until the model has nothing more to do, journalled step by step.

One message, walked: the engine activates the session; the journal claims it, takes the mail in and gives the
conversation. The model is asked; its answer is committed together with what it says to the thread. Its calls
are run one by one, each result committed with whatever mail came meanwhile, which joins the next call of
the model. The last answer ends the turn, unless mail came in the same instant: then the turn goes on.

Nothing here decides by looking at the clock or the network twice: after a crash the same rows give the same
continuation. Every write carries the claim, so that a turn that was killed or taken over stops at its next write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from agents import wellformed
from agents.base import (
    Activation,
    Answer,
    Committed,
    NewStep,
    Outcome,
    SessionId,
    Step,
    StepKind,
)
from agents.calls import CallRunner, skipped
from agents.context import Context
from agents.conversation import block_to_json, open_calls, text_of
from agents.models.base import (
    ContextTooLong,
    Event,
    Finished,
    ModelError,
    ModelName,
    Models,
    Request,
    Restarted,
    Stop,
    Text,
    TextDelta,
    ThinkingDelta,
    ToolCall,
)
from agents.money import Money
from agents.ports import Handed, Journal, Live, Profile, Profiles, Sessions
from agents.results import Results
from agents.rights import Rights
from agents.tools.approvals import Approvals
from agents.tools.base import Park, Toolbox
from channels.base import DeliveryKey, Outbound

log = structlog.get_logger("turn")

NOTHING = "NOTHING"
"""What an agent answers that has nothing to report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnParts:
    """What turns are run with."""

    journal: Journal
    sessions: Sessions
    models: Models
    profiles: Profiles
    toolbox: Toolbox
    context: Context
    live: Live
    rights: Rights
    money: Money
    clock: Callable[[], datetime]
    approvals: Approvals | None = None
    results: Results | None = None
    wake: Callable[[SessionId], None] = lambda _: None  # the engine's


class Turn:
    """One run of the loop under one claim."""

    def __init__(self, parts: TurnParts, activation: Activation, profile: Profile) -> None:
        self._parts = parts
        self._claim = activation.claim
        self._session = activation.session
        self._profile = profile
        self._answer: Answer = activation.answer
        self._steps: list[Step] = list(activation.steps)
        self._stopping = False
        self._calls = CallRunner(parts.toolbox, parts.live, profile, activation.claim, parts.approvals)
        self.streamed = ""

    async def run(self) -> None:
        place = self._answer.to.key if self._answer.to and not self._reports() else None  # nobody waits for a report
        self._publish("turn", turn=self._claim.turn, agent=self._session.agent, place=place)
        if not await self._finish_calls():
            return
        for _ in range(self._profile.max_steps):
            asked = self._parts.clock()
            finished = await self._ask()
            calls = [block for block in finished.blocks if isinstance(block, ToolCall)]
            step = _model_step(finished, asked)
            if calls:
                said = () if self._reports() else self._say(text_of(finished.blocks))
                await self._commit([step], say=said, doing="thinking")
                if not await self._finish_calls():
                    return
            elif finished.stop is Stop.PAUSED:
                await self._commit([step], doing="thinking")
            elif finished.stop is Stop.CONTEXT_FULL:
                await self._commit([replace(step, body={**step.body, "blocks": []})])  # it says nothing, but it cost
                await self._make_room()
            elif await self._finish(step, finished):
                return
        limit = self._profile.max_steps
        await self.end(Outcome.FAILED, f"The turn reached its limit of {limit} steps. Write to go on from here.")

    async def end(self, outcome: Outcome, why: str = "", *, partial: str = "") -> None:
        """End the turn before its time, and say why."""
        now = self._parts.clock()
        steps = [skipped(call, "The turn was ended.", now) for call, _ in open_calls(self._this_turn())]
        # The conversation says that there was no (whole) answer: otherwise the next turn would answer this one too.
        cut = Text(text=partial if partial.strip() else f"(No answer: the turn was {outcome.value.replace('_', ' ')}.)")
        body = {"blocks": [block_to_json(cut)], "stop": "cut", "detail": outcome.value}
        steps.append(NewStep(kind=StepKind.MODEL, body=body, started_at=now))
        if why:
            steps.append(NewStep(kind=StepKind.NOTE, body={"text": why}, started_at=now))
        say = self._say(
            "\n\n".join(part for part in (partial.strip(), f"*{why}*" if why else "") if part),
            suffix="end",
            ours=not partial.strip(),
        )
        await self._parts.journal.end_turn(
            self._claim,
            outcome,
            steps,
            now,
            say=say if outcome is not Outcome.INTERRUPTED else (),
            result=why or partial,
            handed=await self._handed(why or partial),
        )
        self._publish("turn_done", outcome=outcome.value)

    async def _finish(self, step: NewStep, finished: Finished) -> bool:
        """The model has nothing more to do. False when mail came in the same instant: the turn goes on."""
        text = text_of(finished.blocks)
        note = _note(finished)
        said = "\n\n".join(part for part in (text, note) if part)
        ours = not said
        if self._reports():
            said = "" if said.strip(" \n.*`") in {"", NOTHING} else said
        elif not said and not any(entry.step.kind is StepKind.MODEL for entry in self._this_turn()):
            said = "*The model gave an empty answer. /retry asks again.*"
        outcome = Outcome.STOPPED if self._stopping else Outcome.DONE
        committed = await self._parts.journal.end_turn(
            self._claim,
            outcome,
            [step],
            self._parts.clock(),
            say=self._say(said, ours=ours),
            result=text or note,
            handed=await self._handed(text or note),
        )
        self._cost(step)
        if committed is None:
            self._publish("turn_done", outcome=outcome.value)
            return True
        self._follow([step], committed)
        return False

    async def _handed(self, result: str) -> Handed | None:
        """What whoever spawned this session gets instead of a long result."""
        if self._session.parent is None or self._parts.results is None:
            return None
        return await self._parts.results.handed(self._session, result)

    async def _finish_calls(self) -> bool:
        """Run the calls that have no result yet. False when the turn was parked or ended."""
        for call, begun in open_calls(self._this_turn()):
            now = self._parts.clock()
            if self._stopping:
                await self.end(Outcome.STOPPED)
                return False
            if self._news():
                await self._commit([skipped(call, "Skipped: newer instructions came in first.", now)])
                continue
            try:
                await self._run_call(call, begun)
            except Park as park:
                return await self._park(park.until)
        if self._stopping:
            await self.end(Outcome.STOPPED)
            return False
        return True

    async def _run_call(self, call: ToolCall, begun: bool) -> None:
        if self._calls.is_cut_off(call, begun):
            await self._commit([self._calls.interrupted(call, self._parts.clock())])
            return
        if not begun:
            refused = await self._calls.refused(call, self._session, begun_at=self._asked_at(), now=self._parts.clock())
            if refused is not None:
                await self._commit([refused])
                return
        if not begun and not self._calls.repeatable(call):
            await self._commit([self._calls.begin(call, self._parts.clock())], doing=f"running {call.name}")
        result = await self._calls.run(
            call, self._session, begun_at=self._asked_at(), news=self._news(), now=self._parts.clock()
        )
        await self._commit([result], doing="thinking")

    async def _park(self, until: datetime) -> bool:
        committed = await self._parts.journal.end_turn(
            self._claim, Outcome.DONE, [], self._parts.clock(), park_until=until
        )
        if committed is None:
            self._publish("state", state="waiting", doing="waiting")
            return False
        self._follow([], committed)
        return await self._finish_calls()

    async def _ask(self) -> Finished:
        """One model call, streamed to whoever looks. Raises ModelError, OverBudget, TimeoutError."""
        await self._parts.money.check(self._profile, self._session)
        context = self._parts.context
        if context.is_long(self._profile, self._session, self._steps):
            await self._sum_up()
        try:
            return await self._stream(await context.request(self._profile, self._session, self._steps))
        except ContextTooLong:
            await self._make_room()
            return await self._stream(await context.request(self._profile, self._session, self._steps))

    async def _make_room(self) -> None:
        """After the model said that the conversation is too long. Raises ModelError when nothing can be left out."""
        if not await self._sum_up():
            raise ContextTooLong(
                "the conversation is longer than it takes, and nothing can be left out: /new begins anew."
            )

    async def _sum_up(self) -> bool:
        """Put a summary in the place of the conversation. False when nothing can be left out."""
        made = await self._parts.context.compacted(self._profile, self._session, self._steps)
        answers = self._answers()
        await self._commit([replace(step, body={**step.body, "answers": answers}) for step in made], doing="compacting")
        return bool(made)

    async def _stream(self, request: Request) -> Finished:
        self.streamed = ""
        name = ModelName(self._session.model or self._profile.model)
        idle = self._profile.idle_timeout_seconds
        loop = asyncio.get_running_loop()
        silence = asyncio.timeout(idle)
        try:
            async with silence, aclosing(self._parts.models.stream(name, request)) as events:
                async for event in events:
                    silence.reschedule(loop.time() + idle)
                    if isinstance(event, Finished):
                        self.streamed = ""
                        return wellformed.answer(event)
                    self._show(event)
        except TimeoutError:
            if silence.expired():
                raise ModelError(f"it was silent for {idle:g} s.") from None
            raise
        raise ModelError("its answer broke off.")

    def _show(self, event: Event) -> None:
        match event:
            case TextDelta(text=text):
                self.streamed += text
                self._publish("text", text=text)
            case ThinkingDelta(text=text):
                self._publish("thinking", text=text)
            case Restarted(reason=reason):
                self.streamed = ""
                self._publish("restarted", reason=reason)
            case _:
                pass

    async def _commit(self, steps: Sequence[NewStep], *, say: Sequence[Outbound] = (), doing: str = "") -> None:
        committed = await self._parts.journal.commit(self._claim, steps, self._parts.clock(), say=say, doing=doing)
        for step in steps:
            self._cost(step)
        self._follow(steps, committed)

    def _follow(self, steps: Sequence[NewStep], committed: Committed) -> None:
        """Bring what is kept here up to what the journal has now."""
        now = self._parts.clock()
        if any(step.kind is StepKind.SUMMARY for step in steps):
            self._steps.clear()
        self._steps.extend(Step(n=0, turn=self._claim.turn, step=step, ended_at=now) for step in steps)
        self._steps.extend(committed.taken)
        self._session = committed.session
        self._answer = committed.answer
        self._stopping = committed.stopping
        for taken in committed.taken:
            for item in taken.step.body["mail"]:
                self._publish("taken", text=item["text"], by=item["name"], what=item["kind"])

    def _this_turn(self) -> list[Step]:
        return [entry for entry in self._steps if entry.turn == self._claim.turn]

    def _answers(self) -> int:
        """How many answers the model has given in this turn, with those that a summary stands for: it numbers what is
        said, so it must never count the same twice."""
        count = 0
        for entry in self._this_turn():
            count = entry.step.body.get("answers", count) if entry.step.kind is StepKind.SUMMARY else count
            count += entry.step.kind is StepKind.MODEL
        return count

    def _news(self) -> bool:
        """Whether somebody wrote after the model's last answer (a child's result is no news: it was waited for)."""
        for entry in reversed(self._steps):
            if entry.step.kind is StepKind.MODEL:
                return False
            items = entry.step.body["mail"] if entry.step.kind is StepKind.INPUT else ()
            if any(item["kind"] not in ("result", "answer", "notice") for item in items):
                return True
        return False

    def _asked_at(self) -> datetime:
        models = [entry for entry in self._this_turn() if entry.step.kind is StepKind.MODEL]
        return models[-1].ended_at if models else self._parts.clock()

    def _say(self, text: str, suffix: str = "", *, ours: bool = False) -> tuple[Outbound, ...]:
        if self._answer.to is None or not text.strip():
            return ()
        key = f"{self._claim.turn}/{suffix or self._answers()}"
        reply_to = self._answer.reply_to if self._answer.to.thread is None else None
        first = Outbound(key=DeliveryKey(key), to=self._answer.to, text=text, reply_to=reply_to, ours=ours)
        copies = [place for place in self._answer.report_to if place != self._answer.to]
        return (
            first,
            *(Outbound(key=DeliveryKey(f"{key}@{place.key}"), to=place, text=text, ours=ours) for place in copies),
        )

    def _reports(self) -> bool:
        """Whether this turn makes a report that no person asked for: then only its last answer is said, in every
        place that it is for, and the answer NOTHING (or none) is not said at all."""
        inputs = [entry.step.body["mail"] for entry in self._this_turn() if entry.step.kind is StepKind.INPUT]
        return bool(self._answer.report_to) and not any(item["kind"] == "person" for mail in inputs for item in mail)

    def _cost(self, step: NewStep) -> None:
        if step.model:
            tokens = step.input_tokens + step.output_tokens + step.cache_read_tokens + step.cache_write_tokens
            self._publish("cost", cost_usd=step.cost_usd, tokens=tokens, model=step.model)

    def _publish(self, kind: str, **data: object) -> None:
        self._parts.live.publish(self._session.id, kind, data)


def _model_step(finished: Finished, asked: datetime) -> NewStep:
    body = {
        "blocks": [block_to_json(block) for block in finished.blocks],
        "stop": finished.stop.value,
        "detail": finished.detail,
        "name": finished.name,
    }
    usage = finished.usage
    return NewStep(
        kind=StepKind.MODEL,
        body=body,
        model=finished.model,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cost_usd=finished.cost_usd,
        started_at=asked,
    )


def _note(finished: Finished) -> str:
    """What a person must know of how the answer ended."""
    if finished.stop is Stop.LENGTH:
        return "*The answer was cut at the model's longest length. Write “go on” for the rest.*"
    if finished.stop is Stop.REFUSAL:
        return f"*The model refused to answer. {finished.detail}*".replace(" *", "*")
    return ""
