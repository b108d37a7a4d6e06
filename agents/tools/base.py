"""The port of a tool, and the box that offers tools to a session.

A tool's durable effects are idempotent by the call's key (a spawn makes the same session, a message is posted
once), so a call that was cut off by a crash is simply made again. A tool for which that cannot be
promised says `repeatable = False`; cut off, it is reported to the agent as interrupted and never run twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel, ValidationError

from agents.base import Claim, Session
from agents.models.base import ToolSpec
from agents.ports import Profile


class ToolError(Exception):
    """The call failed. Its text is for the model: what happened, and what to do instead. `limit` is the key of the
    profile that said no, if one did."""

    def __init__(self, text: str, *, limit: str = "") -> None:
        super().__init__(text)
        self.limit = limit


class Park(Exception):
    """The call waits, and holds nothing while it does: the turn is parked, and the call is made again when mail
    comes, at the latest at `until`."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"parked until {until.isoformat()}")
        self.until = until


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a tool by a session's turn."""

    id: str  # the model's id of the call
    session: Session
    profile: Profile
    claim: Claim
    now: datetime
    begun_at: datetime  # when the model asked for it: a parked call is made again, and counts from here
    news: bool = False  # a person or another agent wrote since: a call that waits shall answer now

    @property
    def key(self) -> str:
        """Deterministic: the same call makes the same key after a crash."""
        return f"{self.claim.turn}/{self.id}"


class Tool(Protocol):
    """One thing that an agent can do."""

    name: ClassVar[str]
    description: ClassVar[str]
    arguments: ClassVar[type[BaseModel]]
    repeatable: ClassVar[bool]
    timeout_seconds: ClassVar[float]

    async def run(self, call: Call, arguments: Any) -> str:
        """Do it; the text for the model. `arguments` is an instance of the class's `arguments`.

        Raises ToolError, Park, agents.base.Refused, or agents.base.Fenced. Cancellation stops the work at once,
        child processes included.
        """


def parse(tool: Tool, arguments: Mapping[str, Any]) -> BaseModel:
    """The arguments that a model gave, checked. Raises ToolError that says which one is wrong and why."""
    try:
        return tool.arguments.model_validate(arguments)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'arguments'}: {item['msg']}"
            for item in error.errors(include_url=False, include_input=False)
        )
        raise ToolError(f"{tool.name} was not run, its arguments are wrong: {wrong}") from error


class Toolbox:
    """All tools there are, by name; and groups of tools that come and go, which a profile may name as a whole."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._specs = {tool.name: _spec(tool) for tool in self._tools.values()}
        self._groups: dict[str, tuple[str, ...]] = {}

    def names(self) -> Sequence[str]:
        return tuple(self._tools)

    def put(self, group: str, tools: Sequence[Tool]) -> None:
        """These are the tools of the group now. A tool that is there already under another group keeps its name."""
        for name in self._groups.pop(group, ()):
            del self._tools[name], self._specs[name]
        added = {tool.name: tool for tool in tools if tool.name not in self._tools}
        self._tools.update(added)
        self._specs.update((name, _spec(tool)) for name, tool in added.items())
        self._groups[group] = tuple(added)

    def offered(self, profile: Profile) -> tuple[ToolSpec, ...]:
        """What this profile may use, in its order."""
        names = dict.fromkeys(name for word in profile.tools for name in self._groups.get(word, (word,)))
        return tuple(self._specs[name] for name in names if name in self._specs)

    def covers(self, words: Iterable[str], name: str) -> bool:
        """Whether one of these words is the tool's name, or that of a group which it is in."""
        return any(name == word or name in self._groups.get(word, ()) for word in words)

    def tool(self, profile: Profile, name: str) -> Tool:
        """Raises ToolError when there is none or the profile does not name it."""
        tool = self._tools.get(name)
        if tool is None or not self.covers(profile.tools, name):
            known = ", ".join(spec.name for spec in self.offered(profile)) or "none"
            raise ToolError(f"there is no tool {name!r} for you; your tools: {known}")
        return tool


def _spec(tool: Tool) -> ToolSpec:
    schema = tool.arguments.model_json_schema()
    schema.pop("title", None)
    for field in schema.get("properties", {}).values():
        field.pop("title", None)
    return ToolSpec(name=tool.name, description=tool.description, schema=schema)
