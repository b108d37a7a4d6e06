"""One workspace: its people, rooms, messages and files, and the words in which Slack refuses.

No I/O. Whatever happens here is told to `announce`, which delivers it to the app as events.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

TEAM = "T1"
BOT = "UBOT"
BOT_ID = "BBOT"
APP = "A1"
BOT_TOKEN = "xoxb-fake-bot"
APP_TOKEN = "xapp-fake-app"

CALLS = re.compile(r"<!(?:channel|here|everyone|subteam\^[A-Z0-9]+)(?:\|[^>]*)?>|<@[UW][A-Z0-9]+(?:\|[^>]*)?>")

Json = dict[str, Any]
Announce = Callable[[Json], str]


class Refused(Exception):
    """`ok: false` with this word."""

    def __init__(self, word: str, **extra: Any) -> None:
        super().__init__(word)
        self.word = word
        self.extra = extra


@dataclass
class Room:
    id: str
    name: str
    members: set[str]
    is_archived: bool = False
    read_only: bool = False
    threadless: bool = False
    messages: list[Json] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return "im" if self.id.startswith("D") else "group" if self.id.startswith("G") else "channel"


@dataclass
class StoredFile:
    id: str
    name: str
    length: int
    content: bytes = b""
    mimetype: str = "application/octet-stream"
    shares: dict[str, str] = field(default_factory=dict)  # room → ts


class Workspace:
    """State and rules. `base` is where files are downloaded from."""

    def __init__(self, announce: Announce) -> None:
        self.announce = announce
        self.base = ""
        self.people = {"U1": "Ada", "U9": "Mallory", BOT: "threadmill"}
        self.rooms = {"C1": Room("C1", "general", {BOT, *self.people})}
        self.files: dict[str, StoredFile] = {}
        self.ephemerals: list[Json] = []
        self.statuses: dict[tuple[str, str], str] = {}
        self.titles: dict[tuple[str, str], str] = {}
        self._last = 0.0
        self._numbers: dict[str, int] = {}

    # What people do -----------------------------------------------------------------------------------------

    def now(self) -> str:
        """Each `ts` is larger than all before."""
        self._last = max(time.time(), self._last + 0.000_001)
        return f"{self._last:.6f}"

    def number(self, prefix: str) -> str:
        self._numbers[prefix] = self._numbers.get(prefix, 0) + 1
        return f"{prefix}{self._numbers[prefix]:03d}"

    def room(self, room: str) -> Room:
        found = self.rooms.get(room)
        if found is None:
            raise Refused("channel_not_found")
        return found

    def message(self, room: str, ts: str) -> Json:
        for message in self.room(room).messages:
            if message["ts"] == ts:
                return message
        raise Refused("message_not_found")

    def say(self, room: str, user: str, text: str, thread: str | None = None, **more: Any) -> Json:
        """A person writes. `text` is what Slack stores: escaped, with mentions in brackets."""
        message: Json = {"type": "message", "user": user, "text": text, "ts": self.now(), "team": TEAM}
        message["client_msg_id"] = f"client-{message['ts']}"
        if thread:
            message["thread_ts"] = thread
        message.update(more)
        self.add(room, message)
        return message

    def add(self, room: str, message: Json) -> None:
        """Put a message into a room and tell the app, as Slack does also for the app's own."""
        found = self.room(room)
        found.messages.append(message)
        if message.get("thread_ts"):
            self.statuses.pop((room, message["thread_ts"]), None) if message.get("bot_id") else None
        if BOT not in found.members:
            return
        event = {**message, "channel": room, "channel_type": found.kind, "event_ts": message["ts"]}
        root = next((other for other in found.messages if other["ts"] == message.get("thread_ts")), None)
        if root is not None:
            event["parent_user_id"] = root.get("user")
        self.announce(event)
        if f"<@{BOT}>" in message.get("text", "") and not message.get("bot_id") and found.kind != "im":
            mention: Json = {key: event[key] for key in ("user", "text", "ts", "team", "channel", "event_ts")}
            extra: Json = {key: event[key] for key in ("thread_ts", "files", "blocks") if key in event}
            self.announce({**mention, **extra, "type": "app_mention"})

    def edit(self, room: str, ts: str, text: str, user: str, **more: Any) -> None:
        message = self.message(room, ts)
        before = dict(message)
        message.update({"text": text, "edited": {"user": user, "ts": self.now()}, **more})
        self.changed(room, before, message)

    def changed(self, room: str, before: Json, after: Json) -> None:
        found, now = self.room(room), self.now()
        if BOT in found.members:
            event = {"type": "message", "subtype": "message_changed", "hidden": True, "channel": room}
            event |= {"channel_type": found.kind, "ts": now, "event_ts": now}
            self.announce({**event, "message": {**after, "source_team": TEAM}, "previous_message": before})

    def delete(self, room: str, ts: str) -> None:
        """A message; one with replies leaves a tombstone, so that its thread stays."""
        found, message = self.room(room), self.message(room, ts)
        replies = [reply for reply in found.messages if reply.get("thread_ts") == ts and reply["ts"] != ts]
        if replies:
            before = dict(message)
            message.clear()
            message |= {"type": "message", "subtype": "tombstone", "text": "This message was deleted.", "hidden": True}
            message |= {"user": "USLACKBOT", "ts": ts, "thread_ts": ts}
            self.changed(room, before, message)
            return
        found.messages.remove(message)
        if BOT in found.members:
            now = self.now()
            event = {"type": "message", "subtype": "message_deleted", "hidden": True, "channel": room}
            event |= {"channel_type": found.kind, "ts": now, "event_ts": now, "deleted_ts": ts}
            self.announce({**event, "previous_message": message})

    def upload(self, name: str, content: bytes, mimetype: str) -> Json:
        """A file, as its object in a message."""
        file = StoredFile(self.number("F"), name, len(content), content, mimetype)
        self.files[file.id] = file
        return self.file_object(file)

    def file_object(self, file: StoredFile) -> Json:
        address = f"{self.base}/files-pri/{TEAM}-{file.id}"
        return {
            "id": file.id,
            "name": file.name,
            "title": file.name,
            "mimetype": file.mimetype,
            "size": file.length,
            "mode": "hosted",
            "url_private": f"{address}/{file.name}",
            "url_private_download": f"{address}/download/{file.name}",
        }

    # What the app does --------------------------------------------------------------------------------------

    def writable(self, room: str, thread: str | None) -> Room:
        """The room, if the app may write there."""
        found = self.room(room)
        if found.is_archived:
            raise Refused("is_archived")
        if BOT not in found.members:
            raise Refused("not_in_channel")
        if found.read_only:
            raise Refused("restricted_action_read_only_channel")
        if thread and found.threadless:
            raise Refused("restricted_action_non_threadable_channel")
        return found

    def post(self, args: Json) -> Json:
        """chat.postMessage: checks, then the message."""
        thread = args.get("thread_ts") or None
        self.writable(str(args.get("channel", "")), thread)
        body = content_of(args)
        message: Json = {"type": "message", "user": BOT, "bot_id": BOT_ID, "app_id": APP, "team": TEAM}
        message |= {"ts": self.now(), **body}
        if thread:
            message["thread_ts"] = thread
        if args.get("metadata"):
            message["metadata"] = checked_metadata(args["metadata"])
        self.add(args["channel"], message)
        return message

    def update(self, args: Json) -> Json:
        message = self.message(str(args.get("channel", "")), str(args.get("ts", "")))
        if message.get("bot_id") != BOT_ID:
            raise Refused("cant_update_message")
        before = dict(message)
        body = content_of(args)
        if "blocks" not in args:
            message.pop("blocks", None)
        message.update(body)
        if args.get("metadata"):
            message["metadata"] = checked_metadata(args["metadata"])
        self.changed(args["channel"], before, message)
        return message

    def whisper(self, args: Json) -> Json:
        room = self.writable(str(args.get("channel", "")), args.get("thread_ts"))
        if args.get("user") not in room.members:
            raise Refused("user_not_in_channel")
        message = {"ts": self.now(), "channel": room.id, "user": args["user"], **content_of(args)}
        message["thread_ts"] = args.get("thread_ts")
        self.ephemerals.append(message)
        return message

    def open_direct(self, users: str) -> Room:
        if users not in self.people:
            raise Refused("user_not_found")
        if users == BOT:
            raise Refused("cannot_dm_bot")
        room_id = "D" + users
        return self.rooms.setdefault(room_id, Room(room_id, "", {BOT, users}))

    def share(self, args: Json, files: list[Json]) -> list[Json]:
        """files.completeUploadExternal."""
        objects = []
        for asked in files:
            file = self.files.get(str(asked.get("id")))
            if file is None or len(file.content) != file.length:
                raise Refused("file_not_found")
            objects.append(self.file_object(file) | {"title": asked.get("title") or file.name})
        room = args.get("channel_id")
        if room:
            self.writable(str(room), args.get("thread_ts"))
            message: Json = {"type": "message", "subtype": "file_share", "user": BOT, "bot_id": BOT_ID, "app_id": APP}
            message |= {"ts": self.now(), "text": args.get("initial_comment", ""), "files": objects, "team": TEAM}
            if args.get("thread_ts"):
                message["thread_ts"] = args["thread_ts"]
            for asked in files:
                self.files[asked["id"]].shares[str(room)] = message["ts"]
            self.add(str(room), message)
        return objects


