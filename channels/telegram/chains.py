"""Reply chains: the threads of supergroups that have no topics.

Whoever answers a message there, or an answer to it, is in its chain; Telegram numbers the chain by its first message. A
chain is a thread of ours only once a session was begun in it: everything else is said in the room. A basic group
numbers no chains, so it has no threads. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from channels.base import ThreadRef
from channels.telegram.payloads import Chat, Message, Update

_PREFIX = "reply-"
_KEPT = 10_000


def in_chain(room: ThreadRef, root: int | str) -> ThreadRef:
    return ThreadRef(channel=room.channel, space=room.space, room=room.room, thread=f"{_PREFIX}{root}")


def root_of(where: ThreadRef) -> str | None:
    """The message that the chain begins with; None where the place is no chain."""
    thread = where.thread or ""
    return thread.removeprefix(_PREFIX) if thread.startswith(_PREFIX) else None


def numbers_chains(room: ThreadRef) -> bool:
    """Supergroups do. Their ids begin so: https://core.telegram.org/api/bots/ids"""
    return room.room.startswith("-100")


class Chains:
    """The chains that are threads, and which chain the newest messages are in."""

    def __init__(self) -> None:
        self._threads: dict[ThreadRef, None] = {}
        self._flat: dict[str, None] = {}
        self._chain_of: dict[tuple[str, str], int] = {}  # (room, message)

    def know(self, places: Iterable[ThreadRef]) -> None:
        """Those among these places that are chains have sessions."""
        self._threads |= dict.fromkeys(place for place in places if root_of(place) is not None)

    def note(self, updates: Sequence[Update]) -> None:
        """Remember which chains these messages are in (one may begin a session), and which rooms have no topics."""
        for update in updates:
            message = update.message
            if message is None:
                continue
            room = str(message.chat.id)
            if _is_flat(message.chat):
                self._flat[room] = None
            else:
                self._flat.pop(room, None)
            if (root := _numbered(message)) is not None:
                self._chain_of[room, str(message.message_id)] = root
        for known in (self._chain_of, self._flat, self._threads):
            _forget_oldest(known)

    def has_no_topics(self, room: ThreadRef) -> bool:
        """As far as the newest message there tells."""
        return room.room in self._flat

    def under(self, room: ThreadRef, message_id: str) -> ThreadRef:
        """The chain that an answer to this message is in. From now on it is a thread."""
        chain = in_chain(room, self._chain_of.get((room.room, message_id), message_id))
        self._threads[chain] = None
        return chain

    def thread_of(self, message: Message, room: ThreadRef) -> ThreadRef | None:
        """The chain that the message is in, if that is a thread."""
        root = _numbered(message)
        chain = None if root is None else in_chain(room, root)
        return chain if chain in self._threads else None


def _numbered(message: Message) -> int | None:
    return message.message_thread_id if _is_flat(message.chat) and not message.is_topic_message else None


def _forget_oldest(known: dict[Any, Any]) -> None:
    while len(known) > _KEPT:
        del known[next(iter(known))]


def _is_flat(chat: Chat) -> bool:
    return chat.type == "supergroup" and not chat.is_forum and not chat.is_direct_messages
