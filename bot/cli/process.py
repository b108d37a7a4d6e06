"""The running process: its token, its log, its signals and its end.

The first SIGINT or SIGTERM stops gracefully: turns are released, deliveries that are on their way are finished, the
database is closed. The second one ends the process at once, which is safe too: everything that was accepted
is on the disk.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace

from pydantic import SecretStr

from bot import logs
from bot.cli.banner import banner
from bot.cli.failed import Failed
from bot.config import Config
from bot.config.token import TokenUnreadable, settled

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


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

    try:
        asyncio.run(_serve(config, ready))
    except Exception as error:
        known = _known_failure(error, config)
        if known is None:
            raise
        raise Failed(known) from error


async def _serve(config: Config, ready: object) -> None:
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


def _known_failure(error: BaseException, config: Config) -> str | None:
    """The sentence for what went wrong at start, when all of it is something that a person can put right."""
    from storage.database import StorageError

    sentences = []
    for leaf in _leaves(error):
        if isinstance(leaf, StorageError):
            sentences.append(str(leaf))
        elif isinstance(leaf, OSError) and leaf.errno == errno.EADDRINUSE:
            sentences.append(
                f"port {config.web.port} on {config.web.host} is taken: is Threadmill running already?"
                " Another one is chosen with THREADMILL_PORT or `port` under [web]"
            )
        elif isinstance(leaf, OSError) and leaf.errno in {errno.EADDRNOTAVAIL, errno.EACCES}:
            sentences.append(
                f"cannot listen on {config.web.host}:{config.web.port} ({leaf.strerror}): change `host` or `port`"
                " under [web]"
            )
        else:
            return None
    return "\n".join(dict.fromkeys(sentences)) or None


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
