"""What kind of picture a content really is, from its first bytes.

A model's service refuses a call with a picture that is not what its media type says, or that is too large, and would
refuse every later call of that conversation as well. People's programs are often wrong about media types, so
a picture is shown to a model only when it is one of the four kinds that models take, by its content.
"""

from __future__ import annotations

import struct

LONGEST_SIDE = 8_000  # pixels that Anthropic's API takes


def picture_type(content: bytes) -> str | None:
    """The media type; None for what is no picture that models take, or has a side that is too long."""
    try:
        kind, width, height = _read(content)
    except (struct.error, IndexError):
        return None
    return kind if kind and 0 < width <= LONGEST_SIDE and 0 < height <= LONGEST_SIDE else None


def _read(content: bytes) -> tuple[str | None, int, int]:
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png", *struct.unpack(">II", content[16:24])
    if content.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif", *struct.unpack("<HH", content[6:10])
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return "image/webp", *_webp(content)
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg", *_jpeg(content)
    return None, 0, 0


def _webp(content: bytes) -> tuple[int, int]:
    match content[12:16]:
        case b"VP8 ":
            width, height = struct.unpack("<HH", content[26:30])
            return width & 0x3FFF, height & 0x3FFF
        case b"VP8L":
            (bits,) = struct.unpack("<I", content[21:25])
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            return int.from_bytes(content[24:27], "little") + 1, int.from_bytes(content[27:30], "little") + 1
    return 0, 0


def _jpeg(content: bytes) -> tuple[int, int]:
    """The frame header's size: segments are passed over by their length until it comes."""
    at = 2
    while content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:  # fill bytes
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", content[at + 5 : at + 9])
            return width, height
        (length,) = struct.unpack(">H", content[at + 2 : at + 4])
        at += 2 + length
    return 0, 0
