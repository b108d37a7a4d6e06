"""`chat` at a person's terminal.

While nothing runs there is a prompt with history and completion. While an agent works its text appears as it is
written, and a line that is typed then goes to it at once: it steers. Only one thread writes here, so that text and
prompt never run into each other.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
import time
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from bot.cli.client import ServerEvent
from bot.cli.conversation import Connection, Conversation
from bot.cli.failed import Failed
from bot.cli.output import clean, coloured
from bot.cli.route import CHAT_COMMANDS

readline: ModuleType | None
try:
    readline = import_module("readline")
except ImportError:  # a Python without it: no history, no completion
    readline = None

_HISTORY_LINES = 1000
_SETTLE_SECONDS = 30.0  # a message that begins no turn and gets no answer gives the prompt back after this
_GLANCE_SECONDS = 0.1
_PROMPT = "› "


def talk(conversation: Conversation, history: Path) -> None:
    """Talk until Ctrl-D."""
    screen = _Screen()
    screen.note(f"thread {conversation.thread} · /help lists commands · Ctrl-C stops a turn · Ctrl-D leaves")
    for row in conversation.recent:
        screen.row(row)
    with _history(history):
        while True:
            try:
                with _Meanwhile(conversation, screen) as meanwhile:
                    line = input(screen.prompt())
            except EOFError:
                break
            except KeyboardInterrupt:
                screen.note("nothing runs; Ctrl-D leaves")
                continue
            if line.strip() and not _converse(conversation, screen, line, meanwhile.interrupted):
                break
    screen.note("the conversation goes on without you; `threadmill chat` comes back to it")


def _converse(conversation: Conversation, screen: _Screen, line: str, interrupted: bool) -> bool:
    """Say a line and follow what comes of it. False when the person leaves."""
    with _HeldInterrupt() as interrupt:  # Ctrl-C at once after Enter means this line, and must not lose it
        posted = _say(conversation, screen, line)
    if not posted:
        return True
    if interrupted or interrupt.came:
        _stop(conversation, screen)
    return _follow(conversation, screen)


def _say(conversation: Conversation, screen: _Screen, line: str) -> bool:
    """Post a line. False when it could not be posted."""
    try:
        screen.own.add(conversation.post(line.strip()))
    except Failed as failure:
        screen.note(str(failure))
        return False
    return True


def _stop(conversation: Conversation, screen: _Screen) -> None:
    screen.note("stopping …")
    with _HeldInterrupt():
        _say(conversation, screen, "/stop")


def _show_waiting(conversation: Conversation, screen: _Screen) -> None:
    while (event := conversation.heard(0)) is not None:
        screen.event(event)


def _follow(conversation: Conversation, screen: _Screen) -> bool:
    """Show what happens until the turn is over; what is typed meanwhile steers. False when the person leaves."""
    screen.begin()
    until = time.monotonic() + _SETTLE_SECONDS
    while not screen.settled:
        try:
            ready, _, _ = select.select([sys.stdin, conversation.wake], [], [], 1.0)
            if conversation.wake in ready:
                _show_waiting(conversation, screen)
            if sys.stdin in ready:
                line = sys.stdin.readline()
                if not line:
                    return False
                if line.strip():
                    _say(conversation, screen, line)
        except KeyboardInterrupt:
            _stop(conversation, screen)
        if not screen.running and time.monotonic() > until:
            break
    return True


class _HeldInterrupt:
    """Ctrl-C is noted and does not interrupt what stands inside."""

    def __init__(self) -> None:
        self.came = False

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _note(self, *_: object) -> None:
        self.came = True


class _Meanwhile:
    """While a line is being typed: what is said in the thread appears above it, by a thread of its own."""

    def __init__(self, conversation: Conversation, screen: _Screen) -> None:
        self._conversation = conversation
        self._screen = screen
        self._over = threading.Event()
        self.interrupted = False  # Ctrl-C came after the line was complete
        self._thread = threading.Thread(target=self._show, name="chat-meanwhile", daemon=True)

    def __enter__(self) -> Self:
        _show_waiting(self._conversation, self._screen)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with _HeldInterrupt() as interrupt:
            self._over.set()
            self._thread.join()
        self.interrupted = interrupt.came

    def _show(self) -> None:
        while not self._over.is_set():
            event = self._conversation.heard(_GLANCE_SECONDS)
            if event is not None:
                self._screen.event_above_the_line(event)


class _Screen:
    """What stands on the terminal, and what is going on in the thread."""

    def __init__(self) -> None:
        self.running = False
        self.settled = False  # the turn is over and its answer is shown
        self.own: set[str] = set()  # ids of what was typed here: it stands on the terminal already
        self._colours = coloured()
        self._streamed = ""
        self._began = 0.0
        self._cost = 0.0
        self._tokens = 0
        self._fresh = True  # the cursor is at the beginning of a line

    def prompt(self) -> str:
        # \x01 and \x02 tell readline that what is between them takes no room.
        return f"\x01\x1b[1;36m\x02{_PROMPT}\x01\x1b[0m\x02" if self._colours else _PROMPT

    def begin(self) -> None:
        """Something was said: now its answer is waited for."""
        self.settled = False
        self._fresh = True

    def event(self, event: ServerEvent | Connection) -> None:
        if isinstance(event, Connection):
            self.note("connected again" if event.up else f"the connection broke off ({event.why}); trying again")
            return
        show = getattr(self, f"_on_{event.kind}", None)
        if show is not None:
            show(event.data)

    def event_above_the_line(self, event: ServerEvent | Connection) -> None:
        """The same while a line is typed. Text that is still growing is left out: it comes whole, as a message."""
        if isinstance(event, ServerEvent) and event.kind not in {"message", "turn", "turn_done"}:
            return
        typed = readline.get_line_buffer() if readline is not None else ""
        sys.stdout.write("\r\x1b[K")
        self._fresh = True
        self.event(event)
        sys.stdout.write(self.prompt().replace("\x01", "").replace("\x02", "") + typed)
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """A line of ours, faint."""
        self._line(f"\x1b[2m{clean(text)}\x1b[0m" if self._colours else clean(text))

    def row(self, row: dict[str, Any]) -> None:
        """A message of the timeline."""
        if row["side"] == "in":
            if row["id"].rpartition("/")[2] not in self.own:
                self._line(self._bold(f"{clean(row['author'])}: ") + _printable(row["text"]))
            if row.get("reason"):
                self.note(row["reason"])
            return
        self._answer(row)

    def _on_message(self, row: dict[str, Any]) -> None:
        self.row(row)
        if row["side"] == "out" and not self.running:
            self.settled = True

    def _on_turn(self, _: dict[str, Any]) -> None:
        self.running, self.settled = True, False
        self._streamed, self._began, self._cost, self._tokens = "", time.monotonic(), 0.0, 0

    def _on_text(self, data: dict[str, Any]) -> None:
        self.running = True
        text = str(data.get("text", ""))
        self._streamed += text
        self._write(_printable(text))

    def _on_restarted(self, data: dict[str, Any]) -> None:
        self.note(f"what was written so far is void: {data.get('reason', '')}")
        self._streamed = ""

    def _on_tool(self, data: dict[str, Any]) -> None:
        arguments = data.get("arguments")
        pairs = arguments.items() if isinstance(arguments, dict) else ()
        self.note(f"→ {data.get('name')}({_short(', '.join(f'{key}={value!r}' for key, value in pairs))})")

    def _on_tool_done(self, data: dict[str, Any]) -> None:
        if data.get("error"):
            self.note(f"✗ {data.get('name')} failed")

    def _on_taken(self, data: dict[str, Any]) -> None:
        self.note(f"taken in: {_short(str(data.get('text', '')))}")

    def _on_cost(self, data: dict[str, Any]) -> None:
        self._cost += float(data.get("cost_usd") or 0.0)
        self._tokens += int(data.get("tokens") or 0)

    def _on_state(self, data: dict[str, Any]) -> None:
        if data.get("state") == "waiting":
            self.note("waiting for others; say something to go on at once")
            self.running, self.settled = False, True

    def _on_turn_done(self, data: dict[str, Any]) -> None:
        self.running = False
        outcome = data.get("outcome")
        facts = [f"{time.monotonic() - self._began:.1f} s"] if self._began else []
        facts += [f"{self._tokens:,} tokens"] if self._tokens else []
        facts += [f"${self._cost:.4f}"] if self._cost else []
        ended = [] if outcome == "done" else [str(outcome).replace("_", " ")]
        if facts or ended:
            self.note(" · ".join([*ended, *facts]))
        # The answer itself may still be on its way from the turn to the thread.
        self.settled = not self._streamed or outcome != "done"

    def _answer(self, row: dict[str, Any]) -> None:
        """An answer that was shown while it was written is not shown again; the rest of it is."""
        text, streamed = row["text"].strip(), self._streamed.strip()
        self._streamed = ""
        if streamed and text == streamed:
            self._line("")
        elif streamed and text.startswith(streamed):
            self._write(_printable(text[len(streamed) :]))
            self._line("")
        else:
            who = f"{clean(row['author'])}: " if row.get("author") else ""
            self._line(self._bold(who) + _printable(text))
        for button in row.get("buttons") or ():
            self.note(f"[{button['label']}] is a button: press it on the page")

    def _bold(self, text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if self._colours else text

    def _write(self, text: str) -> None:
        if text:
            sys.stdout.write(text)
            sys.stdout.flush()
            self._fresh = text.endswith("\n")

    def _line(self, text: str) -> None:
        """A line of its own."""
        if not self._fresh:
            sys.stdout.write("\n")
        if text:
            sys.stdout.write(text + "\n")
        sys.stdout.flush()
        self._fresh = True


def _printable(text: str) -> str:
    """Without what a terminal would obey; lines stay lines."""
    return "\n".join(clean(line.replace("\t", "    ")) for line in text.split("\n"))


def _short(text: str) -> str:
    text = clean(text)
    return text if len(text) <= 100 else text[:99] + "…"


class _history(contextlib.AbstractContextManager[None]):  # noqa: N801 - used like a function
    """readline with the lines of earlier talks and completion of commands."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __enter__(self) -> None:
        if readline is None:
            return
        with contextlib.suppress(OSError):
            readline.read_history_file(self._file)
        readline.set_history_length(_HISTORY_LINES)
        readline.set_completer_delims(" ")
        readline.set_completer(_completed)
        readline.parse_and_bind("tab: complete")

    def __exit__(self, *_: object) -> None:
        if readline is None:
            return
        with contextlib.suppress(OSError):
            os.close(os.open(self._file, os.O_CREAT | os.O_WRONLY, 0o600))
            readline.write_history_file(self._file)


def _completed(text: str, state: int) -> str | None:
    matching = [f"/{name} " for name in CHAT_COMMANDS if f"/{name}".startswith(text)] if text.startswith("/") else []
    return matching[state] if state < len(matching) else None
