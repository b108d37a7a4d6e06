"""Chats, people, topics and messages, and what people do with them. Everything that a person does becomes an update."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.telegram.rules import bad_request, units

BOT_ID = 5_000_000_001
ADA, EVE = 42, 66
FORUM, GROUP = -100_2000_000_001, -3001
NOT_SENT_UNASKED = {"chat_member", "message_reaction", "message_reaction_count"}
_COMMAND = re.compile(r"(?<![\w/<>])/[A-Za-z0-9_]{1,64}(?:@\w{3,32})?(?![\w/<>])")
_MENTION = re.compile(r"(?<!\w)@\w{2,32}")


@dataclass
class Topic:
    name: str
    closed: bool = False


@dataclass
class Chat:
    id: int
    type: str
    title: str = ""
    is_forum: bool = False
    topics: dict[int, Topic] = field(default_factory=dict)
    messages: dict[int, dict[str, Any]] = field(default_factory=dict)
    next_id: int = 2  # the first message of a group is its creation, and stands for the General topic
    bot_rights: set[str] = field(default_factory=lambda: {"send", "can_manage_topics"})
    bot_is: str = "administrator"  # member, left, kicked; in a private chat kicked means blocked
    migrated_to: int | None = None
    takes_reactions: bool = True
    members_write: bool = True
    direct_topics: set[int] | None = None  # of a channel's direct messages: a topic for each person

    def told(self) -> dict[str, Any]:
        told: dict[str, Any] = {"id": self.id, "type": self.type}
        if self.type == "private":
            told["first_name"] = self.title
        else:
            told["title"] = self.title
            told["permissions"] = {"can_send_messages": self.members_write}
        if self.is_forum:
            told["is_forum"] = True
        if self.direct_topics is not None:
            told["is_direct_messages"] = True
        return told


@dataclass
class World:
    """All that exists on the server."""

    bot: dict[str, Any] = field(
        default_factory=lambda: {
            "id": BOT_ID,
            "is_bot": True,
            "first_name": "Threadmill",
            "username": "threadmill_bot",
            "can_join_groups": True,
            "can_read_all_group_messages": True,
            "supports_inline_queries": False,
            "has_topics_enabled": True,
        }
    )
    users: dict[int, dict[str, Any]] = field(
        default_factory=lambda: {
            ADA: {"id": ADA, "is_bot": False, "first_name": "Ada", "last_name": "Lovelace", "username": "ada"},
            EVE: {"id": EVE, "is_bot": False, "first_name": "Eve"},
        }
    )
    chats: dict[int, Chat] = field(
        default_factory=lambda: {
            ADA: Chat(ADA, "private", "Ada", bot_is="member"),
            FORUM: Chat(FORUM, "supergroup", "Forum", is_forum=True),
            GROUP: Chat(GROUP, "group", "Group"),
        }
    )
    updates: list[dict[str, Any]] = field(default_factory=list)  # not yet confirmed
    replays: list[dict[str, Any]] = field(default_factory=list)  # to be delivered once more, whatever the offset
    last_update: dict[str, Any] = field(default_factory=dict)
    next_update_id: int = 100_000
    allowed: set[str] | None = None  # None: all but those that must be asked for
    confirmed: int = 0  # highest update that the bot acknowledged
    update_of: dict[tuple[int, int], int] = field(default_factory=dict)  # (chat, message) -> update
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)  # file_id -> (path, content)
    drafts: dict[tuple[int, int | None], dict[str, Any]] = field(default_factory=dict)
    drafts_shown: list[dict[str, Any]] = field(default_factory=list)
    reactions: dict[tuple[int, int], list[str]] = field(default_factory=dict)  # the bot's own, by chat and message
    actions: dict[tuple[int, int | None], float] = field(default_factory=dict)
    answered: list[str] = field(default_factory=list)
    menus: dict[tuple[str, int | None, str], list[dict[str, str]]] = field(
        default_factory=dict
    )  # scope, chat, language
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    clock: Callable[[], float] = time.time

    @property
    def commands(self) -> list[dict[str, str]]:
        """The general menu."""
        return self.menus.setdefault(("default", None, ""), [])

    @commands.setter
    def commands(self, commands: list[dict[str, str]]) -> None:
        self.menus["default", None, ""] = commands

    # --- what people do --------------------------------------------------------------------------

    def says(
        self,
        chat: int,
        text: str = "",
        *,
        by: int = ADA,
        topic: int | None = None,
        reply_to: int | None = None,
        **more: Any,
    ) -> int:
        """A message of a person. `more` is further content: document, sticker, entities…"""
        message = self._new_message(chat, self.users[by], topic)
        if text:
            message["text"] = text
            entities = more.pop("entities", None) or _found_entities(text)
            if entities:
                message["entities"] = entities
        message |= more
        self._set_reply(self.chats[chat], message, reply_to, topic)
        self._told("message", message)
        return int(message["message_id"])

    def edits(self, chat: int, message_id: int, text: str) -> None:
        message = self.chats[chat].messages[message_id]
        message |= {"text": text, "edit_date": int(self.clock()) + 1}
        message.pop("entities", None)
        if entities := _found_entities(text):
            message["entities"] = entities
        self._told("edited_message", message)

    def deletes(self, chat: int, message_id: int) -> None:
        """Bots are told nothing of it."""
        del self.chats[chat].messages[message_id]

    def presses(self, chat: int, message_id: int, data: str, *, by: int = ADA) -> str:
        query = {"id": str(secrets.randbits(62)), "from": self.users[by], "chat_instance": "1", "data": data}
        self._tell("callback_query", query | {"message": self.shown_message(chat, message_id)})
        return str(query["id"])

    def reacts(self, chat: int, message_id: int, emoji: str, *, by: int = ADA) -> None:
        reaction = {"chat": self.chats[chat].told(), "message_id": message_id, "user": self.users[by]}
        new = [{"type": "emoji", "emoji": emoji}]
        self._tell("message_reaction", reaction | {"date": int(self.clock()), "old_reaction": [], "new_reaction": new})

    def blocks(self, chat: int, *, lets_in: bool = False) -> None:
        inside: dict[str, Any] = {"user": self.bot, "status": "member"}
        outside: dict[str, Any] = {"user": self.bot, "status": "kicked", "until_date": 0}
        was, now = (outside, inside) if lets_in else (inside, outside)
        self.chats[chat].bot_is = now["status"]
        change = {"chat": self.chats[chat].told(), "from": self.users[ADA], "date": int(self.clock())}
        self._tell("my_chat_member", change | {"old_chat_member": was, "new_chat_member": now})

    def closes_topic(self, chat: int, topic: int, *, reopens: bool = False) -> None:
        self.chats[chat].topics[topic].closed = not reopens
        message = self._new_message(chat, self.users[ADA], topic)
        message["forum_topic_reopened" if reopens else "forum_topic_closed"] = {}
        self._told("message", message)

    def deletes_topic(self, chat: int, topic: int) -> None:
        """Bots are told nothing of it."""
        room = self.chats[chat]
        del room.topics[topic]
        room.messages = {
            key: message for key, message in room.messages.items() if message.get("message_thread_id") != topic
        }

    def migrates(self, chat: int, *, told: bool = True) -> int:
        """The group becomes a supergroup with another id. The bot is told now, or by `tells_of_migration`."""
        new = -100_3000_000_000 + chat
        old = self.chats[chat]
        self.chats[new] = Chat(new, "supergroup", old.title)
        old.migrated_to = new
        if told:
            self.tells_of_migration(chat)
        return new

    def tells_of_migration(self, chat: int) -> None:
        new = self.chats[chat].migrated_to
        assert new is not None
        self._told("message", self._new_message(chat, self.users[ADA], None) | {"migrate_to_chat_id": new})
        self._told("message", self._new_message(new, self.users[ADA], None) | {"migrate_from_chat_id": chat})

    def stops_draft(self, chat: int, topic: int | None = None) -> None:
        draft = self.drafts.pop((chat, topic))
        stopped = {"chat": self.chats[chat].told(), "draft_id": draft["draft_id"]}
        self._tell("stopped_message_generation", stopped | ({"message_thread_id": topic} if topic else {}))

    def sends_file(self, chat: int, name: str, content: bytes, *, topic: int | None = None, caption: str = "") -> int:
        document = self.store_file(name, content)
        more: dict[str, Any] = {"document": document} | ({"caption": caption} if caption else {})
        return self.says(chat, topic=topic, **more)

    def sends_album(self, chat: int, *files: tuple[str, bytes], caption: str = "", group: str = "") -> list[int]:
        """Several files as one message: an update for each, the caption with the first. `group` goes on with one."""
        group = group or str(secrets.randbits(60))
        sent = []
        for index, (name, content) in enumerate(files):
            more: dict[str, Any] = {"document": self.store_file(name, content), "media_group_id": group}
            sent.append(self.says(chat, **more | ({"caption": caption} if caption and not index else {})))
        return sent

    # --- what is there ---------------------------------------------------------------------------

    def store_file(self, name: str, content: bytes) -> dict[str, Any]:
        file_id = f"file-{len(self.files) + 1}-{secrets.token_hex(4)}"
        self.files[file_id] = (f"documents/file_{len(self.files)}.{name.rpartition('.')[2]}", content)
        return {"file_id": file_id, "file_unique_id": file_id[:12], "file_name": name, "file_size": len(content)}

    def menu(self, chat: int, *, language: str = "en", by: int = ADA) -> list[str]:
        """The commands that a person sees: the narrowest list that is set.
        https://core.telegram.org/bots/api#determining-list-of-commands"""
        if chat > 0:
            scopes: list[tuple[str, int | None]] = [("chat", chat), ("all_private_chats", None), ("default", None)]
        else:
            scopes = [("chat", chat), ("all_group_chats", None), ("default", None)]
        for scope, about in scopes:
            for spoken in (language, ""):
                if found := self.menus.get((scope, about, spoken)):
                    return [f"/{each['command']} {each['description']}" for each in found]
        return []

    def shown_message(self, chat: int, message_id: int) -> dict[str, Any]:
        message = self.chats[chat].messages.get(message_id)
        if message is None:  # an InaccessibleMessage
            return {"chat": self.chats[chat].told(), "message_id": message_id, "date": 0}
        return message

    def in_topic(self, chat: int, topic: int | None) -> list[dict[str, Any]]:
        """What a person sees in a topic (or in General, or in a chat without topics)."""
        return [m for m in self.chats[chat].messages.values() if _topic_of(m) == topic and not _is_service(m)]

    def repeats_last_update(self) -> None:
        self.replays.append(self.last_update)
        self.arrived.set()

    async def wait_until(self, fact: Callable[[], bool], seconds: float = 10.0) -> None:
        async with asyncio.timeout(seconds), self.changed:
            await self.changed.wait_for(fact)

    async def announce(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    def draft(self, chat: int, topic: int | None = None) -> str | None:
        """The draft that is visible: it fades after 30 seconds."""
        draft = self.drafts.get((chat, topic))
        return draft["text"] if draft and self.clock() - draft["at"] < 30 else None

    def open_topic(self, chat: int, name: str, opener: dict[str, Any]) -> int:
        room = self.chats[chat]
        message = self._new_message(chat, opener, None)
        topic = int(message["message_id"])
        room.topics[topic] = Topic(name)
        message |= {
            "message_thread_id": topic,
            "is_topic_message": True,
            "forum_topic_created": {"name": name, "icon_color": 7322096},
        }
        if opener is not self.bot:
            self._told("message", message)
        return topic

    def bot_says(self, chat: int, topic: int | None, reply_to: int | None, content: dict[str, Any]) -> dict[str, Any]:
        message = self._new_message(chat, self.bot, topic) | content
        self.chats[chat].messages[message["message_id"]] = message
        self._set_reply(self.chats[chat], message, reply_to, topic)
        self.drafts.pop((chat, topic), None)
        self.actions.pop((chat, topic), None)
        return message

    def _new_message(self, chat: int, sender: dict[str, Any], topic: int | None) -> dict[str, Any]:
        room = self.chats[chat]
        if topic is not None and topic not in room.topics:
            raise bad_request("message thread not found")
        number = room.next_id
        room.next_id += 1
        message: dict[str, Any] = {"message_id": number, "from": sender, "chat": room.told(), "date": int(self.clock())}
        if topic is not None:
            message |= {"message_thread_id": topic, "is_topic_message": True}
        room.messages[number] = message
        return message

    def _set_reply(self, room: Chat, message: dict[str, Any], reply_to: int | None, topic: int | None) -> None:
        """In a topic, a message that answers none answers the topic's first service message."""
        target = room.messages.get(reply_to if reply_to is not None else topic if topic is not None else -1)
        if target is not None and target is not message:
            message["reply_to_message"] = {k: v for k, v in target.items() if k != "reply_to_message"}
            if reply_to is not None and topic is None and room.type == "supergroup":
                # Reply chains are numbered as threads, too, without being topics.
                message["message_thread_id"] = target.get("message_thread_id", target["message_id"])

    def _told(self, kind: str, message: dict[str, Any]) -> None:
        self.chats[message["chat"]["id"]].messages[message["message_id"]] = message
        update = self._tell(kind, dict(message))
        if update is not None:
            self.update_of[message["chat"]["id"], message["message_id"]] = update

    def _tell(self, kind: str, content: dict[str, Any]) -> int | None:
        if (kind in NOT_SENT_UNASKED) if self.allowed is None else (kind not in self.allowed):
            return None
        update = self.next_update_id
        self.next_update_id += 1
        self.last_update = {"update_id": update, kind: content}
        self.updates.append(self.last_update)
        self.arrived.set()
        return update


def _topic_of(message: dict[str, Any]) -> int | None:
    return message.get("message_thread_id") if message.get("is_topic_message") else None


def _is_service(message: dict[str, Any]) -> bool:
    return any(key.startswith(("forum_topic_", "migrate_")) for key in message)


def _found_entities(text: str) -> list[dict[str, Any]]:
    """What clients mark by themselves."""
    found = [(match.span(), "bot_command") for match in _COMMAND.finditer(text)]
    taken = [span for span, _ in found]
    found += [
        (match.span(), "mention")
        for match in _MENTION.finditer(text)
        if not any(start <= match.start() < end for start, end in taken)
    ]
    return [
        {"type": kind, "offset": units(text[:start]), "length": units(text[start:end])}
        for (start, end), kind in sorted(found)
    ]
