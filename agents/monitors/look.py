"""Looking at what a monitor watches, without any model: fetch, make readable, compare.

What is compared is the readable text, so that a changed script, menu or order of keys is no change. The whole
text makes the digest; of a very long one only the beginning is kept for the difference.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import unified_diff

from agents.fetching import Fetcher, FetchFailed, FetchRefused, Version
from agents.monitors.base import Check, Seen

DIFFERENCE_BYTES = 4096
KEPT_CHARACTERS = 200_000
_LINES = 4000  # compared; comparing takes more than linear time
_LONG_LINE = 240
_SENTENCE = re.compile(r"(?<=[.!?;])\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged:
    seen: Seen | None = None  # the same text, sent in another form


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """Seen for the first time: there is nothing to compare it with."""

    seen: Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    seen: Seen
    difference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    why: str


Look = Unchanged | First | Changed | Failed


class Lookout:
    """Looks at what is watched."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher

    async def look(self, check: Check, before: Seen | None, *, trusted: bool = False) -> Look:
        """Look once. `trusted`: the operator wrote the address into the configuration, so it may be a private one.
        Never raises for what a server or a network does."""
        known = Version(etag=before.etag, modified=before.modified) if before else None
        try:
            fetched = await self._fetcher.fetch(
                check.url, timeout_seconds=check.timeout_seconds, known=known, trusted=trusted
            )
        except (FetchFailed, FetchRefused) as error:
            return Failed(why=str(error))
        if fetched.text is None:
            answered = f"{check.url} answered 304, but was not asked whether it changed."
            return Unchanged() if before else Failed(why=answered)
        raw = _digest(f"{fetched.media_type}\n{fetched.text}")
        if before is not None and raw == before.raw:
            return Unchanged()
        try:
            text = (await self._fetcher.read(fetched)).text
        except FetchFailed as error:
            return Failed(why=str(error))
        seen = Seen(
            digest=_digest(text),
            content=text[:KEPT_CHARACTERS],
            raw=raw,
            etag=fetched.version.etag,
            modified=fetched.version.modified,
        )
        if before is None:
            return First(seen=seen)
        if seen.digest == before.digest:
            return Unchanged(seen=seen)
        return Changed(seen=seen, difference=await asyncio.to_thread(difference, before.content, seen.content))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()


def difference(before: str, after: str) -> str:
    """Removed lines with -, added ones with +, at most DIFFERENCE_BYTES of them. Pure."""
    lines = list(unified_diff(_lines(before), _lines(after), lineterm="", n=0))
    kept: list[str] = []
    size = 0
    left_out = 0
    for line in lines[2:]:  # without the names of two files
        if line.startswith("@@"):
            continue
        size += len(line.encode("utf-8", errors="replace")) + 1
        if size > DIFFERENCE_BYTES - 80:
            left_out += 1
        else:
            kept.append(line)
    if left_out:
        kept.append(f"… and {left_out} more changed {'line' if left_out == 1 else 'lines'}")
    return "\n".join(kept) or "(The change is beyond the part of the text that is compared line by line.)"


def _lines(text: str) -> list[str]:
    """Lines short enough that a change in one is not the whole page: paragraphs go by sentences."""
    return list(_short(line.rstrip() for line in text.splitlines() if line.strip()))[:_LINES]


def _short(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        if len(line) <= _LONG_LINE:
            yield line
            continue
        for sentence in _SENTENCE.split(line):
            yield from (sentence[at : at + 500] for at in range(0, len(sentence), 500))
