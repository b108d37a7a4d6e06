"""The channel `web` joined to an open page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.conformance.local import LocalRig, joined


@asynccontextmanager
async def rig(tmp_path: Path) -> AsyncIterator[LocalRig]:
    async with joined("web") as made:
        yield made
