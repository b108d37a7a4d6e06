"""The running process: its token, its log, its signals and its end.

The first SIGINT or SIGTERM stops gracefully: turns are released, deliveries that are on their way are finished, the
database is closed. The second one ends the process at once, which is safe too: everything that was accepted
is on the disk.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

from pydantic import SecretStr

from bot import logs
from bot.cli.banner import banner
from bot.cli.failed import Failed
from bot.config import Config
from bot.config.token import TokenUnreadable, settled

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_YOUNG_OBJECTS = 20_000
"""So many new objects bring the garbage collector out. At Python's own 700 it looked through the libraries' objects
again and again while messages were handled: a third of the time under load, for hardly anything to collect."""


def run_until_stopped(config: Config) -> None:
    """Serve until a signal comes. Raises Failed when it cannot start, or broke."""
    try:
        token = settled(config)
    except TokenUnreadable as error:
        raise Failed(str(error)) from error
    config = replace(
        config,
        web=replace(config.web, token=SecretStr(token.value)),
        secrets=config.secrets | {token.value},
    )
    logs.start(level=config.logs.level, format=config.logs.format, secrets=config.secrets)

    def ready() -> None:
        # Written past the log: the log hides the token, and here the person shall see it.
        sys.stderr.write(banner(config, token, on_terminal=sys.stderr.isatty()))
        sys.stderr.flush()

    gc.set_threshold(_YOUNG_OBJECTS)
    try:
        asyncio.run(_serve(config, ready))
    except Exception as error:
        known = _known_failure(error)
        if known is None:
            raise
        raise Failed(known) from error


async def _serve(config: Config, ready: Callable[[], None]) -> None:
    from bot.app import serve

    loop = asyncio.get_running_loop()
    serving = asyncio.ensure_future(serve(config, ready=ready))
    stopping = False

    def stop(number: int) -> None:
        nonlocal stopping
        if stopping:
            os._exit(128 + number)
        stopping = True
        sys.stderr.write("\nstopping; once more stops at once\n")
        serving.cancel()

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        await serving
    except asyncio.CancelledError:
        if not stopping:
            raise


def _known_failure(error: BaseException) -> str | None:
    """The sentence for what went wrong, when all of it is something that a person can put right."""
    from bot.web.server import CannotListen
    from storage.database import StorageError

    leaves = list(_leaves(error))
    if not all(isinstance(leaf, (StorageError, CannotListen)) for leaf in leaves):
        return None
    return "\n".join(dict.fromkeys(str(leaf) for leaf in leaves))


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
