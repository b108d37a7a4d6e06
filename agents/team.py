"""Spawn, steer, stop, kill, send: what people do with commands and agents with tools, in one place.

Everything here is idempotent by the key that its cause gives, so a repeated command or a tool call made again
after a crash finds its effect done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from agents.base import (
    ALWAYS_JOIN,
    Acknowledge,
    AgentName,
    MailKey,
    MailKind,
    Mode,
    NewMail,
    Posted,
    QueueMode,
    Refused,
    Session,
    SessionId,
    Spawn,
    Spawned,
    State,
)
from agents.ports import Engine, Killed, Mailbox, Profile, Profiles, Sessions
from agents.rights import Rights
from agents.session import session_id
from agents.spawning import check_agent, check_budget, check_label, check_model, check_timeout, workspace_of
from channels.base import Account, Attachment, OpenThread, ThreadRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A thread to come: the place it is known by until it is there, and what opens it."""

    home: ThreadRef
    request: OpenThread


class Threads(Protocol):
    """Where sessions can have threads of their own. `bot` fulfils it from the channels' capabilities."""

    def opening(
        self, session: SessionId, near: ThreadRef, title: str, first_text: str, apart_text: str, anchor: str | None
    ) -> Opening | None:
        """A new thread in the room of `near` (under the message `anchor`), see `OpenThread`. None where there are no
        threads, and where one would show what is said in `near` to more people than see it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What somebody wants done by a new session."""

    key: str
    agent: AgentName
    text: str
    owner: Account
    owner_name: str
    parent: Session | None = None
    label: str | None = None
    mode: Mode = Mode.SESSION
    model: str | None = None
    timeout_seconds: int | None = None
    budget_usd: float | None = None
    near: ThreadRef | None = None  # where it was asked for
    thread: bool = True  # in a thread of its own, where there are any
    anchor: str | None = None
    introduced: bool = False  # its thread begins with who it is and what it was asked, as a child's always does
    fork: bool = False
    workspace: str | None = None  # own, parent or shared:<name>; None: as the profile says
    inbox: int | None = None
    attachments: tuple[Attachment, ...] = ()


