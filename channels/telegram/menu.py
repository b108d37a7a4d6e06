"""The command menu beside the text field.

It is set only when it changed: setMyCommands at every start earns a 429. What was set last is kept as a cursor.
A menu that cannot be set is logged and tried at the next start; nothing waits for it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Sequence
from typing import Any

from channels.base import ChannelError, CommandSpec, Intake, NotAccepted
from channels.telegram.client import Client

_log = logging.getLogger(__name__)
_CURSOR = "menu"
_COMMAND_COUNT = 100
_NAME = re.compile(r"[a-z0-9_]{1,32}")


def menu(commands: Sequence[CommandSpec]) -> list[dict[str, str]]:
    """Telegram's form of the commands: those that it can show, their arguments told in the description."""
    shown = []
    for command in commands:
        name = command.name.removeprefix("/").lower()
        if _NAME.fullmatch(name):
            usage = " ".join(option.name if option.required else f"[{option.name}]" for option in command.options)
            text = f"{command.description} · {usage}" if usage else command.description
            shown.append({"command": name, "description": (text or name)[:256]})
    return shown[:_COMMAND_COUNT]


async def set_menu(client: Client, intake: Intake, commands: Sequence[CommandSpec], bot_id: int) -> None:
    """Show these commands, unless they are shown already. Never raises a channel's error."""
    shown: list[dict[str, Any]] = menu(commands)
    if not shown:
        return
    mark = hashlib.sha256(json.dumps([bot_id, shown]).encode()).hexdigest()
    try:
        if await intake.cursor(_CURSOR) == mark:
            return
        await client.call("setMyCommands", repeatable=True, doing="the command menu", commands=shown)
        await intake.accept((), cursors={_CURSOR: mark})
    except (ChannelError, NotAccepted) as error:
        _log.warning("the command menu is not set: %s", error)
