"""What went wrong, told in the form that the asker reads: a problem document (RFC 9457) or a page."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope


class Problem(Exception):
    """An answer that says no. `detail` is a sentence for a person: what happened and what to do."""

    def __init__(self, status: int, detail: str, *, headers: dict[str, str] | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}
        self.more = more

    @property
    def title(self) -> str:
        return HTTPStatus(self.status).phrase

    def document(self) -> Response:
        content = {"type": "about:blank", "title": self.title, "status": self.status, "detail": self.detail}
        return Response(
            json.dumps({**content, **self.more}, ensure_ascii=False),
            self.status,
            headers=self.headers,
            media_type="application/problem+json",
        )


def wants_page(scope: Scope) -> bool:
    """Whether a person's browser asks (then failures are pages), by path and by what it accepts."""
    if scope["path"].startswith("/api/"):
        return False
    accepted = next((value for name, value in scope["headers"] if name == b"accept"), b"")
    return b"text/html" in accepted


def respond(request: Request, problem: Problem) -> Response:
    if not wants_page(request.scope):
        return problem.document()
    from bot.web.templates import render

    return render("problem.html", {"problem": problem}, status=problem.status, headers=problem.headers)
