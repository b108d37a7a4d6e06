"""The guard of the web fetch: what it reads, what it refuses, and that it never takes more than its bounds."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from agents.fetching import Allowed, Fetcher, FetchFailed, FetchRefused, Version, readable
from agents.fetching.addresses import is_public
from agents.tools.base import ToolError, parse
from agents.tools.web_fetch import WebFetchTool
from tests.fakes.website import Website, website

PRIVATE = [
    *("127.0.0.1", "127.8.9.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
    *("224.0.0.1", "239.1.2.3", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1"),
    *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "fec0::1", "2001:db8::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1"),
    *("2002:7f00:1::", "2002:a00:1::1", "2001:0:1::1"),
    "no address",
]
PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]


@pytest.fixture
async def site() -> AsyncIterator[Website]:
    async with website() as made:
        yield made


def fetcher(site: Website, **changes: Any) -> Fetcher:
    return Fetcher(Allowed.parse((site.host,)), **changes)


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_known_in_every_disguise(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_public_also_inside_another(address: str) -> None:
    assert is_public(address)


@pytest.mark.requirement("P9")
@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"],
)
async def test_a_private_host_is_refused_however_it_is_written(site: Website, host: str) -> None:
    port = int(site.host.rpartition(":")[2])
    guarded = Fetcher(Allowed.parse(ports=(port,)))
    with pytest.raises((FetchRefused, FetchFailed)):
        await guarded.fetch(f"http://{host}:{port}/")
    assert site.requests == []
    assert site.server.connected == 0


@pytest.mark.requirement("P9")
async def test_a_name_that_turns_private_when_it_is_connected_to_is_refused(
    site: Website, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo
    asked: list[str] = []

    def rebinding(host: str, port: Any, *rest: Any, **named: Any) -> Any:
        asked.append(host)
        return real("127.0.0.1" if host == "rebind.example" else host, port, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    port = int(site.host.rpartition(":")[2])
    with pytest.raises(FetchRefused, match=r"rebind\.example is at 127\.0\.0\.1, which is not a public address"):
        await Fetcher(Allowed.parse(ports=(port,))).fetch(f"http://rebind.example:{port}/")
    assert "rebind.example" in asked
    assert site.server.connected == 0


@pytest.mark.requirement("P9")
async def test_a_redirect_to_a_private_host_is_refused(site: Website) -> None:
    async with website() as inside:
        inside.page("/secret", "internal")
        site.redirects("/out", inside.url("/secret"))
        port = int(inside.host.rpartition(":")[2])
        guarded = Fetcher(Allowed.parse((site.host,), (80, 443, port)))
        with pytest.raises(FetchRefused, match="not a public address"):
            await guarded.fetch(site.url("/out"))
        assert inside.server.connected == 0


async def test_redirects_are_followed_to_where_they_end_but_not_for_ever(site: Website) -> None:
    site.redirects("/a", "/b")
    site.redirects("/b", site.url("/end"), status=308)
    site.page("/end", "here at last")
    fetched = await fetcher(site).fetch(site.url("/a"))
    assert fetched.url == site.url("/end")
    site.redirects("/round", "/round")
    with pytest.raises(FetchRefused, match="more than 5 redirects"):
        await fetcher(site).fetch(site.url("/round"))
    assert site.asked("/round") == 6


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://example.org/", "no address of the web"),
        ("file:///etc/passwd", "no address of the web"),
        ("javascript:alert(1)", "no address of the web"),
        ("http://", "no address of the web"),
        ("http://[::1", "no address of the web"),
        ("http://example.org:99999/", "no address of the web"),
        ("http://ada:secret@example.org/", "name or password"),
        ("http://example.org:22/", "only the ports 80 and 443"),
        ("http://example.org/a b", "blanks"),
        ("http://example.org/" + "a" * 2000, "longer than 2000"),
    ],
)
async def test_what_is_no_plain_address_of_the_web_is_refused_before_anything_is_connected(url: str, why: str) -> None:
    with pytest.raises(FetchRefused, match=why) as refused:
        await Fetcher().fetch(url)
    assert "secret" not in str(refused.value)


async def test_nothing_that_identifies_us_is_sent_and_no_cookie_is_kept(site: Website) -> None:
    site.answers("/", b"hello", "text/plain", set_cookie="id=1")
    site.redirects("/jump", "/")
    client = fetcher(site)
    for path in ("/", "/jump", "/"):
        await client.fetch(site.url(path))
    for request in site.requests:
        assert not {"cookie", "authorization", "referer"} & set(request.headers)


@pytest.mark.requirement("P8")
async def test_a_page_longer_than_the_limit_is_cut_there(site: Website) -> None:
    site.answers("/huge", b"x" * 300_000, "text/plain")
    fetched = await fetcher(site, most_bytes=100_000).fetch(site.url("/huge"))
    assert fetched.cut
    assert len(fetched.text or "") == 100_000


@pytest.mark.requirement("P8")
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "raw"])
async def test_a_packed_bomb_is_unpacked_only_to_the_limit(site: Website, encoding: str) -> None:
    site.packed("/bomb", b"0" * 50_000_000, encoding)
    site.packed("/fine", b"hello " * 10_000, encoding)
    began = time.process_time()
    fetched = await fetcher(site, most_bytes=100_000).fetch(site.url("/bomb"))
    assert fetched.cut
    assert len(fetched.text or "") == 100_000
    assert time.process_time() - began < 1.0
    assert (await fetcher(site).fetch(site.url("/fine"))).text == "hello " * 10_000


@pytest.mark.requirement("P8")
async def test_a_server_that_stalls_is_given_up_in_time(site: Website) -> None:
    site.stalls("/slow", after=b"a beginning")
    with pytest.raises(FetchFailed, match=r"did not answer within 0\.2 s"):
        await fetcher(site).fetch(site.url("/slow"), timeout_seconds=0.2)


async def test_what_is_no_text_and_what_cannot_be_unpacked_is_said(site: Website) -> None:
    site.answers("/picture", b"\x89PNG", "image/png")
    site.answers("/broken", b"no gzip at all", "text/plain", content_encoding="gzip")
    site.answers("/other", b"?", "text/plain", content_encoding="br")
    for path, why in (("/picture", "image/png"), ("/broken", "cannot be unpacked"), ("/other", "'br'"), ("/no", "404")):
        with pytest.raises((FetchRefused, FetchFailed), match=why):
            await fetcher(site).fetch(site.url(path))


async def test_text_is_read_in_the_charset_that_it_says(site: Website) -> None:
    site.answers("/header", "Grüße".encode("latin-1"), "text/plain; charset=latin-1")
    site.answers("/meta", '<meta charset="windows-1251"><p>Привет</p>'.encode("cp1251"), "text/html")
    site.answers("/odd", "Grüße".encode(), "text/plain; charset=idna")
    texts = [(await fetcher(site).fetch(site.url(path))).text for path in ("/header", "/meta", "/odd")]
    assert texts == ["Grüße", '<meta charset="windows-1251"><p>Привет</p>', "Grüße"]


async def test_a_page_that_did_not_change_is_not_sent_again(site: Website) -> None:
    site.tagged("/", "hello", "v1")
    first = await fetcher(site).fetch(site.url("/"))
    assert first.version.etag == '"v1"'
    again = await fetcher(site).fetch(site.url("/"), known=first.version)
    assert (again.status, again.text) == (304, None)
    site.tagged("/", "hello again", "v2")
    assert (await fetcher(site).fetch(site.url("/"), known=first.version)).text == "hello again"
    assert (await fetcher(site).fetch(site.url("/"), known=Version())).text == "hello again"


async def test_of_a_page_the_readable_part_is_kept_and_json_has_one_form(site: Website) -> None:
    long = "All systems have been working as they should for the last ninety days, with no incident to report. " * 4
    site.page("/long", long, noise="first")
    texts = []
    for noise in ("first", "second"):
        site.page("/long", long, noise=noise)
        texts.append(await readable(await fetcher(site).fetch(site.url("/long"))))
    assert texts[0].title == "Status"
    assert "ninety days" in texts[0].text
    assert "var noise" not in texts[0].text
    site.json("/a", {"b": [1, 2], "a": "ü"})
    site.json("/b", {"a": "ü", "b": [1, 2]})
    first, second = [(await readable(await fetcher(site).fetch(site.url(path)))).text for path in ("/a", "/b")]
    assert first == second
    assert '"a": "ü"' in first


def test_a_host_that_is_let_in_is_let_in_by_its_very_name_and_port() -> None:
    allowed = Allowed.parse(("127.0.0.1:8080", "intranet", "[::1]:9000", "10.0.0.7"))
    assert allowed.names("127.0.0.1", 8080)
    assert not allowed.names("127.0.0.1", 80)
    assert allowed.names("INTRANET.", 12)
    assert allowed.names("::1", 9000)
    assert allowed.names("10.0.0.7", 443)
    assert not allowed.names("localhost", 8080)
    for wrong in ("", "http://x", "x:0", "x:y", "a b"):
        with pytest.raises(ValueError, match=r"no host|no port"):
            Allowed.parse((wrong,))


class _Call:
    """The tool looks at no part of its call."""

    now = datetime(2026, 11, 21, tzinfo=UTC)


async def test_the_tool_gives_title_address_and_text_and_says_when_it_was_cut(site: Website) -> None:
    site.page("/", "A sentence about nothing in particular, said at some length. " * 20, title="News &amp; more")
    tool = WebFetchTool(fetcher(site))
    text = await tool.run(_Call(), parse(tool, {"url": site.url("/"), "max_chars": 200}))  # type: ignore[arg-type]
    first, title, shown, _, body = text.split("\n", 4)
    assert (first, title) == (f"URL: {site.url('/')}", "Title: News & more")
    assert shown.startswith("Shown: the first 200 of ")
    assert len(body) == 200
    with pytest.raises(ToolError, match="404"):
        await tool.run(_Call(), parse(tool, {"url": site.url("/none")}))  # type: ignore[arg-type]
    with pytest.raises(ToolError, match="max_chars"):
        parse(tool, {"url": "http://x", "max_chars": 1})


@pytest.mark.slow
@pytest.mark.requirement("P8")
async def test_a_page_that_cannot_be_taken_apart_in_time_is_given_up_and_holds_nobody_up(site: Website) -> None:
    attributes = " ".join(f"a{number}=1" for number in range(200_000))  # takes minutes
    site.answers("/trap", f"<html><body><p {attributes}>x".encode(), "text/html")
    site.page("/fine", "All systems have been working as they should. " * 2_000)
    hasty, client = fetcher(site, reading_seconds=0.5), fetcher(site)
    trap, fine = [await client.fetch(site.url(path)) for path in ("/trap", "/fine")]
    trapped = asyncio.create_task(hasty.read(trap))
    assert "All systems have been working" in (await client.read(fine)).text
    with pytest.raises(FetchFailed, match=r"could not be made readable within 0\.5 s"):
        await trapped


@pytest.mark.requirement("P8")
async def test_a_server_whose_head_never_ends_is_given_up(site: Website) -> None:
    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(b"HTTP/1.1 200 OK\r\n")
            while True:
                writer.write(b"X-More: " + b"y" * 4_000 + b"\r\n")
                await writer.drain()

    async with await asyncio.start_server(endless, "127.0.0.1", 0) as server:
        host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(FetchFailed):
            await Fetcher(Allowed.parse((host,))).fetch(f"http://{host}/", timeout_seconds=2.0)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000, "kilobytes"


async def test_a_proxy_of_the_environment_is_not_asked(site: Website, monkeypatch: pytest.MonkeyPatch) -> None:
    async with website() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url("/"))
        site.page("/", "directly")
        assert "directly" in str((await fetcher(site).fetch(site.url("/"))).text)
        assert proxy.server.connected == 0
