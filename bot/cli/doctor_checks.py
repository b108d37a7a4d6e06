"""Checks of what is configured: the file itself, models, agents, people, channels."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING

from channels.base import ThreadRef
from channels.checks import Check, CheckResult, failed, ok, skipped, warning

if TYPE_CHECKING:
    from agents.models.settings import ModelSettings
    from bot.config import Config
    from bot.config.parts import ConfiguredChannel


def config_is_broken(problems: str) -> Check:
    first, *more = problems.splitlines()
    evidence = first + (f" (and {len(more)} more)" if more else "")
    return _said("config.valid", failed(evidence, "`threadmill check` lists everything that is to be put right"))


def of(config: Config) -> Sequence[Check]:
    return [
        _said("config.valid", ok(str(config.file) if config.file else "no file, the defaults")),
        _asked("config.private", lambda: private(config)),
        _asked("web.reach", lambda: web_reach(config)),
        _asked("people.owner", lambda: owner(config)),
        _asked("people.strangers", lambda: strangers(config)),
        _asked("agents.budget", lambda: budget(config)),
        *models(config),
        *(check for channel in config.channels.values() for check in _channel(channel, config)),
    ]


def models(config: Config) -> Sequence[Check]:
    """Ask each model for a word."""
    return [_model(name, settings) for name, settings in config.models.items()]


def proofs(config: Config) -> Iterator[Check]:
    """One round trip with each platform that can prove itself."""
    for channel in config.channels.values():
        module = connect_module(channel.kind)
        prove = getattr(module, "prove", None)
        if prove is None:
            yield _said(f"channel.{channel.name}", skipped(f"the platform {channel.kind} cannot be tried from here"))
        else:
            yield Check(id=f"channel.{channel.name}", run=partial(prove, channel.settings))


def _said(id: str, result: CheckResult) -> Check:
    return _asked(id, lambda: result)


def _asked(id: str, run: Callable[[], CheckResult]) -> Check:
    async def answer() -> CheckResult:
        return run()

    return Check(id=id, run=answer, network=False)


def private(config: Config) -> CheckResult:
    """Files with secrets in them are for their owner alone."""
    if config.file is None:
        return skipped("there is no file")
    folder = config.file.parent
    text = config.file.read_text("utf-8", errors="replace")
    holds = [folder / ".env"] if (folder / ".env").exists() else []
    if any(secret in text for secret in config.secrets):
        holds.append(config.file)
    for file in holds:
        mode = stat.S_IMODE(file.stat().st_mode)
        if mode & 0o077:
            return warning(f"{file} holds secrets and has the mode {mode:o}", f"chmod 600 {file}")
    return ok(", ".join(f"{file} is for its owner alone" for file in holds) or "no secrets stand in files here")


def web_reach(config: Config) -> CheckResult:
    host = config.web.host
    if host in {"127.0.0.1", "localhost", "::1"}:
        return ok(f"{host}: this machine only")
    return warning(
        f"{host}: whoever reaches this machine reaches the page, without encryption",
        "put a proxy with TLS before it and listen on 127.0.0.1; name the proxy's host under allowed_hosts",
    )


def owner(config: Config) -> CheckResult:
    owners = [name for name, person in config.people.items() if person.role.word == "owner"]
    if owners:
        return ok(", ".join(owners))
    if not config.channels:
        return ok("whoever has the page's token")
    return warning(
        "nobody is an owner on the connected platforms",
        'say /whoami there, and add the account under [people] with role = "owner"',
    )


def strangers(config: Config) -> CheckResult:
    role = config.default_role
    if role.value == 0 or not config.channels:
        return ok("people who are not listed have to be let in first")
    return warning(
        f"everybody on the connected platforms is a {role.word}",
        'set default_role = "none" under [access], and let people in',
    )


def budget(config: Config) -> CheckResult:
    """Agents that ask a model that costs money, and have no bound of their own."""
    open_ended = [
        name
        for name, agent in config.agents.items()
        if agent.budget_usd is None
        and agent.budget_usd_per_day is None
        and config.models[agent.model].kind != "rehearsal"
        and config.models[agent.model].hosted
    ]
    if not open_ended:
        return ok("every agent that costs money has a budget")
    return warning(f"no budget: {', '.join(open_ended)}", "set budget_usd or budget_usd_per_day under [agents.NAME]")


def _model(name: str, settings: ModelSettings) -> Check:
    async def ask() -> CheckResult:
        from agents.models.base import Finished, Message, ModelError, ModelName, Request, Text
        from agents.models.chain import build

        alone = settings.model_copy(update={"fallback": [], "attempts": 1})
        chain = build({ModelName(name): alone})
        request = Request(
            system="",
            messages=[Message(role="user", blocks=(Text(text="Answer with the word: ready"),))],
            max_tokens=16,
            thinking_tokens=0,
        )
        finished = None
        try:
            async for event in chain.stream(ModelName(name), request):
                finished = event if isinstance(event, Finished) else finished
        except ModelError as error:
            return failed(str(error), f"put right [models.{name}]: its api_key, model and base_url")
        finally:
            await chain.close()
        if finished is None:
            return failed("the answer broke off", "try again; if it stays, look at the server that base_url names")
        if settings.kind == "rehearsal":
            return ok("a rehearsal: no language model is asked")
        return ok(
            f"{finished.model} answered ({finished.usage.input_tokens} tokens in, {finished.usage.output_tokens} out)"
        )

    return Check(id=f"model.{name}", run=ask, network=settings.kind != "rehearsal")


def _channel(channel: ConfiguredChannel, config: Config) -> Iterator[Check]:
    checks = getattr(connect_module(channel.kind), "checks", None)
    if checks is None:
        yield _said(f"channel.{channel.name}", skipped(f"the platform {channel.kind} brings no checks of its own"))
        return
    rooms = tuple(dict.fromkeys(place for place in _places(config) if place.channel == channel.name))
    yield from checks(channel.settings, channel.name, rooms)


def connect_module(kind: str) -> ModuleType | None:
    """A platform's `connect` (see `channels.checks`); None when it has none."""
    name = f"channels.{kind}.connect"
    if find_spec(f"channels.{kind}") is None or find_spec(name) is None:
        return None
    return import_module(name)


def _places(config: Config) -> Iterator[ThreadRef]:
    """Places that the configuration names, where the bot must be able to talk."""
    for rule in config.routes:
        if rule.channel is not None and rule.room is not None:
            yield ThreadRef(channel=rule.channel, space=rule.space or "", room=rule.room)
    for monitor in config.monitors:
        yield from monitor.report_to
