"""The HTTP API over a real socket: committed before acknowledged, idempotent, and plain about failures."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import httpx
import pytest

from channels.base import NotAccepted
from tests.stored import US, insert
from tests.web.rig import Rig, running


@pytest.mark.requirement("P1")
async def test_a_message_is_committed_when_it_is_acknowledged(rig: Rig) -> None:
    response = await rig.posted("hello", "Hi", id="m-1")
    assert response.status_code == 202
    assert response.json() == {"id": "m-1", "thread": "hello", "place": "api:/main/hello"}
    (message,) = await rig.views.messages("api:/main/hello")
    assert (message.text, message.side) == ("Hi", "in")
    assert [stored.event.text for stored in rig.core.came] == ["Hi"]


@pytest.mark.requirement("P3")
async def test_the_same_id_again_is_no_second_message(rig: Rig) -> None:
    await rig.posted("hello", "Hi", id="m-1")
    again = await rig.posted("hello", "Hi", id="m-1")
    assert (again.status_code, again.json()["id"]) == (200, "m-1")
    together = await asyncio.gather(*(rig.posted("hello", "Ho", id="m-2") for _ in range(10)))
    assert sorted(response.status_code for response in together) == [200] * 9 + [202]
    assert len(await rig.views.messages("api:/main/hello")) == 2


async def test_messages_are_read_after_a_number_from_any_place(rig: Rig) -> None:
    rig.core.answer = lambda stored: f"you said {stored.event.text}"
    await rig.posted("hello", "one")
    first = (await rig.client.get("/api/v1/threads/hello/messages", params={"after": 0, "wait": 5})).json()
    assert first["messages"][0]["text"] == "one"
    after = first["messages"][0]["n"]
    answers = (await rig.client.get("/api/v1/threads/hello/messages", params={"after": after, "wait": 5})).json()
    assert [message["text"] for message in answers["messages"]] == ["you said one"]
    assert answers["next"] > after
    by_key = (await rig.client.get("/api/v1/threads/api%3A%2Fmain%2Fhello/messages")).json()
    assert [message["text"] for message in by_key["messages"]] == ["one", "you said one"]


@pytest.mark.slow
async def test_a_long_poll_waits_for_what_comes_and_not_longer_than_asked(rig: Rig) -> None:
    waiting = asyncio.create_task(rig.client.get("/api/v1/threads/quiet/messages", params={"after": 0, "wait": 30}))
    await rig.readers(1)
    await rig.core.say("api:/main/quiet", "at last", "k1")
    assert [message["text"] for message in (await waiting).json()["messages"]] == ["at last"]
    nothing = await rig.client.get("/api/v1/threads/none/messages", params={"after": 3, "wait": 1})
    assert nothing.json() == {"messages": [], "next": 3}
    assert rig.hub.readers == 0


async def test_what_waits_is_shown_when_asked(rig: Rig) -> None:
    await rig.core.say("api:/main/hello", "later", "k1", state="pending")
    answer = (await rig.client.get("/api/v1/threads/hello/messages", params={"waiting": "1"})).json()
    assert [message["state"] for message in answer["waiting"]] == ["pending"]


@pytest.mark.parametrize(
    ("body", "kind", "status", "says"),
    [
        (b"{", "application/json", 400, "JSON"),
        (b"[]", "application/json", 422, "body"),
        (b'{"text": 5}', "application/json", 422, "text"),
        (b'{"text": "x", "colour": "red"}', "application/json", 422, "colour"),
        (b'{"text": "x", "id": ""}', "application/json", 422, "id"),
        (b'{"text": "   "}', "application/json", 422, "empty"),
        (b'{"text": "a\\u0000b"}', "application/json", 422, "NUL"),
        (b'{"text": "\\ud800"}', "application/json", 400, "JSON"),
        (b"\xff\xfe\x00", "application/json", 400, "JSON"),
        (b'{"text": "x"}', "text/plain", 415, "Content-Type"),
        (b'{"text": "' + b"x" * 100_001 + b'"}', "application/json", 422, "100000"),
        (b'{"text": "' + b"x" * 1_100_000 + b'"}', "application/json", 413, "larger"),
    ],
)
async def test_a_bad_message_is_a_problem_document(rig: Rig, body: bytes, kind: str, status: int, says: str) -> None:
    response = await rig.client.post("/api/v1/threads/t/messages", content=body, headers={"content-type": kind})
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert set(problem) >= {"type", "title", "status", "detail"}
    assert problem["status"] == status
    assert says in problem["detail"]
    assert rig.core.came == []


async def test_bad_names_and_unknown_things_are_problem_documents(rig: Rig) -> None:
    client = rig.client
    text: Any = {"json": {"text": "x"}}
    for response, status in (
        (await client.post(f"/api/v1/threads/{'x' * 81}/messages", **text), 422),
        (await client.post("/api/v1/threads/a%00b/messages", **text), 422),
        (await client.post("/api/v1/threads/x/messages?channel=slack", **text), 405),
        (await client.post("/api/v1/threads/slack%3AT1%2FC2%2F1.5/messages", **text), 405),
        (await client.post("/api/v1/threads/x/messages?channel=../etc", **text), 400),
        (await client.get("/api/v1/threads/:/messages"), 400),
        (await client.get("/api/v1/threads/x/messages?after=minus"), 400),
        (await client.get("/api/v1/sessions?state=asleep"), 400),
        (await client.get("/api/v1/sessions?before=drop"), 400),
        (await client.get("/api/v1/sessions/nobody"), 404),
        (await client.get("/api/v1/sessions/nobody/history"), 404),
        (await client.get("/api/v1/events?session=nobody"), 404),
        (await client.get("/api/v1/nothing"), 404),
        (await client.delete("/api/v1/sessions"), 405),
        (await client.post("/api/v1/deadletters/99/retry"), 404),
    ):
        assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
        assert response.json()["detail"]
    assert rig.core.came == []


@pytest.mark.requirement("P1")
async def test_what_cannot_be_committed_is_not_acknowledged(tmp_path) -> None:
    async def refuse(**_: object) -> None:
        raise NotAccepted("the disk that holds /data is full")

    async with running(tmp_path, receive={"api": refuse}) as rig:
        response = await rig.posted("t", "x")
        assert (response.status_code, response.headers["retry-after"]) == (503, "2")
        assert "disk" in response.json()["detail"]
        assert await rig.views.messages("api:/main/t") == []


async def test_every_listing_answers_json(rig: Rig) -> None:
    await rig.core.session("s1", "api:/main/hello")
    await rig.core.say("api:/main/hello", "Hi", "k1", "s1")
    await rig.core.say("slack:T1/C2/1.5", "never", "k2", "s1", state="dead", error="no such room")

    def work(tx) -> None:
        insert(tx, "steps", session="s1", kind="note", body='{"text": "x"}', started_at=US, ended_at=US)
        insert(tx, "spending", day="2099-01-01", agent="a", account="x", model="m", calls=2, tokens=9, cost_nano=10**9)

    await rig.database.write(work)
    for path, key, length in (
        ("sessions", "sessions", 1),
        ("sessions/assistant-s1/history", "steps", 1),
        ("deliveries?state=dead", "deliveries", 1),
        ("deadletters", "deadletters", 1),
        ("monitors", "monitors", 0),
        ("audit", "audit", 0),
        ("cost", "cost", 1),
        ("threads", "threads", 1),
    ):
        response = await rig.client.get(f"/api/v1/{path}")
        assert response.status_code == 200, response.text
        assert len(response.json()[key]) == length, path
    assert (await rig.client.get("/api/v1/cost")).json()["total_usd"] == 1.0
    detail = (await rig.client.get("/api/v1/sessions/s1")).json()
    assert (detail["session"]["label"], detail["places"]) == ("assistant-s1", ["api:/main/hello"])
    assert (await rig.client.get("/api/v1/overview")).json()["dead_letters"] == 1


async def test_dead_letters_are_tried_again_and_dropped(rig: Rig) -> None:
    assert (await rig.client.post("/api/v1/deadletters/7/retry")).json() == {"id": "7"}
    assert (await rig.client.post("/api/v1/deadletters/7/drop")).status_code == 200
    assert rig.letters.asked == [("retry", "7"), ("drop", "7")]


async def test_health_readiness_and_metrics_need_no_token(rig: Rig) -> None:
    async with httpx.AsyncClient(base_url=rig.url) as stranger:
        health = (await stranger.get("/healthz")).json()
        assert health["status"] == "ok"
        assert health["channels"]["web"]["state"] == "connected"
        assert (await stranger.get("/readyz")).json() == {"status": "ready"}
        assert "threadmill_channel_up" in (await stranger.get("/metrics")).text


async def test_not_ready_is_said_so(tmp_path) -> None:
    async with running(tmp_path, ready=lambda: False) as rig:
        assert (await rig.client.get("/readyz")).status_code == 503
        assert (await rig.client.get("/healthz")).status_code == 200


@pytest.mark.slow
@pytest.mark.requirement("P8")
async def test_a_body_that_never_arrives_is_given_up(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.web.body._SECONDS", 0.2)
    host, port = rig.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"POST /api/v1/threads/t/messages HTTP/1.1\r\nHost: {host}:{port}\r\n"
        "Authorization: Bearer a-token-for-tests\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    writer.write(head.encode())
    answer = await asyncio.wait_for(reader.read(), 5)
    assert answer.startswith(b"HTTP/1.1 408")
    writer.close()


@pytest.mark.slow
@pytest.mark.requirement("P8")
async def test_a_connection_that_says_nothing_is_closed(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.web.server._HEAD_SECONDS", 0.1)
    async with running(tmp_path) as rig:
        host, port = rig.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET / HT")
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_malformed_http_does_no_harm(rig: Rig) -> None:
    host, port = rig.url.removeprefix("http://").split(":")
    for rubbish in (
        b"\x16\x03\x01\x02\x00",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"x: " + b"y" * 70_000 + b"\r\n\r\n",
    ):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(rubbish)
        await asyncio.wait_for(reader.read(), 5)
        writer.close()
    assert (await rig.client.get("/readyz")).status_code == 200


async def test_a_taken_port_is_a_plain_sentence(rig: Rig) -> None:
    from bot.web.server import CannotListen, listen

    port = int(rig.url.rpartition(":")[2])
    with pytest.raises(CannotListen, match="is taken, perhaps by another Threadmill"):
        listen("127.0.0.1", port)


async def test_answers_are_not_held_back_for_a_fuller_packet(rig: Rig) -> None:
    from bot.web.server import listen

    with listen("127.0.0.1", 0) as listener:
        _, writer = await asyncio.open_connection(*listener.getsockname())
        accepted, _ = await asyncio.get_running_loop().sock_accept(listener)
        with accepted:
            assert accepted.proto == socket.IPPROTO_TCP
        writer.close()
