"""/link, /approve and /deny: who is let in, and which accounts are one person."""

from __future__ import annotations

from bot.access import Role
from bot.commands.base import Command, Misused, Request
from bot.pairing import PairingDesk
from channels.base import CommandOption

_CODE = CommandOption(name="code", description="The code")


def link(desk: PairingDesk) -> Command:
    async def run(request: Request) -> str:
        code = request.arguments.strip()
        if code:
            return (await desk.link(code, request.principal, request.now)).text
        offered = await desk.offer_link(request.principal, request.where, private=request.direct, now=request.now)
        return offered.text

    return Command(
        name="link", summary="Join your accounts on several platforms", usage="/link [code]", run=run, options=(_CODE,)
    )


def approve(desk: PairingDesk) -> Command:
    async def run(request: Request) -> str:
        code, word = request.word()
        if not code:
            raise Misused("Name the code, and the role if it is not user.")
        try:
            role = Role.named(word or "user")
        except ValueError as error:
            raise Misused(str(error)) from error
        return (await desk.approve(code, request.principal, role, request.now)).text

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
