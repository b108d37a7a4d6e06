"""Characters as Telegram counts them, and as everybody else can take them. Pure."""

from __future__ import annotations


def utf16_units(text: str) -> int:
    """Telegram's measure of texts, offsets and limits."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def whole_characters(text: str) -> str:
    """The text without halves of surrogate pairs: JSON can carry them, and nothing can encode them."""
    if text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
