"""Threadmill on each platform against a bare bot on the same client library, both on loopback, in turn.

Three processes: the platform with its people (`crowd`), the model, and the bot, of which alone the processor time is
counted. 200 people write, wait for their answer, and write again; a run in which an answer is missing, doubled or out
of order is no result but an error.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.bare_platforms import DISCORD_TOKEN, SLACK_APP_TOKEN, SLACK_BOT_TOKEN, TELEGRAM_TOKEN
from benchmarks.processes import TOKEN, Running, free_port, started

NAMES = ("telegram", "discord", "slack")
CHATS, ROUNDS, PAIRS = 200, 2, 3

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
[access]
default_role = "user"
[logs]
level = "warning"
"""

# The loopback platforms keep no rate limits here, and the adapters are told so where they would keep one by themselves.
_CHANNELS = {
    "telegram": f'[channels.telegram]\ntoken = "{TELEGRAM_TOKEN}"\nbase_url = "{{address}}"\n',
    "discord": f'[channels.discord]\ntoken = "{DISCORD_TOKEN}"\nbase_url = "{{address}}"\n',
    "slack": f'[channels.slack]\nbot_token = "{SLACK_BOT_TOKEN}"\napp_token = "{SLACK_APP_TOKEN}"\n'
    'base_url = "{address}"\n',
}


@dataclass(frozen=True, slots=True)
class Figures:
    """One run."""

    connected_seconds: float
    rate: float
    cpu_milliseconds: float  # of the bot, for a message


@dataclass(frozen=True, slots=True)
class Crowd:
    """The platform's process, seen from here."""

    process: asyncio.subprocess.Process
    address: str

    async def ask(self, do: str, **more: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **more}).encode() + b"\n")
        return await _told(self.process)


async def _told(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise RuntimeError("the platform's process has ended; BENCH_LOGS=1 shows why")
    told: dict[str, Any] = json.loads(line)
    return told


@asynccontextmanager
async def crowd(name: str, chats: int = CHATS) -> AsyncIterator[Crowd]:
    async with started("-m", "benchmarks.crowd", name, "--chats", str(chats), talks=True) as process:
        yield Crowd(process, (await _told(process))["address"])


@asynccontextmanager
async def bare(name: str, address: str, model_url: str, *, lean: bool) -> AsyncIterator[Running]:
    more = ("--lean",) if lean else ()
    arguments = ("-m", "benchmarks.bare_platforms", name, "--base-url", address, "--model-url", model_url, *more)
    async with started(*arguments) as process:
        yield Running(process, address, 0.0)


@asynccontextmanager
async def threadmill(addresses: Mapping[str, str], model_url: str) -> AsyncIterator[Running]:
    """With these platforms configured. Entered at once, without waiting until it is ready."""
    with tempfile.TemporaryDirectory() as folder:
        port, config = free_port(), Path(folder) / "config.toml"
        channels = "".join(_CHANNELS[name].format(address=address) for name, address in addresses.items())
        config.write_text(_CONFIG.format(data=f"{folder}/data", port=port, token=TOKEN, model=model_url) + channels)
        async with started("-m", "bot", "run", "--config", str(config)) as process:
            yield Running(process, f"http://127.0.0.1:{port}", 0.0)


async def _measured(people: Crowd, bot: Running, began: float) -> Figures:
    await people.ask("connected")
    connected = time.perf_counter() - began
    await people.ask("talk", chats=20, rounds=2)
    before = bot.cpu_seconds()
    talked = await people.ask("talk", chats=CHATS, rounds=ROUNDS)
    cpu = bot.cpu_seconds() - before
    if wrong := (await people.ask("wrong"))["wrong"]:
        raise RuntimeError(f"{len(wrong)} conversations are wrong, such as {wrong[0]}")
    return Figures(
        connected_seconds=connected,
        rate=talked["messages"] / talked["seconds"],
        cpu_milliseconds=cpu / talked["messages"] * 1000,
    )


async def _bare(name: str, model_url: str, *, lean: bool) -> Figures:
    async with crowd(name) as people:
        began = time.perf_counter()
        async with bare(name, people.address, model_url, lean=lean) as bot:
            return await _measured(people, bot, began)


async def _threadmill(name: str, model_url: str) -> Figures:
    async with crowd(name) as people:
        began = time.perf_counter()
        async with threadmill({name: people.address}, model_url) as bot:
            return await _measured(people, bot, began)


async def platforms(model_url: str, *, lean: bool, names: tuple[str, ...] = NAMES) -> None:
    """Messages a second on each platform, from the bare bot and from Threadmill."""
    median = statistics.median
    for name in names:
        floors, ours = [], []
        for _ in range(PAIRS):
            floors.append(await _bare(name, model_url, lean=lean))
            ours.append(await _threadmill(name, model_url))
        ratios = [our.rate / floor.rate for our, floor in zip(ours, floors, strict=True)]
        # The other way round, so that more is better in both; it moves less when others use the machine.
        spent = [floor.cpu_milliseconds / our.cpu_milliseconds for our, floor in zip(ours, floors, strict=True)]
        print(
            f"{name}: {CHATS} people x {ROUNDS}, each answered once and in order:"
            f" bare {median(each.rate for each in floors):.1f}/s"
            f" ({median(each.cpu_milliseconds for each in floors):.2f} ms CPU a message,"
            f" connected after {median(each.connected_seconds for each in floors):.2f} s),"
            f" threadmill {median(each.rate for each in ours):.1f}/s"
            f" ({median(each.cpu_milliseconds for each in ours):.2f} ms,"
            f" {median(each.connected_seconds for each in ours):.2f} s),"
            f" ratio {median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}; target 0.85),"
            f" of the CPU time {median(spent):.2f}",
            flush=True,
        )


async def start3(model_url: str) -> None:
    """From the process's start until it is ready and all three platforms are connected; memory when idle."""
    runs: list[dict[str, float]] = []
    for _ in range(PAIRS):
        async with AsyncExitStack() as stack:
            people = {name: await stack.enter_async_context(crowd(name, 1)) for name in NAMES}
            runs.append(await _started(people, model_url))
    found = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    connected = ", ".join(f"{name} {found[name]:.2f} s" for name in NAMES)
    print(
        f"start with three platforms: ready in {found['ready']:.2f} s (target 2.5), connected: {connected};"
        f" resident {found['idle']:.0f} MB when idle before the first model call (target 130),"
        f" {found['after']:.0f} MB after one message on each",
        flush=True,
    )


async def _started(people: Mapping[str, Crowd], model_url: str) -> dict[str, float]:
    began = time.perf_counter()
    async with threadmill({name: each.address for name, each in people.items()}, model_url) as bot:
        found = {}

        async def connected(name: str) -> None:
            await people[name].ask("connected")
            found[name] = time.perf_counter() - began

        async def ready() -> None:
            await bot.answers("/readyz")
            found["ready"] = time.perf_counter() - began

        async with asyncio.TaskGroup() as group:
            group.create_task(ready())
            for name in people:
                group.create_task(connected(name))
        await asyncio.sleep(2)
        found["idle"] = bot.resident_megabytes()
        for each in people.values():
            await each.ask("talk", chats=1, rounds=1)
        await asyncio.sleep(1)
        found["after"] = bot.resident_megabytes()
        return found
