"""Tools over sessions: spawn one, send to one, list them, read one's history.

Names and parameters as in OpenClaw, so that prompts carry over. An agent reaches its own tree (what is
above, beside and below it), and beyond that only the agents that its profile's `may_message` names.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from agents.base import AgentName, MailKey, MailKind, Mode, NewMail, Posted, Session, Step, StepKind
from agents.conversation import block_from_json, input_texts, text_of
from agents.ports import Journal, Mailbox, Sessions
from agents.progress import age
from agents.team import Task, Team, first_line
from agents.tools.base import Call, Park, ToolError

_MODEL = ConfigDict(extra="forbid")


class SpawnArguments(BaseModel):
    model_config = _MODEL
    task: str = Field(min_length=1, max_length=50_000, description="What the new session is to do, complete in itself.")
    agent: str = Field(description="Which agent does it.")
    label: str | None = Field(
        default=None, pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$", description="A name to address it by, such as prices-eu."
    )
    model: str | None = Field(default=None, description="Another model than its own, where its profile allows it.")
    mode: Literal["run", "session"] = Field(
        default="run", description="run: one task, then it ends and its result comes to you; session: it lives on."
    )
    thread: bool = Field(default=True, description="In a thread of its own, where people can read and steer it.")
    context: Literal["isolated", "fork"] = Field(
        default="isolated", description="fork: it starts with your conversation."
    )
    timeout_seconds: int | None = Field(
        default=None, ge=1, le=86_400, description="The longest one of its turns may take."
    )
    budget_usd: float | None = Field(
        default=None, gt=0, le=100_000, description="What it may spend, with all that it spawns, in US dollars."
    )
    workspace: str | None = Field(
        default=None,
        pattern=r"^(own|parent|shared:[a-z0-9][a-z0-9_-]{0,39})$",
        description="Whose files it works on: own, parent (yours) or shared:NAME.",
    )


class SpawnTool:
    """sessions_spawn."""

    name: ClassVar[str] = "sessions_spawn"
    description: ClassVar[str] = (
        "Start another agent on a task. Returns at once with its id; its result comes to you as a message when it ends."
        " Use subagents to wait for it, steer it or kill it."
    )
    arguments: ClassVar[type[BaseModel]] = SpawnArguments
    repeatable: ClassVar[bool] = True  # the session's key is the call's
    timeout_seconds: ClassVar[float] = 30.0

    def __init__(self, team: Team) -> None:
        self._team = team

    async def run(self, call: Call, arguments: SpawnArguments) -> str:
        spawned = await self._team.spawn(
            Task(
                key=f"spawn:{call.key}",
                agent=AgentName(arguments.agent),
                text=arguments.task,
                owner=call.session.owner,
                owner_name=call.session.label,
                parent=call.session,
                label=arguments.label,
                mode=Mode(arguments.mode),
                model=arguments.model,
                timeout_seconds=arguments.timeout_seconds,
                budget_usd=arguments.budget_usd,
                near=call.session.home,
                thread=arguments.thread,
                fork=arguments.context == "fork",
                workspace=arguments.workspace,
            )
        )
        child = spawned.session
        return f"Spawned {child.label} ({child.id}), agent {child.agent}, mode {child.mode.value}."


class SendArguments(BaseModel):
    model_config = _MODEL
    session: str = Field(description="Its label or id.")
    message: str = Field(min_length=1, max_length=50_000)
    timeout_seconds: float = Field(
        default=0.0, ge=0, le=86_400, description="How long to wait for its answer; 0: do not wait."
    )


class SendTool:
    """sessions_send."""

    name: ClassVar[str] = "sessions_send"
    description: ClassVar[str] = (
        "Send a message to another session, and wait for its answer (what it says at the end of the turn that takes the"
        " message in) if timeout_seconds is given."
    )
    arguments: ClassVar[type[BaseModel]] = SendArguments
    repeatable: ClassVar[bool] = True  # mail is posted once by its key
    timeout_seconds: ClassVar[float] = 30.0  # waiting is done by a parked turn

    def __init__(self, team: Team, sessions: Sessions, mailbox: Mailbox) -> None:
        self._team = team
        self._sessions = sessions
        self._mailbox = mailbox

    async def run(self, call: Call, arguments: SendArguments) -> str:
        target = await reachable(self._sessions, call, arguments.session)
        if target.id == call.session.id:
            raise ToolError("that is your own session: think it over instead of sending it to yourself.")
        key = MailKey(f"send:{call.key}")
        waits = arguments.timeout_seconds > 0
        until = call.begun_at + timedelta(seconds=arguments.timeout_seconds)
        if waits and await self._mailbox.answered(key):
            return f"{target.label} has answered: the answer follows as a message."
        if not (waits and call.now >= until):
            await self._send(call, target, arguments.message, key, waits=waits)
        if not waits:
            return f"Sent to {target.label}."
        if call.now < until:
            raise Park(until)
        return (
            f"{target.label} has not answered within {arguments.timeout_seconds:g} s. The message is with it, and its"
            " answer comes to you as a message."
        )

    async def _send(self, call: Call, target: Session, text: str, key: MailKey, *, waits: bool) -> None:
        if await self._mailbox.known(key):
            return  # the call was made before
        rounds = await self._mailbox.exchanged(call.session.id, target.id)
        if rounds >= call.profile.ping_pong_turns:
            raise ToolError(
                f"you and {target.label} have written to each other {rounds} times without a person in between, and"
                " ping_pong_turns allows no more: bring what you have to an end, or ask a person.",
                limit="ping_pong_turns",
            )
        mail = NewMail(
            key=key,
            session=target.id,
            kind=MailKind.AGENT,
            text=text,
            sender_name=call.session.label,
            from_session=call.session.id,
            wants_answer=waits,
            max_hops=call.profile.max_hops,
        )
        posted = await self._team.post(mail)
        if posted is Posted.FULL:
            raise ToolError(f"the queue of {target.label} is full: wait until it has worked some of it off.")
        if posted is Posted.ENDED:
            raise ToolError(f"{target.label} has ended.")


class ListArguments(BaseModel):
    model_config = _MODEL
    kinds: list[Literal["run", "session"]] = Field(default_factory=list, description="Only these kinds; empty: all.")
    active_minutes: int | None = Field(default=None, ge=1, description="Only those active within this many minutes.")
    limit: int = Field(default=20, ge=1, le=200)
    message_limit: int = Field(default=0, ge=0, le=20, description="How many of each one's last messages to show.")


class ListTool:
    """sessions_list."""

    name: ClassVar[str] = "sessions_list"
    description: ClassVar[str] = "List the sessions of your tree with state and age."
    arguments: ClassVar[type[BaseModel]] = ListArguments
    repeatable: ClassVar[bool] = True
    timeout_seconds: ClassVar[float] = 30.0

    def __init__(self, sessions: Sessions, journal: Journal) -> None:
        self._sessions = sessions
        self._journal = journal

    async def run(self, call: Call, arguments: ListArguments) -> str:
        tree = await self._sessions.tree(call.session.root)
        since = call.now - timedelta(minutes=arguments.active_minutes) if arguments.active_minutes else None
        listed = [
            session
            for session in tree
            if (not arguments.kinds or session.mode.value in arguments.kinds)
            and (since is None or session.active_at >= since)
        ][-arguments.limit :]
        lines = []
        for session in listed:
            lines.append(describe(session, call.now))
            if arguments.message_limit:
                recent = await self._journal.recent(session.id, arguments.message_limit)
                lines.extend(transcript(recent))
        return "\n".join(lines) or "no sessions"


class HistoryArguments(BaseModel):
    model_config = _MODEL
    session: str = Field(description="Its label or id.")
    limit: int = Field(default=20, ge=1, le=200, description="How many of the last entries.")


class HistoryTool:
    """sessions_history."""

    name: ClassVar[str] = "sessions_history"
    description: ClassVar[str] = "Read the last messages of a session of your tree."
    arguments: ClassVar[type[BaseModel]] = HistoryArguments
    repeatable: ClassVar[bool] = True
    timeout_seconds: ClassVar[float] = 30.0

    def __init__(self, sessions: Sessions, journal: Journal) -> None:
        self._sessions = sessions
        self._journal = journal

    async def run(self, call: Call, arguments: HistoryArguments) -> str:
        target = await reachable(self._sessions, call, arguments.session)
        return "\n".join(transcript(await self._journal.recent(target.id, arguments.limit))) or "nothing yet"


async def reachable(sessions: Sessions, call: Call, name: str) -> Session:
    """A session that this one may speak to or read. Raises ToolError, NotFound."""
    target = await sessions.find(name)
    if target.root != call.session.root and target.agent not in call.profile.may_message:
        raise ToolError(
            f"{target.label} is not in your tree, and `may_message` of your profile does not name its agent."
        )
    return target


def describe(session: Session, now: datetime) -> str:
    """One line about a session, for models and people."""
    state = session.ended.value if session.ended else session.state.value
    doing = f", {session.doing}" if session.doing else ""
    return (
        f"{'  ' * session.depth}{session.label} ({session.id}, {session.agent}, {session.mode.value}): {state}{doing},"
        f" {age(now - session.created_at)} old, {session.spent_usd:.4f} USD — {first_line(session.task)}"
    )


def transcript(steps: Sequence[Step]) -> list[str]:
    """Steps as lines to read."""
    lines: list[str] = []
    for entry in steps:
        body = entry.step.body
        match entry.step.kind:
            case StepKind.INPUT:
                lines.extend("> " + " ".join(input_texts(item)) for item in body["mail"])
            case StepKind.MODEL:
                text = text_of(block_from_json(block) for block in body["blocks"])
                if text:
                    lines.append(text)
            case StepKind.RESULT:
                lines.append(f"[{body['name']}: {first_line(body['text'], 200)}]")
            case StepKind.NOTE:
                lines.append(f"[{body['text']}]")
            case _:
                pass
    return lines
