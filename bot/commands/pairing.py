"""/link, /approve and /deny: who is let in, which accounts are one person, and which tool calls may be made.

A request of a session has an id that begins with `q` and is longer than a code, so one is never taken for the other.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Protocol

from agents.questions import ALWAYS, DENY, ONCE
from agents.tool_servers import Offered, Pin
from bot.access import Action, Principal, Role
from bot.asking import Told
from bot.commands.base import Command, Misused, Request, allow
from bot.people.pairing import Answer, PairingDesk
from channels.base import Account, CommandOption, ThreadRef

_CODE = CommandOption(name="code", description="The code")
_ID = CommandOption(name="id", description="A code, or the id of a request")


class Tells(Protocol):
    """Says something to an account, where it asked or directly."""

    async def tell(self, account: Account, place: ThreadRef | None, text: str, key: str) -> bool: ...


class Decides(Protocol):
    """`bot.asking` fulfils it."""

    async def approve(self, id: str, word: str, by: Principal, now: datetime) -> Told | None: ...


class Releases(Protocol):
    """Tool servers whose tools are withheld because they changed. `agents.tools.mcp` fulfils it."""

    async def pin(self, server: str) -> Pin | None: ...
    async def approve(self, server: str, digest: str, by: str) -> object | None: ...


async def _tell(tells: Tells, answer: Answer, text: str, request: Request) -> str:
    if answer.done and answer.account is not None and answer.account != request.principal.account:
        await tells.tell(answer.account, answer.place, text, f"{request.key}/told")
    return answer.text


def link(desk: PairingDesk, tells: Tells) -> Command:
    async def run(request: Request) -> str:
        code = request.arguments.strip()
        if code:
            answer = await desk.link(code, request.principal, request.now)
            account = request.principal.account
            news = f"The account {account} is now linked to this one. If that was not you, tell the owner."
            return await _tell(tells, answer, news, request)
        offered = await desk.offer_link(request.principal, request.where, private=request.direct, now=request.now)
        return offered.text

    return Command(
        name="link",
        summary="Join your accounts on several platforms",
        usage="/link [code]",
        run=run,
        decides=True,
        options=(_CODE,),
        in_private=True,
    )


_SERVER = "mcp:"
_DIGITS = 32  # of a digest: with few, a server could make two offers that have the same and exchange them
_SHOWN = 50_000  # characters of what a server offers; a long message becomes a file


async def _release(servers: Releases, name: str, digest: str, by: str) -> str:
    """Show what a server offers; with the digest of what was shown, let agents use it. So nobody approves what the
    server changed while he was reading."""
    pin = await servers.pin(name)
    if pin is None:
        return f"There is no tool server {name!r} that has been seen. /health lists those that are configured."
    shown = pin.seen[:_DIGITS]
    if digest == shown and not pin.is_approved:
        if await servers.approve(name, pin.seen, by) is not None:
            return f"The tools of {name} are released as they were shown."
    elif pin.is_approved:
        return f"The tools of {name} are released already; nothing waits."
    text = "\n".join(f"- {_described(tool)}" for tool in pin.offered)
    if len(text) > _SHOWN:
        hidden = len(text) - _SHOWN
        text = f"{text[:_SHOWN]} …\n\n(cut: {len(pin.offered)} tools in all; **{hidden} characters are not shown**)"
    changed = "That is not what the server offers now. " if digest else ""
    return (
        f"{changed}{name} offers other tools than were approved. What it says of them is its own text, and agents would"
        f" read it:\n\n{text}\n\nTo release them: `/approve {_SERVER}{name} {shown}`"
    )


def _described(tool: Offered) -> str:
    """All that models would read of it: what is hidden is in the part that nobody was shown."""
    about = " ".join(tool.description.split()) or "no description"
    parameters = json.dumps(tool.schema, ensure_ascii=False, sort_keys=True).replace("`", "'")
    return f"**{tool.name}**: {about}\n  `{parameters}`"


def approve(desk: PairingDesk, tells: Tells, requests: Decides, servers: Releases) -> Command:
    async def run(request: Request) -> str:
        code, word = request.word()
        if code.startswith(_SERVER):
            allow(request, Action.CONFIGURE)
            return await _release(servers, code.removeprefix(_SERVER), word, request.principal.account)
        if not code:
            raise Misused("Name the code, and the role if it is not user; or the id of a session's request.")
        if word.lower() in ("", ONCE, ALWAYS):
            told = await requests.approve(code, word.lower() or ONCE, request.principal, request.now)
            if told is not None:
                return told.text
        try:
            role = Role.named(word or "user")
        except ValueError as error:
            raise Misused(str(error)) from error
        answer = await desk.approve(code, request.principal, role, request.now)
        return await _tell(tells, answer, "You are let in. Write what you need; /help tells what can be said.", request)

    return Command(
        name="approve",
        summary="Let somebody in by his code, or let a session run a tool",
        usage="/approve CODE [guest|user|operator], /approve ID [once|always], or /approve mcp:NAME [what was shown]",
        run=run,
        decides=True,
        options=(_ID, CommandOption(name="role", description="guest, user or operator; for a tool: once or always")),
    )


def deny(desk: PairingDesk, requests: Decides) -> Command:
    async def run(request: Request) -> str:
        code = request.arguments.strip()
        if not code:
            raise Misused("Name the code, or the id of a session's request.")
        told = await requests.approve(code, DENY, request.principal, request.now)
        if told is not None:
            return told.text
        return (await desk.deny(code, request.principal, request.now)).text

    return Command(
        name="deny",
        summary="Do not let somebody in, or a tool run",
        usage="/deny CODE, or /deny ID",
        run=run,
        decides=True,
        options=(_ID,),
    )
