"""Closes questions that are over: their messages say what came of them, and offer no buttons any more.

Whatever ends a question (an answer, its time, a kill) only has to end it; what is over is looked up here, so a
restart in between loses nothing. A change that was made is made again without harm. Where a message cannot be changed,
what came of it is said in a message of its own. A platform that is away holds up no other, and is waited for for a day.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from agents.questions import Asked, Over, Question, QuestionId, Questions, closed_text, outcome
from bot.speaker import Speaker
from channels.base import Capability, Channel, ChannelError, ChannelName, DeliveryKey, Outbound, Rejected

log = structlog.get_logger("asking")

_LOOK_SECONDS = 2.0
_EDIT_SECONDS = 30.0
_LONGEST = timedelta(days=1)
_PAUSES_SECONDS = (0.0, 5.0, 30.0, 300.0)  # between tries of one channel that failed
_LONGER = 400  # characters by which a text that does not fit is cut


class Closing:
    """`changed` is told how a message of a platform stands now. `run` it, and call `look` when a question has just
    ended: others that ended are seen a little later."""

    def __init__(
        self,
        questions: Questions,
        channel: Callable[[ChannelName], Channel | None],
        speaker: Speaker,
        changed: Callable[[Outbound], Awaitable[None]],
        clock: Callable[[], datetime],
    ) -> None:
        self._questions = questions
        self._channel = channel
        self._speaker = speaker
        self._changed = changed
        self._clock = clock
        self._look = asyncio.Event()
        self._failures: dict[ChannelName, tuple[int, float]] = {}  # how often in a row, and when it is tried again

    def look(self) -> None:
        self._look.set()

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            self._look.clear()
            await self.close_all()
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._look.wait()
            except TimeoutError:
                pass

    async def close_all(self) -> None:
        """Page by page: what waits for one platform that is away stands before nothing of another."""
        last: QuestionId | None = None
        while over := await self._questions.over(self._clock(), last):
            last = over[-1].question.id
            await self._close(over)

    async def _close(self, over: Sequence[Over]) -> None:
        for each in over:
            if self._clock() - each.since > _LONGEST:
                await self._questions.close(each.question.id, self._clock())
        over = [each for each in over if self._clock() - each.since <= _LONGEST]
        names = {message.part.to.channel for each in over for message in each.messages}
        async with asyncio.TaskGroup() as group:
            begun = {name: group.create_task(self._change_all(name, over)) for name in names}
        left = {question for task in begun.values() for question in task.result()}
        for each in over:
            if each.question.id not in left and each.all_said:
                await self._questions.close(each.question.id, self._clock())

    async def _change_all(self, name: ChannelName, over: Sequence[Over]) -> set[QuestionId]:
        """Change the messages of one channel; the questions that are not done."""
        failures, again = self._failures.get(name, (0, 0.0))
        channel = self._channel(name)
        mine = {each.question.id for each in over if any(asked.part.to.channel == name for asked in each.messages)}
        if channel is None or asyncio.get_running_loop().time() < again:
            return mine
        done: set[QuestionId] = set()
        for each in over:
            if each.question.id not in mine:
                continue
            try:
                for asked in each.messages:
                    if asked.part.to.channel == name:
                        await self._change(channel, each.question, asked)
            except Exception as error:  # noqa: BLE001 - a bug in one adapter must not keep others' questions open
                pause = _PAUSES_SECONDS[min(failures + 1, len(_PAUSES_SECONDS) - 1)]
                self._failures[name] = failures + 1, asyncio.get_running_loop().time() + pause
                log.info("a question's message is not changed yet", channel=name, reason=str(error), seconds=pause)
                break
            done.add(each.question.id)
            self._failures.pop(name, None)
            failures = 0
        return mine - done

    async def _change(self, channel: Channel, question: Question, asked: Asked) -> None:
        now = self._clock()
        if Capability.EDIT in channel.capabilities:
            try:
                async with asyncio.timeout(_EDIT_SECONDS):
                    await channel.edit(_fitting(channel, question, asked.part, now), asked.message_id)
                if asked.message_id != asked.whole.key:  # the program's own channels have changed it in the store
                    text = closed_text(asked.whole.text, question, now)
                    await self._changed(replace(asked.whole, text=text, buttons=()))
                return
            except Rejected as error:
                log.info("a question's message cannot be changed", channel=channel.name, reason=str(error))
            except TimeoutError as error:
                raise ChannelError(f"no answer within {_EDIT_SECONDS:.0f} s") from error
        if question.answer is not None:
            key = DeliveryKey(f"closed:{question.id}@{asked.part.to.key}")
            await self._speaker.say(Outbound(key=key, to=asked.part.to, text=outcome(question, now), control=True))


def _fitting(channel: Channel, question: Question, part: Outbound, now: datetime) -> Outbound:
    """The message as it shall stand, in one piece as it was before."""
    text = part.text
    while True:
        closed = replace(
            part,
            text=closed_text(text, question, now),
            buttons=(),
            attachments=(),
            reply_to=None,
            answer_with=None,
            control=True,
        )
        if len(channel.split(closed)) == 1 or not text:
            return closed
        body, _, how = text.rpartition("\n\n")
        text = f"{body[:-_LONGER].rstrip()} …\n\n{how}" if len(body) > _LONGER else ""
