"""Tools over shared values: get, set, list, delete, in the scopes that the profile names.

`tree` is shared by a session, all above and all below it; `agent` by all sessions of one agent; `everyone` by all.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from agents.shared import LONGEST_VALUE, Scope, SharedValue, SharedValues, Stale
from agents.tools.base import Call, ToolError

_MODEL = ConfigDict(extra="forbid")
_KEY = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}$", description="Such as plan or prices/eu.")
Scoped = Annotated[
    Literal["tree", "agent", "everyone"],
    Field(description="tree: your team; agent: all sessions of your agent; everyone: all agents."),
]
_SHOWN = 60  # characters of a value in a list


def scope_of(call: Call, word: Scoped) -> Scope:
    """Raises ToolError when the profile does not name the scope."""
    if word not in call.profile.state:
        allowed = ", ".join(call.profile.state) or "none"
        raise ToolError(f"your profile does not let you into the scope {word}; your scopes: {allowed}.")
    match word:
        case "tree":
            return Scope(f"tree:{call.session.root}")
        case "agent":
            return Scope(f"agent:{call.session.agent}")
        case "everyone":
            return Scope("everyone")


def _stale(key: str, stale: Stale) -> ToolError:
    current = stale.current
    if current is None:
        return ToolError(f"{key} was not written: it does not exist (any more). Use version 0 to make it.")
    return ToolError(
        f"{key} was not written: it is at version {current.version} by {current.changed_by} now. Its value:\n"
        f"{current.value}"
    )


class GetArguments(BaseModel):
    model_config = _MODEL
    key: str = _KEY
    scope: Scoped = "tree"


class StateGetTool:
    """state_get."""

    name: ClassVar[str] = "state_get"
    description: ClassVar[str] = "Read a value that agents share, and its version, which state_set asks for."
    arguments: ClassVar[type[BaseModel]] = GetArguments
    repeatable: ClassVar[bool] = True
    timeout_seconds: ClassVar[float] = 30.0

    def __init__(self, values: SharedValues) -> None:
        self._values = values

    async def run(self, call: Call, arguments: GetArguments) -> str:
        value = await self._values.value(scope_of(call, arguments.scope), arguments.key)
        if value is None:
            return f"{arguments.key} does not exist (version 0)."
        return f"{value.key}, version {value.version}, by {value.changed_by}:\n{value.value}"


class SetArguments(BaseModel):
    model_config = _MODEL
    key: str = _KEY
    value: str = Field(max_length=LONGEST_VALUE, description="Any text, JSON for example.")
    expected_version: int = Field(ge=0, description="The version that you have seen; 0 for a new key.")
    scope: Scoped = "tree"


class StateSetTool:
    """state_set."""

    name: ClassVar[str] = "state_set"
    description: ClassVar[str] = (
        "Write a value that agents share. Refused, with the present value, when somebody changed it since you read it."
    )
    arguments: ClassVar[type[BaseModel]] = SetArguments
    repeatable: ClassVar[bool] = True  # written once by the call's key
    timeout_seconds: ClassVar[float] = 30.0

    def __init__(self, values: SharedValues) -> None:
        self._values = values

    async def run(self, call: Call, arguments: SetArguments) -> str:
        scope = scope_of(call, arguments.scope)
        try:
            version = await self._values.set(
                call.claim, call.key, scope, arguments.key, arguments.value, arguments.expected_version, call.now
            )
        except Stale as stale:
            raise _stale(arguments.key, stale) from stale
        return f"Wrote {arguments.key}: version {version}."


class ListArguments(BaseModel):
    model_config = _MODEL
    prefix: str = Field(default="", max_length=200, description="Only keys that begin so.")
    limit: int = Field(default=100, ge=1, le=1000)
    scope: Scoped = "tree"


class StateListTool:
    """state_list."""

    name: ClassVar[str] = "state_list"
    description: ClassVar[str] = "List the values that agents share, with versions and the beginning of each."
    arguments: ClassVar[type[BaseModel]] = ListArguments
    repeatable: ClassVar[bool] = True
    timeout_seconds: ClassVar[float] = 30.0

    def __init__(self, values: SharedValues) -> None:
        self._values = values

    async def run(self, call: Call, arguments: ListArguments) -> str:
        scope = scope_of(call, arguments.scope)
        found = await self._values.values(scope, arguments.prefix, arguments.limit + 1)
        lines = [_line(value) for value in found[: arguments.limit]]
        if len(found) > arguments.limit:
            lines.append("[there are more: narrow the prefix]")
        return "\n".join(lines) or "no values"


class DeleteArguments(BaseModel):
    model_config = _MODEL
    key: str = _KEY
    expected_version: int = Field(ge=1, description="The version that you have seen.")
    scope: Scoped = "tree"


class StateDeleteTool:
    """state_delete."""

    name: ClassVar[str] = "state_delete"
    description: ClassVar[str] = "Delete a value that agents share. Refused when somebody changed it since you read it."
    arguments: ClassVar[type[BaseModel]] = DeleteArguments
    repeatable: ClassVar[bool] = True  # deleted once by the call's key
    timeout_seconds: ClassVar[float] = 30.0

    def __init__(self, values: SharedValues) -> None:
        self._values = values

    async def run(self, call: Call, arguments: DeleteArguments) -> str:
        scope = scope_of(call, arguments.scope)
        try:
            await self._values.delete(call.claim, call.key, scope, arguments.key, arguments.expected_version, call.now)
        except Stale as stale:
            raise _stale(arguments.key, stale) from stale
        return f"Deleted {arguments.key}."


def _line(value: SharedValue) -> str:
    short = value.value[: _SHOWN * 2].replace("\n", " ")[:_SHOWN]
    return f"{value.key}  version {value.version}  {len(value.value)} characters  {short}"
