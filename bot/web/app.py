"""The Starlette application, put together."""

from __future__ import annotations

from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.web.api import Api
from bot.web.body import answer
from bot.web.files import Uploads
from bot.web.pages import Pages
from bot.web.parts import WebParts
from bot.web.problems import Problem, respond
from bot.web.security import Door
from channels.base import Health
from storage.database import StorageError
from storage.view_rows import as_json

log = structlog.get_logger("web")

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Web:
    """The application: `asgi` is served, `close` ends its event streams."""

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts
        routes = [
            *Api(parts).routes(),
            *Uploads(parts).routes(),
            Route("/healthz", self._healthz),
            Route("/readyz", self._readyz),
            Route("/metrics", self._metrics),
            *Pages(parts, lambda: self.asgi).routes(),
        ]
        handlers: dict[Any, Any] = {
            Problem: _problem,
            HTTPException: _http,
            StorageError: _storage,
            ValueError: _bad_value,
            Exception: _bug,
        }
        application = Starlette(routes=routes, exception_handlers=handlers)
        application.router.redirect_slashes = False
        self.asgi = Door(application, token=parts.token, hosts=parts.hosts)

    def close(self) -> None:
        self._parts.hub.close()

    async def _healthz(self, _: Request) -> Response:
        """200 while the core works, whatever the platforms do."""
        health = self._parts.health()
        # Anybody may ask: what a tool server says of itself, or an error of it, is for people behind the door.
        servers = {server.name: {"fine": server.is_fine} for server in self._parts.tool_servers()}
        known = {"status": "ok", "channels": {name: _health(state) for name, state in health.items()}}
        return answer({**known, "tool_servers": servers} if servers else known)

    async def _readyz(self, _: Request) -> Response:
        ready = self._parts.ready()
        return answer({"status": "ready" if ready else "starting"}, 200 if ready else 503)

    async def _metrics(self, _: Request) -> Response:
        return Response(self._parts.metrics(), media_type=_METRICS_TYPE)


def create(parts: WebParts) -> Web:
    return Web(parts)


def _health(health: Health) -> dict[str, Any]:
    return {"state": health.state.value, "since": as_json(health.since), "detail": health.detail}


async def _problem(request: Request, problem: Problem) -> Response:
    return respond(request, problem)


async def _http(request: Request, error: HTTPException) -> Response:
    details = {
        404: f"There is nothing at {request.url.path[:200]}.",
        405: f"{request.method} is not possible at {request.url.path[:200]}.",
    }
    detail = details.get(error.status_code, error.detail)
    return respond(request, Problem(error.status_code, detail, headers=dict(error.headers or {})))


async def _storage(request: Request, error: StorageError) -> Response:
    log.error("storage failed", path=request.url.path, error=str(error))
    return respond(request, Problem(503, f"{error}", headers={"retry-after": "5"}))


async def _bad_value(request: Request, error: ValueError) -> Response:
    if type(error) is not ValueError:  # a subclass is no sentence for a person: Unicode, JSON, pydantic
        return await _bug(request, error)
    return respond(request, Problem(400, str(error)))


async def _bug(request: Request, error: Exception) -> Response:
    log.error("a request failed", method=request.method, path=request.url.path, exc_info=error)
    return respond(request, Problem(500, "Threadmill made a mistake here. The log has the details."))
