"""Checks of what is configured: the file itself, models, agents, people, routes; and each channel's."""

from __future__ import annotations

import stat
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bot.cli import doctor_channels
from channels.checks import Check, CheckResult, failed, ok, skipped, warning

if TYPE_CHECKING:
    from agents.models.settings import ModelSettings
    from bot.config import Config


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
        _asked("agents.reached", lambda: reached(config)),
        Check(id="agents.prices", run=lambda: prices(config), network=False),
        _asked("agents.skills", lambda: skills(config)),
        *models(config),
        *(_tool_server(name, config) for name in config.mcp),
        *(check for channel in config.channels.values() for check in doctor_channels.of(channel, config)),
    ]


def models(config: Config) -> Sequence[Check]:
    """Ask each model for a word."""
    return [_model(name, settings) for name, settings in config.models.items()]


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


async def prices(config: Config) -> CheckResult:
    """A budget can be kept only where a price is known."""
    from agents.models.base import Usage
    from agents.models.prices import Prices

    listed, unknown = Prices(), []
    for name, settings in config.models.items():
        one_token = Usage(input_tokens=1)
        if settings.hosted and not (await listed.cost(settings, settings.model, one_token)).known:
            unknown.append(str(name))
    if not unknown:
        return ok("a price is known for every model that costs money")
    return warning(
        f"no price is known for: {', '.join(unknown)}; their calls count as free, and no budget holds them",
        "set price_usd_per_million under [models.NAME]",
    )


def reached(config: Config) -> CheckResult:
    """An agent that nothing leads to is a mistake in the routes, or a leftover."""
    first = next(iter(config.agents), None)
    led_to = {first, *(rule.agent for rule in config.routes), *(monitor.agent for monitor in config.monitors)}
    for profile in config.agents.values():
        led_to.update((*profile.spawns, *profile.may_message))
    lost = [name for name in config.agents if name not in led_to]
    if not lost:
        return ok(f"something leads to each of {len(config.agents)}")
    return warning(
        f"only /spawn reaches: {', '.join(lost)}", "add a [[routes]] for it, name it in another's spawns, or remove it"
    )


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


def skills(config: Config) -> CheckResult:
    """Every skill that an agent names can be read."""
    from agents.skills import SkillError, Skills

    named = sorted({name for agent in config.agents.values() for name in agent.skills})
    known, wrong = Skills(config.bot.skills), []
    for name in named:
        try:
            known.skill(name)
        except SkillError as error:
            wrong.append(str(error))
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        return failed(wrong[0] + more, "put the SKILL.md right, or take the skill out of the agent's `skills`")
    return ok(f"{len(named)} skills can be read" if named else "no agent names a skill")


def _tool_server(name: str, config: Config) -> Check:
    """Connect to an MCP server, and ask what it offers. Its process is one of its own."""

    async def connect() -> CheckResult:
        from agents.tools.mcp import MOST_TOOLS, reason
        from agents.tools.mcp_client import NotInstalled, connected
        from bot.agent_tools import server_of

        try:
            async with connected(name, server_of(config.mcp[name]), within=20.0, changed=lambda: None) as connection:
                offered = await connection.tools(MOST_TOOLS)
        except NotInstalled as error:
            return failed(str(error), "install it, and start again")
        except Exception as error:  # noqa: BLE001 - whatever a program of somebody else does
            return failed(reason(error), f"put [mcp.{name}] right: its command or url; its own messages are in the log")
        names = ", ".join(tool.name for tool in offered[:8])
        return ok(f"{len(offered)} tools: {names}{', …' if len(offered) > 8 else ''}")

    return Check(id=f"mcp.{name}", run=connect)
