"""Pictures are known by their content, whatever somebody calls them."""

from __future__ import annotations

import pytest

from agents.pictures import LONGEST_SIDE, picture_type
from tests.pictures import gif, jpeg, png, webp


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (png(), "image/png"),
        (gif(3, 4), "image/gif"),
        (jpeg(3, 4), "image/jpeg"),
        (webp(b"VP8 ", 3, 4), "image/webp"),
        (webp(b"VP8L", 3, 4), "image/webp"),
        (webp(b"VP8X", 3, 4), "image/webp"),
        (gif(LONGEST_SIDE, 1), "image/gif"),
        (gif(LONGEST_SIDE + 1, 1), None),
        (jpeg(1, LONGEST_SIDE + 1), None),
        (webp(b"VP8X", LONGEST_SIDE + 1, 1), None),
        (webp(b"VP8L", 1, LONGEST_SIDE + 1), None),
        (gif(0, 5), None),
        (b"", None),
        (b"%PDF-1.7", None),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", None),
        (png()[:20], None),
        (b"RIFF\0\0\0\0WEBPVP9 ", None),
        (b"\xff\xd8\xff", None),
        (b"\xff\xd8\xff\xff\xff\xff", None),
        (b"\xff\xd8\xff\xe0\x00\x00" * 3, None),
    ],
)
def test_a_picture_is_what_its_first_bytes_say(content: bytes, kind: str | None) -> None:
    assert picture_type(content) == kind
