"""How this Slack misbehaves when a test asks for it, and the pace that it allows."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from dataclasses import dataclass, field

from aiohttp import web

SAYING = frozenset({"chat.postMessage", "chat.postEphemeral", "files.completeUploadExternal", "response_url"})


@dataclass
class Fault:
    """One answer that goes wrong. `methods` empty: the next thing that the app says."""

    word: str = ""  # ok: false with this word
    status: int = 200
    retry_after: str | None = None
    body: str | None = None  # instead of JSON
    content_type: str = "text/html"
    after_doing: bool = False  # it is done, and the connection breaks before the answer
    hang_seconds: float = 0.0
    methods: frozenset[str] = SAYING
    times: int = 1

    def response(self) -> web.Response:
        headers = {"Retry-After": self.retry_after} if self.retry_after is not None else {}
        if self.body is not None:
            return web.Response(status=self.status, text=self.body, content_type=self.content_type, headers=headers)
        return web.json_response({"ok": False, "error": self.word}, status=self.status, headers=headers)


@dataclass
class Faults:
    waiting: list[Fault] = field(default_factory=list)

    def take(self, method: str) -> Fault | None:
        for fault in self.waiting:
            if method in fault.methods:
                fault.times -= 1
                if fault.times <= 0:
                    self.waiting.remove(fault)
                return fault
        return None


TIERS = {
    "apps.connections.open": 20,
    "conversations.history": 50,
    "conversations.replies": 50,
    "chat.update": 50,
    "conversations.open": 50,
    "users.info": 100,
    "files.info": 50,
    "assistant.threads.setStatus": 600,
    "chat.startStream": 20,
    "chat.appendStream": 100,
    "chat.stopStream": 20,
    "chat.delete": 50,
    "agents.sessions.setStatus": 50,
}
"""Calls a minute that Slack promises at least, by its tiers."""


@dataclass
class RateLimits:
    """One message a second in a channel after a short burst, and the tiers. Off unless a test switches it on."""

    on: bool = False
    burst: int = 10
    refused: int = 0
    _posts: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))
    _calls: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))

    def wait_seconds(self, method: str, channel: str) -> int:
        """0 when the call may go on; else the seconds of Retry-After."""
        if not self.on:
            return 0
        now = time.monotonic()
        if method == "chat.postMessage":
            return self._counted(self._posts[channel], now, self.burst, float(self.burst))
        if method in TIERS:
            return self._counted(self._calls[method], now, TIERS[method], 60.0)
        return 0

    def _counted(self, times: deque[float], now: float, most: int, window: float) -> int:
        while times and times[0] <= now - window:
            times.popleft()
        if len(times) >= most:
            self.refused += 1
            return max(int(times[0] + window - now) + 1, 1)
        times.append(now)
        return 0
