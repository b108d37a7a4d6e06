"""python-telegram-bot's HTTP client on aiohttp's connections: what the library and our errors rely on."""

from __future__ import annotations

import gzip
import ssl
from collections.abc import AsyncIterator

import httpx
import pytest

from channels.telegram import Settings
from channels.telegram.client import Client
from channels.telegram.transport import AiohttpTransport
from tests.fakes.loopback_http import Cut, HttpRequest, LoopbackServer, Plan, Stall, head, whole

BEGUN = head(200, {"content-length": "10", "content-type": "text/plain"}) + b"half"


def _plan(request: HttpRequest) -> Plan:
    match request.path:
        case "/echo":
            return (whole(200, request.body),)
        case "/packed":
            return (whole(200, gzip.compress(b"unpacked"), {"content-encoding": "gzip"}),)
        case "/nothing":
            return (Cut(),)
        case "/half":
            return (BEGUN, Cut(reset=False))
        case "/stalled":
            return (BEGUN, Stall())
        case _:
            return (whole(404, b"no"),)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = AiohttpTransport(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), 4)
    async with (
        LoopbackServer(_plan) as server,
        httpx.AsyncClient(transport=transport, base_url=server.address, timeout=httpx.Timeout(0.3)) as opened,
    ):
        yield opened


async def test_a_form_a_file_and_a_packed_answer_arrive_whole(client: httpx.AsyncClient) -> None:
    assert (await client.post("/echo", data={"text": "häñ"})).content == b"text=h%C3%A4%C3%B1"
    uploaded = await client.post("/echo", files={"document": ("a.txt", b"content" * 1000)})
    assert b"content" * 1000 in uploaded.content
    assert (await client.get("/packed")).text == "unpacked"
    assert (await client.get("/other")).status_code == 404


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "error"),
    [("/nothing", httpx.TransportError), ("/half", httpx.RemoteProtocolError), ("/stalled", httpx.ReadTimeout)],
)
async def test_a_broken_answer_is_no_error_to_connect(
    client: httpx.AsyncClient, path: str, error: type[httpx.TransportError]
) -> None:
    with pytest.raises(error) as raised:
        await client.post(path, data={"text": "once"})
    assert not isinstance(raised.value, httpx.ConnectError | httpx.ConnectTimeout)
    assert (await client.post("/echo", data={"a": "b"})).content == b"a=b"


async def test_nobody_listening_is_an_error_to_connect(client: httpx.AsyncClient, unused_tcp_port: int) -> None:
    with pytest.raises(httpx.ConnectError):
        await client.get(f"http://127.0.0.1:{unused_tcp_port}/")


@pytest.mark.parametrize("proxied", [False, True])
async def test_a_proxy_of_the_environment_is_left_to_the_library(
    monkeypatch: pytest.MonkeyPatch, proxied: bool
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    if proxied:
        monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    settings = Settings.model_validate({"token": "1:a", "base_url": "http://127.0.0.1:9/bot"})
    async with Client(settings) as opened:
        own = isinstance(opened._requests._client._transport, AiohttpTransport)
    assert own is not proxied
