"""Discord's REST interface: discord.py's endpoints over our own way to make a request.

discord.py's `HTTPClient` sleeps through rate limits however long they are, repeats POSTs after a 5xx, and speaks to one
address in the whole process. This one promises: one attempt for each call; a wait of at most two seconds for a
free slot, beyond which `discord.RateLimited` says when to come again; every address under the `base_url` it was
given; and it works whether or not the gateway is connected.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import aiohttp
import discord
from discord.gateway import DiscordWebSocket
from discord.http import HTTPClient, Route
from yarl import URL

from channels.base import Unavailable
from channels.discord.pace import Pace

LONGEST_WAIT_SECONDS = 2.0
_TIMEOUT = aiohttp.ClientTimeout(total=25, connect=5, sock_connect=5, sock_read=15)
_INVALID = frozenset({401, 403, 429})


def new_session() -> aiohttp.ClientSession:
    """The connections that all of a channel's requests share."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, limit_per_host=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=_TIMEOUT,
    )


class Rest(HTTPClient):
    """A REST client for one base address. `session` and `pace` may be shared by several."""

    def __init__(
        self, *, base_url: str, token: str, session: aiohttp.ClientSession, pace: Pace, user_agent: str
    ) -> None:
        super().__init__(asyncio.get_running_loop())
        self.token = token
        self.user_agent = f"{self.user_agent} {user_agent}"
        self._base_url = base_url
        self._shared_session = session
        self._pace = pace
        self._gateway_url: URL | None = None

    async def request(
        self,
        route: Route,
        *,
        files: Sequence[discord.File] | None = None,
        form: Iterable[Mapping[str, Any]] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Make one request, once there is a slot for it. `urgent=True` takes the lane for control replies.

        Raises discord.RateLimited when it would have to wait longer than two seconds, or when Discord says so;
        discord.HTTPException for every other refusal; aiohttp's errors when the connection failed.
        """
        urgent = bool(kwargs.pop("urgent", False))
        reason = kwargs.pop("reason", None)
        headers = {"User-Agent": self.user_agent, "Authorization": f"Bot {self.token}"}
        if reason:
            headers["X-Audit-Log-Reason"] = quote(reason, safe="/ ")
        if "json" in kwargs:
            headers["Content-Type"] = "application/json"
            kwargs["data"] = json.dumps(kwargs.pop("json"), separators=(",", ":"))
        if form:
            for file in files or ():
                file.reset(seek=True)
            body = aiohttp.FormData(quote_fields=False)  # Discord does not take "files%5B0%5D"
            for part in form:
                body.add_field(**part)
            kwargs["data"] = body
        await self._slot(route, urgent=urgent)
        answered = False
        try:
            async with self._shared_session.request(
                route.method, self._url(route), headers=headers, **kwargs
            ) as response:
                data = _parsed(await response.text(encoding="utf-8", errors="replace"))
                self._learn(route, response, data)
                answered = True
                if response.status < 300:
                    return data
                raise _refusal(response, data)
        finally:
            if not answered:
                self._pace.lost(route.key, route.major_parameters)

    async def find_gateway(self) -> None:
        """Ask where the gateway is. Raises discord.HTTPException, Unavailable and aiohttp's errors."""
        try:
            data = await self.request(Route("GET", "/gateway/bot"))
        except discord.NotFound:
            data = await self.request(Route("GET", "/gateway"))
        address = data.get("url") if isinstance(data, dict) else None
        if not isinstance(address, str) or not address.startswith(("ws://", "wss://")):
            raise Unavailable(f"{self._base_url}/gateway/bot named no gateway: is base_url right?")
        self._gateway_url = URL(address)
        starts = data.get("session_start_limit")
        if isinstance(starts, dict) and starts.get("remaining") == 0:
            wait_seconds = int(starts.get("reset_after") or 0) // 1000
            raise Unavailable(f"Discord allows no further session today; the next one in {wait_seconds} s")

    async def greeting(self) -> dict[str, Any]:
        """What the gateway says first. No session is begun by listening to it."""
        await self.find_gateway()
        assert self._gateway_url is not None
        url = self._gateway_url.update_query(v="10", encoding="json")
        async with self._shared_session.ws_connect(url, headers={"User-Agent": self.user_agent}) as socket:
            message = await socket.receive(timeout=10)
            said = _parsed(message.data) if isinstance(message.data, str) else None
            return said if isinstance(said, dict) else {}

    async def date(self) -> str:
        """The server's clock, in the form of HTTP."""
        async with self._shared_session.get(f"{self._base_url}/gateway") as response:
            return response.headers.get("Date", "")

    async def ws_connect(self, url: str, *, compress: int = 0) -> aiohttp.ClientWebSocketResponse:
        """As discord.py does, but the default gateway is the one that `find_gateway` found."""
        asked = URL(url)
        if self._gateway_url is not None and asked.host == DiscordWebSocket.DEFAULT_GATEWAY.host:
            asked = self._gateway_url.update_query(asked.query)
        return await super().ws_connect(str(asked), compress=compress)

    def _url(self, route: Route) -> str:
        return self._base_url + route.url.removeprefix(Route.BASE)

    async def _slot(self, route: Route, *, urgent: bool) -> None:
        loop = asyncio.get_running_loop()
        counted = not route.path.startswith(("/interactions/", "/webhooks/"))
        until = loop.time() + LONGEST_WAIT_SECONDS
        key, major = route.key, route.major_parameters
        wait = self._pace.wait_for(key, major, loop.time(), urgent=urgent, counted=counted)
        if wait and urgent:
            self._pace.waits_urgently(key, major, +1)
        try:
            while wait:
                if loop.time() + wait > until:
                    raise discord.RateLimited(wait)
                await asyncio.sleep(wait)
                wait = self._pace.wait_for(key, major, loop.time(), urgent=urgent, counted=counted)
        finally:
            if urgent:
                self._pace.waits_urgently(key, major, -1)

    def _learn(self, route: Route, response: aiohttp.ClientResponse, data: Any) -> None:
        now = asyncio.get_running_loop().time()
        self._pace.answered(route.key, route.major_parameters, response.headers, now)
        if response.status in _INVALID and response.headers.get("X-RateLimit-Scope") != "shared":
            self._pace.invalid(now)
        if response.status == 429:
            everything = bool(isinstance(data, dict) and data.get("global")) or "X-RateLimit-Global" in response.headers
            retry_after = _retry_after(response, data)
            self._pace.refused(route.key, route.major_parameters, retry_after, now, everything=everything)


def _parsed(text: str) -> Any:
    """JSON where it is JSON, whatever the content type says; a proxy's error page stays text."""
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def _retry_after(response: aiohttp.ClientResponse, data: Any) -> float:
    candidates = [data.get("retry_after") if isinstance(data, dict) else None, response.headers.get("Retry-After")]
    for candidate in candidates:
        try:
            return max(0.0, float(candidate))  # type: ignore[arg-type]  # what is no number raises, and is passed over
        except (TypeError, ValueError):
            continue
    return 1.0


def _refusal(response: aiohttp.ClientResponse, data: Any) -> discord.DiscordException:
    said: dict[str, Any] | str | None = data if isinstance(data, dict | str) else None
    match response.status:
        case 429:
            return discord.RateLimited(_retry_after(response, data))
        case 403:
            return discord.Forbidden(response, said)
        case 404:
            return discord.NotFound(response, said)
        case status if status >= 500:
            return discord.DiscordServerError(response, said)
        case _:
            return discord.HTTPException(response, said)
