"""All configured models behind one door: retries, fallback and circuit breakers.

Promises. A call that broke off is made again after a capped, jittered wait, by our own count: a provider's
`Retry-After` is obeyed up to `LONGEST_WAIT_SECONDS`, and beyond that the next model is asked at once. A
model that keeps failing is left alone for a while (see `breaker`). Text that a failed attempt showed is
declared void by `Restarted`. Reasoning of another model is dropped, as its signature would be refused.
Each answer says which configured model gave it and what it cost.

A refused request (a wrong key, an unknown model) is not tried again, but the fallback is asked: one
model's configuration shall not silence an agent that has another. A conversation that is too long for
the named model goes back to the caller at once, who compacts it; a fallback that it is too long for is
passed over.

Retrying is safe: an answer that was lost has had no effect but its price.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import timedelta

from agents.models.anthropic import AnthropicModel
from agents.models.base import (
    ContextTooLong,
    Event,
    Finished,
    Message,
    Model,
    ModelError,
    ModelInfo,
    ModelName,
    ModelRefused,
    ModelUnavailable,
    Request,
    Restarted,
    Thinking,
    Usage,
)
from agents.models.breaker import Breaker
from agents.models.deadline import within
from agents.models.estimate import request_tokens
from agents.models.openai import OpenAIModel
from agents.models.prices import Prices
from agents.models.rehearsal import RehearsalModel
from agents.models.settings import ModelSettings, problems

LONGEST_WAIT_SECONDS = 30.0
FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 8.0

HOSTED_CONTEXT_TOKENS = 128_000
"""Taken where neither the configuration, the provider nor the price list says it: no current hosted model has less."""
LOCAL_CONTEXT_TOKENS = 32_000
"""The same for a server of one's own, which often gives a model less room than it could have."""

_log = logging.getLogger(__name__)


class _TookTooLong(ModelUnavailable):
    """The whole call was longer than configured. The next try would be, too."""


@dataclass(slots=True, kw_only=True)
class _Link:
    """One configured model and how it is doing."""

    name: ModelName
    settings: ModelSettings
    model: Model
    breaker: Breaker = field(default_factory=Breaker)
    last_failure: str = ""


def build(settings: Mapping[ModelName, ModelSettings], *, prices: Prices | None = None) -> ModelChain:
    """The chain for a configuration. Makes no connection and imports no provider's library.

    Raises ValueError with a sentence for a person when the models do not fit together or a rehearsal's script
    cannot be read; its text begins with the configuration key.
    """
    for key, sentence in problems({str(name): each for name, each in settings.items()}):
        raise ValueError(f"{key}: {sentence}")
    return ModelChain(settings, {name: _provider(name, each) for name, each in settings.items()}, prices=prices)


def _provider(name: ModelName, settings: ModelSettings) -> Model:
    match settings.kind:
        case "anthropic":
            return AnthropicModel(settings)
        case "openai":
            return OpenAIModel(settings)
        case "rehearsal":
            try:
                return RehearsalModel(settings)
            except ValueError as error:
                raise ValueError(f"models.{name}.script: {error}") from error


