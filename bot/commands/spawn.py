"""/spawn: a new session for a task, in a thread of its own where there are threads."""

from __future__ import annotations

import re
from dataclasses import dataclass

from agents.base import AgentName
from agents.models.base import Models
from agents.ports import Profiles
from agents.team import Task, Team
from bot.access import Action
from bot.commands.base import Command, Misused, Request, allow
from channels.base import CommandOption, Takes

_REST = re.compile(r"--(?:\s+|$)")
_OPTION = re.compile(r"(label|model|timeout|budget|workspace)=(\S*)\s*")


def command(team: Team, profiles: Profiles, models: Models) -> Command:
    async def run(request: Request) -> str:
        allow(request, Action.SPAWN)
        first, rest = request.word()
        named = first in profiles.names()
        options, text = _options(rest if named else request.arguments.strip(), models)
        kept = await request.files()
        text = "\n\n".join(part for part in (text, kept.text) if part)
        if not text and not kept.attachments:
            raise Misused(f"Say what is to be done: /spawn [{'|'.join(profiles.names())}] [{'=… '.join(_KEYS)}=…] task")
        spawned = await team.spawn(
            Task(
                key=request.key,
                agent=AgentName(first) if named else profiles.names()[0],
                text=text,
                owner=request.principal.account,
                owner_name=request.principal.name,
                parent=None,
                near=request.where,
                anchor=request.message_id if request.where.thread is None else None,
                inbox=request.inbox,
                introduced=True,
                label=options.label,
                model=options.model,
                timeout_seconds=options.timeout_seconds,
                budget_usd=options.budget_usd,
                workspace=options.workspace,
                attachments=kept.attachments,
            )
        )
        session = spawned.session
        where = "in a thread of its own" if session.home else "without a thread: /history shows what it does"
        return f"Spawned **{session.label}** (`{session.id}`, agent {session.agent}) {where}."

    return Command(
        name="spawn",
        soon=True,
        summary="Start an agent on a task, in a thread of its own",
        usage="/spawn [agent] [label=… model=… timeout=… budget=… workspace=…] task",
        run=run,
        public=True,
        options=(
            CommandOption(name="agent", description="Who does it; nothing for the first agent", takes=Takes.AGENT),
            CommandOption(name="task", description="What is to be done", required=True),
        ),
        action=Action.SPAWN,
    )


_KEYS = ("label", "model", "timeout", "budget", "workspace")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    """What stands between the agent and the task. What a profile does not allow is refused by the team."""

    label: str | None = None
    model: str | None = None
    timeout_seconds: int | None = None
    budget_usd: float | None = None
    workspace: str | None = None


def _options(text: str, models: Models) -> tuple[_Options, str]:
    """The options and the task. Raises Misused when a value is none. What follows `--` is task: so the text of
    somebody else's message, handed over by a menu, chooses nothing."""
    given: dict[str, str] = {}
    while match := _OPTION.match(text):
        given[match[1]] = match[2]
        text = text[match.end() :]
    text = text[found.end() :] if (found := _REST.match(text)) else text
    known = [info.name for info in models.infos()]
    if "model" in given and given["model"] not in known:
        raise Misused(f"There is no model {given['model']!r}. There are: {', '.join(known)}.")
    seconds = _number(given, "timeout", "whole seconds from 1 to 86400, such as timeout=300", r"[1-9][0-9]{0,4}")
    if seconds is not None and seconds > 86_400:
        raise Misused("timeout= takes whole seconds from 1 to 86400, such as timeout=300.")
    dollars = _number(given, "budget", "US dollars, such as budget=0.5", r"(?!0*\.?0*$)[0-9]{1,6}(\.[0-9]{1,6})?")
    options = _Options(
        label=given.get("label"),
        model=given.get("model"),
        timeout_seconds=None if seconds is None else int(seconds),
        budget_usd=dollars,
        workspace=given.get("workspace"),
    )
    return options, text


def _number(given: dict[str, str], key: str, what: str, pattern: str) -> float | None:
    if key not in given:
        return None
    if not re.fullmatch(pattern, given[key], re.ASCII):
        raise Misused(f"{key}= takes {what}.")
    return float(given[key])
