"""The real program as another process: run a verb to its end, or keep Threadmill running for a while."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from bot.cli.app import run

TOKEN = "cli-test-token-0123456789"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a verb ended, and what it printed."""

    code: int
    out: str
    err: str


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """Without anything of the person at the keyboard."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "PYTHONUTF8": "1", "TZ": "UTC", **more}


def verb(*arguments: str, folder: Path, stdin: str = "", env: Mapping[str, str] | None = None) -> Ended:
    """Run `threadmill …` in a folder."""
    done = subprocess.run(
        [sys.executable, "-m", "bot", *arguments],
        cwd=folder,
        env=environment(env or {}),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    return Ended(code=done.returncode, out=done.stdout, err=done.stderr)


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A Threadmill that is ready."""

    folder: Path
    env: Mapping[str, str]
    process: subprocess.Popen[str]
    banner: str

    def verb(self, *arguments: str, stdin: str = "") -> Ended:
        return verb(*arguments, folder=self.folder, stdin=stdin, env=self.env)

    def quick(self, *arguments: str) -> Ended:
        """The same in this process: for verbs that only look, and are many."""
        out, err = StringIO(), StringIO()
        with patch.dict(os.environ, self.env), chdir(self.folder), redirect_stdout(out), redirect_stderr(err):
            code = run(arguments)
        return Ended(code=code, out=out.getvalue(), err=err.getvalue())

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=20)


@contextmanager
def started(folder: Path, **env: str) -> Iterator[Started]:
    """Start Threadmill in a folder and wait until it says that it is ready."""
    known = {"THREADMILL_PORT": str(free_port()), **env}
    with subprocess.Popen(
        [sys.executable, "-m", "bot", "run"],
        cwd=folder,
        env=environment(known),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Started(folder=folder, env=known, process=process, banner=_banner(process))
        finally:
            if process.poll() is None:
                process.kill()


def _banner(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    lines: list[str] = []
    began = time.monotonic()
    for line in process.stderr:
        lines.append(line)
        if "Ctrl-C stops it" in line:
            return "".join(lines)
        assert time.monotonic() - began < 30, "".join(lines)
    raise AssertionError("it did not start:\n" + "".join(lines))
