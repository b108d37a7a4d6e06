"""What a call costs, in US dollars: the configured price first, then genai-prices' list, which is offline.

The list's library takes a third of a second to import and as much again for its first answer, so that is
done in a thread, on `load` or when the first call is finished. Cached tokens are priced as such. A model
that nobody has a price for costs 0.0, is marked as not known, and is named in the log once.

Of the list only the providers that can be asked are kept: the whole of it takes 23 MB, most of it for others.

Its `input_tokens` include the cached ones, ours (as Anthropic's) do not.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from agents.models.base import Usage
from agents.models.memory import give_back
from agents.models.settings import HOSTED_HOSTS, ModelSettings, Price

KEPT_SECONDS = 3600.0
"""How long a price is kept: some change on a day."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    usd: float
    known: bool


_FREE = Cost(usd=0.0, known=True)
_UNKNOWN = Cost(usd=0.0, known=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _List:
    """What is kept of genai-prices: its snapshot of some providers, and its word for what was used."""

    snapshot: Any
    usage: Any

    def find(
        self, usage: Any, reference: str, *, provider_id: str | None = None, provider_api_url: str | None = None
    ) -> Any:
        """The price of this usage. Raises LookupError."""
        return self.snapshot.calc(usage, reference, provider_id, provider_api_url, None)


class Prices:
    """The price list. One for all models; `addresses` are those of the configured servers."""

    def __init__(self, addresses: Iterable[str] = ()) -> None:
        self._addresses = tuple(addresses)
        self._library: _List | None = None
        self._loading = asyncio.Lock()
        self._unknown: set[str] = set()
        self._windows: dict[tuple[str, str], int | None] = {}
        self._flat: dict[tuple[str, str, str | None], tuple[float, Price]] = {}

    async def load(self) -> None:
        """Import the list, in a thread. Without it only configured prices count."""
        async with self._loading:
            if self._library is None:
                self._library = await asyncio.to_thread(_import_list, self._addresses)

    async def cost(self, settings: ModelSettings, model: str, usage: Usage) -> Cost:
        """What a finished call cost. `model` is the id that the provider answered with."""
        if self._library is None and settings.price_usd_per_million is None and settings.kind != "rehearsal":
            await self.load()
        return self.cost_if_loaded(settings, model, usage)

    def cost_if_loaded(self, settings: ModelSettings, model: str, usage: Usage) -> Cost:
        """The same at once; not known while the list is not loaded."""
        if settings.price_usd_per_million is not None:
            return Cost(usd=_configured(settings.price_usd_per_million, usage), known=True)
        if settings.kind == "rehearsal":
            return _FREE
        if self._library is None:
            return _UNKNOWN
        for reference in dict.fromkeys((model, settings.model)):
            usd = self._listed(reference, settings, usage)
            if usd is not None:
                return Cost(usd=usd, known=True)
        if settings.model not in self._unknown:
            self._unknown.add(settings.model)
            _log.warning(
                "no price is known for model %r, so its calls count as free; set price_usd_per_million", settings.model
            )
        return _UNKNOWN

    def context_tokens(self, settings: ModelSettings) -> int | None:
        """The size of the model's context as the list has it, None when it does not or is not loaded."""
        if self._library is None or settings.kind == "rehearsal":
            return None
        key = (settings.kind, settings.model)
        if key not in self._windows:
            self._windows[key] = self._window(settings)
        return self._windows[key]

    def _window(self, settings: ModelSettings) -> int | None:
        assert self._library is not None
        try:
            # One token's price names the model, and the model has its context.
            found = self._library.find(self._library.usage(input_tokens=1), settings.model, provider_id=settings.kind)
        except LookupError:
            return None
        window: int | None = found.model.context_window
        return window

    def _listed(self, reference: str, settings: ModelSettings, usage: Usage) -> float | None:
        """By the list. A price that is a plain number a token is kept for a while: looking it up takes longer
        than everything else that is done for an answer."""
        key = (reference, settings.kind, settings.base_url)
        kept = self._flat.get(key)
        if kept is not None and time.monotonic() < kept[0]:
            return _configured(kept[1], usage)
        assert self._library is not None
        for where in _providers(settings):
            try:
                found = self._library.find(_counted(self._library, usage), reference, **where)
            except (LookupError, ValueError):
                continue
            flat = _flat_price(found.model_price)
            if flat is not None:
                self._flat[key] = (time.monotonic() + KEPT_SECONDS, flat)
            return float(found.total_price)
        return None


def _counted(library: _List, usage: Usage) -> Any:
    return library.usage(
        input_tokens=usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        output_tokens=usage.output_tokens,
    )


def _flat_price(listed: Any) -> Price | None:
    """The list's price when it is four plain numbers; None for tiers."""
    numbers = [
        getattr(listed, name, None) for name in ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok")
    ]
    if not all(isinstance(number, Decimal) for number in numbers):
        return None
    each, answer, read, write = (float(number) for number in numbers if isinstance(number, Decimal))
    return Price(input=each, output=answer, cache_read=read, cache_write=write)


def _providers(settings: ModelSettings) -> list[dict[Literal["provider_id", "provider_api_url"], str]]:
    """Where the price is looked up. A gateway's own prices come first; a server with another address that
    serves a provider's model by its name is taken to pass that provider's price on."""
    found: list[dict[Literal["provider_id", "provider_api_url"], str]] = []
    if settings.base_url is not None and not settings.hosted:
        found.append({"provider_api_url": settings.base_url})
    found.append({"provider_id": settings.kind})
    return found


def _configured(price: Price, usage: Usage) -> float:
    cache_read = price.input if price.cache_read is None else price.cache_read
    cache_write = price.input if price.cache_write is None else price.cache_write
    return (
        usage.input_tokens * price.input
        + usage.cache_read_tokens * cache_read
        + usage.cache_write_tokens * cache_write
        + usage.output_tokens * price.output
    ) / 1_000_000


def _import_list(addresses: Iterable[str]) -> _List:
    import genai_prices
    from genai_prices import data, data_snapshot

    every = data_snapshot.DataSnapshot(providers=data.providers, from_auto_update=False)
    kept: dict[str, Any] = {}
    for provider_id, address in [*((kind, None) for kind in HOSTED_HOSTS), *((None, address) for address in addresses)]:
        with contextlib.suppress(LookupError):
            provider = every.find_provider(None, provider_id, address)
            kept[provider.id] = provider
    for provider in [*kept.values()]:  # a gateway's prices are partly those of whom it passes on
        for other in provider.fallback_model_providers or ():
            with contextlib.suppress(LookupError):
                kept[other] = every.find_provider(None, other, None)
    snapshot = data_snapshot.DataSnapshot(providers=[*kept.values()], from_auto_update=False)
    sys.modules.pop(data.__name__, None)
    vars(genai_prices).pop("data", None)
    del every, data
    give_back()
    return _List(snapshot=snapshot, usage=genai_prices.Usage)
