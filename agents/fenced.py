"""Text that others wrote, with marks around it that it cannot contain. Pure.

A model reads mail as one text: a child's result could say in its middle that a person has written something, and
whoever reads it would obey. So what is not a person's own stands between two marks that are made from a hash of the
very text. A text that held its own mark would have to know its own hash.
"""

from __future__ import annotations

import hashlib
import re

_DIGITS = 16  # 64 bits: too many for a search
_FENCED = re.compile(r"\[begin ([0-9a-f]{16})\]\n(.*)\n\[end \1\]", re.DOTALL)


def fenced(text: str) -> str:
    mark = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:_DIGITS]
    return f"[begin {mark}]\n{text}\n[end {mark}]"


def unfenced(text: str) -> str:
    """The text itself, of one that `fenced` has made; any other as it is."""
    found = _FENCED.fullmatch(text)
    return found[2] if found is not None and fenced(found[2]) == text else text