class Team:
    """The living sessions as one team."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        mailbox: Mailbox,
        engine: Engine,
        profiles: Profiles,
        threads: Threads,
        clock: Callable[[], datetime],
        spawned: Callable[[Session], None] | None = None,
    ) -> None:
        self._spawned = spawned  # shows children in their parents' threads
        self._sessions = sessions
        self._mailbox = mailbox
        self._engine = engine
        self._profiles = profiles
        self._threads = threads
        self._clock = clock
        self._rights = Rights(profiles, sessions)

    async def spawn(self, task: Task) -> Spawned:
        """Make a session and give it its task. Raises Refused that names the limit and what to do."""
        profile = self._wanted(task)
        parent = await self._checked(task, profile)
        id = session_id(task.key)
        workspace = workspace_of(task.workspace, id, task.parent, profile, parent)
        opening = self._opening(id, task, profile)
        mail = NewMail(
            key=MailKey(f"task:{task.key}"),
            session=id,
            kind=MailKind.PERSON,
            text=task.text,
            sender=task.owner,
            sender_name=task.owner_name,
            inbox=task.inbox,
            attachments=task.attachments,
        )
        spawn = Spawn(
            key=task.key,
            agent=profile.name,
            task=task.text,
            owner=task.owner,
            owner_name=task.owner_name,
            parent=task.parent.id if task.parent else None,
            label=task.label,
            mode=task.mode,
            model=task.model,
            timeout_seconds=task.timeout_seconds,
            budget_usd=task.budget_usd,
            home=opening.home if opening else None,
            forked_from=task.parent.id if task.parent and task.fork else None,
            workspace=workspace,
            mail=mail,
        )
        if task.parent is not None and parent is not None:
            spawn = _limited(spawn, task.parent, parent)
        if self._spawned is not None:
            spawn = replace(spawn, shown=True)
        spawned = await self._sessions.spawn(spawn, self._clock(), opening.request if opening else None)
        if self._spawned is not None and spawned.session.parent is not None:
            self._spawned(spawned.session)
        return spawned

    async def hand_over(self, session: Session, agent: AgentName, note: str, home: ThreadRef, *, key: str) -> Spawned:
        """Make a session of `agent` that goes on with this session's conversation in its thread. Raises Refused."""
        task = Task(key=key, agent=agent, text=note, owner=session.owner, owner_name=session.owner_name, parent=session)
        profile = self._wanted(task)
        parent = await self._checked(task, profile)
        assert parent is not None
        id = session_id(key)
        mail = NewMail(
            key=MailKey(f"task:{key}"),
            session=id,
            kind=MailKind.AGENT,
            text=f"I hand this thread over to you. {note}",
            sender_name=session.label,
            from_session=session.id,
            max_hops=parent.max_hops,
        )
        spawn = Spawn(
            key=key,
            agent=agent,
            task=note,
            owner=session.owner,
            owner_name=session.owner_name,
            parent=session.id,
            home=home,
            forked_from=session.id,
            instead=True,
            workspace=workspace_of(None, id, session, profile, parent),
            mail=mail,
        )
        return await self._sessions.spawn(_limited(spawn, session, parent), self._clock())

    async def begin(self, task: Task, home: ThreadRef) -> Spawned:
        """Make a session that is bound to a place that is there already."""
        profile = self._wanted(task)
        mail = NewMail(
            key=MailKey(f"task:{task.key}"),
            session=session_id(task.key),
            kind=MailKind.PERSON,
            text=task.text,
            sender=task.owner,
            sender_name=task.owner_name,
            inbox=task.inbox,
            attachments=task.attachments,
            where=home,
            reply_to=task.anchor,
        )
        spawn = Spawn(
            key=task.key,
            agent=profile.name,
            task=task.text,
            owner=task.owner,
            owner_name=task.owner_name,
            mode=task.mode,
            label=task.label,
            model=task.model,
            home=home,
            mail=mail if task.text else None,
        )
        return await self._sessions.spawn(spawn, self._clock())

    async def post(self, mail: NewMail, session: Session | None = None) -> Posted:
        """Mail for a session (which may be given, if it was just looked at), by its queue mode: interrupting mail
        ends the running turn."""
        session = session or await self._sessions.session(mail.session)
        if session is None:
            return Posted.ENDED
        profile = self._profiles.profile(session.agent)
        mode = mail.mode or session.queue or (profile.queue if profile else QueueMode.STEER)
        limit = profile.queue_limit if profile else 50
        posted = await self._mailbox.post(replace(mail, mode=mode), self._clock(), limit=limit)
        ends_turn = mode is QueueMode.INTERRUPT and mail.kind not in ALWAYS_JOIN
        if posted is Posted.QUEUED and ends_turn:
            now = await self._sessions.session(session.id)
            if now is not None and now.state is State.RUNNING:
                self._engine.abort(session.id)
        return posted

    async def steer(
        self,
        session: Session,
        text: str,
        *,
        by: str,
        key: str,
        account: Account | None = None,
        from_session: SessionId | None = None,
        max_hops: int | None = None,
        acknowledge: Acknowledge | None = None,
    ) -> Posted:
        """A note that joins the running turn at its next step, or begins one. Raises Refused when sessions have caused
        one another to write for too long."""
        mail = NewMail(
            key=MailKey(f"steer:{key}"),
            session=session.id,
            kind=MailKind.STEER,
            text=text,
            sender=account,
            sender_name=by,
            from_session=from_session,
            max_hops=max_hops,
            acknowledge=acknowledge,
        )
        return await self.post(mail, session)

    async def stop(self, session: SessionId) -> bool:
        """End the running turn and keep the session. False when none runs."""
        if not await self._sessions.stop(session):
            return False
        self._engine.abort(session)
        self._engine.wake(session)
        return True

    async def kill(
        self, session: SessionId, *, by: str, answered_in: ThreadRef | None = None, actor: str = ""
    ) -> Killed:
        """End a session and everything below it, now and for good. `by` is read by people; `actor`, who that is for
        certain, stands in the audit log."""
        killed = await self._sessions.kill(session, by, self._clock(), answered_in=answered_in, actor=actor)
        for ended in killed.sessions:
            self._engine.abort(ended.id)
        return killed

    def _wanted(self, task: Task) -> Profile:
        profile = self._profiles.profile(task.agent)
        if profile is None:
            raise Refused(f"there is no agent {task.agent!r}; there are: {', '.join(self._profiles.names())}.")
        return profile

    async def _checked(self, task: Task, wanted: Profile) -> Profile | None:
        """The profile of the session that spawns, as it applies now. Raises Refused when the task asks for more than
        may be given."""
        check_label(task.label, self._profiles.names())
        check_timeout(task.timeout_seconds, wanted)
        if task.parent is None:
            check_budget(task.budget_usd, wanted, None)
            return None
        parent = await self._rights.profile_of(task.parent)
        if parent is None:
            raise Refused(f"the agent {task.parent.agent} is not configured any more, so it cannot spawn.")
        check_agent(parent, wanted)
        check_model(task.model, wanted, parent)
        if task.budget_usd is not None:
            check_budget(task.budget_usd, wanted, await self._rights.money_left(task.parent))
        return parent

    def _opening(self, id: SessionId, task: Task, profile: Profile) -> Opening | None:
        if not task.thread or task.near is None:
            return None
        title = task.label or f"{profile.name}: {first_line(task.text)}"
        asked_by = task.parent.label if task.parent else task.owner_name
        first = (
            f"I am **{task.label or profile.name}** ({profile.name}, `{id}`). {asked_by} asked me:\n\n"
            f"> {first_line(task.text, 500)}\n\nWrite here to steer me; from elsewhere: `/steer {id} text`."
            " `/stop` ends what I am doing, `/kill` ends me."
        )
        said = first if task.parent or task.introduced else ""
        return self._threads.opening(id, task.near, title[:90], said, first, task.anchor)


def _limited(spawn: Spawn, session: Session, profile: Profile) -> Spawn:
    """With the limits of the session that spawns: the store counts what there is in the transaction that adds to it."""
    return replace(
        spawn,
        max_children=profile.max_children,
        deepest=session.depth + profile.max_depth,
        max_per_minute=profile.spawns_per_minute,
    )


def first_line(text: str, length: int = 60) -> str:
    """The beginning of a text, as a title."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"
