"""Asking somebody and waiting for the answer: what the tool `ask_human` and approvals have in common.

Each time the parked call is made again, it looks whether the answer is there, asks whoever is to be asked by now
(the message's key keeps it from being said twice), and parks again until the next thing is due.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from agents.base import NotFound
from agents.questions import Addressee, Addressees, Question, QuestionId, QuestionKind, Questions, Stage, stage
from agents.session import short_hash
from agents.tools.base import Call, Park
from channels.base import Button, DeliveryKey, Outbound


class Asker:
    """Asks people in order, and gives the answer."""

    def __init__(self, questions: Questions, addressees: Addressees) -> None:
        self._questions = questions
        self._addressees = addressees

    async def known(self, key: str) -> Question | None:
        return await self._questions.by_key(key)

    async def answered(
        self, call: Call, question: Question, to: str | None, seconds: float, said: str
    ) -> Question | None:
        """The question with its answer; None when everybody's time is over.

        Raises Park while somebody still has time, NotFound when the first one to be asked does not exist.
        """
        known = await self._questions.by_key(question.key)
        if known is not None and known.answer is not None:
            return known
        people = list(dict.fromkeys((to, *call.profile.escalate_to)))
        each = timedelta(seconds=seconds)
        now = stage(call.begun_at, call.now, each, len(people))
        if now.over:
            return None
        current = known or replace(question, expires_at=call.begun_at + each * len(people))
        try:
            who = await self._addressees.find(people[now.level], call.session)
        except NotFound:
            if now.level == 0:
                raise
            raise Park(now.until) from None  # taken out of the configuration meanwhile: the next one is asked in time
        current = replace(
            current,
            asked=tuple(dict.fromkeys((*current.asked, *who.accounts))),
            places=tuple(dict.fromkeys((*current.places, *who.places))),
        )
        await self._questions.ask(call.claim, current, _messages(call, current, who, now, said), call.now)
        raise Park(now.until)


def new_question(call: Call, kind: QuestionKind, key: str, text: str, choices: Sequence[tuple[str, bool]]) -> Question:
    """A question of this call. `choices` are labels, and whether each is dangerous."""
    id = QuestionId("q" + short_hash(key, 10))
    return Question(
        id=id,
        key=key,
        session=call.session.id,
        turn=call.claim.turn,
        call=call.id,
        kind=kind,
        text=text,
        choices=tuple(
            Button(id="b" + short_hash(f"{key}/{number}", 20), label=label, danger=danger)
            for number, (label, danger) in enumerate(choices)
        ),
        expires_at=call.now,
    )


def _messages(call: Call, question: Question, who: Addressee, now: Stage, said: str) -> tuple[Outbound, ...]:
    label = call.session.label
    if now.reminded:
        said = f"A reminder: **{label}** still waits for an answer.\n\n{said}"
    elif now.level:
        said = f"**{label}** has had no answer so far, so I ask {who.name}.\n\n{said}"
    key = f"ask:{question.id}/{now.level}{'/again' if now.reminded else ''}"
    return tuple(
        Outbound(
            key=DeliveryKey(f"{key}@{place.key}"),
            to=place,
            text=said,
            buttons=question.choices,
            stays=place in who.theirs,
        )
        for place in who.places
    )
