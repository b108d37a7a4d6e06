"""`route explain`: which rule takes a message, and why the others do not, asked of the router itself."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from bot.cli.failed import Failed
from bot.cli.options import config_option, json_option, loaded, read_database
from bot.cli.output import Column, clean, print_json, print_rows

if TYPE_CHECKING:
    from agents.base import Session
    from bot.config import Config
    from bot.routing.router import Routed
    from channels.base import Inbound
    from storage.database import Database
    from storage.people import Link

LOCAL = ("web", "console", "api")
CHAT_COMMANDS = (
    "help",
    "spawn",
    "agents",
    "steer",
    "kill",
    "stop",
    "status",
    "history",
    "send",
    "focus",
    "unfocus",
    "new",
    "model",
    "queue",
    "cost",
    "retry",
    "monitor",
    "approve",
    "deny",
    "link",
    "whoami",
    "health",
    "deadletters",
)
"""The commands of the outside contract, known here without making the parts that carry them out."""


@click.group()
def route() -> None:
    """Ask the router what it would do."""


@route.command()
@click.option("--channel", required=True, help="The channel's name, such as slack.")
@click.option("--room", required=True, help="The room's id on its platform.")
@click.option("--sender", required=True, help="The account: slack:T1/U1, or its part after the channel.")
@click.option("--space", default="", help="The guild's or team's id, where there is one.")
@click.option("--thread", help="The thread's id, for a message in a thread.")
@click.option("--mention", is_flag=True, help="The message mentions the bot.")
@click.option("--direct", is_flag=True, help="It is a direct message.")
@click.option("--bot", is_flag=True, help="The sender is a bot.")
@click.option("--at", metavar="TIME", help="As if it came at this time: 2026-12-01T09:00.")
@click.argument("text")
@config_option
@json_option
def explain(config_file: Path | None, as_json: bool, text: str, at: str | None, **facts: Any) -> None:
    """Say which rule takes TEXT, and why the others do not. Nothing is done."""
    config = loaded(config_file)
    if facts["channel"] not in {*config.channels, *LOCAL}:
        known = ", ".join([*config.channels, *LOCAL])
        raise Failed(f"there is no channel {facts['channel']!r}; known: {known}", code=2)
    inbound = _inbound(config, text, at, facts)
    links, session, root_owner = _stored(config, inbound)
    routed = _asked(config, inbound, links, session, root_owner)
    decision = _decision(routed)
    if as_json:
        explained = [{"rule": one.rule, "matched": one.matched, "why": one.why} for one in routed.explained]
        print_json({**decision, "explained": explained})
        return
    print_rows(
        routed.explained,
        False,
        [
            Column(title="rule", value=lambda row: row.rule),
            Column(title="takes it", value=lambda row: row.matched),
            Column(title="why", value=lambda row: row.why, wide=True),
        ],
        nothing="No rule was asked.",
    )
    said = "; ".join(f"{key} {value}" for key, value in decision.items() if value is not None)
    click.echo(f"\n{clean(said)}")


def _inbound(config: Config, text: str, at: str | None, facts: dict[str, Any]) -> Inbound:
    from datetime import UTC

    from bot.config.times import moment
    from channels.base import Account, ChannelName, EventId, Inbound, Kind, Sender, ThreadRef

    try:
        now = moment(at, config.bot.timezone) if at is not None else datetime.now(UTC)
    except ValueError as error:
        raise Failed(str(error), code=2) from error
    channel, sender = facts["channel"], facts["sender"]
    account = sender if sender.startswith(f"{channel}:") else f"{channel}:{sender}"
    return Inbound(
        id=EventId("route-explain"),
        kind=Kind.COMMAND if text.startswith("/") else Kind.MESSAGE,
        where=ThreadRef(channel=ChannelName(channel), space=facts["space"], room=facts["room"], thread=facts["thread"]),
        sender=Sender(account=Account(account), name=sender, is_bot=facts["bot"]),
        text=text,
        sent_at=now.astimezone(UTC),
        mentioned=facts["mention"],
        direct=facts["direct"] or channel in LOCAL,
    )


class _Nobody:
    """Signals that nobody hears: nothing is changed here."""

    def mail(self, session: object) -> None: ...
    def said(self, lane: object) -> None: ...
    def ended(self, session: object) -> None: ...


def _stored(config: Config, inbound: Inbound) -> tuple[list[Link], Session | None, Any]:
    """Linked accounts, and the session bound to the place, where there is a database."""
    if not (config.bot.data / "threadmill.db").exists():
        return [], None, None

    async def look(database: Database) -> tuple[list[Link], Session | None, Any]:
        from bot.people.pairing import LIMITS
        from storage.people import People
        from storage.sessions import SqliteSessions

        sessions = SqliteSessions(database, _Nobody())
        session = await sessions.bound(inbound.where)
        root = await sessions.session(session.root) if session is not None else None
        return list(await People(database, LIMITS).links()), session, root.owner if root is not None else None

    return read_database(config, look)


def _asked(config: Config, inbound: Inbound, links: list[Link], session: Session | None, root_owner: Any) -> Routed:
    import asyncio

    from bot.people.directory import Directory
    from bot.routing.router import Routes, route
    from channels.base import ChannelName

    class Found:
        async def links(self) -> list[Link]:
            return links

    local = frozenset(ChannelName(name) for name in LOCAL)
    directory = Directory(Found())
    directory.configure(config.people.values(), default_role=config.default_role, token_channels=local)
    asyncio.run(directory.refresh())
    sender = inbound.sender
    return route(
        inbound,
        session=session,
        principal=directory.principal(sender.account, sender.name, sender.is_bot),
        routes=Routes(
            rules=config.routes,
            first_agent=next(iter(config.agents), None),
            local_channels=local,
            commands=CHAT_COMMANDS,
            timezone=config.bot.timezone,
        ),
        now=inbound.sent_at,
        root_owner=root_owner,
    )


def _decision(routed: Routed) -> dict[str, Any]:
    """What would be done, in a few words of its own."""
    from bot.routing.decisions import NewSession, Refuse, Run, ToSession

    decision = routed.decision
    found: dict[str, Any] = {"decision": type(decision).__name__, "reason": decision.reason}
    if isinstance(decision, NewSession):
        found |= {"agent": decision.agent, "thread": decision.thread, "priority": decision.priority.value}
    elif isinstance(decision, ToSession):
        found |= {"session": decision.session.label, "agent": decision.session.agent}
    elif isinstance(decision, Run):
        found |= {"command": decision.invocation.name, "arguments": decision.invocation.arguments_text}
    elif isinstance(decision, Refuse):
        found |= {"answer": decision.answer}
    return found
