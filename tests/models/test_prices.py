"""What a call costs, by configuration and by the list."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from agents.models.base import Usage
from agents.models.prices import Prices
from agents.models.settings import ModelSettings

MILLION = 1_000_000


def settings(**values: Any) -> ModelSettings:
    return ModelSettings.model_validate({"kind": "anthropic", "model": "claude-opus-5", **values})


async def test_cached_tokens_are_priced_as_such() -> None:
    prices = Prices()
    each = {
        "input": Usage(input_tokens=MILLION),
        "output": Usage(output_tokens=MILLION),
        "read": Usage(cache_read_tokens=MILLION),
        "write": Usage(cache_write_tokens=MILLION),
    }
    for _ in range(2):  # from the list, and from what was kept of it
        costs = {name: (await prices.cost(settings(), "claude-opus-5", usage)).usd for name, usage in each.items()}
        assert costs == {"input": 5.0, "output": 25.0, "read": 0.5, "write": 6.25}


async def test_a_price_in_tiers_depends_on_the_size_of_the_call() -> None:
    prices, tiered = Prices(), settings(model="claude-sonnet-4-5")
    small = await prices.cost(tiered, "claude-sonnet-4-5", Usage(input_tokens=100_000))
    large = await prices.cost(tiered, "claude-sonnet-4-5", Usage(input_tokens=1_000_000))
    assert small.usd == pytest.approx(0.3)
    assert large.usd == pytest.approx(6.0)


@pytest.mark.slow
async def test_the_answering_model_is_priced_and_else_the_configured_one() -> None:
    prices = Prices()
    dated = await prices.cost(settings(), "claude-opus-5-20260101", Usage(input_tokens=MILLION))
    renamed = await prices.cost(settings(), "something-else", Usage(input_tokens=MILLION))
    assert (dated.usd, renamed.usd) == (5.0, 5.0)


async def test_a_provider_s_model_behind_another_address_keeps_its_price() -> None:
    prices = Prices()
    gateway = settings(base_url="http://127.0.0.1:9000")
    assert (await prices.cost(gateway, "claude-opus-5", Usage(input_tokens=MILLION))).usd == 5.0
    other = settings(kind="openai", model="gpt-5", base_url="http://127.0.0.1:9000/v1")
    assert (await prices.cost(other, "gpt-5", Usage(input_tokens=MILLION))).known


async def test_a_rehearsal_is_free_without_loading_anything() -> None:
    prices = Prices()
    cost = await prices.cost(settings(kind="rehearsal"), "rehearsal", Usage(input_tokens=MILLION))
    assert (cost.usd, cost.known) == (0.0, True)
    assert not prices.cost_if_loaded(settings(), "claude-opus-5", Usage(input_tokens=MILLION)).known


async def test_an_unknown_model_is_not_known() -> None:
    cost = await Prices().cost(settings(kind="openai", model="homemade"), "homemade", Usage(input_tokens=MILLION))
    assert (cost.usd, cost.known) == (0.0, False)


async def test_the_list_knows_contexts() -> None:
    prices = Prices()
    assert prices.context_tokens(settings()) is None
    await prices.load()
    assert prices.context_tokens(settings()) == 1_000_000
    assert prices.context_tokens(settings(model="homemade")) is None


@pytest.mark.slow
async def test_of_the_list_only_the_providers_that_can_be_asked_stay_in_memory() -> None:
    gateway = settings(kind="openai", model="anthropic/claude-sonnet-4.5", base_url="https://openrouter.ai/api/v1")
    prices = Prices([str(gateway.base_url)])
    await prices.load()
    assert "genai_prices.data" not in sys.modules
    assert prices._library is not None
    kept = {provider.id for provider in prices._library.snapshot.providers}
    assert {"anthropic", "openai", "openrouter"} <= kept
    assert len(kept) < 10
    assert (await prices.cost(gateway, gateway.model, Usage(input_tokens=1000))).usd == pytest.approx(0.003)
    without = await Prices().cost(gateway, gateway.model, Usage(input_tokens=MILLION))
    assert not without.known
