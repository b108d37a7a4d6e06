"""The Web API's client as we want it: one session, our own retries (none), the proxy that the environment means.

The SDK repeats a request whose connection broke: a post whose answer was lost would be said twice. It also
takes HTTPS_PROXY from the environment without looking at NO_PROXY. Both are switched off here.
"""

from __future__ import annotations

import ipaddress
import logging
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

sdk_logger = logging.getLogger("channels.slack.sdk")
# The SDK asks for the level that is set here, not for the one in effect, and at DEBUG it logs message texts.
sdk_logger.setLevel(logging.WARNING)

CALL_SECONDS = 25.0
CONNECT_SECONDS = 8.0


def new_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=CALL_SECONDS, sock_connect=CONNECT_SECONDS),
        connector=aiohttp.TCPConnector(limit=100, keepalive_timeout=30.0),
    )


def new_client(session: aiohttp.ClientSession, *, token: str, base_url: str, user_agent: str) -> AsyncWebClient:
    client = AsyncWebClient(
        token=token,
        base_url=base_url,
        session=session,
        retry_handlers=[],
        user_agent_prefix=user_agent,
        logger=sdk_logger,
    )
    client.proxy = proxy_for(base_url)
    return client


def proxy_for(address: str) -> str | None:
    """The proxy from the environment for this address, if one is meant for it; never for this machine itself."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    if _here(host) or proxy_bypass_environment(f"{host}:{parts.port}" if parts.port else host):
        return None
    scheme = {"wss": "https", "ws": "http"}.get(parts.scheme, parts.scheme)
    proxies = getproxies_environment()
    return proxies.get(scheme) or proxies.get("all")


def _here(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
