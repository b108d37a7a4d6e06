"""What a model is asked with: prompt, conversation, tools; and the conversation cut down before it is too long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from agents.base import NewStep, Session, Step
from agents.conversation import messages, system_prompt
from agents.models.base import Models, Request
from agents.ports import Profile, Profiles
from agents.tools.base import Toolbox


class Context:
    """Makes requests from journalled steps."""

    def __init__(self, models: Models, profiles: Profiles, toolbox: Toolbox, clock: Callable[[], datetime]) -> None:
        self._models = models
        self._profiles = profiles
        self._toolbox = toolbox
        self._clock = clock

    def request(self, profile: Profile, session: Session, steps: Sequence[Step]) -> Request:
        team = [other for name in profile.spawns if (other := self._profiles.profile(name)) is not None]
        return Request(
            system=system_prompt(profile, session, self._clock().date(), team),
            messages=messages(steps),
            tools=self._toolbox.offered(profile),
            max_tokens=profile.max_tokens,
            thinking_tokens=profile.thinking_tokens,
            session=session.id,
        )

    def is_long(self, profile: Profile, session: Session, steps: Sequence[Step]) -> bool:
        return False

    async def compacted(self, profile: Profile, session: Session, steps: Sequence[Step]) -> list[NewStep]:
        return []
