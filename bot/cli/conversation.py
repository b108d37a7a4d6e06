"""One thread of a running Threadmill, as both forms of `chat` see it: post into it, hear what happens in it.

A thread of this process reads the server's events and takes the stream up again where it broke off; the events
wait in a queue, and a byte in a pipe wakes whoever waits for the keyboard and for events at once.
"""

from __future__ import annotations

import os
import queue
import threading
import time
import uuid
from dataclasses import dataclass
from typing import Any, Self

from bot.cli.client import Running, ServerEvent, thread_path
from bot.cli.failed import Failed

_CHANNEL = {"channel": "console"}
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 5.0
_RECENT = 10
_BUSY = {"running", "stopping"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """The stream of events broke off, or is there again."""

    up: bool
    why: str = ""


class Conversation:
    """Open with `with`. Not shared between threads, `heard` and `wake` excepted."""

    def __init__(self, server: Running, thread: str) -> None:
        self.thread = thread
        self._server = server
        self._path = thread_path(thread)
        self._events: queue.SimpleQueue[ServerEvent | Connection] = queue.SimpleQueue()
        self.wake, self._bell = os.pipe()
        self._closed = threading.Event()
        self._last = 0

    def __enter__(self) -> Self:
        """Raises Failed when nobody answers."""
        self.recent = self._read({"limit": str(_RECENT)})
        self._last = int(self.recent[-1]["n"]) if self.recent else 0
        threading.Thread(target=self._listen, name="chat-events", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()  # the listening thread is a daemon: it ends with the process or at its next event

    def post(self, text: str) -> str:
        """Say something; its id once it is committed. The same id is sent again when an answer was lost."""
        id = uuid.uuid4().hex
        for attempt in range(3):
            try:
                _, answer = self._server.ask("POST", self._path, query=_CHANNEL, body={"text": text, "id": id})
                return str(answer["id"])
            except Failed:
                if attempt == 2:
                    raise
                time.sleep(0.2 * (attempt + 1))
        raise AssertionError("the loop returns or raises")

    def heard(self, timeout_seconds: float | None = None) -> ServerEvent | Connection | None:
        """The next event; None when none came in time. With 0 it does not wait."""
        try:
            event = self._events.get(timeout=timeout_seconds) if timeout_seconds != 0 else self._events.get_nowait()
        except queue.Empty:
            return None
        os.read(self.wake, 1)
        return event

    def newest(self) -> int:
        """The number of the newest thing said in the thread."""
        rows = self._read({"limit": "1"})
        return int(rows[-1]["n"]) if rows else 0

    def row(self, id: str, since: int) -> dict[str, Any] | None:
        """What became of a message that was posted."""
        names = {id, f"{self.thread}/{id}"}  # the thread's name stands before it in the timeline
        return next((row for row in self._read({"after": str(since), "limit": "100"}) if row["id"] in names), None)

    def messages_since(self, n: int) -> list[dict[str, Any]]:
        return self._read({"after": str(n), "limit": "1000"})

    def quiet(self, session: str | None) -> bool:
        """Whether nothing more is to be expected: no turn runs in the session or below it, nothing is on its way."""
        _, found = self._server.ask("GET", self._path, query={**_CHANNEL, "limit": "1", "waiting": "1"})
        if any(row["state"] in {"pending", "sending"} for row in found["waiting"]):
            return False
        if session is None:
            return True
        _, detail = self._server.ask("GET", f"/api/v1/sessions/{session}")
        return not any(
            row["state"] in _BUSY or (row["state"] == "idle" and row["mode"] == "run")
            for row in _below(session, detail["tree"])
        )

    def _read(self, query: dict[str, str]) -> list[dict[str, Any]]:
        _, found = self._server.ask("GET", self._path, query={**_CHANNEL, **query})
        messages: list[dict[str, Any]] = found["messages"]
        return messages

    def _listen(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while not self._closed.is_set():
            try:
                query = {**_CHANNEL, "thread": self.thread, "after": str(self._last)}
                for event in self._server.events(query):
                    if pause != _FIRST_PAUSE_SECONDS:
                        self._tell(Connection(up=True))
                    pause = _FIRST_PAUSE_SECONDS
                    if event.id.isdecimal():
                        self._last = int(event.id)
                    self._tell(event)
                why = "it stopped"
            except (Failed, OSError, ValueError) as error:
                why = str(error)
            if self._closed.is_set():
                return
            if pause == _FIRST_PAUSE_SECONDS:
                self._tell(Connection(up=False, why=why))
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    def _tell(self, event: ServerEvent | Connection) -> None:
        if not self._closed.is_set():
            self._events.put(event)
            os.write(self._bell, b".")


def _below(session: str, tree: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The session and its descendants; parents stand before children."""
    ids = {session}
    found = []
    for row in tree:
        if row["id"] == session or row["parent"] in ids:
            ids.add(row["id"])
            found.append(row)
    return found
