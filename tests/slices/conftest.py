"""The platforms that every slice runs on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.showing import progress
from tests.slices.screens import PLATFORMS, Screen


@pytest.fixture(autouse=True)
def quick_boards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages about children change ten times a second at the most, where people are given more time."""
    monkeypatch.setattr(progress, "PACE_SECONDS", 0.1)


@pytest.fixture(params=sorted(PLATFORMS))
async def screen(request: pytest.FixtureRequest) -> AsyncIterator[Screen]:
    """One loopback platform with its people; the test runs on each."""
    async with PLATFORMS[request.param]() as made:
        yield made
