"""The pages that people see and the forms on them.

Every page works without JavaScript: reading is HTML, writing is a form. The script makes it live, and sends
files. A form does nothing of its own: it becomes a message or a command and goes through the same intake as any other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from bot.web.api import hand_over, place_of
from bot.web.body import answer, number, read_form
from bot.web.files import attachments_of, named_in_form
from bot.web.parts import WebParts
from bot.web.problems import Problem
from bot.web.security import Door
from bot.web.templates import asset, path_of, render, static_files, thread_name
from channels.base import ChannelState, Kind, ThreadRef
from storage.view_rows import CostRow, MessageRow, PlaceRow

DESK = "desk"  # the thread where commands given beside a platform's thread are answered
_THREADS = 80  # places in the list
_MESSAGES = 60  # messages of a page
_GROUP_SECONDS = 300  # messages of one author within this time stand under one name
_COMMANDS = frozenset({"steer", "send", "stop", "kill", "retry"})
_MEDIA = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_DIGEST = re.compile(r"[0-9a-f]{64}")

Endpoint = Callable[[Request], Awaitable[Response]]


class Pages:
    """The pages. `door` is asked when somebody signs in."""

    def __init__(self, parts: WebParts, door: Callable[[], Door]) -> None:
        self._parts = parts
        self._door = door

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/", self.home),
            Route("/signin", self.sign_in, methods=["GET", "POST"]),
            Route("/t/{place:path}/messages", self.post_message, methods=["POST"]),
            Route("/t/{place:path}/button", self.press, methods=["POST"]),
            Route("/t/{place:path}/facts", self.facts),
            Route("/t/{place:path}", self.thread),
            Route("/threads", self.thread_list),
            Route("/threads", self.new_thread, methods=["POST"]),
            Route("/command", self.command, methods=["POST"]),
            Route("/sessions", self.sessions),
            Route("/sessions/{session}", self.session),
            Route("/deliveries", self.deliveries),
            Route("/deadletters/{id}/{verb}", self.dead_letter, methods=["POST"]),
            Route("/monitors", self.monitors),
            Route("/cost", self.cost),
            Route("/audit", self.audit),
            Route("/health", self.health),
            Route("/files/{digest}", self.file),
            Route("/favicon.ico", _icon),
            Route("/static/{name}", _static),
        ]

    async def home(self, request: Request) -> Response:
        return await self._page(request, "home.html", tab="threads", new_id=uuid4().hex, health=self._parts.health())

    async def sign_in(self, request: Request) -> Response:
        if request.method != "POST":
            return render("signin.html", {"wrong": None})
        form = await read_form(request)
        back = form.get("to", "/")
        to = back if re.fullmatch(r"/(?!/)[^\\\x00-\x1f]*", back) else "/"
        try:
            return self._door().sign_in(request, form.get("token", "").strip(), to)
        except Problem as problem:
            return render("signin.html", {"wrong": problem.detail}, status=problem.status, headers=problem.headers)

    # --- threads

    async def thread(self, request: Request) -> Response:
        place = self._place(request)
        views = self._parts.views
        before = number(request, "before")
        messages = await views.messages(place.key, before=before, limit=_MESSAGES)
        session = await views.session_in(place.key)
        return await self._page(
            request,
            "thread.html",
            tab="threads",
            place=place.key,
            name=thread_name(place.key),
            channel=place.channel,
            writable=place.channel == "web" or (session is not None and session.state != "ended"),
            messages=grouped(messages),
            earlier=messages[0].n if len(messages) == _MESSAGES else None,
            paged=before is not None,
            last=await views.last_number(),
            waiting=() if before else await views.waiting(place.key),
            detail=None if session is None else await views.session(session.id),
            new_id=uuid4().hex,
        )

    async def thread_list(self, request: Request) -> Response:
        return await self._page(request, "threads.html", tab="threads")

    async def facts(self, request: Request) -> Response:
        place = self._place(request).key
        session = await self._parts.views.session_in(place)
        detail = None if session is None else await self._parts.views.session(session.id)
        return render("facts.html", {"detail": detail, "place": place})

    async def post_message(self, request: Request) -> Response:
        """A message from a thread's own page. In a platform's thread it is sent to the session that is bound there."""
        place = self._place(request)
        form = await read_form(request)
        text = _lines(form.get("text", ""))
        if place.channel == "web":
            attachments = attachments_of(self._parts, named_in_form(form.get("files", "")))
            await hand_over(self._parts, place, text, form.get("id"), attachments=attachments)
            return RedirectResponse(f"{path_of(place.key)}#end", 303)
        session = await self._parts.views.session_in(place.key)
        if session is None or session.state == "ended":
            raise Problem(409, "No living session is bound to this thread, so nobody would read the message.")
        return await self._say(request, f"/send {session.id} {text}", form.get("id"), back=path_of(place.key))

    async def new_thread(self, request: Request) -> Response:
        form = await read_form(request)
        text = _lines(form.get("text", ""))
        attachments = attachments_of(self._parts, named_in_form(form.get("files", "")))
        name = " ".join(form.get("name", "").split()) or _name_for(text or " ".join(file.name for file in attachments))
        where = place_of(name, "web") if ":" not in name else ThreadRef(channel=_WEB, room="main", thread=name)
        if text.strip() or attachments:
            await hand_over(self._parts, where, text, form.get("id"), attachments=attachments)
        return RedirectResponse(path_of(where.key), 303)

    async def press(self, request: Request) -> Response:
        """A button under a message. Under one of a platform it is pressed at the desk: its id says what it is about."""
        place = self._place(request)
        form = await read_form(request)
        where = place if place.channel == _WEB else _DESK
        await hand_over(self._parts, where, "", uuid4().hex, kind=Kind.BUTTON, payload=form.get("button", ""))
        return self._done(request, where, f"{path_of(place.key)}#end")

    async def command(self, request: Request) -> Response:
        """Steer, send, stop, kill: said in the thread that the person looks at, or at the desk."""
        form = await read_form(request)
        name, session = form.get("command", ""), form.get("session", "")
        if name not in _COMMANDS or not re.fullmatch(r"[\w-]{1,80}", session):
            raise Problem(422, "This is none of the page's commands.")
        text = f"/{name} {session} {_lines(form.get('text', ''))}".rstrip()
        back = form.get("place", "")
        where = place_of(back, "web") if back else None
        if where is not None and where.channel == "web":
            await hand_over(self._parts, where, text, uuid4().hex)
            return self._done(request, where, f"{path_of(where.key)}#end")
        return await self._say(request, text, None, back=path_of(back) if back else f"/sessions/{session}")

    async def _say(self, request: Request, text: str, id: str | None, *, back: str) -> Response:
        """A command given beside a thread: it is said, and answered, at the desk."""
        await hand_over(self._parts, _DESK, text, id)
        return self._done(request, _DESK, back)

    def _done(self, request: Request, where: ThreadRef, back: str) -> Response:
        if "application/json" in request.headers.get("accept", ""):
            return answer({"place": where.key, "thread": where.thread}, 202)
        return RedirectResponse(back, 303)

    # --- the other pages

    async def sessions(self, request: Request) -> Response:
        state = request.query_params.get("state", "living")
        rows = await self._parts.views.sessions(state=state, before=request.query_params.get("before"), limit=100)
        return await self._page(request, "sessions.html", tab="sessions", rows=rows, state=state, full=len(rows) == 100)

    async def session(self, request: Request) -> Response:
        name = request.path_params["session"]
        detail = await self._parts.views.session(name)
        if detail is None:
            raise Problem(404, f"No session is called {name[:80]!r}.")
        steps = await self._parts.views.history(detail.session.id, before=number(request, "before"), limit=100)
        return await self._page(
            request, "session.html", tab="sessions", detail=detail, steps=steps, full=len(steps) == 100
        )

    async def deliveries(self, request: Request) -> Response:
        views, before = self._parts.views, number(request, "before")
        return await self._page(
            request,
            "deliveries.html",
            tab="deliveries",
            letters=await views.dead_letters(limit=50),
            on_their_way=await views.deliveries(state="open", limit=50),
            rows=await views.deliveries(before=before, limit=50),
        )

    async def dead_letter(self, request: Request) -> Response:
        letter, verb = request.path_params["id"], request.path_params["verb"]
        verbs = {"retry": self._parts.dead_letters.retry, "drop": self._parts.dead_letters.drop}
        if verb not in verbs or not await verbs[verb](letter):
            raise Problem(404, f"There is no dead letter {letter[:40]!r} any more. It may have been done already.")
        return RedirectResponse("/deliveries", 303)

    async def monitors(self, request: Request) -> Response:
        return await self._page(
            request, "monitors.html", tab="monitors", rows=await self._parts.views.monitors(self._parts.clock())
        )

    async def cost(self, request: Request) -> Response:
        since = (self._parts.clock() - timedelta(days=30)).date()
        rows = await self._parts.views.cost(since=since)
        return await self._page(request, "cost.html", tab="cost", rows=rows, days=by_day(rows), since=since)

    async def audit(self, request: Request) -> Response:
        session = request.query_params.get("session")
        rows = await self._parts.views.audit(session=session, before=number(request, "before"), limit=100)
        return await self._page(request, "audit.html", tab="audit", rows=rows, full=len(rows) == 100, session=session)

    async def health(self, request: Request) -> Response:
        return await self._page(
            request,
            "health.html",
            tab="health",
            health=self._parts.health(),
            tool_servers=self._parts.tool_servers(),
            ready=self._parts.ready(),
            overview=await self._parts.views.overview(),
        )

    async def file(self, request: Request) -> Response:
        """An attachment, always as a download: what people sent is never shown as part of this page."""
        digest = request.path_params["digest"]
        path = self._parts.file(digest) if _DIGEST.fullmatch(digest) else None
        if path is None or not path.is_file():
            raise Problem(404, "This file is not kept here any more.")
        name = request.query_params.get("name", "file")[:120]
        return FileResponse(path, media_type="application/octet-stream", filename=name)

    async def _page(self, request: Request, template: str, **values: Any) -> Response:
        places = await self._parts.views.places(limit=_THREADS)
        overview = await self._parts.views.overview()
        shown = {
            "place": None,
            "threads": by_channel(places, self._parts.health()),
            "counts": overview,
            "commands": json.dumps(
                [
                    {"name": spec.name, "about": spec.description, "takes": [o.name for o in spec.options]}
                    for spec in self._parts.commands
                ]
            ),
            "agents": self._parts.agents(),
            "rehearsal": self._parts.rehearsal,
            "upload_bytes": self._parts.upload_bytes if self._parts.uploads else 0,
            "path": request.url.path,
            **values,
        }
        return render(template, shown)

    def _place(self, request: Request) -> ThreadRef:
        return place_of(request.path_params["place"], "web")


_WEB = place_of("x", "web").channel
_DESK = place_of(DESK, "web")


def grouped(messages: Sequence[MessageRow]) -> list[tuple[MessageRow, bool]]:
    """Each message with whether it goes on under the name above it."""
    found: list[tuple[MessageRow, bool]] = []
    for message in messages:
        above = found[-1][0] if found else None
        follows = (
            above is not None
            and (above.side, above.author, above.control) == (message.side, message.author, message.control)
            and (message.at - above.at).total_seconds() < _GROUP_SECONDS
        )
        found.append((message, follows))
    return found


def by_channel(places: Sequence[PlaceRow], health: Any) -> list[tuple[str, bool, list[PlaceRow]]]:
    """The thread list: web first, then channels by their newest message; each with whether it is up."""
    groups: dict[str, list[PlaceRow]] = {"web": []}
    for place in places:
        groups.setdefault(place.channel, []).append(place)
    for channel in health:
        groups.setdefault(channel, [])
    return [
        (channel, channel not in health or health[channel].state is ChannelState.CONNECTED, rows)
        for channel, rows in groups.items()
        if rows or channel not in ("console", "api")
    ]


def by_day(rows: Sequence[CostRow]) -> list[tuple[str, float, int, int]]:
    """(day, money, calls, width of its bar in percent), the newest first."""
    money: dict[str, float] = {}
    calls: dict[str, int] = {}
    for row in rows:
        money[row.day] = money.get(row.day, 0.0) + row.cost_usd
        calls[row.day] = calls.get(row.day, 0) + row.calls
    most = max(money.values(), default=0.0) or 1.0
    return [(day, money[day], calls[day], round(100 * money[day] / most)) for day in sorted(money, reverse=True)]


def _lines(text: str) -> str:
    """A form sends line ends as CR LF."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _name_for(text: str) -> str:
    """A thread's name from its first words, unlike any other's."""
    words = re.sub(r"[^\w]+", "-", text.lower()[:120]).strip("-_")
    start = words if len(words) <= 32 else words[:33].rpartition("-")[0] or words[:32]
    return f"{start.strip('-_') or 'thread'}-{uuid4().hex[:4]}"


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    content = static_files().get(name)
    if content is None:
        raise Problem(404, f"There is no file {name[:80]!r}.")
    fresh = request.query_params.get("v") and asset(name).endswith(request.query_params["v"])
    age = "public, max-age=31536000, immutable" if fresh else "no-cache"
    media = _MEDIA.get(name.rpartition(".")[2], "application/octet-stream")
    return Response(content, media_type=media, headers={"cache-control": age})


async def _icon(_: Request) -> Response:
    return Response(static_files()["logo.svg"], media_type="image/svg+xml", headers={"cache-control": "max-age=86400"})
