"""The platforms that every slice runs on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.slices.screens import PLATFORMS, Screen


@pytest.fixture(params=sorted(PLATFORMS))
async def screen(request: pytest.FixtureRequest) -> AsyncIterator[Screen]:
    """One loopback platform with its people; the test runs on each."""
    async with PLATFORMS[request.param]() as made:
        yield made
