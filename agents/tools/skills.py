"""The tool that gives an agent one of its skills, and the files beside it."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from agents.skills import SkillError, Skills
from agents.tools.base import Call, ToolError

_MOST_FILES = 100  # that are named


class SkillArguments(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1, max_length=64, description="One of your skills.")
    file: str | None = Field(default=None, max_length=1000, description="A file of the skill instead of its text.")


class SkillTool:
    """skill."""

    name: ClassVar[str] = "skill"
    description: ClassVar[str] = "Read one of your skills before you do what it is for, or a file that it speaks of."
    arguments: ClassVar[type[BaseModel]] = SkillArguments
    repeatable: ClassVar[bool] = True
    timeout_seconds: ClassVar[float] = 30.0

    def __init__(self, skills: Skills) -> None:
        self._skills = skills

    async def run(self, call: Call, arguments: SkillArguments) -> str:
        if arguments.name not in call.profile.skills:
            known = ", ".join(call.profile.skills) or "none"
            raise ToolError(f"you have no skill {arguments.name!r}; your skills: {known}.")
        try:
            return await asyncio.to_thread(self._text, arguments)
        except SkillError as error:
            raise ToolError(str(error)) from error

    def _text(self, arguments: SkillArguments) -> str:
        if arguments.file is not None:
            return self._skills.file(arguments.name, arguments.file)
        body = self._skills.skill(arguments.name).body
        files = self._skills.files(arguments.name)[:_MOST_FILES]
        return f"{body}\n\nFiles of this skill: {', '.join(files)}" if files else body
