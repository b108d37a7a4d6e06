"""The command menu beside the text field: for whom, where, and in which language.

Telegram shows a person the narrowest list that is set: of the private chat, of groups, or the general one, each in the
person's language before any. So everybody has what everybody may do, groups are spared what belongs into a private
chat, and an operator's own chat lists all. Lists that an earlier program left in between would hide ours: they go.

A list is set only when it changed: setMyCommands at every start earns a 429. What was set last is kept as a cursor.
A list that cannot be set is logged and tried at the next start; nothing waits for it.
https://core.telegram.org/bots/api#botcommandscope
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from channels.base import Account, ChannelError, CommandSpec, Intake, NotAccepted, TemporaryFailure
from channels.telegram.client import Client

_log = logging.getLogger(__name__)
_CURSOR = "menu"
_COMMAND_COUNT = 100
_NAME = re.compile(r"[a-z0-9_]{1,32}")
_SHORT_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 60.0
_OPERATORS = 20  # chats with a list of their own

_EVERYWHERE = {"type": "default"}
_GROUPS = {"type": "all_group_chats"}
_IN_BETWEEN = ({"type": "all_private_chats"}, {"type": "all_chat_administrators"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Menu:
    """One list, or with no commands the end of one."""

    scope: Mapping[str, Any]
    language: str = ""
    commands: tuple[dict[str, str], ...] = ()

    @property
    def place(self) -> str:
        return "/".join(map(str, self.scope.values()))

    @property
    def name(self) -> str:
        return f"{self.place}/{self.language}".rstrip("/")

    @property
    def mark(self) -> str:
        return hashlib.sha256(json.dumps(self.commands).encode()).hexdigest()[:16]


def menus(commands: Sequence[CommandSpec], operators: Sequence[Account]) -> list[Menu]:
    """Every list, the most important first."""
    people = [command for command in commands if not command.for_operators]
    shown: list[tuple[Mapping[str, Any], Sequence[CommandSpec]]] = [
        (_EVERYWHERE, people),
        (_GROUPS, [command for command in people if not command.in_private]),
    ]
    chats = sorted({account.partition(":")[2] for account in operators})
    shown += [({"type": "chat", "chat_id": int(chat)}, commands) for chat in chats[:_OPERATORS] if chat.isdigit()]
    languages = ["", *sorted({language for command in commands for language, _ in command.descriptions})]
    lists = [
        Menu(scope=scope, language=language, commands=listed(some, language))
        for language in languages
        for scope, some in shown
    ]
    return [*(each for each in lists if each.commands), *(Menu(scope=scope) for scope in _IN_BETWEEN)]


def listed(commands: Sequence[CommandSpec], language: str = "") -> tuple[dict[str, str], ...]:
    """Telegram's form of the commands: those that it can show, their arguments told in the description."""
    shown = []
    for command in commands:
        name = command.name.removeprefix("/").lower()
        if _NAME.fullmatch(name):
            usage = " ".join(option.name if option.required else f"[{option.name}]" for option in command.options)
            said = dict(command.descriptions).get(language, command.description)
            shown.append({"command": name, "description": ((f"{said} · {usage}" if usage else said) or name)[:256]})
    return tuple(shown[:_COMMAND_COUNT])


async def set_menus(
    client: Client, intake: Intake, commands: Sequence[CommandSpec], operators: Sequence[Account], bot_id: int
) -> None:
    """Show these commands, where they are not shown already. Never raises a channel's error."""
    if not commands:
        return
    try:
        shown = _read(await intake.cursor(_CURSOR), bot_id)
        refused: set[str] = set()  # an operator who has not written to the bot has no chat for any language
        for menu in menus(commands, operators):
            if shown.get(menu.name) == menu.mark or menu.place in refused:
                continue
            if not await _set(client, menu):
                refused.add(menu.place)
            else:
                shown[menu.name] = menu.mark
                await intake.accept((), cursors={_CURSOR: json.dumps({"bot": bot_id, "shown": shown})})
    except NotAccepted as error:
        _log.warning("what the command menu shows is not remembered: %s", error)


async def _set(client: Client, menu: Menu) -> bool:
    method = "setMyCommands" if menu.commands else "deleteMyCommands"
    data: dict[str, Any] = {"commands": list(menu.commands)} if menu.commands else {}
    data |= {"scope": dict(menu.scope)} if menu.scope is not _EVERYWHERE else {}
    data |= {"language_code": menu.language} if menu.language else {}
    for last in (False, True):
        try:
            await client.call(method, repeatable=True, doing=f"the command menu {menu.name}", **data)
            return True
        except TemporaryFailure as error:
            pause = error.retry_after.total_seconds() if error.retry_after else _SHORT_PAUSE_SECONDS
            if last or pause > _LONGEST_PAUSE_SECONDS:
                _log.warning("a command menu is not set: %s", error)
                return False
            await asyncio.sleep(pause)
        except ChannelError as error:
            level = logging.INFO if menu.scope["type"] == "chat" else logging.WARNING
            _log.log(level, "a command menu is not set: %s", error)
            return False
    return False


def _read(stored: str | None, bot_id: int) -> dict[str, str]:
    """What this bot was told to show. Another bot's menus say nothing about its own."""
    try:
        found = json.loads(stored or "{}")
        return dict(found["shown"]) if found["bot"] == bot_id else {}
    except (ValueError, TypeError, KeyError):
        return {}
