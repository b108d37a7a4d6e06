"""A picture on its way: handed in over HTTP, kept, named by a message, and seen by the model."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.anthropic import GOOD_KEY, FakeAnthropic
from tests.pictures import png
from tests.slices.harness import Running, running, write_config

pytestmark = pytest.mark.slow


def agents(server: FakeAnthropic) -> str:
    return f"""
[models.default]
kind = "anthropic"
model = "claude-sonnet-5-5"
api_key = "{GOOD_KEY}"
base_url = "{server.address}"

[agents.assistant]
prompt = "You look at pictures."
"""


async def hand_in(threadmill: Running, name: str, content: bytes, kind: str) -> dict[str, Any]:
    answer = await threadmill.client.post(
        "/api/v1/files", params={"name": name}, content=content, headers={"content-type": kind}
    )
    assert answer.status_code == 201, answer.text
    return {key: value for key, value in answer.json().items() if key != "size_bytes"}


async def test_a_picture_reaches_the_model_and_what_only_says_that_it_is_one_does_not(tmp_path: Path) -> None:
    async with FakeAnthropic() as server, running(write_config(tmp_path, agents=agents(server))) as threadmill:
        picture = png(2, 3)
        files = [
            await hand_in(threadmill, "plan.png", picture, "image/png"),
            await hand_in(threadmill, "photo.jpg", png(4, 4), "image/jpeg"),  # called what it is not
            await hand_in(threadmill, "not.png", b"<html>no picture</html>", "image/png"),
            await hand_in(threadmill, "huge.png", png(8_001, 1), "image/png"),
        ]
        body = {"text": "What is on it?", "id": "m1", "files": files}
        url = "/api/v1/threads/pictures/messages"
        assert (await threadmill.client.post(url, json=body)).status_code == 202
        await threadmill.heard("pictures", "What is on it?")
        (request,) = server.requests
        blocks = request["messages"][0]["content"]
        images = [block["source"] for block in blocks if block["type"] == "image"]
        assert images == [
            {"type": "base64", "media_type": "image/png", "data": base64.b64encode(content).decode()}
            for content in (picture, png(4, 4))
        ]
        texts = " ".join(block["text"] for block in blocks if block["type"] == "text")
        for name in ("plan.png", "photo.jpg", "not.png", "huge.png"):
            assert name in texts
        assert (await threadmill.client.post(url, json=body)).status_code == 200, "the same message again is none"
        shown = (await threadmill.client.get(url)).json()["messages"][0]
        digest = shown["attachments"][0]["digest"]
        assert (await threadmill.client.get(f"/files/{digest}")).content == picture
