"""/whoami: the account that rights hang on, and what they are."""

from __future__ import annotations

from bot.commands.base import Command, Request


def command() -> Command:
    async def run(request: Request) -> str:
        who = request.principal
        known = (
            f"You are **{who.person}**, role {who.role.word}." if who.person else f"Your role here is {who.role.word}."
        )
        others = sorted(account for account in who.accounts if account != who.account)
        linked = f" Linked: {', '.join(f'`{account}`' for account in others)}." if others else ""
        return f"{known} Your account is `{who.account}`, this place is `{request.where.key}`.{linked}"

    return Command(name="whoami", summary="Your account and role here", usage="/whoami", run=run)
