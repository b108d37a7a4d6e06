"""`/api/v1`: what programs see and do. Documents are rows of `storage.view_rows`; failures are problem documents.

The path of a message is kept short: parse once, hand over, answer when it is committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NoReturn
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from agents.base import SessionId
from bot.web.body import answer, number, read_json
from bot.web.files import NewMessage, attachments_of
from bot.web.parts import Receive, Received, WebParts
from bot.web.problems import Problem
from bot.web.sse import EventResponse
from bot.web.stream import Wanted, stream
from channels.base import Attachment, ChannelError, Kind, NotAccepted, ThreadRef
from storage.view_rows import MessageRow, as_json

_WAIT_SECONDS = 60  # of a long poll, at most
_ROOM = "main"


def place_of(thread: str, channel: str) -> ThreadRef:
    """A thread's name, or a place's key. Raises Problem."""
    if ":" not in thread:
        return ThreadRef(channel=_channel(channel), room=_ROOM, thread=thread)
    try:
        return ThreadRef.parse(thread)
    except ValueError as error:
        raise Problem(400, str(error)) from None


def _channel(name: str) -> Any:
    if not name or not name.isascii() or len(name) > 40 or not name.replace("-", "").replace("_", "").isalnum():
        raise Problem(400, f"{name[:40]!r} is not a channel's name.")
    return name


async def hand_over(
    parts: WebParts,
    where: ThreadRef,
    text: str,
    id: str | None,
    *,
    kind: Kind = Kind.MESSAGE,
    payload: str | None = None,
    attachments: tuple[Attachment, ...] = (),
) -> Received:
    """Give a message to the intake, as any platform would. Raises Problem when it was not taken."""
    receive = _receive(parts, where)
    try:
        return await receive(
            thread=where.thread or "",
            text=text,
            id=id or uuid4().hex,
            account=parts.account(where.channel),
            name=parts.owner_name,
            attachments=attachments,
            kind=kind,
            payload=payload,
        )
    except ValueError as error:
        raise Problem(422, str(error)) from None
    except (NotAccepted, ChannelError) as error:
        detail = f"The message could not be stored, so it was not taken: {error}"
        raise Problem(503, detail, headers={"retry-after": "2"}) from error


def _receive(parts: WebParts, where: ThreadRef) -> Receive:
    receive = parts.receive.get(where.channel)
    if receive is None or where.room != _ROOM or where.space or where.thread is None:
        names = ", ".join(sorted(parts.receive))
        raise Problem(
            405,
            f"{where.key} is read here, not written: messages can be posted to threads of {names}.",
            headers={"allow": "GET"},
        )
    return receive


class Api:
    """The endpoints."""

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts

    def routes(self) -> list[BaseRoute]:
        """The longer paths first: a thread's name may hold slashes."""
        return [
            Route("/api/v1/threads/{thread:path}/messages", self.post_message, methods=["POST"]),
            Route("/api/v1/threads/{thread:path}/messages", self.messages, methods=["GET"]),
            Route("/api/v1/threads", self.threads),
            Route("/api/v1/events", self.events),
            Route("/api/v1/sessions", self.sessions),
            Route("/api/v1/sessions/{session}", self.session),
            Route("/api/v1/sessions/{session}/history", self.history),
            Route("/api/v1/deliveries", self.deliveries),
            Route("/api/v1/deadletters", self.dead_letters),
            Route("/api/v1/deadletters/{id}/retry", self.retry, methods=["POST"]),
            Route("/api/v1/deadletters/{id}/drop", self.drop, methods=["POST"]),
            Route("/api/v1/monitors", self.monitors),
            Route("/api/v1/audit", self.audit),
            Route("/api/v1/cost", self.cost),
            Route("/api/v1/overview", self.overview),
        ]

    async def post_message(self, request: Request) -> Response:
        where = place_of(request.path_params["thread"], request.query_params.get("channel", "api"))
        _receive(self._parts, where)
        message = await read_json(request, NewMessage)
        attachments = attachments_of(self._parts, message.files)
        received = await hand_over(self._parts, where, message.text, message.id, attachments=attachments)
        content = {"id": received.id, "thread": where.thread, "place": where.key}
        return answer(content, 202 if received.new else 200)

    async def messages(self, request: Request) -> Response:
        place = place_of(request.path_params["thread"], request.query_params.get("channel", "api")).key
        after, before = number(request, "after"), number(request, "before")
        limit = number(request, "limit", default=100, most=1000) or 100
        wait = number(request, "wait", default=0, most=_WAIT_SECONDS) or 0
        rows = await self._parts.views.messages(place, after=after, before=before, limit=limit)
        if not rows and wait and after is not None:
            rows = await self._wait_for(place, after, limit, wait)
        content: dict[str, Any] = {"messages": as_json(rows), "next": rows[-1].n if rows else after or 0}
        if "waiting" in request.query_params:
            content["waiting"] = as_json(await self._parts.views.waiting(place))
        return answer(content)

    async def _wait_for(self, place: str, after: int, limit: int, seconds: float) -> Sequence[MessageRow]:
        """A long poll: the new messages, or none when nothing came in time."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        with self._parts.hub.subscribe(place=place) as reader:
            while True:  # the first look is after the subscription: nothing falls between
                rows = await self._parts.views.messages(place, after=after, limit=limit)
                left = until - loop.time()
                if rows or left <= 0:
                    return rows
                news = await reader.wait(left)
                if news is not None and news.closed:
                    return rows

    async def threads(self, request: Request) -> Response:
        limit = number(request, "limit", default=100, most=1000) or 100
        rows = await self._parts.views.places(
            channel=request.query_params.get("channel"), before=number(request, "before"), limit=limit
        )
        return answer({"threads": as_json(rows)})

    async def events(self, request: Request) -> EventResponse:
        thread, session = request.query_params.get("thread"), request.query_params.get("session")
        place = place_of(thread, request.query_params.get("channel", "api")).key if thread is not None else None
        found = None
        if session is not None:
            row = await self._parts.views.find_session(session) or _no_session(session)
            found = SessionId(row.id)
        after = number(request, "after")
        seen = request.headers.get("last-event-id", "")
        if seen.isascii() and seen.isdigit() and len(seen) < 20:
            after = int(seen)  # the browser's own resumption knows better than the address
        page = request.query_params.get("view") == "page"
        return EventResponse(await stream(self._parts, Wanted(place=place, session=found, after=after, page=page)))

    async def sessions(self, request: Request) -> Response:
        limit = number(request, "limit", default=100, most=1000) or 100
        rows = await self._parts.views.sessions(
            state=request.query_params.get("state", "living"), limit=limit, before=request.query_params.get("before")
        )
        return answer({"sessions": as_json(rows)})

    async def session(self, request: Request) -> Response:
        name = request.path_params["session"]
        return answer(as_json(await self._parts.views.session(name) or _no_session(name)))

    async def history(self, request: Request) -> Response:
        row = await self._session(request)
        limit = number(request, "limit", default=100, most=1000) or 100
        steps = await self._parts.views.history(
            row.id, after=number(request, "after"), before=number(request, "before"), limit=limit
        )
        return answer({"session": row.id, "steps": as_json(steps)})

    async def deliveries(self, request: Request) -> Response:
        limit = number(request, "limit", default=100, most=1000) or 100
        rows = await self._parts.views.deliveries(
            state=request.query_params.get("state", "all"),
            session=request.query_params.get("session"),
            before=number(request, "before"),
            limit=limit,
        )
        return answer({"deliveries": as_json(rows)})

    async def dead_letters(self, request: Request) -> Response:
        limit = number(request, "limit", default=100, most=1000) or 100
        return answer({"deadletters": as_json(await self._parts.views.dead_letters(limit=limit))})

    async def retry(self, request: Request) -> Response:
        return await self._dead_letter(request, done=await self._parts.dead_letters.retry(request.path_params["id"]))

    async def drop(self, request: Request) -> Response:
        return await self._dead_letter(request, done=await self._parts.dead_letters.drop(request.path_params["id"]))

    async def _dead_letter(self, request: Request, *, done: bool) -> Response:
        if not done:
            raise Problem(
                404, f"There is no dead letter {request.path_params['id'][:40]!r}. It may have been done already."
            )
        return answer({"id": request.path_params["id"]})

    async def monitors(self, request: Request) -> Response:
        limit = number(request, "limit", default=100, most=1000) or 100
        return answer({"monitors": as_json(await self._parts.views.monitors(self._parts.clock(), limit=limit))})

    async def audit(self, request: Request) -> Response:
        limit = number(request, "limit", default=100, most=1000) or 100
        rows = await self._parts.views.audit(
            session=request.query_params.get("session"), before=number(request, "before"), limit=limit
        )
        return answer({"audit": as_json(rows)})

    async def cost(self, request: Request) -> Response:
        days = number(request, "days", default=30, most=3660) or 30
        since = (self._parts.clock() - timedelta(days=days)).date()
        rows = await self._parts.views.cost(since=since)
        total = sum(row.cost_usd for row in rows)
        return answer({"since": since.isoformat(), "total_usd": round(total, 9), "cost": as_json(rows)})

    async def overview(self, _: Request) -> Response:
        return answer(as_json(await self._parts.views.overview()))

    async def _session(self, request: Request) -> Any:
        name = request.path_params["session"]
        return await self._parts.views.find_session(name) or _no_session(name)


def _no_session(name: str) -> NoReturn:
    raise Problem(404, f"No session is called {name[:80]!r}. GET /api/v1/sessions?state=all lists them.")
