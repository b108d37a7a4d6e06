"""The servers that are compared: Threadmill, the bare loop, and the model that both ask."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.processes import TOKEN, Running, free_port, running

_CONFIG = """
[bot]
data = "{data}"
[web]
port = {port}
token = "{token}"
[models.default]
kind = "anthropic"
model = "claude-sonnet-5-5"
api_key = "key"
base_url = "{model}"
[agents.assistant]
model = "default"
prompt = "You answer."
[logs]
level = "warning"
"""


@asynccontextmanager
async def model() -> AsyncIterator[Running]:
    port = free_port()
    async with running("-m", "benchmarks.model", "--port", str(port), port=port, path="/") as server:
        yield server


@asynccontextmanager
async def bare(model_url: str, *, lean: bool) -> AsyncIterator[Running]:
    port = free_port()
    more = ("--lean",) if lean else ()
    arguments = ("-m", "benchmarks.bare", "--port", str(port), "--model-url", model_url, *more)
    async with running(*arguments, port=port, path="/") as server:
        yield server


@asynccontextmanager
async def threadmill(model_url: str, data: Path) -> AsyncIterator[Running]:
    port = free_port()
    config = data / "config.toml"
    config.write_text(_CONFIG.format(data=data / "data", port=port, token=TOKEN, model=model_url))
    async with running("-m", "bot", "run", "--config", str(config), port=port, path="/readyz") as server:
        yield server