def content_of(args: Json) -> Json:
    """Text and blocks of a message, if Slack would take them."""
    text, blocks, markdown = args.get("text") or "", args.get("blocks") or [], args.get("markdown_text")
    if markdown is not None:
        if text or blocks:
            raise Refused("markdown_text_conflict")
        if len(markdown) > 12_000:
            raise Refused("msg_too_long")
        blocks = [{"type": "markdown", "text": markdown}]
    if len(blocks) > 50:
        raise Refused("invalid_blocks", errors=["no more than 50 items allowed [json-pointer:/blocks]"])
    written = sum(len(block.get("text", "")) for block in blocks if block.get("type") == "markdown")
    if written > 12_000:
        raise Refused("msg_blocks_too_long")
    for block in blocks:
        check_block(block)
    if not text.strip() and not blocks:
        raise Refused("no_text")
    if len(text) > 40_000:
        text = text[:40_000]
    found: Json = {"text": text}
    if blocks:
        found["blocks"] = blocks
    return found


def check_block(block: Json) -> None:
    """The limits of Block Kit's reference, for the blocks that this workspace knows."""
    match block.get("type"):
        case "markdown":
            fits = bool(block.get("text"))
        case "section":
            fits = 0 < len(block.get("text", {}).get("text", "")) <= 3000
        case "actions":
            elements = block.get("elements", [])
            ids = [element.get("action_id") for element in elements]
            fits = 0 < len(elements) <= 25 and len(set(ids)) == len(ids)
            for element in elements:
                label = element.get("text", {}).get("text", "")
                fits = fits and 0 < len(label) <= 75 and 0 < len(element.get("action_id", "")) <= 255
                fits = fits and element.get("style", "primary") in {"primary", "danger"}
        case "divider":
            fits = True
        case _:
            fits = False
    if not fits:
        raise Refused("invalid_blocks", errors=[f"invalid {block.get('type')} block"])


def checked_metadata(metadata: Any) -> Json:
    if not isinstance(metadata, dict) or not metadata.get("event_type"):
        raise Refused("invalid_metadata_format")
    if not isinstance(metadata.get("event_payload"), dict):
        raise Refused("invalid_metadata_schema")
    return metadata


def calls_in(message: Json) -> list[str]:
    """The mentions in a message that would notify somebody."""
    blocks = message.get("blocks") or []
    sources = [block.get("text", "") for block in blocks if block.get("type") == "markdown"] or [
        message.get("text", "")
    ]
    return [found for source in sources for found in CALLS.findall(str(source))]
