"""Marks on people's messages, as reactions.

Putting a reaction that is there, and taking one away that is not, changes nothing on Discord: so both may be repeated.
The new mark comes before the old one goes, so that there is always one to see.
"""

from __future__ import annotations

from channels.base import Mark, ThreadRef
from channels.discord.errors import spoken
from channels.discord.rest import Rest

EMOJI = {Mark.WAITING: "⏳", Mark.TAKEN_IN: "👀", Mark.REFUSED: "🚫"}


async def put(rest: Rest, where: ThreadRef, message_id: str, mark: Mark | None, instead_of: Mark | None) -> None:
    """See Channel.react."""
    room = where.thread or where.room
    with spoken("mark a message"):
        if mark is not None:
            await rest.add_reaction(room, message_id, EMOJI[mark])
        if instead_of is not None and instead_of is not mark:
            await rest.remove_own_reaction(room, message_id, EMOJI[instead_of])
