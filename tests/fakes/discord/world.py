"""The state of the loopback Discord, and what people do in it.

Objects are kept in the JSON form that Discord documents, so that what the gateway and REST show is what is stored.
Whatever happens is told to `tell`, which the gateway sets.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

_EPOCH_MILLISECONDS = 1_420_070_400_000
TEXT, DIRECT, ANNOUNCEMENT_THREAD, PUBLIC_THREAD, PRIVATE_THREAD, FORUM = 0, 1, 10, 11, 12, 15
THREADS = frozenset({ANNOUNCEMENT_THREAD, PUBLIC_THREAD, PRIVATE_THREAD})
LOADING = 1 << 7
EPHEMERAL = 1 << 6

Json = dict[str, Any]


def now() -> str:
    return datetime.now(UTC).isoformat()


class World:
    """One application with its bot, one guild with a room and a forum, and two people, Ada and a stranger."""

    def __init__(self) -> None:
        self._count = itertools.count()
        self.tell: Callable[[str, Json], None] = lambda _event, _data: None
        self.token = "loopback.bot.token"
        self.users: dict[str, Json] = {}
        self.channels: dict[str, Json] = {}
        self.messages: dict[str, list[Json]] = {}
        self.files: dict[str, bytes] = {}
        self.typing: list[str] = []
        self.thread_members: dict[str, set[str]] = {}
        self.commands: list[Json] = []
        self.command_writes = 0
        self.declared = asyncio.Event()
        self.interactions: dict[str, Json] = {}  # by token
        self.may_not_post: set[str] = set()
        self.may_not_see: set[str] = set()
        self.may_not_read_history: set[str] = set()
        self.takes_no_direct_messages: set[str] = set()
        self.application_id = self.new_id()
        self.bot = self.person("Threadmill", bot=True)
        self.bot_role: Json = {
            "id": self.new_id(),
            "name": "Threadmill",
            "managed": True,
            "tags": {"bot_id": self.bot},
            "permissions": str((1 << 6) | (1 << 10) | (1 << 11) | (1 << 15) | (1 << 16) | (1 << 35) | (1 << 38)),
        }
        self.application_flags = 1 << 19
        self.interactions_endpoint: str | None = None
        self.in_no_guild = False
        self.code_grant = False
        self.sessions_left = 999
        self.ada = self.person("Ada")
        self.stranger = self.person("Mallory")
        self.guild_id = self.new_id()
        self.room = self.new_channel("general")
        self.forum = self.new_channel("ideas", kind=FORUM)
        self.attachments_url = ""
        self.reactions: dict[str, dict[str, None]] = {}  # the bot's own, by message

    # --- making things -----------------------------------------------------------------------

    def new_id(self) -> str:
        milliseconds = int(time.time() * 1000) - _EPOCH_MILLISECONDS
        return str((milliseconds << 22) | (next(self._count) & 0x3FFFFF))

    def person(self, name: str, *, bot: bool = False) -> str:
        user_id = self.new_id()
        self.users[user_id] = {
            "id": user_id,
            "username": name.lower(),
            "global_name": name,
            "discriminator": "0",
            "avatar": None,
            "bot": bot,
        }
        return user_id

    def new_channel(self, name: str, *, kind: int = TEXT, parent: str | None = None, **more: Any) -> str:
        channel_id = more.pop("id", None) or self.new_id()
        channel: Json = {"id": channel_id, "type": kind, "name": name, "last_message_id": None, **more}
        if kind != DIRECT:
            channel["guild_id"] = self.guild_id
            channel["parent_id"] = parent
            channel["position"] = 0
            channel["permission_overwrites"] = []
        if kind in THREADS:
            stamp = now()
            channel["owner_id"] = self.bot
            channel["member_count"], channel["message_count"] = 1, 0
            channel["thread_metadata"] = {
                "archived": False,
                "auto_archive_duration": 1440,
                "archive_timestamp": stamp,
                "locked": False,
                "create_timestamp": stamp,
            }
        self.channels[channel_id] = channel
        self.messages[channel_id] = []
        return channel_id

    def direct_room(self, user_id: str) -> str:
        for channel in self.channels.values():
            if channel["type"] == DIRECT and channel["recipients"][0]["id"] == user_id:
                return str(channel["id"])
        return self.new_channel("", kind=DIRECT, recipients=[self.users[user_id]])

    def in_guild(self, channel_id: str) -> bool:
        return self.channels[channel_id]["type"] != DIRECT

    def guild(self) -> Json:
        """The guild as GUILD_CREATE tells it: archived threads are not in it."""
        channels = [c for c in self.channels.values() if c["type"] not in THREADS and c["type"] != DIRECT]
        threads = [c for c in self.channels.values() if c["type"] in THREADS]
        return {
            "id": self.guild_id,
            "name": "Loopback",
            "owner_id": self.ada,
            "roles": [self.bot_role, {"id": self.guild_id, "name": "@everyone", "permissions": "0"}],
            "emojis": [],
            "members": [],
            "member_count": 3,
            "channels": channels,
            "threads": [thread for thread in threads if not thread["thread_metadata"]["archived"]],
        }

    # --- what people do ----------------------------------------------------------------------

    def says(self, channel_id: str, text: str, *, by: str | None = None, **more: Any) -> str:
        """A person writes. `more` are further fields of the message."""
        return str(self.add_message(channel_id, by or self.ada, text, **more)["id"])

    def edits(self, channel_id: str, message_id: str, text: str) -> None:
        message = self.message(channel_id, message_id)
        message["content"], message["edited_timestamp"] = text, now()
        self.tell("MESSAGE_UPDATE", self.seen_by_gateway(message))

    def previews(self, channel_id: str, message_id: str) -> None:
        """Discord adds a link's preview: the same event as an edit."""
        message = self.message(channel_id, message_id)
        message["embeds"] = [{"type": "link", "url": "https://example.org"}]
        self.tell("MESSAGE_UPDATE", self.seen_by_gateway(message))

    def deletes(self, channel_id: str, *message_ids: str) -> None:
        kept = [m for m in self.messages[channel_id] if m["id"] not in message_ids]
        self.messages[channel_id] = kept
        place: Json = {"channel_id": channel_id, **self._guild_of(channel_id)}
        if len(message_ids) == 1:
            self.tell("MESSAGE_DELETE", {"id": message_ids[0], **place})
        else:
            self.tell("MESSAGE_DELETE_BULK", {"ids": list(message_ids), **place})

    def reacts(self, channel_id: str, message_id: str, emoji: str, *, by: str | None = None) -> None:
        user_id = by or self.ada
        data: Json = {"user_id": user_id, "channel_id": channel_id, "message_id": message_id}
        data |= {"emoji": {"id": None, "name": emoji}, **self._guild_of(channel_id)}
        if self.in_guild(channel_id):
            data["member"] = self._member(user_id, with_user=True)
        self.tell("MESSAGE_REACTION_ADD", data)

    def bot_reacts(self, channel_id: str, message_id: str, emoji: str) -> None:
        """The gateway tells the bot of its own reaction as well; putting it again changes nothing."""
        mine = self.reactions.setdefault(message_id, {})
        if emoji not in mine:
            mine[emoji] = None
            self.reacts(channel_id, message_id, emoji, by=self.bot)

    def presses(self, channel_id: str, message_id: str, custom_id: str, *, by: str | None = None) -> str:
        """A person presses a button; the interaction's id."""
        message = self.message(channel_id, message_id)
        known = [button["custom_id"] for row in message.get("components", []) for button in row["components"]]
        if custom_id not in known:
            raise LookupError(f"the message has no button {custom_id!r}, only {known}")
        return self.interacts(channel_id, 3, {"custom_id": custom_id, "component_type": 2}, by=by, message=message)

    def gives_command(self, channel_id: str, name: str, options: Json | None = None, *, by: str | None = None) -> str:
        """A person gives a slash command that was declared; the interaction's id."""
        declared = next(command for command in self.commands if command["name"] == name and command["type"] == 1)
        known = {option["name"] for option in declared.get("options", [])}
        given = [{"name": key, "type": 3, "value": value} for key, value in (options or {}).items()]
        if unknown := set(options or {}) - known:
            raise LookupError(f"/{name} has no option {unknown}, only {known}")
        return self.interacts(channel_id, 2, {"id": "1", "name": name, "type": 1, "options": given}, by=by)

    def types(self, channel_id: str, name: str, options: Json, focused: str, *, by: str | None = None) -> str:
        """A person is typing into an option with autocomplete of a slash command; the interaction's id."""
        declared = next(command for command in self.commands if command["name"] == name and command["type"] == 1)
        option = next(option for option in declared["options"] if option["name"] == focused)
        if not option.get("autocomplete"):
            raise LookupError(f"/{name} {focused} has no autocomplete")
        given = [
            {"name": key, "type": 3, "value": value, **({"focused": True} if key == focused else {})}
            for key, value in options.items()
        ]
        return self.interacts(channel_id, 4, {"id": "1", "name": name, "type": 1, "options": given}, by=by)

    def hands_over(self, channel_id: str, message_id: str, menu: str) -> str:
        """A person chooses an entry of a message's menu."""
        if not any(command["name"] == menu and command["type"] == 3 for command in self.commands):
            raise LookupError(f"there is no menu entry {menu!r}")
        target = self.message(channel_id, message_id)
        data = {
            "id": "2",
            "name": menu,
            "type": 3,
            "target_id": message_id,
            "resolved": {"messages": {message_id: target}},
        }
        return self.interacts(channel_id, 2, data)

    def interacts(self, channel_id: str, kind: int, data: Json, *, by: str | None = None, **more: Any) -> str:
        user_id = by or self.ada
        interaction_id = self.new_id()
        token = f"token-of-{interaction_id}"
        event: Json = {
            "id": interaction_id,
            "application_id": self.application_id,
            "type": kind,
            "token": token,
            "version": 1,
            "channel_id": channel_id,
            "channel": {key: self.channels[channel_id].get(key) for key in ("id", "type", "name", "parent_id")},
            "data": data,
            **self._guild_of(channel_id),
            **more,
        }
        if self.in_guild(channel_id):
            event["member"] = self._member(user_id, with_user=True)
        else:
            event["user"] = self.users[user_id]
        self.interactions[token] = {
            "id": interaction_id,
            "type": kind,
            "channel_id": channel_id,
            "user_id": user_id,
            "made": time.monotonic(),
            "response": None,
            "original": None,
            "message": more.get("message"),
        }
        self.tell("INTERACTION_CREATE", event)
        return interaction_id

    def interaction(self, interaction_id: str) -> Json:
        return next(state for state in self.interactions.values() if state["id"] == interaction_id)

    def opens_thread(
        self, room: str, title: str, *, kind: int = PUBLIC_THREAD, thread_id: str | None = None, minutes: int = 1440
    ) -> str:
        thread = self.new_channel(title, kind=kind, parent=room, id=thread_id)
        self.channels[thread]["thread_metadata"]["auto_archive_duration"] = minutes
        self.thread_members[thread] = set()
        self.tell("THREAD_CREATE", {**self.channels[thread], "newly_created": True})
        return thread

    def archives(self, thread: str, *, archived: bool = True, locked: bool = False) -> None:
        metadata = self.channels[thread]["thread_metadata"]
        metadata |= {"archived": archived, "locked": locked, "archive_timestamp": now()}
        if archived:
            self.thread_members.get(thread, set()).discard(self.bot)
        self.tell("THREAD_UPDATE", dict(self.channels[thread]))

    def renames(self, thread: str, title: str) -> None:
        self.channels[thread]["name"] = title
        self.tell("THREAD_UPDATE", dict(self.channels[thread]))

    def removes(self, channel_id: str) -> None:
        """A thread or a room is deleted."""
        channel = self.channels.pop(channel_id)
        self.messages.pop(channel_id)
        if channel["type"] in THREADS:
            gone = {key: channel[key] for key in ("id", "guild_id", "parent_id", "type")}
            self.tell("THREAD_DELETE", gone)
        else:
            self.tell("CHANNEL_DELETE", channel)

    # --- messages ----------------------------------------------------------------------------

    def message(self, channel_id: str, message_id: str) -> Json:
        for message in self.messages.get(channel_id, []):
            if message["id"] == message_id:
                return message
        raise LookupError(f"no message {message_id} in {channel_id}")

    def add_message(self, channel_id: str, author: str, text: str, **more: Any) -> Json:
        """Store and announce a message."""
        channel = self.channels[channel_id]
        mentioned = [
            user for user_id, user in self.users.items() if f"<@{user_id}>" in text or f"<@!{user_id}>" in text
        ]
        message: Json = {
            "id": self.new_id(),
            "channel_id": channel_id,
            "author": self.users[author],
            "content": text,
            "timestamp": now(),
            "edited_timestamp": None,
            "tts": False,
            "mention_everyone": False,
            "mentions": mentioned,
            "mention_roles": [],
            "attachments": [],
            "embeds": [],
            "pinned": False,
            "type": 0,
            "flags": 0,
            "components": [],
            **more,
        }
        reference = message.get("message_reference")
        if reference is not None and reference.get("type", 0) == 0:
            message["type"] = 19
            answered = [m for m in self.messages[channel_id] if m["id"] == reference["message_id"]]
            message["referenced_message"] = answered[0] if answered else None
        self.messages[channel_id].append(message)
        channel["last_message_id"] = message["id"]
        self.tell("MESSAGE_CREATE", self.seen_by_gateway(message))
        return message

    def attach(self, channel_id: str, name: str, content: bytes, media_type: str | None = None) -> Json:
        """A file object whose content is served at its address."""
        file_id = self.new_id()
        self.files[file_id] = content
        return {
            "id": file_id,
            "filename": name,
            "size": len(content),
            "content_type": media_type,
            "url": f"{self.attachments_url}/attachments/{channel_id}/{file_id}/{name}",
            "proxy_url": f"{self.attachments_url}/attachments/{channel_id}/{file_id}/{name}",
        }

    def seen_by_gateway(self, message: Json) -> Json:
        """A message as its event shows it: with guild and member, which REST leaves out."""
        channel_id = message["channel_id"]
        shown = {**message, **self._guild_of(channel_id)}
        if self.in_guild(channel_id):
            shown["member"] = self._member(message["author"]["id"])
        return shown

    def _guild_of(self, channel_id: str) -> Json:
        return {"guild_id": self.guild_id} if self.in_guild(channel_id) else {}

    def _member(self, user_id: str, *, with_user: bool = False) -> Json:
        member: Json = {"nick": None, "roles": [], "joined_at": now(), "deaf": False, "mute": False, "permissions": "0"}
        return {**member, "user": self.users[user_id]} if with_user else member
