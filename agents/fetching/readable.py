"""From what a server sent to text that is worth reading and comparing.

Of a page the readable part, without menus and scripts; JSON in one canonical form, so that a changed order of
keys is no change; other text as it is.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from agents.fetching.client import Fetched

_TITLE = re.compile(r"<title[^>]{0,200}>(.{0,1000}?)</title", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readable:
    title: str
    text: str


def readable(fetched: Fetched) -> Readable:
    """The readable part. Slow for a large page: call it in a thread."""
    raw = fetched.text or ""
    if fetched.media_type.endswith(("/json", "+json")):
        return Readable(title="", text=_canonical(raw))
    if fetched.media_type in {"text/html", "application/xhtml+xml"} or _looks_like_html(fetched):
        return _page(raw, fetched.url)
    return Readable(title="", text=raw.strip())


def _looks_like_html(fetched: Fetched) -> bool:
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
