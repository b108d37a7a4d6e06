"""The guarded HTTP client: one GET of a page that somebody else named.

Each fetch has a connector of its own, whose socket factory refuses every address that is not public: it sees what
is really connected to, after names were resolved and for literals alike. Redirects are followed here, one by
one, so that each passes the same checks. Nothing identifies us or is kept: no cookies, no credentials, no proxy
from the environment. Size and time are bounded, unpacked size included.

    FetchError
    ├── FetchRefused   the guard or a limit says no: the same address will be refused again
    └── FetchFailed    it did not work this time
"""

from __future__ import annotations

import asyncio
import codecs
import re
import socket
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urljoin, urlsplit

from agents.fetching.addresses import Allowed, is_public
from agents.fetching.readable import READING_SECONDS, Readable, Unreadable, readable

if TYPE_CHECKING:
    import aiohttp

REDIRECTS = 5
_READ_AT_ONCE = 2
LONGEST_URL = 2000
_REDIRECTING = frozenset({301, 302, 303, 307, 308})
_CHUNK = 65_536
_CHARSET = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*([A-Za-z0-9_.:-]{1,40})""", re.IGNORECASE)
_NO_CHARSETS = frozenset({"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "utf-7"})
_TEXTS = ("text/", "application/json", "application/xml", "application/xhtml", "application/javascript")


class FetchError(Exception):
    """Its text is a sentence for a person or an agent."""


class FetchRefused(FetchError):
    pass


class FetchFailed(FetchError):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What a server said to recognise the same content by."""

    etag: str | None = None
    modified: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What came. `text` is None when the server said that nothing has changed since `version`."""

    url: str  # where the redirects ended
    status: int
    media_type: str
    text: str | None
    version: Version
    cut: bool = False  # longer than the limit: this is its beginning


class Fetcher:
    """Fetches pages, and makes them readable. Holds nothing between two fetches, so there is nothing to close."""

    def __init__(
        self,
        allowed: Allowed | None = None,
        *,
        most_bytes: int = 2_000_000,
        user_agent: str = "Threadmill",
        reading_seconds: float = READING_SECONDS,
    ) -> None:
        self._allowed = allowed or Allowed()
        self._most_bytes = most_bytes
        self._user_agent = user_agent
        # Making pages readable is work for the processor: many side by side only take longer.
        self._reading_seconds = reading_seconds
        self._reading = asyncio.Semaphore(_READ_AT_ONCE)

    async def read(self, fetched: Fetched) -> Readable:
        """The readable part of what came. Raises FetchFailed for a page that cannot be taken apart within bounds."""
        async with self._reading:
            try:
                return await readable(fetched, self._reading_seconds)
            except Unreadable as error:
                raise FetchFailed(f"{_shown(fetched.url)}: {error}.") from error

    async def fetch(
        self, url: str, *, timeout_seconds: float = 20.0, known: Version | None = None, trusted: bool = False
    ) -> Fetched:
        """GET `url`; with `known`, only if it has changed. A `trusted` address was written by the operator himself:
        its host is let in wherever it is (and none that it redirects to). Raises FetchRefused, FetchFailed."""
        import aiohttp

        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._follow(url, known, trusted)
        except TimeoutError:
            raise FetchFailed(f"{_shown(url)} did not answer within {timeout_seconds:g} s.") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise FetchFailed(f"{_shown(url)} cannot be fetched: {_why(error)}.") from error

    async def _follow(self, url: str, known: Version | None, trusted: bool) -> Fetched:
        allowed = self._allowed
        for hop in range(REDIRECTS + 1):
            parts, host, port = _parted(url)
            if trusted and hop == 0:
                allowed = allowed.also(host, port)
            if not allowed.names(host, port) and port not in allowed.ports:
                raise FetchRefused(f"{host}:{port}: only the ports {_listed(allowed.ports)} are fetched from.")
            async with self._opened(parts, known, let_in=allowed.names(host, port)) as response:
                target = response.headers.get("Location")
                if response.status not in _REDIRECTING or target is None:
                    return await self._read(url, response)
            url = urljoin(url, target)
        raise FetchRefused(f"{_shown(url)} was reached after more than {REDIRECTS} redirects, which is too many.")

    @asynccontextmanager
    async def _opened(
        self, parts: SplitResult, known: Version | None, *, let_in: bool
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        import aiohttp
        from yarl import URL

        guard = _Guard(let_in)
        connector = aiohttp.TCPConnector(socket_factory=guard.socket, force_close=True, use_dns_cache=False)
        headers = {
            "Accept": "text/html, application/json, text/*;q=0.9, application/xml;q=0.8, */*;q=0.1",
            "Accept-Encoding": "gzip, deflate",
            "User-Agent": self._user_agent,
        }
        if known is not None and known.etag:
            headers["If-None-Match"] = known.etag
        if known is not None and known.modified:
            headers["If-Modified-Since"] = known.modified
        async with aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, auto_decompress=False
        ) as session:
            try:
                response = await session.get(
                    URL(parts._replace(fragment="").geturl()), allow_redirects=False, headers=headers
                )
            except (aiohttp.ClientError, OSError):
                if guard.refused:
                    where = ", ".join(sorted(guard.refused))
                    raise FetchRefused(
                        f"{parts.hostname} is at {where}, which is not a public address, so it is not fetched."
                        " The operator can let it in: [fetch] allow."
                    ) from None
                raise
            async with response:
                yield response

    async def _read(self, url: str, response: aiohttp.ClientResponse) -> Fetched:
        version = Version(etag=response.headers.get("ETag"), modified=response.headers.get("Last-Modified"))
        media_type = response.content_type.lower()
        if response.status == 304:
            return Fetched(url=url, status=304, media_type=media_type, text=None, version=version)
        if response.status >= 400:
            raise FetchFailed(f"{_shown(url)} answered {response.status} {response.reason or ''}".rstrip() + ".")
        if response.headers.get("Content-Type") and not is_text(media_type):
            raise FetchRefused(f"{_shown(url)} is {media_type}, which is no text.")
        body, cut = await self._body(url, response)
        text = _decoded(body, response.charset)
        return Fetched(url=url, status=response.status, media_type=media_type, text=text, version=version, cut=cut)

    async def _body(self, url: str, response: aiohttp.ClientResponse) -> tuple[bytes, bool]:
        """The unpacked body, and whether it was cut at the limit. Never unpacks more than that."""
        unpack = _unpacking(response.headers.get("Content-Encoding", "identity"), url)
        body = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK):
            try:
                body += unpack(chunk, self._most_bytes + 1 - len(body))
            except zlib.error as error:
                raise FetchFailed(f"{_shown(url)} sent something that cannot be unpacked.") from error
            if len(body) > self._most_bytes:
                return bytes(body[: self._most_bytes]), True
        return bytes(body), False


def _parted(url: str) -> tuple[SplitResult, str, int]:
    """An address with its host and port. Raises FetchRefused for all that can be said before anything is connected."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise FetchRefused(f"{_shown(url)} is no address of the web: {error}.") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise FetchRefused(f"{_shown(url)} is no address of the web: write http://… or https://….")
    if len(url) > LONGEST_URL or any(ord(letter) < 33 for letter in url):
        raise FetchRefused(f"the address has blanks in it or is longer than {LONGEST_URL} characters.")
    if parts.username is not None or parts.password is not None:
        raise FetchRefused("the address carries a name or password before an @; leave that out.")
    return parts, host, port or (443 if parts.scheme == "https" else 80)


