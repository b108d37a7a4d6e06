"""From what a server sent to text that is worth reading and comparing.

Of a page the readable part, without menus and scripts; JSON in one canonical form, so that a changed order of
keys is no change; other text as it is.

A page of 100 kB can be written so that taking it apart takes minutes, and a thread cannot be stopped. So all but a
small page is read in a process of its own, with bounded memory, that is killed when its time is over.
`python agents/fetching/readable.py` is that process.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

READING_SECONDS = 10.0
_SMALL = 30_000  # characters of a page that cost less than a process, however it is written
_MEMORY_BYTES = 1_500_000_000
_ANSWER_BYTES = 50_000_000
_TITLE = re.compile(r"<title[^>]{0,200}>(.{0,1000}?)</title", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readable:
    title: str
    text: str


class Came(Protocol):
    """What came from a server (`Fetched`)."""

    @property
    def url(self) -> str: ...
    @property
    def media_type(self) -> str: ...
    @property
    def text(self) -> str | None: ...


class Unreadable(Exception):
    """Its text says why, for a person or an agent."""


async def readable(fetched: Came, seconds: float = READING_SECONDS) -> Readable:
    """The readable part. Raises Unreadable for a page that cannot be taken apart within bounds."""
    raw = fetched.text or ""
    if fetched.media_type.endswith(("/json", "+json")):
        return Readable(title="", text=await asyncio.to_thread(_canonical, raw))
    if fetched.media_type not in {"text/html", "application/xhtml+xml"} and not _looks_like_html(fetched):
        return Readable(title="", text=raw.strip())
    if len(raw) <= _SMALL:
        return await asyncio.to_thread(_page, raw, fetched.url)
    return await _in_a_process(raw, fetched.url, seconds)


async def _in_a_process(raw: str, url: str, seconds: float) -> Readable:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-W", "ignore", __file__,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env={}, limit=_ANSWER_BYTES,
    )  # fmt: skip
    try:
        async with asyncio.timeout(seconds):
            answer, _ = await process.communicate(json.dumps({"raw": raw, "url": url}).encode())
    except TimeoutError:
        raise Unreadable(f"the page could not be made readable within {seconds:g} s") from None
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    if process.returncode != 0:
        raise Unreadable("the page could not be made readable")
    return Readable(**json.loads(answer))


def _looks_like_html(fetched: Came) -> bool:
    begin = (fetched.text or "")[:500].lstrip().lower()
    return fetched.media_type == "application/octet-stream" and begin.startswith(("<!doctype html", "<html"))


def _canonical(raw: str) -> str:
    try:
        return json.dumps(json.loads(raw), ensure_ascii=False, sort_keys=True, indent=1)
    except (ValueError, RecursionError):
        return raw.strip()


def _page(raw: str, url: str) -> Readable:
    import html

    import trafilatura

    found = _TITLE.search(raw[:200_000])
    title = " ".join(html.unescape(found.group(1)).split()) if found else ""
    text = trafilatura.extract(raw, url=url, include_tables=True, include_comments=True, favor_recall=True)
    if not text or len(text) < _least(raw):
        # A short status page has no "main text": then all of it is what there is to read.
        text = trafilatura.html2txt(raw)
    return Readable(title=title, text=(text or "").strip())


def _least(raw: str) -> int:
    """Less than this of a page is taken for a failed guess at its main part."""
    return min(200, len(raw) // 20)


def _answer() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    asked = json.loads(sys.stdin.buffer.read())
    found = _page(asked["raw"], asked["url"])
    sys.stdout.write(json.dumps({"title": found.title, "text": found.text}))


if __name__ == "__main__":
    _answer()
