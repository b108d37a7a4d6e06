"""Follow edits of the configuration while Threadmill runs.

Once a second the file's stamp is looked at, and its content when the stamp has changed. A good edit of agents,
routes, people, monitors or access becomes a new Config. A broken one is reported, once, and the old
Config stays. Whatever else was edited is named as needing a restart, and its old value stays.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from bot.config.loader import load
from bot.config.parts import Config
from bot.config.problems import ConfigInvalid, ConfigProblem

_log = logging.getLogger(__name__)

_Stamp = tuple[tuple[int, int, int] | None, ...]

_WRITTEN = {  # where a part's field has another name than the key in the file
    "delivery.fallback_after": "delivery.fallback_after_seconds",
    "delivery.max_age": "delivery.max_age_hours",
    "limits.attachment_bytes": "limits.attachment_megabytes",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An edit that is good. In `config` the keys of `needs_restart` still have their old values."""

    config: Config
    needs_restart: tuple[str, ...] = ()


class ConfigWatch:
    """Watches the file that `config` came from, and the `.env` beside it."""

    def __init__(
        self,
        config: Config,
        *,
        environ: Mapping[str, str] | None = None,
        every_seconds: float = 1.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        broken: Callable[[Sequence[ConfigProblem]], None] | None = None,
    ) -> None:
        self._config = config
        self._environ = environ
        self._every_seconds = every_seconds
        self._sleep = sleep
        self._broken = broken
        self._restart: tuple[str, ...] = ()
        self._files = (config.file, config.file.parent / ".env") if config.file is not None else ()
        self._stamp = self._stamps()
        self._digest = self._digests()

    async def changes(self) -> AsyncIterator[Change]:
        """Each good edit, until cancelled. Ends at once when there is no file to watch."""
        while self._files:
            await self._sleep(self._every_seconds)
            change = self.look()
            if change is not None:
                yield change

    def look(self) -> Change | None:
        """Look once. None when nothing has changed for the better."""
        stamp = self._stamps()
        if stamp == self._stamp:
            return None
        missing = stamp[0] is None and self._stamp[0] is not None
        self._stamp = stamp if not missing else (None, *self._stamp[1:], None)
        if missing:  # an editor may be between deleting and renaming: believe it the next time
            return None
        digest = self._digests()
        if digest == self._digest:
            return None
        self._digest = digest
        return self._loaded()

    def _loaded(self) -> Change | None:
        old = self._config
        try:
            edited = load(old.file, environ=self._environ)
            config = replace(
                old,
                agents=edited.agents,
                routes=edited.routes,
                default_role=edited.default_role,
                people=edited.people,
                monitors=edited.monitors,
                secrets=old.secrets | edited.secrets,
            )
            problems = list(_not_yet_there(config))
            if problems:
                raise ConfigInvalid(problems)
        except ConfigInvalid as error:
            for problem in error.problems:
                _log.error("the edited configuration is not used, the old one stays: %s", problem)
            if self._broken is not None:
                self._broken(error.problems)
            return None
        restart = tuple(_needs_restart(old, edited))
        if restart != self._restart:
            self._restart = restart
            if restart:
                _log.warning("these edits need a restart to take effect: %s", ", ".join(restart))
        self._config = config
        return Change(config=config, needs_restart=restart)

    def _stamps(self) -> _Stamp:
        return tuple(_stamp_of(file) for file in self._files)

    def _digests(self) -> tuple[bytes | None, ...]:
        return tuple(_digest_of(file) for file in self._files)


def _stamp_of(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _digest_of(file: Path) -> bytes | None:
    try:
        return hashlib.sha256(file.read_bytes()).digest()
    except OSError:
        return None


def _not_yet_there(config: Config) -> Iterator[ConfigProblem]:
    """Names of models and channels that are in the edited file, but not in the running program."""
    assert config.file is not None

    def missing(key: str, noun: str, name: str) -> ConfigProblem:
        assert config.file is not None
        return ConfigProblem(
            file=config.file, key=key, message=f"the {noun} {name!r} is new: restart Threadmill to use it"
        )

    for agent, profile in config.agents.items():
        if profile.model not in config.models:
            yield missing(f"agents.{agent}.model", "model", profile.model)
    local = {"web", "console", "api"}
    for index, rule in enumerate(config.routes):
        if rule.channel is not None and rule.channel not in config.channels and rule.channel not in local:
            yield missing(f"routes[{index}].channel", "channel", rule.channel)
    for name, person in config.people.items():
        for channel, _ in person.reach:
            if channel not in config.channels and channel not in local:
                yield missing(f"people.{name}.reach", "channel", channel)
    for index, monitor in enumerate(config.monitors):
        for place in monitor.report_to:
            if place.channel not in config.channels and place.channel not in local:
                yield missing(f"monitors[{index}].report_to", "channel", place.channel)


def _needs_restart(old: Config, edited: Config) -> Iterator[str]:
    """The keys whose new values are not used before a restart."""
    for part in ("bot", "web", "delivery", "limits", "fetch", "logs"):
        before, after = getattr(old, part), getattr(edited, part)
        for field in fields(before):
            if getattr(before, field.name) != getattr(after, field.name):
                key = f"{part}.{field.name}"
                yield _WRITTEN.get(key, key)
    for table in ("channels", "models"):
        before, after = getattr(old, table), getattr(edited, table)
        for name in dict.fromkeys([*before, *after]):
            if before.get(name) != after.get(name):
                yield f"{table}.{name}"
    if old.retention_days != edited.retention_days:
        yield "retention.days"
