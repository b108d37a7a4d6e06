"""The port of a language model: one streamed call, in words that no provider owns.

A provider turns a `Request` into its own API and yields `Event`s as they come; the last one is always
`Finished`. A stream that ends without it is a failure, whatever the provider's library says. A provider
makes exactly one call: retries and fallback to another model are `chain`'s, budgets and journalling the
caller's.

    ModelError
    ├── ModelUnavailable   cannot be reached, overloaded, rate limited, broke off: try later or another model
    ├── ModelRefused       the request itself is wrong (400, bad key, unknown model): trying again is no use
    └── ContextTooLong     the conversation does not fit: compact, then try again
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any, Literal, NewType, Protocol

ModelName = NewType("ModelName", str)
"""A model's name in the configuration (`default`, `cheap`), not the provider's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinking:
    """A model's reasoning. Belongs to one provider model: dropped when another one is asked."""

    text: str
    signature: str
    model: str  # the model id as configured: what was asked, not what the provider calls it in its answer
    redacted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """What the model wants done. With `broken` set it must not be run, but answered with an error result."""

    id: str
    name: str
    arguments: dict[str, Any]
    broken: str = ""  # what the model wrote when that is no JSON object (then `arguments` is empty)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    call_id: str
    text: str
    is_error: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    media_type: str
    data_base64: str


Block = Text | Thinking | ToolCall | ToolResult | Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """`user` carries text, images and tool results; `assistant` carries text, thinking and tool calls."""

    role: Literal["user", "assistant"]
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    name: str
    description: str
    schema: dict[str, Any]  # JSON Schema of the arguments, an object


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    system: str
    messages: Sequence[Message]
    tools: Sequence[ToolSpec] = ()
    max_tokens: int | None = None  # of the answer; None: as the model is configured
    thinking_tokens: int | None = None  # None: as the model is configured; 0: none
    output_schema: dict[str, Any] | None = None  # structured answer: the text is JSON of this schema
    session: str = ""  # for providers that want an opaque id of the conversation; never a person's id


class Stop(Enum):
    """Why the model stopped. `OTHER` for reasons that did not exist when this was written."""

    END = "end"
    TOOLS = "tools"
    LENGTH = "length"  # max_tokens was reached: the answer is cut
    PAUSED = "paused"  # send the conversation again with this answer at its end, and the model goes on
    REFUSAL = "refusal"
    CONTEXT_FULL = "context_full"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one call. `input_tokens` does not include the cached ones."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    known: bool = True  # False when the server told none, and these are estimates


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinkingDelta:
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallStarted:
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarted:
    """What was streamed so far is void: the call broke off and is made again, by the model `name`.

    `reason` is a sentence for a person. A wait may follow before the next event."""

    reason: str
    name: ModelName = ModelName("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The whole answer. `blocks` is what the journal keeps, whatever was streamed; it may be empty."""

    blocks: tuple[Block, ...]
    stop: Stop
    usage: Usage
    model: str  # the provider's model id, as the provider says it
    name: ModelName = ModelName("")  # which configured model answered; set by the chain
    cost_usd: float = 0.0  # set by the chain, from the configured price or the price list
    cost_known: bool = True  # False when neither knows this model
    detail: str = ""  # the provider's own stop reason or a refusal's words


Event = TextDelta | ThinkingDelta | ToolCallStarted | Restarted | Finished


class ModelError(Exception):
    """Its text is a sentence for a person, without keys."""


class ModelUnavailable(ModelError):
    """Nobody answered, or the answer broke off. `retry_after` is what the server asked for, uncapped."""

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ModelRefused(ModelError):
    """The request itself is at fault: a wrong key, an unknown model, a bad parameter."""


class ContextTooLong(ModelError):
    """The conversation is longer than the model takes."""


class Model(Protocol):
    """One model of one provider."""

    @property
    def context_tokens(self) -> int | None:
        """How many tokens a request may have, its answer included; None until the provider has said so."""

    def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        """Make the call. Closing the iterator early (`aclose`) cancels the call at once. Raises ModelError."""

    async def preload(self) -> None:
        """Do early and off the event loop what makes the first call slow: import a library, ask the provider
        for the model's limits. Optional; never raises; may be called again."""

    async def close(self) -> None:
        """Release connections. Calls that still run break off with ModelUnavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What the page and `/model` show of a configured model."""

    name: ModelName
    kind: str
    model: str
    available: bool = True  # False while its circuit is open
    detail: str = ""  # why it is not available, or what went wrong last
    fallback: tuple[ModelName, ...] = ()
    context_tokens: int = 0  # how many tokens a request may have
    max_tokens: int = 0  # how many of them are kept free for the answer, unless the request says otherwise


class Models(Protocol):
    """All configured models, each with its fallback chain, retries and circuit breaker. `chain` fulfils it."""

    def stream(self, name: ModelName, request: Request) -> AsyncGenerator[Event, None]:
        """Ask a model by its configured name, its fallbacks after it. Text that a failed attempt already showed is
        void: a `Restarted` event says so before the next attempt's first event. Closing the iterator early
        cancels the call at once. Raises ModelError when the whole chain failed, ContextTooLong at once when the
        named model says so."""

    def info(self, name: ModelName) -> ModelInfo:
        """What is known of one model. Raises ModelRefused for a name that is not configured."""

    def infos(self) -> Sequence[ModelInfo]: ...

    def context_tokens(self, name: ModelName) -> int:
        """How many tokens a request to this model may have, its answer included. A fallback that takes less is
        passed over when the conversation is too long for it."""

    def estimate_usd(self, name: ModelName, request: Request) -> float:
        """What this call will cost about (input only), for budgets. 0.0 where no price is known."""

    async def preload(self) -> None:
        """Import what is slow and ask for limits, in the background. Never raises."""

    async def close(self) -> None: ...
