"""The end of a tool's process with everything that it has started, so that a kill leaves nothing behind.

A process group is ended by one call, but what left it (`setsid`, a daemon that forked twice) lives on. So a process is
started with a mark in its environment, which its descendants inherit: whoever carries the mark, or descends from the
process while it lives, is ended too. That needs Linux's /proc; elsewhere it ends with the group. A process that throws
its environment away after it has left its parent is not found. What a Threadmill that was itself killed left behind is
ended by the next one that starts (`end_orphans`).
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

_MARK = "THREADMILL_PROCESS"
_OWNER = "THREADMILL_OWNER"
_PROC = Path("/proc")
_IDENTITY = re.compile(r"([0-9]{1,19})\.[0-9]{1,19}")
_ROUNDS = 10  # something may fork while it is looked for


def new_mark() -> dict[str, str]:
    """What belongs into the environment of a process that `end_all` is to end."""
    return {_MARK: uuid4().hex, _OWNER: _identity(os.getpid())}


def end_orphans() -> int:
    """End the processes of tools whose Threadmill is gone without having ended them (a crash, `kill -9`); how many
    there were. Those of another Threadmill that lives are left alone. Blocks."""
    found = 0
    for pid, _ in list(_living()):
        owner = _value(pid, _OWNER)
        if pid != os.getpid() and _is_gone(owner) and _is_numbered_here(pid):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
                found += 1
    return found


def end_all(leader: int, mark: dict[str, str], *, buried: bool) -> None:
    """Kill the process (the leader of a group of its own) and all that comes of it. May be called again. `buried`: its
    end was seen, so its number may be another's by now."""
    has_proc = _PROC.is_dir()
    for _ in range(_ROUNDS):
        found = _descendants(None if buried else leader, mark)  # before the leader's death cuts the ties
        if not (buried and has_proc):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(leader, signal.SIGKILL)
        if not found:
            return
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def _descendants(leader: int | None, mark: dict[str, str]) -> set[int]:
    carried = f"{_MARK}={mark[_MARK]}".encode()
    parents = dict(_living())
    found = {pid for pid in parents if _carries(pid, carried)}
    below = found if leader is None else {*found, leader}
    while below:
        below = {pid for pid, parent in parents.items() if parent in below and pid not in found}
        found |= below
    return found - {leader, os.getpid()}


def _living() -> Iterator[tuple[int, int]]:
    """Each process with its parent, without those that are dead and not yet buried."""
    for entry in _PROC.iterdir() if _PROC.is_dir() else ():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                yield int(entry.name), int(parent)


def _identity(pid: int) -> str:
    """A process's number with the moment it was started: a number alone is given to another one day. Empty: there is no
    such process."""
    with suppress(OSError, IndexError):
        return f"{pid}.{(_PROC / str(pid) / 'stat').read_text().rpartition(')')[2].split()[19]}"
    return ""


def _is_gone(owner: str) -> bool:
    """Whether that very process is not there any more. What is not of our writing (a tool chooses its environment)
    names none."""
    named = _IDENTITY.fullmatch(owner)
    return named is not None and owner != _identity(int(named[1]))


def _is_numbered_here(pid: int) -> bool:
    """Whether numbers mean the same to that process: in a container they do not."""
    with suppress(OSError):
        return (_PROC / str(pid) / "ns" / "pid").readlink() == (_PROC / "self" / "ns" / "pid").readlink()
    return False


def _value(pid: int, name: str) -> str:
    with suppress(OSError):
        for entry in (_PROC / str(pid) / "environ").read_bytes().split(b"\0"):
            if entry.startswith(f"{name}=".encode()):
                return entry.decode("ascii", "replace").partition("=")[2]
    return ""


def _carries(pid: int, mark: bytes) -> bool:
    with suppress(OSError):
        return mark in (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    return False
