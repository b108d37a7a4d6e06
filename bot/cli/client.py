"""The running Threadmill, seen from the command line: its HTTP interface.

Plain http.client: it costs nothing to import, follows no proxy (the answer is on this machine) and reads a stream of
events line by line.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from bot.cli.failed import Failed

if TYPE_CHECKING:
    from bot.config import Config


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerEvent:
    """One server-sent event."""

    id: str
    kind: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Where a Threadmill listens, and the token to talk to it."""

    host: str
    port: int
    token: str = field(repr=False)

    @property
    def address(self) -> str:
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        timeout_seconds: float = 15.0,
    ) -> tuple[int, Any]:
        """Status and decoded body. Raises Failed when nobody answers or the answer is an error."""
        with self._connected(timeout_seconds) as connection:
            content = json.dumps(body).encode() if body is not None else None
            headers = {**self._headers(), **({"Content-Type": "application/json"} if content is not None else {})}
            connection.request(method, _target(path, query), body=content, headers=headers)
            answer = connection.getresponse()
            raw = answer.read()
        try:
            decoded = json.loads(raw) if raw else None
        except ValueError:
            raise Failed(f"{self.address} does not answer like Threadmill: is another program on this port?") from None
        if answer.status >= 400:
            raise Failed(_refusal(self.address, answer.status, decoded))
        return answer.status, decoded

    def events(
        self, query: Mapping[str, str], *, last_id: str = "", silence_seconds: float = 60.0
    ) -> Iterator[ServerEvent]:
        """Server-sent events until the server ends the stream. Raises Failed, and OSError when it breaks off."""
        with self._connected(silence_seconds) as connection:
            headers = {**self._headers(), "Accept": "text/event-stream"}
            if last_id:
                headers["Last-Event-ID"] = last_id
            connection.request("GET", _target("/api/v1/events", query), headers=headers)
            answer = connection.getresponse()
            if answer.status != 200:
                raise Failed(_refusal(self.address, answer.status, None))
            yield from _events(answer)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "Connection": "close"}

    @contextmanager
    def _connected(self, timeout_seconds: float) -> Iterator[http.client.HTTPConnection]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout_seconds)
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise Failed(
                f"no Threadmill answers at {self.address}: start one with `threadmill run`,"
                " or name its configuration with --config"
            ) from error
        try:
            yield connection
        except (http.client.HTTPException, TimeoutError) as error:
            raise Failed(f"{self.address} broke off its answer ({type(error).__name__}): try again") from error
        finally:
            connection.close()


def running(config: Config) -> Running:
    """The Threadmill of this configuration. Raises Failed when there is no token yet."""
    from bot.cli.banner import page_address
    from bot.config.token import TokenUnreadable, found

    try:
        token = found(config)
    except TokenUnreadable as error:
        raise Failed(str(error)) from error
    if token is None:
        raise Failed(f"no Threadmill has run on {config.bot.data} yet: start one with `threadmill run`")
    parts = urlsplit(page_address(config))
    return Running(host=parts.hostname or "127.0.0.1", port=parts.port or 80, token=token.value)


def thread_path(thread: str) -> str:
    return f"/api/v1/threads/{quote(thread, safe='')}/messages"


def _target(path: str, query: Mapping[str, str] | None) -> str:
    return f"{path}?{urlencode(query)}" if query else path


def _refusal(address: str, status: int, problem: object) -> str:
    if status == 401:
        return f"{address} does not know this token: is it the Threadmill of this configuration?"
    said = problem.get("detail") or problem.get("title") if isinstance(problem, dict) else None
    return str(said) if said else f"{address} answered {status}"


def _events(answer: http.client.HTTPResponse) -> Iterator[ServerEvent]:
    kind, last, data = "message", "", []
    for raw in answer:
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        if line.startswith(":"):
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            kind = value
        elif name == "id":
            last = value
        elif name == "data":
            data.append(value)
        elif not line:
            if data:
                yield ServerEvent(id=last, kind=kind, data=_object("\n".join(data)))
            kind, data = "message", []


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {"value": found}
