"""Marks on people's messages, as reactions.

A bot has one reaction on a message, and it must be one of Telegram's own, which know no hourglass: what waits is
marked as being written down. Where a group allows no reactions, the mark is refused and nothing else is.
"""

from __future__ import annotations

from typing import Any

from channels.base import Mark, Rejected, ThreadRef
from channels.telegram.client import Client
from channels.telegram.pace import Lane
from channels.telegram.parts import addressed

EMOJI = {Mark.WAITING: "✍", Mark.TAKEN_IN: "👀", Mark.REFUSED: "🤷"}


async def put(client: Client, where: ThreadRef, message_id: str, mark: Mark | None) -> None:
    """See Channel.react. What was there before is replaced."""
    if not message_id.isdigit():
        raise Rejected(f"{message_id!r} is no message id of Telegram")
    reaction: list[dict[str, Any]] = [{"type": "emoji", "emoji": EMOJI[mark]}] if mark is not None else []
    await client.call(
        "setMessageReaction",
        repeatable=True,
        lane=Lane.LIVE,
        doing="a mark on a message",
        chat_id=addressed(where)["chat_id"],
        message_id=int(message_id),
        reaction=reaction,
    )