class _Guard:
    """Makes sockets for public addresses only, and remembers what it refused: the connector wraps errors."""

    def __init__(self, let_in: bool) -> None:
        self._let_in = let_in
        self.refused: set[str] = set()

    def socket(self, info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, address = info
        host = str(address[0])
        if not self._let_in and not is_public(host):
            self.refused.add(host)
            raise OSError(f"{host} is not a public address")
        return socket.socket(family=family, type=kind, proto=protocol)


def is_text(media_type: str) -> bool:
    return media_type.startswith(_TEXTS) or media_type.endswith(("+json", "+xml"))


class _Unpacking:
    """gzip or deflate, a bounded piece at a time."""

    def __init__(self, encoding: str) -> None:
        self._deflate = encoding == "deflate"
        self._inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)  # tells gzip and zlib apart by itself
        self._begun = False

    def __call__(self, chunk: bytes, most: int) -> bytes:
        if not self._begun and self._deflate and chunk[:1] and chunk[0] & 0x0F != 8:
            self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)  # many servers leave zlib's head out
        self._begun = True
        return self._inflater.decompress(chunk, max(most, 1))


def _unpacking(encoding: str, url: str) -> Any:
    match encoding.strip().lower():
        case "" | "identity":
            return lambda chunk, most: chunk[: max(most, 1)]
        case "gzip" | "x-gzip" | "deflate" as known:
            return _Unpacking(known.removeprefix("x-"))
        case other:
            raise FetchFailed(f"{_shown(url)} is packed as {other!r}, which was not asked for.")


def _decoded(body: bytes, charset: str | None) -> str:
    if charset is None:
        found = _CHARSET.search(body[:4096])
        charset = found.group(1).decode("ascii") if found else "utf-8"
    try:
        if codecs.lookup(charset).name in _NO_CHARSETS:
            charset = "utf-8"
        return body.decode(charset, errors="replace")
    except (LookupError, UnicodeError):
        return body.decode("utf-8", errors="replace")


def _shown(url: str) -> str:
    """An address for a sentence: without a password, not endless."""
    before, at, after = url.partition("@")
    scheme, slashes, _ = before.partition("://")
    plain = f"{scheme}://…@{after}" if at and slashes and "/" not in before[len(scheme) + 3 :] else url
    return plain if len(plain) <= 200 else plain[:199] + "…"


def _why(error: Exception) -> str:
    import aiohttp

    match error:
        case aiohttp.ClientConnectorCertificateError():
            return "its certificate is not valid"
        case aiohttp.ClientConnectorDNSError():
            return "its name is not known"
        case aiohttp.ClientConnectorError():
            return f"nobody answers there ({error.os_error.strerror or error.os_error})"
        case aiohttp.ServerDisconnectedError() | ConnectionResetError() | aiohttp.ClientPayloadError():
            return "the connection was cut"
        case _:
            return str(error)[:200].rstrip(".") or type(error).__name__


def _listed(ports: frozenset[int]) -> str:
    return " and ".join(str(port) for port in sorted(ports))
