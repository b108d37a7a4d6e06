"""The methods of the Web API that this Slack has: each takes the arguments and gives the answer's fields."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from tests.fakes.slack.delivery import Post
from tests.fakes.slack.streams import Streams
from tests.fakes.slack.workspace import APP, BOT, BOT_ID, TEAM, Json, Refused, Workspace

SCOPES = {
    "chat.postMessage": "chat:write",
    "chat.update": "chat:write",
    "chat.postEphemeral": "chat:write",
    "chat.delete": "chat:write",
    "chat.startStream": "chat:write",
    "chat.appendStream": "chat:write",
    "chat.stopStream": "chat:write",
    "agents.sessions.setStatus": "assistant:write",
    "conversations.history": "channels:history",
    "conversations.replies": "channels:history",
    "conversations.open": "im:write",
    "conversations.info": "channels:read",
    "users.info": "users:read",
    "files.getUploadURLExternal": "files:write",
    "files.completeUploadExternal": "files:write",
    "files.info": "files:read",
    "assistant.threads.setStatus": "assistant:write",
    "assistant.threads.setTitle": "assistant:write",
    "reactions.add": "reactions:write",
    "reactions.remove": "reactions:write",
}
"""What each method asks for."""


ALL_SCOPES = {
    *SCOPES.values(),
    *("app_mentions:read", "commands", "groups:history", "groups:read", "im:history", "mpim:history", "reactions:read"),
}


class Methods:
    def __init__(self, workspace: Workspace, post: Post) -> None:
        self._space = workspace
        self._post = post
        self.streams = Streams(workspace)
        self.scopes = set(ALL_SCOPES)
        self.socket_base = ""
        self.prompts: list[Json] = []
        self.reactions: dict[tuple[str, str], list[str]] = {}  # the bot's own, by room and ts
        self.gone: set[str] = set()  # methods that this server does not have

    def call(self, method: str, args: Json) -> Json:
        """The fields of the answer. Raises Refused."""
        known: dict[str, Callable[[Json], Json]] = {
            "auth.test": self._auth_test,
            "apps.connections.open": self._connections_open,
            "chat.postMessage": self._post_message,
            "chat.postEphemeral": lambda args: {"message_ts": self._space.whisper(args)["ts"]},
            "chat.update": self._update,
            "conversations.history": self._history,
            "conversations.replies": self._replies,
            "conversations.open": self._open,
            "users.info": self._user,
            "files.getUploadURLExternal": self._upload_address,
            "files.completeUploadExternal": self._complete_upload,
            "files.info": self._file,
            "assistant.threads.setStatus": self._status,
            "assistant.threads.setTitle": self._title,
            "api.test": lambda args: {"args": args},
            "conversations.info": self._info,
            "assistant.threads.setSuggestedPrompts": self._suggest,
            "chat.delete": self._delete,
            "chat.startStream": self.streams.start,
            "chat.appendStream": self.streams.append,
            "chat.stopStream": self.streams.stop,
            "agents.sessions.setStatus": self.streams.set_status,
            "reactions.add": self._react,
            "reactions.remove": self._unreact,
            "chat.getPermalink": self._permalink,
        }
        if method not in known or method in self.gone:
            raise Refused("unknown_method", req_method=method)
        needed = SCOPES.get(method)
        if needed and needed not in self.scopes:
            raise Refused("missing_scope", needed=needed, provided=",".join(sorted(self.scopes)))
        return known[method](args)

    def _auth_test(self, args: Json) -> Json:
        return {
            "url": "https://fake.slack.com/",
            "team": "Fake",
            "user": "threadmill",
            "team_id": TEAM,
            "user_id": BOT,
            "bot_id": BOT_ID,
            "app_id": APP,
        }

    def _connections_open(self, args: Json) -> Json:
        ticket = self._space.number("ticket-")
        self._post.tickets.add(ticket)
        return {"url": f"{self.socket_base}/link?ticket={ticket}&app_id={APP}"}

    def _post_message(self, args: Json) -> Json:
        message = self._space.post(args)
        return {"channel": args["channel"], "ts": message["ts"], "message": message}

    def _delete(self, args: Json) -> Json:
        message = self._space.message(str(args.get("channel", "")), str(args.get("ts", "")))
        if message.get("bot_id") != BOT_ID:
            raise Refused("cant_delete_message")
        self._space.delete(args["channel"], message["ts"])
        return {"channel": args["channel"], "ts": message["ts"]}

    def _update(self, args: Json) -> Json:
        if self.streams.is_streaming(str(args.get("ts", ""))):
            raise Refused("streaming_state_conflict")
        message = self._space.update(args)
        return {"channel": args["channel"], "ts": message["ts"], "text": message["text"], "message": message}

    def _react(self, args: Json) -> Json:
        names = self._reactions(args)
        if args["name"] in names:
            raise Refused("already_reacted")
        names.append(args["name"])
        item = {"type": "message", "channel": args["channel"], "ts": args["timestamp"]}
        self._space.announce(
            {
                "type": "reaction_added",
                "user": BOT,
                "reaction": args["name"],
                "item": item,
                "event_ts": self._space.now(),
            }
        )
        return {}

    def _unreact(self, args: Json) -> Json:
        names = self._reactions(args)
        if args["name"] not in names:
            raise Refused("no_reaction")
        names.remove(args["name"])
        return {}

    def _reactions(self, args: Json) -> list[str]:
        """The bot's reactions on a message."""
        if not re.fullmatch(r"[a-z0-9_+'-]+", str(args.get("name", ""))):
            raise Refused("invalid_name")
        message = self._space.message(str(args.get("channel", "")), str(args.get("timestamp", "")))
        return self.reactions.setdefault((args["channel"], message["ts"]), [])

    def _permalink(self, args: Json) -> Json:
        room, ts = str(args.get("channel", "")), str(args.get("message_ts", ""))
        self._space.message(room, ts)
        return {"channel": room, "permalink": f"https://fake.slack.com/archives/{room}/p{ts.replace('.', '')}"}

    def _history(self, args: Json) -> Json:
        room = self._readable(args)
        roots = [message for message in room if message.get("thread_ts", message["ts"]) == message["ts"]]
        return self._page([self._with_replies(message, room) for message in reversed(roots)], args)

    def _replies(self, args: Json) -> Json:
        room, ts = self._readable(args), args.get("ts")
        root = next((message for message in room if message["ts"] == ts), None)
        if root is None:
            raise Refused("thread_not_found")
        replies = [message for message in room if message.get("thread_ts") == ts and message["ts"] != ts]
        page = self._page(replies, args)
        if not args.get("cursor"):
            page["messages"].insert(0, self._with_replies(root, room))
        return page

    def _readable(self, args: Json) -> list[Json]:
        room = self._space.room(str(args.get("channel", "")))
        if BOT not in room.members:
            raise Refused("not_in_channel")
        return room.messages

    def _with_replies(self, message: Json, room: list[Json]) -> Json:
        replies = [reply for reply in room if reply.get("thread_ts") == message["ts"] and reply["ts"] != message["ts"]]
        if not replies:
            return message
        latest = replies[-1]["ts"]
        return message | {"thread_ts": message["ts"], "reply_count": len(replies), "latest_reply": latest}

    def _page(self, messages: list[Json], args: Json) -> Json:
        oldest, latest = float(args.get("oldest") or 0), float(args.get("latest") or 1e12)
        start, limit = int(args.get("cursor") or 0), int(args.get("limit") or 100)
        edges = str(args.get("inclusive")).lower() in {"1", "true"}
        found = [
            message
            for message in messages
            if oldest < float(message["ts"]) < latest or (edges and float(message["ts"]) in {oldest, latest})
        ]
        page = found[start : start + limit]
        if str(args.get("include_all_metadata")).lower() not in {"1", "true"}:
            page = [{key: value for key, value in message.items() if key != "metadata"} for message in page]
        more = start + limit < len(found)
        metadata = {"response_metadata": {"next_cursor": str(start + limit)}} if more else {}
        return {"messages": page, "has_more": more, **metadata}

    def _info(self, args: Json) -> Json:
        room = self._space.room(str(args.get("channel", "")))
        found = {"id": room.id, "name": room.name, "is_archived": room.is_archived, "is_im": room.kind == "im"}
        return {"channel": found | {"is_member": BOT in room.members, "is_read_only": room.read_only}}

    def _open(self, args: Json) -> Json:
        return {"channel": {"id": self._space.open_direct(str(args.get("users", ""))).id}}

    def _user(self, args: Json) -> Json:
        name = self._space.people.get(str(args.get("user")))
        if name is None:
            raise Refused("user_not_found")
        profile = {"display_name": name, "real_name": f"{name} Example"}
        return {"user": {"id": args["user"], "team_id": TEAM, "name": name.lower(), "profile": profile}}

    def _upload_address(self, args: Json) -> Json:
        length = int(args.get("length") or 0)
        if not args.get("filename") or length <= 0:
            raise Refused("invalid_arguments")
        file = self._space.upload(str(args["filename"]), b"", "application/octet-stream")
        self._space.files[file["id"]].length = length
        return {"upload_url": f"{self._space.base}/upload/v1/{file['id']}", "file_id": file["id"]}

    def _complete_upload(self, args: Json) -> Json:
        files: Any = args.get("files")
        listed = json.loads(files) if isinstance(files, str) else files
        return {"files": self._space.share(args, listed or [])}

    def _file(self, args: Json) -> Json:
        file = self._space.files.get(str(args.get("file")))
        if file is None:
            raise Refused("file_not_found")
        shares = {"public": {room: [{"ts": ts}] for room, ts in file.shares.items()}}
        return {"file": self._space.file_object(file) | {"shares": shares}}

    def _status(self, args: Json) -> Json:
        key = self._thread(args)
        if args.get("status"):
            self._space.statuses[key] = str(args["status"])
        else:
            self._space.statuses.pop(key, None)
        return {}

    def _title(self, args: Json) -> Json:
        key = self._thread(args)
        if self._space.room(key[0]).kind != "im":
            raise Refused("channel_not_found")
        self._space.titles[key] = str(args["title"])
        return {}

    def _suggest(self, args: Json) -> Json:
        self._space.room(str(args.get("channel_id", "")))
        prompts: Any = args.get("prompts")
        self.prompts = json.loads(prompts) if isinstance(prompts, str) else prompts
        return {}

    def _thread(self, args: Json) -> tuple[str, str]:
        room = self._space.room(str(args.get("channel_id", "")))
        if not args.get("thread_ts"):
            raise Refused("invalid_thread_ts")
        return room.id, str(args["thread_ts"])
