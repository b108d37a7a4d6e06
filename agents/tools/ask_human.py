"""The tool with which an agent asks a person and waits for the answer, for hours if need be.

The question stands in the session's thread (or goes to the person or role that is named), with buttons where
there are choices. Whoever may answer presses one or simply writes. The answer comes as mail of its own; nobody's
answer in time is told too, and never made up.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from agents.questions import QuestionKind
from agents.tools.asking import Asker, new_question
from agents.tools.base import Call, ToolError

Choice = Annotated[str, Field(min_length=1, max_length=60)]


class AskArguments(BaseModel):
    model_config = ConfigDict(extra="forbid")
    question: str = Field(min_length=1, max_length=4_000, description="What you need to know, complete in itself.")
    choices: list[Choice] = Field(default_factory=list, max_length=5, description="Answers to choose from.")
    to: str | None = Field(
        default=None, max_length=80, description="A person's name or a role; left out: the person you work for."
    )
    timeout_seconds: int | None = Field(
        default=None, ge=10, le=604_800, description="How long each person has to answer."
    )


class AskHumanTool:
    """ask_human."""

    name: ClassVar[str] = "ask_human"
    description: ClassVar[str] = (
        "Ask a person something that only a person can decide or know, and wait for the answer. Give choices where"
        " there are only a few answers."
    )
    arguments: ClassVar[type[BaseModel]] = AskArguments
    repeatable: ClassVar[bool] = True  # the question's key is the call's
    timeout_seconds: ClassVar[float] = 60.0

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    async def run(self, call: Call, arguments: AskArguments) -> str:
        if len(set(arguments.choices)) != len(arguments.choices):
            raise ToolError("two choices are the same: make each of them different.")
        seconds = arguments.timeout_seconds or call.profile.ask_timeout_seconds
        choices = [(choice, False) for choice in arguments.choices]
        question = new_question(call, QuestionKind.QUESTION, f"ask:{call.key}", arguments.question, choices)
        how = "Press a button, or write the answer here." if choices else "Write the answer here."
        said = f"**{call.session.label}** asks:\n\n{arguments.question}\n\n*{how}*"
        answered = await self._asker.answered(call, question, arguments.to, seconds, said)
        if answered is None:
            people = ", ".join(dict.fromkeys((arguments.to or call.session.owner_name, *call.profile.escalate_to)))
            return f"Nobody answered in time (asked: {people}). Go on as well as you can without an answer, and say so."
        return f"{answered.answered_by} has answered: the answer follows as a message."
