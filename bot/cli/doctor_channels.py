"""Checks of one connected platform: what its own module asks there, and what Threadmill itself knows of it.

A platform cannot be asked for everything (Slack tells no bot its event subscriptions, Telegram none its pollers), but
the running Threadmill and its database know whether anything ever came in, and what could not be delivered.
"""

from __future__ import annotations

import asyncio
import fcntl
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from bot.cli.failed import Failed
from channels.base import ThreadRef
from channels.checks import Check, CheckResult, failed, ok, skipped, warning

if TYPE_CHECKING:
    from bot.config import Config
    from bot.config.parts import ConfiguredChannel

_RUNNING_SECONDS = 5.0


def connect_module(kind: str) -> ModuleType | None:
    """A platform's `connect` (see `channels.checks`); None when it has none."""
    name = f"channels.{kind}.connect"
    if find_spec(f"channels.{kind}") is None or find_spec(name) is None:
        return None
    return import_module(name)


def proofs(config: Config) -> Iterator[Check]:
    """One try of each platform's tokens."""
    for channel in config.channels.values():
        prove = getattr(connect_module(channel.kind), "prove", None)
        if prove is None:
            yield _said(f"channel.{channel.name}", skipped(f"the platform {channel.kind} cannot be tried from here"))
        else:
            yield Check(id=f"channel.{channel.name}", run=partial(prove, channel.settings))


def of(channel: ConfiguredChannel, config: Config) -> Iterator[Check]:
    """Everything that can be asked about a channel, its own checks first."""
    module = connect_module(channel.kind)
    own = getattr(module, "checks", None)
    if own is None:
        yield _said(f"channel.{channel.name}", skipped(f"the platform {channel.kind} brings no checks of its own"))
    else:
        rooms = tuple(dict.fromkeys(place for place in _places(config) if place.channel == channel.name))
        for check in own(channel.settings, channel.name, rooms):
            yield _left_out(check) if check.disturbs and in_use(config.bot.data) else check
    prefix, name = f"channel.{channel.name}", str(channel.name)
    silent = str(getattr(module, "SILENT", "write to the bot there")).replace("NAME", name)
    yield _local(f"{prefix}.connection", lambda: connection(config, name))
    yield _local(f"{prefix}.heard", lambda: heard(config.bot.data, name, silent))
    yield _local(f"{prefix}.undelivered", lambda: undelivered(config.bot.data, name))
    yield _local(f"{prefix}.people", lambda: people(config, name))


def in_use(data: Path) -> str | None:
    """The process that uses the data folder; None when no process does. Raises OSError."""
    file = data / "threadmill.lock"
    if not file.exists():
        return None
    with file.open("rb") as stream:
        owner = stream.read(32).decode(errors="replace").strip()
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return owner
    return None


def connection(config: Config, name: str) -> CheckResult:
    """What a running Threadmill says of the channel."""
    from bot.cli.client import running

    try:
        _, told = running(config).ask("GET", "/healthz", timeout_seconds=_RUNNING_SECONDS)
        state = told["channels"][name]
    except (Failed, KeyError, TypeError):
        return skipped("Threadmill does not run with this channel: `threadmill run` starts it")
    since = f"since {str(state['since'])[:16].replace('T', ' ')} UTC"
    if state["state"] == "connected":
        detail = state["detail"]
        return warning(f"connected {since}, but: {detail}", "put that right") if detail else ok(f"connected {since}")
    return failed(
        f"{state['state']} {since}: {state['detail'] or 'no reason was given'}",
        "put right what it says; Threadmill connects again by itself, `threadmill run` anew does so at once",
    )


def heard(data: Path, name: str, silent: str) -> CheckResult:
    """Whether anything ever came in: the one proof of subscriptions and intents that needs nobody's help."""
    try:
        row = _row(data, "select kind, received_at from inbox where channel = ? order by n desc limit 1", name)
    except FileNotFoundError:
        return skipped("there is no database yet")
    except sqlite3.Error as error:
        return skipped(f"cannot be told: {error}; see database.integrity")
    if row is None:
        return warning("nothing has come in yet", silent)
    return ok(f"the newest event is a {row[0]}, from {_moment(row[1])}")


def undelivered(data: Path, name: str) -> CheckResult:
    """Messages that wait for a person."""
    try:
        row = _row(
            data,
            "select count(*), max(error) from deliveries where state in ('dead', 'unknown')"
            " and (place like ? || ':%' or place = ?)",
            name,
            name,
        )
    except FileNotFoundError:
        return skipped("there is no database yet")
    except sqlite3.Error as error:
        return skipped(f"cannot be told: {error}; see database.integrity")
    if row is not None and row[0]:
        return warning(
            f"{row[0]} could not be delivered, such as: {row[1]}",
            "`threadmill deadletters` lists them; `threadmill deadletters retry ID` says one again",
        )
    return ok("nothing is left undelivered")


def people(config: Config, name: str) -> CheckResult:
    """Somebody must be allowed to say something there."""
    known = [person.name for person in config.people.values() if _on(person.accounts, name)]
    if known:
        return ok(f"with an account there: {', '.join(known)}")
    if config.default_role.value:
        return ok(f"everybody there is a {config.default_role.word}")
    return warning(
        "nobody who is configured has an account there",
        f'say /whoami to the bot and add the account under [people], such as accounts = ["{name}:…"];'
        " or let strangers in with the code that they are given",
    )


def _on(accounts: tuple[str, ...], name: str) -> bool:
    return any(account.startswith(f"{name}:") for account in accounts)


def _places(config: Config) -> Iterator[ThreadRef]:
    """Places that the configuration names, where the bot must be able to talk."""
    for rule in config.routes:
        if rule.channel is not None and rule.room is not None:
            yield ThreadRef(channel=rule.channel, space=rule.space or "", room=rule.room)
    for monitor in config.monitors:
        yield from monitor.report_to


def _left_out(check: Check) -> Check:
    return _said(check.id, skipped("Threadmill runs, and this would disturb it: see connection"))


def _said(id: str, result: CheckResult) -> Check:
    return _local(id, lambda: result)


def _local(id: str, run: Callable[[], CheckResult]) -> Check:
    async def in_thread() -> CheckResult:
        return await asyncio.to_thread(run)

    return Check(id=id, run=in_thread, network=False)


def _moment(microseconds: int) -> str:
    return f"{datetime.fromtimestamp(microseconds / 1_000_000, UTC):%Y-%m-%d %H:%M} UTC"


def _row(data: Path, query: str, *values: str) -> tuple[Any, ...] | None:
    """The first row, on a connection that cannot write."""
    file = data / "threadmill.db"
    if not file.exists():
        raise FileNotFoundError(file)
    connection = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=5)
    try:
        found: tuple[Any, ...] | None = connection.execute(query, values).fetchone()
    finally:
        connection.close()
    return found
