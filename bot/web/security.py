"""The door: stands before every route, and decides from the request's head alone.

- *Host* must be a name that we answer to, so that a page elsewhere cannot reach us by rebinding its DNS name.
- A *token* is asked for everything but the health of the process, the style files and the sign-in page: as a bearer
  token, or as the cookie that `/?token=…` and the sign-in page set. The cookie holds no token but a value derived
  from it, so what leaks from a browser cannot be used for the API elsewhere, and a new token ends all sessions.
- *Origin*: a request with the cookie that changes something, or opens a stream, must come from our own pages. Other
  ports of the same machine are "same site" to a browser, so SameSite alone would not do.
- Every answer carries a content policy that lets nothing in from outside and runs no inline script.

Wrong tokens are counted by address, and answered 429 beyond a few a minute; a right one always gets in, so nobody can
lock the owner out.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.web.problems import Problem, respond, wants_page

OWN_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_OPEN = frozenset({"/healthz", "/readyz", "/metrics", "/signin", "/favicon.ico"})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_FAILURES = 10  # wrong tokens of one address in a minute
_ADDRESSES = 1_000
_MONTH_SECONDS = 30 * 24 * 3600

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


class Door:
    """ASGI middleware around the whole application."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str,
        hosts: frozenset[str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if not token:
            raise ValueError("the web needs a token: an empty one would let everybody in")
        self._app = app
        self._token = token.encode()
        self._cookie = hmac.new(self._token, b"threadmill page", hashlib.sha256).hexdigest().encode()
        self._hosts = OWN_NAMES | {host.lower().strip("[]") for host in hosts}
        self._failures = _Failures(monotonic)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1003})
                return
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        try:
            response = self._check(scope)
        except Problem as problem:
            response = respond(Request(scope), problem)
        await (response or self._app)(scope, receive, send_with_headers)

    def sign_in(self, request: Request, token: str, to: str) -> Response:
        """A response that sets the cookie when the token is right. Raises Problem when it is not."""
        if not self._is_token(token.encode()):
            raise self._wrong(request.scope)
        response = RedirectResponse(to, 303)
        response.set_cookie(
            self._cookie_name(request.headers),
            self._cookie.decode(),
            max_age=_MONTH_SECONDS,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
            path="/",
        )
        return response

    def _check(self, scope: Scope) -> ASGIApp | None:
        """None lets the request through. Raises Problem."""
        headers = Headers(scope=scope)
        self._check_host(headers)
        path: str = scope["path"]
        given = headers.get("authorization")
        if given is not None:
            kind, _, token = given.partition(" ")
            if kind.lower() != "bearer" or not self._is_token(token.strip().encode()):
                raise self._wrong(scope)
            return None
        if path in _OPEN or path.startswith("/static/"):
            if scope["method"] not in _SAFE:
                _check_origin(headers)
            return None
        if b"token=" in scope["query_string"] and scope["method"] == "GET" and not path.startswith("/api/"):
            return self._token_in_address(scope)
        if not hmac.compare_digest(self._cookie_in(headers), self._cookie):
            raise _unknown(scope)
        _check_origin(headers, unsafe=scope["method"] not in _SAFE)
        return None

    def _check_host(self, headers: Headers) -> None:
        host = headers.get("host", "")
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            name = ""
        if len(headers.getlist("host")) != 1 or name not in self._hosts:
            raise Problem(
                421,
                f"Threadmill does not answer to the name {name[:80]!r}."
                " Open it by 127.0.0.1, or add the name to `allowed_hosts` under [web] in the configuration.",
            )

    def _token_in_address(self, scope: Scope) -> Response:
        """`/?token=…`: the cookie, and on to the same page with a clean address."""
        request = Request(scope)
        rest = [(name, value) for name, value in parse_qsl(scope["query_string"].decode("latin-1")) if name != "token"]
        path = "/" + request.url.path.lstrip("/")  # never `//elsewhere`
        return self.sign_in(
            request, request.query_params.get("token", ""), path + (f"?{urlencode(rest)}" if rest else "")
        )

    def _is_token(self, given: bytes) -> bool:
        return hmac.compare_digest(given, self._token)

    def _cookie_in(self, headers: Headers) -> bytes:
        text = headers.get("cookie", "")
        name = self._cookie_name(headers)
        if name not in text or len(text) > 8_192:
            return b""
        try:
            found = SimpleCookie(text).get(name)
        except CookieError:
            return b""
        return found.value.encode() if found else b""

    @staticmethod
    def _cookie_name(headers: Headers) -> str:
        """Cookies are shared by all ports of a machine: two Threadmills must not sign each other out."""
        port = headers.get("host", "").rpartition(":")[2]
        return f"threadmill_{port}" if port.isascii() and port.isdigit() else "threadmill"

    def _wrong(self, scope: Scope) -> Problem:
        address = scope["client"][0] if scope.get("client") else ""
        wait = self._failures.count(address)
        if wait:
            return Problem(
                429, "Too many wrong tokens. Wait a minute, then try again.", headers={"retry-after": str(wait)}
            )
        return _unknown(scope, "This token is not the right one. It was printed when Threadmill started.")


class _Failures:
    """Wrong tokens by address, in windows of a minute."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def count(self, address: str) -> int:
        """Count one; the seconds to wait when there were too many, else 0."""
        now = self._monotonic()
        began, count = self._windows.pop(address, (now, 0))
        if now - began >= 60:
            began, count = now, 0
        self._windows[address] = (began, count + 1)
        if len(self._windows) > _ADDRESSES:
            self._windows.popitem(last=False)
        return int(60 - (now - began)) + 1 if count >= _FAILURES else 0


def _unknown(scope: Scope, detail: str = "") -> Problem:
    what = "Open the address with the token that was printed when Threadmill started."
    if not wants_page(scope):
        what = (
            "Send the header `Authorization: Bearer <token>` with the token that was printed when Threadmill started."
        )
    return Problem(401, detail or what, headers={"www-authenticate": 'Bearer realm="threadmill"'})


def _check_origin(headers: Headers, *, unsafe: bool = True) -> None:
    """A browser says where a request comes from; with the cookie it must be from us."""
    origin, fetched = headers.get("origin"), headers.get("sec-fetch-site")
    if origin is not None:
        ours = urlsplit(origin).netloc == headers["host"] and origin.startswith(("http://", "https://"))
    elif fetched is not None:
        ours = fetched == "same-origin" or (not unsafe and (fetched == "none" or _is_navigation(headers)))
    else:
        ours = not unsafe
    if not ours:
        raise Problem(
            403,
            f"This request came from {(origin or fetched or 'a program without the bearer token')[:200]},"
            " not from Threadmill's own page, so it was not done.",
        )


def _is_navigation(headers: Headers) -> bool:
    return headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
