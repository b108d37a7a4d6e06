"""What is found in workspaces: paths by a pattern with `*` and `**`, and lines by text or regular expression.

A pattern comes from a model, and a regular expression can be written that takes years. Python cannot stop one that
runs, in a thread least of all (it would hold up the whole program). So it runs in a process of its own that is
killed when its time is over, over bounded text. `python agents/tools/files_match.py` is that process.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import TypedDict

LONGEST_LINE = 300  # characters of a line that are shown
_SEARCHED = 2_000  # characters of a line that are searched
_ANSWER_BYTES = 2_000_000


class Found(TypedDict):
    path: str
    line: int
    text: str


class NotSearched(Exception):
    """Its text is for the model: what is wrong with the pattern."""


def matches(pattern: Sequence[str], path: Sequence[str]) -> bool:
    """Whether the parts of a path fit those of a pattern; `**` stands for any number of folders, and at the end for
    everything below. Takes time by the product of the lengths, whatever the pattern."""
    reached = {0}
    for index, part in enumerate(pattern):
        if part == "**":
            first = min(reached, default=len(path) + 1)
            reached = set(range(first, len(path) + 1))
            if index == len(pattern) - 1:
                return first < len(path)
        else:
            reached = {at + 1 for at in reached if at < len(path) and fnmatchcase(path[at], part)}
    return len(path) in reached


def lines_with(files: Iterable[tuple[str, str]], text: str, limit: int, *, ignore_case: bool) -> list[Found]:
    """Lines that have a fixed text in them."""
    wanted = text.casefold() if ignore_case else text
    return _found(files, lambda line: wanted in (line.casefold() if ignore_case else line), limit)


async def lines_matching(
    files: Mapping[str, str], expression: str, limit: int, *, ignore_case: bool, seconds: float
) -> list[Found]:
    """Lines that match a regular expression. Raises NotSearched when it is none or takes too long."""
    asked = json.dumps({"files": dict(files), "expression": expression, "limit": limit, "ignore_case": ignore_case})
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", "-W", "ignore", __file__,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env={}, limit=_ANSWER_BYTES,
    )  # fmt: skip
    try:
        async with asyncio.timeout(seconds):
            answer, _ = await process.communicate(asked.encode())
    except TimeoutError:
        raise NotSearched(
            f"the regular expression took longer than {seconds:g} s: make it simpler, or search for plain text"
        ) from None
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    if process.returncode != 0:
        raise NotSearched("the regular expression could not be used: make it simpler, or search for plain text")
    made = json.loads(answer)
    if "wrong" in made:
        raise NotSearched(f"the regular expression is wrong: {made['wrong']}")
    found: list[Found] = made["found"]
    return found


def _found(files: Iterable[tuple[str, str]], fits: Callable[[str], object], limit: int) -> list[Found]:
    found: list[Found] = []
    for path, content in files:
        for number, line in enumerate(content.splitlines(), start=1):
            if fits(line[:_SEARCHED]):
                found.append({"path": path, "line": number, "text": line[:LONGEST_LINE]})
                if len(found) >= limit:
                    return found
    return found


def _answer() -> None:
    asked = json.loads(sys.stdin.buffer.read())
    try:
        compiled = re.compile(asked["expression"], re.IGNORECASE if asked["ignore_case"] else 0)
    except (re.error, OverflowError, RecursionError) as error:
        sys.stdout.write(json.dumps({"wrong": str(error)}))
    else:
        sys.stdout.write(json.dumps({"found": _found(asked["files"].items(), compiled.search, asked["limit"])}))


if __name__ == "__main__":
    _answer()
