"""Files that are handed in: kept whole or not at all, within a size, only from our own page, named by messages."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx

from tests.web.rig import TOKEN, UPLOAD_BYTES, Rig


async def hand_in(rig: Rig, content: bytes | AsyncIterator[bytes], name: str = "a.txt", **more: Any) -> httpx.Response:
    return await rig.client.post("/api/v1/files", params={"name": name}, content=content, **more)


async def test_a_file_is_kept_and_a_message_names_it(rig: Rig) -> None:
    kept = await hand_in(rig, b"hello", "../../etc/plan b.txt", headers={"content-type": "text/plain; charset=utf-8"})
    assert kept.status_code == 201
    file = kept.json()
    assert file == {
        "source": file["source"],
        "name": "plan b.txt",
        "media_type": "text/plain",
        "size_bytes": 5,
    }
    assert (await hand_in(rig, b"hello", "other.txt")).json()["source"] == file["source"], "kept once"
    named = {"source": file["source"], "name": "plan\u202e b.txt", "media_type": "text/plain"}
    answer = await rig.client.post("/api/v1/threads/t/messages", json={"text": "", "files": [named]})
    assert answer.status_code == 202, "a file needs no words"
    (attachment,) = rig.core.came[0].event.attachments
    assert (attachment.name, attachment.size_bytes, attachment.source) == ("plan b.txt", 5, file["source"])
    (shown,) = await rig.views.messages("api:/main/t")
    assert [row.name for row in shown.attachments] == ["plan b.txt"]


async def test_what_is_too_large_or_empty_or_nameless_is_refused_and_nothing_is_left_of_it(rig: Rig) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 100_000

    assert (await hand_in(rig, b"x" * (UPLOAD_BYTES + 1))).status_code == 413
    with contextlib.suppress(httpx.TransportError):  # the connection is closed while the client still writes
        assert (await hand_in(rig, endless())).status_code == 413, "also when nothing was announced"
    assert (await hand_in(rig, b"")).status_code == 422
    assert (await hand_in(rig, b"x", "")).status_code == 422
    assert (await hand_in(rig, b"x", "n" * 256)).status_code == 422
    rows = await rig.database.read(lambda tx: tx.execute("select count(*) from files where size_bytes > 0").fetchone())
    assert rows[0] == 0


NOT_HERE = {"source": "sha256:" + "0" * 64, "name": "a"}
WRONG: list[tuple[Any, str]] = [
    ([NOT_HERE], "not kept here"),
    ([{"source": "/etc/passwd", "name": "a"}], "source"),
    ([{"source": "sha256:../../../etc/passwd", "name": "a"}], "source"),
    ([{"source": NOT_HERE["source"]}], "name"),
    ([{**NOT_HERE, "path": "x"}], "path"),
    ([NOT_HERE] * 11, "10"),
    ("all", "files"),
]


async def test_a_message_names_only_files_that_are_here(rig: Rig) -> None:
    for files, says in WRONG:
        answer = await rig.client.post("/api/v1/threads/t/messages", json={"text": "x", "files": files})
        assert answer.status_code == 422, files
        assert says in answer.text
    assert rig.core.came == []


async def test_another_page_can_hand_in_nothing(rig: Rig) -> None:
    async with httpx.AsyncClient(base_url=rig.url, params={"name": "a.txt"}) as stranger:
        assert (await stranger.post("/api/v1/files", content=b"x")).status_code == 401
        signed_in = await stranger.get("/", params={"token": TOKEN})
        assert signed_in.status_code == 303
        for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}, {}):
            assert (await stranger.post("/api/v1/files", content=b"x", headers=headers)).status_code == 403
        own = await stranger.post("/api/v1/files", content=b"x", headers={"origin": rig.url})
        assert own.status_code == 201


async def test_the_pages_forms_take_files_along(rig: Rig) -> None:
    file = (await hand_in(rig, b"hello")).json()
    files = json.dumps([{key: file[key] for key in ("source", "name", "media_type")}])
    for path in ("/t/home/messages", "/threads"):
        answer = await rig.client.post(path, data={"text": "", "files": files, "id": path.strip("/")})
        assert answer.status_code == 303
        assert rig.core.came[-1].event.attachments[0].source == file["source"]
    assert "/a-txt-" in rig.core.came[-1].event.where.key
    bad = await rig.client.post("/threads", data={"text": "x", "files": "[1]"})
    assert bad.status_code == 422
