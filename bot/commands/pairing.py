"""/link, /approve and /deny: who is let in, which accounts are one person, and which tool calls may be made.

A request of a session has an id that begins with `q` and is longer than a code, so one is never taken for the other.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from agents.questions import ALWAYS, DENY, ONCE
from bot.access import Action, Principal, Role
from bot.asking import Told
from bot.commands.base import Command, Misused, Request, allow
from bot.pairing import Answer, PairingDesk
from channels.base import Account, CommandOption, ThreadRef

_CODE = CommandOption(name="code", description="The code")
_ID = CommandOption(name="id", description="A code, or the id of a request")


class Tells(Protocol):
    """Says something to an account, where it asked or directly."""

    async def tell(self, account: Account, place: ThreadRef | None, text: str, key: str) -> None: ...


class Decides(Protocol):
    """`bot.asking` fulfils it."""

    async def approve(self, id: str, word: str, by: Principal, now: datetime) -> Told | None: ...


class Releases(Protocol):
    """Tool servers whose tools are withheld because they changed. `agents.tools.mcp` fulfils it."""

    async def approve(self, server: str, by: str) -> object | None: ...


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
    )


_SERVER = "mcp:"


def approve(desk: PairingDesk, tells: Tells, requests: Decides, servers: Releases) -> Command:
    async def run(request: Request) -> str:
        code, word = request.word()
        if code.startswith(_SERVER):
            allow(request, Action.CONFIGURE)
            name = code.removeprefix(_SERVER)
            if await servers.approve(name, request.principal.account) is not None:
                return f"The tools of {name} are released as they are now."
            return f"There is no tool server {name!r} whose tools wait. `threadmill doctor` shows what is connected."
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
        usage="/approve CODE [guest|user|operator], /approve ID [once|always], or /approve mcp:NAME",
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
