"""The real program on a pseudo-terminal of its own, as a person at the keyboard has it."""

from __future__ import annotations

import os
import pty
import re
import select
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path

from tests.cli_program import environment

_SEQUENCES = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|\][^\x1b\x07]*(\x07|\x1b\\))")


class Terminal:
    """`threadmill …` on a terminal. `transcript` keeps everything that was shown."""

    def __init__(self, *words: str, folder: Path, env: Mapping[str, str] = {}) -> None:
        self.shown = ""
        self.transcript = ""
        self._pid, self._handle = pty.fork()
        if self._pid == 0:
            os.chdir(folder)
            command = [sys.executable, "-m", "bot", *words]
            os.execve(sys.executable, command, {**environment(env), "TERM": "xterm", "NO_COLOR": "1"})  # noqa: S606

    def type(self, keys: str) -> None:
        os.write(self._handle, keys.encode())

    def type_hidden(self, keys: str, seconds: float = 15.0) -> None:
        """Type once the program has switched the echo off, which throws away what was typed before."""
        until = time.monotonic() + seconds
        while termios.tcgetattr(self._handle)[3] & termios.ECHO:
            assert time.monotonic() < until, "the program lets a secret be shown"
            time.sleep(0.005)
        self.type(keys)

    def wait_for(self, text: str, seconds: float = 15.0) -> str:
        """Read until `text` is shown; what stands before it, which is returned, is forgotten."""
        until = time.monotonic() + seconds
        while text not in self.shown:
            ready, _, _ = select.select([self._handle], [], [], max(0.0, until - time.monotonic()))
            assert ready, f"{text!r} was not shown, but: {self.shown!r}"
            self._read()
        before, _, self.shown = self.shown.partition(text)
        return before

    def _read(self) -> bool:
        try:
            read = os.read(self._handle, 4096).decode("utf-8", "replace")
        except OSError:  # the other side is closed
            return False
        self.shown = _SEQUENCES.sub("", self.shown + read)
        self.transcript += read
        return bool(read)

    def wait(self) -> int:
        """How it ended. The terminal is closed after it: earlier, that would be a hang-up."""
        while self._read():
            pass
        code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        os.close(self._handle)
        return code