class ModelChain:
    """Fulfils `Models`. `clock` counts seconds and never goes back; `sleep` and `jitter` (0 to 1) are for tests."""

    def __init__(
        self,
        settings: Mapping[ModelName, ModelSettings],
        models: Mapping[ModelName, Model],
        *,
        prices: Prices | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._links = {name: _Link(name=name, settings=settings[name], model=models[name]) for name in settings}
        self._prices = prices or Prices(each.base_url for each in settings.values() if each.base_url is not None)
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter

    async def stream(self, name: ModelName, request: Request) -> AsyncGenerator[Event, None]:
        """See `Models.stream`."""
        links = self._chain(name)
        failures: list[ModelError] = []
        for place, link in enumerate(links):
            following = links[place + 1] if place + 1 < len(links) else None
            try:
                async with aclosing(self._ask(link, request)) as events:
                    async for event in events:
                        yield event
                return
            except ContextTooLong as error:
                if place == 0:
                    raise
                failures.append(error)
            except ModelError as error:
                failures.append(error)
            if following is not None:
                _log.warning("model %s did not answer, asking %s: %s", link.name, following.name, failures[-1])
                yield Restarted(reason=str(failures[-1]), name=following.name)
        raise _combined(failures)

    def info(self, name: ModelName) -> ModelInfo:
        """See `Models.info`."""
        link = self._link(name)
        return ModelInfo(
            name=link.name,
            kind=link.settings.kind,
            model=link.settings.model or link.settings.kind,
            available=link.breaker.allows(self._clock()),
            detail=link.last_failure,
            fallback=tuple(ModelName(other) for other in link.settings.fallback),
            context_tokens=self.context_tokens(name),
            max_tokens=link.settings.max_tokens,
        )

    def infos(self) -> Sequence[ModelInfo]:
        """See `Models.infos`."""
        return [self.info(name) for name in self._links]

    def context_tokens(self, name: ModelName) -> int:
        """See `Models.context_tokens`."""
        link = self._link(name)
        return (
            link.settings.context_tokens
            or link.model.context_tokens
            or self._prices.context_tokens(link.settings)
            or (HOSTED_CONTEXT_TOKENS if link.settings.hosted else LOCAL_CONTEXT_TOKENS)
        )

    def estimate_usd(self, name: ModelName, request: Request) -> float:
        """See `Models.estimate_usd`."""
        settings = self._link(name).settings
        usage = Usage(input_tokens=request_tokens(request))
        return self._prices.cost_if_loaded(settings, settings.model, usage).usd

    async def preload(self) -> None:
        """See `Models.preload`. One model after the other, so that start-up keeps a core for itself."""
        if any(link.settings.kind != "rehearsal" for link in self._links.values()):
            await self._prices.load()
        for link in self._links.values():
            await link.model.preload()

    async def close(self) -> None:
        """See `Models.close`."""
        await asyncio.gather(*(link.model.close() for link in self._links.values()))

    def _link(self, name: ModelName) -> _Link:
        link = self._links.get(name)
        if link is None:
            known = ", ".join(self._links) or "none"
            raise ModelRefused(f"there is no model {name!r} in the configuration (there are: {known})")
        return link

    def _chain(self, name: ModelName) -> list[_Link]:
        """The named model and then its fallbacks, each once. A fallback's own fallbacks are not followed."""
        first = self._link(name)
        names = dict.fromkeys([name, *(ModelName(other) for other in first.settings.fallback)])
        return [self._link(each) for each in names]

    async def _ask(self, link: _Link, request: Request) -> AsyncGenerator[Event, None]:
        """Ask one model, as often as it is configured. Raises when it did not answer."""
        request = _for_model(request, link.settings.model or link.settings.kind)
        for attempt in range(1, link.settings.attempts + 1):
            self._refuse_while_open(link)
            try:
                async with aclosing(self._attempt(link, request)) as events:
                    async for event in events:
                        yield event
                return
            except _TookTooLong:
                raise  # once was long enough
            except ModelUnavailable as error:
                wait = self._wait_seconds(attempt, error.retry_after)
                if wait is None or attempt == link.settings.attempts or not link.breaker.allows(self._clock() + wait):
                    raise
                _log.info("model %s: attempt %d failed, next in %.1f s: %s", link.name, attempt, wait, error)
                yield Restarted(reason=str(error), name=link.name)
            await self._sleep(wait)

    async def _attempt(self, link: _Link, request: Request) -> AsyncGenerator[Event, None]:
        """One call, watched: its deadline is kept, its end is told to the breaker, its cost is added."""
        link.breaker = link.breaker.begun(self._clock())
        told = False
        try:
            async with (
                aclosing(link.model.stream(request)) as made,
                aclosing(within(link.settings.timeout_seconds, made)) as events,
            ):
                async for event in events:
                    if isinstance(event, Finished):
                        told = True
                        self._answered(link)
                        yield await self._priced(link, event)
                        return
                    yield event
            raise ModelUnavailable(f"model {link.name} broke off in the middle of its answer")
        except TimeoutError as error:
            told = True
            limit = f"{link.settings.timeout_seconds:g} s"
            late = _TookTooLong(f"model {link.name} gave no whole answer within {limit}")
            self._failed(link, late)
            raise late from error
        except ModelUnavailable as error:
            told = True
            self._failed(link, error)
            raise
        except ModelError as error:
            told = True
            self._answered(link)
            if isinstance(error, ModelRefused):
                link.last_failure = str(error)
            raise
        finally:
            if not told:
                link.breaker = link.breaker.abandoned(self._clock())

    def _failed(self, link: _Link, error: ModelUnavailable) -> None:
        seconds = error.retry_after.total_seconds() if error.retry_after is not None else 0.0
        link.breaker = link.breaker.failed(self._clock(), retry_after_seconds=seconds)
        link.last_failure = str(error)

    def _answered(self, link: _Link) -> None:
        link.breaker = link.breaker.succeeded()
        link.last_failure = ""

    def _refuse_while_open(self, link: _Link) -> None:
        now = self._clock()
        if link.breaker.allows(now):
            return
        wait = link.breaker.wait_seconds(now)
        when = f"it is tried again in {wait:.0f} s" if wait else "one call is trying it now"
        raise ModelUnavailable(
            f"model {link.name} is left alone after {link.breaker.failures} failures ({when}); "
            f"the last was: {link.last_failure}",
            retry_after=timedelta(seconds=max(wait, 1.0)),
        )

    def _wait_seconds(self, attempt: int, retry_after: timedelta | None) -> float | None:
        """How long to wait before the next attempt; None when the server asks for more than we wait."""
        backoff = min(FIRST_BACKOFF_SECONDS * 2.0 ** (attempt - 1), LONGEST_BACKOFF_SECONDS)
        backoff *= 0.5 + 0.5 * self._jitter()
        if retry_after is None:
            return backoff
        asked = retry_after.total_seconds()
        return None if asked > LONGEST_WAIT_SECONDS else max(asked, backoff)

    async def _priced(self, link: _Link, finished: Finished) -> Finished:
        cost = await self._prices.cost(link.settings, finished.model, finished.usage)
        return replace(finished, name=link.name, cost_usd=cost.usd, cost_known=cost.known)


def _for_model(request: Request, model: str) -> Request:
    """The request without reasoning that belongs to another model. A message left empty is left out."""
    if not any(_foreign(message, model) for message in request.messages):
        return request
    return replace(request, messages=tuple(_without_foreign(request.messages, model)))


def _foreign(message: Message, model: str) -> bool:
    return message.role == "assistant" and any(
        isinstance(block, Thinking) and block.model != model for block in message.blocks
    )


def _without_foreign(messages: Sequence[Message], model: str) -> Iterator[Message]:
    for message in messages:
        if not _foreign(message, model):
            yield message
            continue
        kept = tuple(block for block in message.blocks if not isinstance(block, Thinking) or block.model == model)
        if kept:
            yield replace(message, blocks=kept)


def _combined(failures: Sequence[ModelError]) -> ModelError:
    """One error for a chain that failed whole: the first model's when there is one only, all reasons otherwise."""
    if len(failures) == 1:
        return failures[0]
    text = "no model answered: " + "; ".join(str(failure) for failure in failures)
    unavailable = [failure for failure in failures if isinstance(failure, ModelUnavailable)]
    if not unavailable:
        return ModelRefused(text)
    waits = [failure.retry_after for failure in unavailable if failure.retry_after is not None]
    return ModelUnavailable(text, retry_after=min(waits) if waits else None)
