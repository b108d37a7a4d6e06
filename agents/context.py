"""What a model is asked with: prompt, conversation, tools; and the conversation cut down before it is too long."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Sequence
from datetime import datetime

import structlog

from agents.base import NewStep, Session, Step, StepKind
from agents.conversation import attached, message_to_json, messages, system_prompt
from agents.models import compaction
from agents.models.base import Image, ModelName, Models, Request, Usage
from agents.models.estimate import text_tokens
from agents.pictures import picture_type
from agents.ports import Profile, Profiles
from agents.skills import Skills
from agents.tools.base import Toolbox
from channels.base import Attachment, Files

log = structlog.get_logger("context")

_IMAGES = 8
_IMAGE_BYTES = 4_000_000


class Context:
    """Makes requests from journalled steps."""

    def __init__(
        self,
        models: Models,
        profiles: Profiles,
        toolbox: Toolbox,
        files: Files,
        clock: Callable[[], datetime],
        skills: Skills | None = None,
    ) -> None:
        self._skills = skills
        self._files = files
        self._models = models
        self._profiles = profiles
        self._toolbox = toolbox
        self._clock = clock

    async def request(self, profile: Profile, session: Session, steps: Sequence[Step]) -> Request:
        team = [other for name in profile.spawns if (other := self._profiles.profile(name)) is not None]
        skills = await asyncio.to_thread(self._skills.named, profile.skills) if self._skills and profile.skills else ()
        return Request(
            system=system_prompt(profile, session, self._clock().date(), team, skills),
            messages=messages(steps, await self._images(steps)),
            tools=self._toolbox.offered(profile),
            max_tokens=profile.max_tokens,
            thinking_tokens=profile.thinking_tokens,
            session=session.id,
        )

    async def _images(self, steps: Sequence[Step]) -> dict[str, Image]:
        """The newest pictures of the conversation, by their source."""
        found: dict[str, Image] = {}
        for entry in reversed(steps):
            if entry.step.kind is not StepKind.INPUT:
                continue
            for attachment in attached(entry.step.body):
                if len(found) >= _IMAGES:
                    return found
                if _may_be_picture(attachment) and (attachment.size_bytes or 0) <= _IMAGE_BYTES:
                    try:
                        content = await self._files.read(attachment)
                    except FileNotFoundError:
                        continue
                    kind = picture_type(content)
                    if kind is not None:
                        data = base64.b64encode(content).decode()
                        found[attachment.source] = Image(media_type=kind, data_base64=data)
        return found

    def is_long(self, profile: Profile, session: Session, steps: Sequence[Step]) -> bool:
        """Whether the conversation nears the model's limit: by what the last call really took, and an estimate of
        what came since."""
        name = _model(profile, session)
        answer = profile.max_tokens or self._models.info(name).max_tokens
        allowed = compaction.SHARE * compaction.room(self._models.context_tokens(name), answer)
        return _tokens(steps) > allowed

    async def compacted(self, profile: Profile, session: Session, steps: Sequence[Step]) -> list[NewStep]:
        """A SUMMARY step that stands for the conversation so far. Empty when nothing can be left out."""
        request = await self.request(profile, session, steps)
        name, began = _model(profile, session), self._clock()
        made = await compaction.compact(self._models, name, request, correct=self._correction(request, steps))
        if made is None:
            return []
        if made.failure:
            log.warning("summed up without a model", reason=made.failure)
        usage = made.call.usage if made.call else Usage()
        step = NewStep(
            kind=StepKind.SUMMARY,
            body={"messages": [message_to_json(message) for message in made.messages], "failure": made.failure},
            model=made.call.model if made.call else "",
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            cost_usd=made.call.cost_usd if made.call else 0.0,
            started_at=began,
        )
        return [step]

    def _correction(self, request: Request, steps: Sequence[Step]) -> float:
        for entry in reversed(steps):
            step = entry.step
            if step.kind is StepKind.MODEL and step.model:
                usage = Usage(
                    input_tokens=step.input_tokens + step.output_tokens,
                    cache_read_tokens=step.cache_read_tokens,
                    cache_write_tokens=step.cache_write_tokens,
                )
                return compaction.correction(request, usage)
        return 1.0


def _may_be_picture(attachment: Attachment) -> bool:
    """Whether it is worth a look: what it is, its content tells."""
    return attachment.media_type.startswith("image/") or attachment.media_type == "application/octet-stream"


def _model(profile: Profile, session: Session) -> ModelName:
    return ModelName(session.model or profile.model)


def _tokens(steps: Sequence[Step]) -> int:
    since = 0
    for entry in reversed(steps):
        step = entry.step
        if step.kind is StepKind.MODEL and step.model:
            return since + (step.input_tokens + step.output_tokens + step.cache_read_tokens + step.cache_write_tokens)
        if step.kind is StepKind.SUMMARY:
            return since + text_tokens(str(step.body["messages"]))
        if step.kind is StepKind.INPUT:
            since += sum(text_tokens(item["text"]) for item in step.body["mail"])
        elif step.kind is StepKind.RESULT:
            since += text_tokens(step.body["text"])
    return since
