"""`make bench`: Threadmill against a bare loop on the same libraries, in turn, on this machine.

python -m benchmarks [throughput] [latency] [start] [history] [platforms] [start3] [--lean]

With `--lean` the bare bots call the model as Threadmill does, see `bare`. `telegram`, `discord` and `slack` measure one
platform alone.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from benchmarks import load, platforms, sessions, teams
from benchmarks.filled import fill
from benchmarks.processes import TOKEN, Running
from benchmarks.servers import bare, model, threadmill

THREADS, ROUNDS, PAIRS = 200, 5, 3


async def throughput(*, lean: bool) -> None:
    """Messages a second over 200 threads, each waiting for its answer before it sends the next."""
    ratios, rows = [], []
    async with model() as brain:
        for pair in range(PAIRS):
            async with bare(brain.url, lean=lean) as server:
                floor, floor_cpu = await _loaded(server, "", f"b{pair}-")
            with tempfile.TemporaryDirectory() as folder:
                async with threadmill(brain.url, Path(folder)) as server:
                    ours, our_cpu = await _loaded(server, TOKEN, f"t{pair}-")
            ratios.append(ours.rate / floor.rate)
            rows.append((floor.rate, ours.rate, floor_cpu, our_cpu))
            print(
                f"  pair {pair + 1}: bare {floor.rate:.1f}/s ({floor_cpu:.2f} ms CPU a message),"
                f" threadmill {ours.rate:.1f}/s ({our_cpu:.2f} ms), ratio {ratios[-1]:.2f}, doubled {ours.doubled}"
            )
    print(f"throughput: {THREADS} threads x {ROUNDS}: ratio {statistics.median(ratios):.2f} (target 0.8)")


async def _loaded(server: Running, token: str, tag: str) -> tuple[load.Result, float]:
    query = "?kinds=message" if token else ""
    await load.run(server.url, threads=20, rounds=2, token=token, query=query, tag=f"w{tag}")
    before = server.cpu_seconds()
    result = await load.run(server.url, threads=THREADS, rounds=ROUNDS, token=token, query=query, tag=tag)
    return result, (server.cpu_seconds() - before) / result.messages * 1000


async def latency(*, lean: bool) -> None:
    """One message at a time: what Threadmill adds before the model call and after the model's end."""
    async with model() as brain:
        async with bare(brain.url, lean=lean) as server:
            await load.run(server.url, threads=1, rounds=20, tag="w")
            floor = await load.run(server.url, threads=1, rounds=200, tag="l")
        with tempfile.TemporaryDirectory() as folder:
            async with threadmill(brain.url, Path(folder)) as server:
                await load.run(server.url, threads=1, rounds=20, token=TOKEN, query="?kinds=message", tag="w")
                ours = await load.run(server.url, threads=1, rounds=200, token=TOKEN, query="?kinds=message", tag="l")
    median = statistics.median
    before = median(ours.to_model) - median(floor.to_model)
    after = median(ours.from_model) - median(floor.from_model)
    print(
        f"latency: bare {median(floor.to_model):.1f} + {median(floor.from_model):.1f} ms,"
        f" threadmill {median(ours.to_model):.1f} + {median(ours.from_model):.1f} ms;"
        f" added {before:.1f} ms before the model call and {after:.1f} ms after its end (target 5 ms)"
    )


async def start(*, lean: bool) -> None:
    """From the process's start to the first answer of /readyz, and memory when idle, before the first model call."""
    del lean  # there is nothing bare to compare with
    times, sizes = [], []
    for _ in range(5):
        with tempfile.TemporaryDirectory() as folder:
            async with threadmill("http://127.0.0.1:9", Path(folder)) as server:
                times.append(server.ready_seconds)
                await asyncio.sleep(2)
                sizes.append(server.resident_megabytes())
    print(
        f"start: ready in {statistics.median(times):.2f} s (target 1.5),"
        f" {statistics.median(sizes):.0f} MB resident when idle (target 90)"
    )


async def history(*, lean: bool) -> None:
    """What a message costs with 100 and with 100,000 stored messages, and how long 10,000 sessions delay the start."""
    del lean  # there is nothing bare to compare with
    costs: dict[int, list[float]] = {100: [], 100_000: []}
    starts = []
    async with model() as brain:
        for _ in range(PAIRS):
            for stored, cost in costs.items():
                with tempfile.TemporaryDirectory() as folder:
                    sessions = min(10_000, stored)
                    await fill(Path(folder) / "data", sessions=sessions, messages=stored)
                    async with threadmill(brain.url, Path(folder)) as server:
                        cost.append((await _loaded(server, TOKEN, "h"))[1])
                        if sessions == 10_000:
                            starts.append(server.ready_seconds)
    few, many = (statistics.median(cost) for cost in costs.values())
    print(
        f"history: {few:.2f} ms CPU a message with 100 stored messages, {many:.2f} ms with 100,000:"
        f" {(many / few - 1) * 100:+.0f} % (target: within 20 %);"
        f" ready in {statistics.median(starts):.2f} s with 10,000 sessions (target 2)"
    )


async def on_platforms(names: tuple[str, ...] = platforms.NAMES, *, lean: bool) -> None:
    async with model() as brain:
        await platforms.platforms(brain.url, lean=lean, names=names)


async def start3(*, lean: bool) -> None:
    del lean
    async with model() as brain:
        await platforms.start3(brain.url)


async def spawns(*, lean: bool) -> None:
    del lean  # there is nothing bare to compare with
    await teams.spawns()


async def many_sessions(*, lean: bool) -> None:
    del lean
    await sessions.sessions()


async def kills(*, lean: bool) -> None:
    del lean
    await teams.kills()


BENCHMARKS: dict[str, Callable[..., Awaitable[None]]] = {
    "start": start,
    "start3": start3,
    "latency": latency,
    "throughput": throughput,
    "platforms": on_platforms,
    "history": history,
    "spawns": spawns,
    "sessions": many_sessions,
    "kills": kills,
}
ONE_PLATFORM = {name: partial(on_platforms, (name,)) for name in platforms.NAMES}


async def run(names: list[str], *, lean: bool) -> None:
    for name in names or list(BENCHMARKS):
        await (BENCHMARKS | ONE_PLATFORM)[name](lean=lean)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"one of {', '.join(BENCHMARKS | ONE_PLATFORM)}")
    parser.add_argument("--lean", action="store_true", help="bare bots that call the model as Threadmill does")
    options = parser.parse_args()
    if unknown := set(options.names) - (BENCHMARKS | ONE_PLATFORM).keys():
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    asyncio.run(run(options.names, lean=options.lean))


if __name__ == "__main__":
    main()
