"""/link, /approve and /deny: who is let in, and which accounts are one person."""

from __future__ import annotations

from typing import Protocol

from bot.access import Role
from bot.commands.base import Command, Misused, Request
from bot.pairing import Answer, PairingDesk
from channels.base import Account, CommandOption, ThreadRef

_CODE = CommandOption(name="code", description="The code")


class Tells(Protocol):
    """Says something to an account, where it asked or directly."""

    async def tell(self, account: Account, place: ThreadRef | None, text: str, key: str) -> None: ...


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
        name="link", summary="Join your accounts on several platforms", usage="/link [code]", run=run, options=(_CODE,)
    )


def approve(desk: PairingDesk, tells: Tells) -> Command:
    async def run(request: Request) -> str:
        code, word = request.word()
        if not code:
            raise Misused("Name the code, and the role if it is not user.")
        try:
            role = Role.named(word or "user")
        except ValueError as error:
            raise Misused(str(error)) from error
        answer = await desk.approve(code, request.principal, role, request.now)
        return await _tell(tells, answer, "You are let in. Write what you need; /help tells what can be said.", request)

    return Command(
        name="approve",
        summary="Let somebody in by his code",
        usage="/approve CODE [guest|user|operator]",
        run=run,
        options=(_CODE, CommandOption(name="role", description="guest, user or operator")),
    )


def deny(desk: PairingDesk) -> Command:
    async def run(request: Request) -> str:
        code = request.arguments.strip()
        if not code:
            raise Misused("Name the code.")
        return (await desk.deny(code, request.principal, request.now)).text

    return Command(name="deny", summary="Do not let somebody in", usage="/deny CODE", run=run, options=(_CODE,))
