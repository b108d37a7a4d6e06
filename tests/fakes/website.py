"""A website on loopback whose pages change on command, and that can be slow, huge, packed, redirecting or broken."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate

from tests.fakes.loopback_http import HttpRequest, LoopbackServer, Plan, Stall, head, whole

PAGE = """<!doctype html>
<html><head><title>{title}</title><script>var noise = "{noise}";</script></head>
<body><nav>Home · About</nav><main><h1>{title}</h1>
{paragraphs}
</main><footer>© {noise}</footer></body></html>"""


class Website:
    """What each path answers; every request is kept."""

    def __init__(self) -> None:
        self._plans: dict[str, Plan] = {}
        self._tagged: dict[str, tuple[str, bytes]] = {}
        self._broken: set[str] = set()
        self.requests: list[HttpRequest] = []
        self.server = LoopbackServer(self._answer)

    @property
    def host(self) -> str:
        """127.0.0.1:port"""
        return self.server.address.removeprefix("http://")

    def url(self, path: str = "/") -> str:
        return f"{self.server.address}{path}"

    def page(self, path: str, *paragraphs: str, title: str = "Status", noise: str = "1") -> None:
        """An HTML page; `noise` changes what nobody reads."""
        body = PAGE.format(title=title, noise=noise, paragraphs="\n".join(f"<p>{text}</p>" for text in paragraphs))
        self.answers(path, body.encode(), "text/html; charset=utf-8")

    def json(self, path: str, value: object) -> None:
        self.answers(path, json.dumps(value).encode(), "application/json")

    def answers(self, path: str, body: bytes, content_type: str, status: int = 200, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._tagged.pop(path, None)
        self._plans[path] = [whole(status, body, {"content-type": content_type, **named})]

    def tagged(self, path: str, text: str, tag: str) -> None:
        """A text with an ETag, that is not sent again to whoever has it."""
        self._tagged[path] = (f'"{tag}"', text.encode())

    def redirects(self, path: str, to: str, status: int = 302) -> None:
        self._plans[path] = [head(status, {"location": to, "content-length": "0"})]

    def stalls(self, path: str, *, after: bytes = b"") -> None:
        """Headers and a beginning come, and then nothing more."""
        self._plans[path] = [head(200, {"content-type": "text/plain", "content-length": "1000"}) + after, Stall()]

    def packed(self, path: str, body: bytes, encoding: str) -> None:
        packing = {"gzip": gzip.compress, "deflate": zlib.compress, "raw": lambda text: zlib.compress(text)[2:-4]}
        named = {"content-type": "text/plain", "content-encoding": encoding if encoding != "raw" else "deflate"}
        self._plans[path] = [whole(200, packing[encoding](body), named)]

    def breaks(self, path: str) -> None:
        """The path answers 503 until it is mended."""
        self._broken.add(path)

    def mends(self, path: str) -> None:
        self._broken.discard(path)

    def asked(self, path: str) -> int:
        return sum(request.path == path for request in self.requests)

    async def until_asked(self, path: str, times: int = 1) -> None:
        await self.server.until(lambda: self.asked(path) >= times)

    def _answer(self, request: HttpRequest) -> Plan:
        self.requests.append(request)
        if request.path in self._broken:
            return [whole(503, b"down", {"content-type": "text/plain"})]
        if request.path in self._tagged:
            tag, body = self._tagged[request.path]
            if request.headers.get("if-none-match") == tag:
                return [head(304, {"etag": tag})]
            return [whole(200, body, {"content-type": "text/plain", "etag": tag, "last-modified": formatdate(0)})]
        return self._plans.get(request.path, [whole(404, b"not here", {"content-type": "text/plain"})])


@asynccontextmanager
async def website() -> AsyncIterator[Website]:
    site = Website()
    async with site.server:
        yield site
