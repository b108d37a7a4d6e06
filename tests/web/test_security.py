"""The door: every route, and every way around it that a page elsewhere or a guesser might try."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from bot.web.app import create
from bot.web.security import HEADERS
from tests.web.rig import TOKEN, Rig

OPEN = {"/healthz", "/readyz", "/metrics", "/signin", "/favicon.ico", "/static/{name}"}


def routes(rig: Rig) -> list[tuple[str, str]]:
    """Every (method, path) that there is, filled with names that exist nowhere."""
    application = cast(Starlette, create(rig.parts).asgi._app)
    found = []
    for route in application.routes:
        assert isinstance(route, Route)
        found += [(method, route.path) for method in sorted((route.methods or {"GET"}) - {"HEAD"})]
    return found


def filled(path: str) -> str:
    names = {"thread:path": "x", "place:path": "x", "session": "s", "id": "1", "verb": "retry", "digest": "0" * 64}
    for name, value in {**names, "name": "page.css"}.items():
        path = path.replace(f"{{{name}}}", value)
    return path


def stranger(rig: Rig, **headers: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=rig.url, headers=headers, timeout=10)


@asynccontextmanager
async def signed_in(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    async with stranger(rig, accept="text/html") as client:
        answer = await client.get("/", params={"token": TOKEN})
        assert answer.status_code == 303
        yield client


@pytest.mark.requirement("P9")
async def test_every_route_asks_for_the_token_but_those_that_are_open(rig: Rig) -> None:
    async with stranger(rig) as client:
        for method, path in routes(rig):
            answer = await client.request(method, filled(path))
            if path in OPEN:
                assert answer.status_code < 400 or (method, path) == ("POST", "/signin"), path
            else:
                assert answer.status_code == 401, (method, path)
                assert answer.headers["content-type"] == "application/problem+json"
                assert "bearer" in answer.headers["www-authenticate"].lower()


async def test_every_answer_carries_the_policy_whatever_it_says(rig: Rig) -> None:
    async with stranger(rig) as client:
        for method, path in routes(rig):
            if path == "/api/v1/events":
                continue
            for headers in ({}, {"authorization": f"Bearer {TOKEN}"}):
                answer = await client.request(method, filled(path), headers={**headers, "accept": "text/html"})
                for name, value in HEADERS.items():
                    assert answer.headers[name] == value, (method, path)
                policy = answer.headers["content-security-policy"]
                assert "unsafe" not in policy
                assert "default-src 'none'" in policy
                if not path.startswith(("/static", "/favicon")):
                    assert answer.headers["cache-control"] == "no-store", path


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "evil.example:80", "", "localhost.", "[::2]", "a:b:c"]
)
async def test_a_foreign_host_name_is_not_answered(rig: Rig, host: str) -> None:
    async with stranger(rig, host=host, authorization=f"Bearer {TOKEN}") as client:
        for path in ("/", "/api/v1/sessions", "/healthz", "/static/page.css"):
            assert (await client.get(path)).status_code in (400, 421)


@pytest.mark.slow
async def test_names_that_were_allowed_are_answered(tmp_path) -> None:
    from tests.web.rig import running

    async with running(tmp_path, hosts=frozenset({"Bots.example.org"})) as rig:
        for host in ("bots.example.org", "BOTS.example.org:8642", "localhost", "[::1]:80"):
            async with stranger(rig, host=host) as client:
                assert (await client.get("/readyz")).status_code == 200


async def test_wrong_tokens_are_refused_and_then_slowed_but_the_right_one_always_gets_in(rig: Rig) -> None:
    async with stranger(rig) as client:
        seen, answer = [], httpx.Response(0)
        for number in range(13):
            answer = await client.get("/api/v1/sessions", headers={"authorization": f"Bearer wrong-{number}"})
            seen.append(answer.status_code)
        assert seen == [401] * 10 + [429] * 3
        assert int(answer.headers["retry-after"]) > 0
        right = await client.get("/api/v1/sessions", headers={"authorization": f"Bearer {TOKEN}"})
        assert right.status_code == 200
        for given in ("", "Bearer", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer é"):
            answer = await client.get("/api/v1/sessions", headers={b"authorization": given.encode()})
            assert answer.status_code in (401, 429)


async def test_the_token_in_the_address_becomes_a_cookie_and_leaves_the_address(rig: Rig) -> None:
    async with stranger(rig) as client:
        answer = await client.get("/t/hello", params={"token": TOKEN, "before": "5"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/t/hello?before=5")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert TOKEN not in cookie
        assert (await client.get("/sessions")).status_code == 200
        assert (await client.get(f"{rig.url}//evil.example/?token={TOKEN}")).headers["location"] == "/evil.example/"
    async with stranger(rig, accept="text/html") as client:
        wrong = await client.get("/", params={"token": "wrong"})
        assert wrong.status_code == 401
        assert "set-cookie" not in wrong.headers
        assert 'action="/signin"' in wrong.text
        assert (await client.get("/api/v1/sessions", params={"token": TOKEN})).status_code == 401


async def test_signing_in_by_the_form(rig: Rig) -> None:
    async with stranger(rig, accept="text/html") as client:
        assert (await client.get("/signin")).status_code == 200
        own = {"origin": rig.url}
        wrong = await client.post("/signin", data={"token": "wrong"}, headers=own)
        assert wrong.status_code == 401
        assert "not the right one" in wrong.text
        for to in ("//evil.example", "https://evil.example", "/\\evil.example"):
            answer = await client.post("/signin", data={"token": TOKEN, "to": to}, headers=own)
            assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert (await client.get("/")).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": "null"},
        {"origin": "file://"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {},
    ],
)
@pytest.mark.requirement("P9")
async def test_with_the_cookie_nothing_is_done_for_another_page(rig: Rig, headers: dict[str, str]) -> None:
    async with signed_in(rig) as client:
        for method, path in routes(rig):
            if method == "GET":
                continue
            answer = await client.request(method, filled(path), headers=headers, json={"text": "x"})
            assert answer.status_code == 403, (method, path)
        if headers:
            assert (await client.get("/api/v1/events", headers=headers)).status_code == 403
    assert rig.core.came == []
    assert rig.letters.asked == []


async def test_with_the_cookie_our_own_page_may(rig: Rig) -> None:
    async with signed_in(rig) as client:
        for headers in ({"origin": rig.url}, {"sec-fetch-site": "same-origin"}):
            answer = await client.post("/api/v1/threads/t/messages", json={"text": "x"}, headers=headers)
            assert answer.status_code == 202
        link = {"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
        assert (await client.get("/", headers=link)).status_code == 200
        assert (await client.get("/", headers={**link, "sec-fetch-dest": "iframe"})).status_code == 403


async def test_a_cookie_of_another_token_is_nothing(rig: Rig) -> None:
    port = rig.url.rpartition(":")[2]
    for cookie in ("x", TOKEN, "0" * 64, "é", '"' * 9000):
        async with stranger(rig) as client:
            answer = await client.get("/sessions", headers={b"cookie": f"threadmill_{port}={cookie}".encode()})
            assert answer.status_code in (400, 401)


def test_an_empty_token_is_refused_at_start() -> None:
    from bot.web.security import Door

    with pytest.raises(ValueError, match="needs a token"):
        Door(lambda *_: None, token="", hosts=frozenset())  # type: ignore[arg-type]


async def test_static_files_are_a_fixed_set(rig: Rig) -> None:
    async with stranger(rig) as client:
        assert (await client.get("/static/page.css")).headers["content-type"].startswith("text/css")
        for name in ("..%2fapp.py", "%2e%2e/app.py", "nothing.js", "page.css%00"):
            assert (await client.get(f"/static/{name}")).status_code in (401, 404)


async def test_files_are_downloads_by_digest_alone(rig: Rig, tmp_path) -> None:
    for digest in ("0" * 64, "..%2f..%2fetc%2fpasswd", "x" * 64):
        assert (await rig.client.get(f"/files/{digest}")).status_code == 404
