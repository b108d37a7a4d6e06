"""How each command that README.md shows is tested: run as it stands, or known to be run elsewhere."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.cli_program import Ended, started, verb

PROGRAM = ".venv/bin/threadmill"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A command of the README. Exactly one of the two says how it is tested."""

    run: Callable[[Path], Ended] | None = None  # in an empty folder; it must end with 0
    elsewhere: str = ""  # the file that runs it, and what it is called there


def _verb(*arguments: str) -> Shown:
    return Shown(run=lambda folder: verb(*arguments, folder=folder))


def _starts(folder: Path) -> Ended:
    """`run` stays until it is stopped: it is fine when it becomes ready and stops gracefully."""
    with started(folder) as running:
        return Ended(code=running.stop(), out="", err=running.banner)


def _beside_a_running_one(*arguments: str, stdin: str = "") -> Shown:
    def run(folder: Path) -> Ended:
        with started(folder) as running:
            said = running.verb("chat", stdin="say hello\n")
            return running.verb(*arguments, stdin=stdin) if said.code == 0 else said

    return Shown(run=run)


COMMANDS: dict[str, Shown] = {
    "make run": Shown(elsewhere="Makefile: run"),
    "make install": Shown(elsewhere="Makefile: install"),
    "make test": Shown(elsewhere="Makefile: test"),
    "make check": Shown(elsewhere="Makefile: check"),
    "make bench": Shown(elsewhere="Makefile: bench"),
    "make help": Shown(elsewhere="Makefile: help"),
    "threadmill run": Shown(run=_starts),
    "threadmill init": _verb("init", "--model", "rehearsal"),
    "threadmill check": _verb("check"),
    "threadmill doctor": _verb("doctor"),
    "threadmill schema": _verb("schema"),
    "threadmill chat": _beside_a_running_one("chat", stdin="say hello\n"),
    "threadmill status": _verb("status"),
    **{
        f"threadmill {name}": _beside_a_running_one(name)
        for name in ("sessions", "deliveries", "deadletters", "monitors", "cost", "audit")
    },
    "threadmill history": _beside_a_running_one("history", "assistant-1"),
    "threadmill audit verify": _beside_a_running_one("audit", "verify"),
    "threadmill route explain": _verb("route", "explain", "--channel", "web", "--room", "main", "--sender", "me", "hi"),
}


def plain(command: str) -> str:
    """A command as the table has it: without the folder of the program, and without a prompt or comment."""
    return command.partition(" #")[0].removeprefix("$ ").replace(PROGRAM, "threadmill").strip()
