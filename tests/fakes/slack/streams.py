"""Messages that grow: chat.startStream and its companions, and the status of agent sessions.

Sources: the references of the three methods, *Agent sessions*, and what is known of the five minutes after which
Slack closes a stream by itself (an issue of the Python SDK).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.slack.workspace import APP, BOT, BOT_ID, TEAM, Json, Refused, Workspace

STATUSES = {"processing", "active", "suspended", "closed"}


@dataclass
class Stream:
    room: str
    ts: str
    opened: float
    tasks: dict[str, Json] = field(default_factory=dict)
    stopped_by: str = ""


@dataclass
class Streams:
    space: Workspace
    life_seconds: float = 300.0
    is_agent: bool = True
    open: dict[str, Stream] = field(default_factory=dict)
    sessions: dict[tuple[str, str], Json] = field(default_factory=dict)
    history: list[tuple[str, str]] = field(default_factory=list)  # (ts, text) after each change

    def start(self, args: Json) -> Json:
        room = self.space.writable(str(args.get("channel", "")), args.get("thread_ts"))
        if room.kind != "im" and not (args.get("recipient_user_id") and args.get("recipient_team_id")):
            raise Refused("missing_recipient_user_id")
        if not args.get("thread_ts") and room.kind == "im":
            raise Refused("invalid_thread_ts")
        message: Json = {"type": "message", "user": BOT, "bot_id": BOT_ID, "app_id": APP, "team": TEAM, "text": ""}
        message |= {"ts": self.space.now(), "streaming_state": "in_progress", "blocks": []}
        if args.get("thread_ts"):
            message["thread_ts"] = args["thread_ts"]
        self.space.add(room.id, message)
        stream = self.open[message["ts"]] = Stream(room.id, message["ts"], time.monotonic())
        self._grow(stream, message, args)
        return {"channel": room.id, "ts": message["ts"]}

    def append(self, args: Json) -> Json:
        stream, message = self._streaming(args)
        if not args.get("markdown_text") and not args.get("chunks"):
            raise Refused("no_text")
        self._grow(stream, message, args)
        return {"channel": stream.room, "ts": stream.ts}

    def stop(self, args: Json) -> Json:
        stream, message = self._streaming(args)
        self._grow(stream, message, args)
        self._finish(stream, message)
        if args.get("metadata"):
            message["metadata"] = args["metadata"]
        return {"channel": stream.room, "ts": stream.ts, "message": message}

    def click_stop(self, room: str, thread: str, user: str = "U1") -> None:
        """A person presses Slack's own Stop button."""
        stopped = [stream for stream in self.open.values() if stream.room == room]
        for stream in stopped:
            stream.stopped_by = user
        event = {"type": "agent_session_stopped", "channel": room, "thread_ts": thread, "user": user}
        streams = [stream.ts for stream in stopped]
        self.space.announce({**event, "event_ts": self.space.now(), "streaming_message_ts": streams})

    def set_status(self, args: Json) -> Json:
        room = self.space.writable(str(args.get("channel_id", "")), args.get("thread_ts"))
        if not self.is_agent:
            raise Refused("app_not_agent")
        if args.get("status") not in STATUSES or not args.get("thread_ts"):
            raise Refused("invalid_arguments")
        session = self.sessions.setdefault((room.id, args["thread_ts"]), {"title": args.get("title", "")})
        session["status"] = args["status"]
        return dict(session)

    def is_streaming(self, ts: str) -> bool:
        return ts in self.open

    def _streaming(self, args: Json) -> tuple[Stream, Json]:
        message = self.space.message(str(args.get("channel", "")), str(args.get("ts", "")))
        stream = self.open.get(message["ts"])
        if stream is not None and stream.stopped_by:
            self._finish(stream, message)
            raise Refused("stopped_by_user")
        if stream is None or time.monotonic() - stream.opened > self.life_seconds:
            if stream is not None:
                self._finish(stream, message)
            raise Refused("message_not_in_streaming_state")
        return stream, message

    def _finish(self, stream: Stream, message: Json) -> None:
        self.open.pop(stream.ts, None)
        message["streaming_state"] = "completed"

    def _grow(self, stream: Stream, message: Json, args: Json) -> None:
        chunks: list[Any] = list(args.get("chunks") or [])
        if args.get("markdown_text"):
            chunks.append({"type": "markdown_text", "text": args["markdown_text"]})
        for chunk in chunks:
            match chunk.get("type"):
                case "markdown_text":
                    message["text"] += chunk["text"]
                case "task_update" if chunk.get("status") in {"pending", "in_progress", "complete", "error"}:
                    stream.tasks[chunk["id"]] = chunk
                case "blocks":
                    message["blocks"] += chunk["blocks"]
                case "plan_update":
                    pass
                case _:
                    raise Refused("invalid_chunks")
        if len(message["text"]) > 12_000:
            raise Refused("msg_too_long")
        self.history.append((stream.ts, message["text"]))
