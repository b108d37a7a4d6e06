"""`GET /api/v1/events`: what happens, as it happens, without a gap.

Things said come from the timeline, each with its number as the event's id: a reader that was away sends the last
number that it saw and gets everything since. Between them stands what is transient: text as it is written,
tools as they run. Programs get these as small events; pages (`view=page`) get the whole live bubble as HTML a few times
a second, so that a page that is slow or joins late shows the same as any other.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Collection, Sequence
from dataclasses import dataclass

from agents.base import SessionId
from bot.events import News, Subscription
from bot.web.parts import WebParts
from bot.web.problems import Problem
from bot.web.sse import HEARTBEAT, event
from storage.view_rows import MessageRow, as_json

READERS = 500  # event streams at once
_HEARTBEAT_SECONDS = 15.0
_PAGE_SECONDS = 0.1  # between two pictures of a live bubble
_MISSED = 500  # rows of one read while catching up
_ROWS = 50  # places or sessions told at once to an overview


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a reader asked for. `after` None: from now on."""

    place: str | None = None
    session: SessionId | None = None
    after: int | None = None
    page: bool = False


async def stream(parts: WebParts, wanted: Wanted) -> AsyncGenerator[bytes, None]:
    """Whatever is said after this returns is in what it returns. Raises Problem when too many read already."""
    if parts.hub.readers >= READERS:
        raise Problem(503, f"{READERS} event streams are open already. Close some.", headers={"retry-after": "10"})
    reader = _Page(parts, wanted) if wanted.page else _Program(parts, wanted)
    await reader.begin()
    return reader.events()


class _Reader:
    """What both kinds of reader share: the timeline from a number on."""

    def __init__(self, parts: WebParts, wanted: Wanted) -> None:
        self._parts = parts
        self._wanted = wanted
        self._last = 0
        self._label = ""  # of the session that is followed

    async def begin(self) -> None:
        after = self._wanted.after
        newest = await self._parts.views.last_number()
        # a number that we never gave (another data folder): begin now rather than stay silent for ever
        self._last = newest if after is None or after > newest else after

    async def _new_messages(self) -> Sequence[MessageRow]:
        views, place = self._parts.views, self._wanted.place
        if place is not None:
            rows = await views.messages(place, after=self._last, limit=_MISSED)
        else:
            rows = await views.messages_everywhere(after=self._last, limit=_MISSED)
        if rows:
            self._last = rows[-1].n
        return rows

    async def _watch_bound(self, reader: Subscription) -> SessionId | None:
        """Follow the session that belongs to the place, which may be a new one."""
        if self._wanted.place is None:
            return None
        bound = await self._parts.views.session_in(self._wanted.place)
        if bound is None or bound.state == "ended":
            return None
        reader.watch(SessionId(bound.id))
        self._label = bound.label
        return SessionId(bound.id)

    async def _reworded(self, changed: frozenset[tuple[str, str]]) -> Sequence[MessageRow]:
        """What stands there already and says something else now."""
        place = self._wanted.place
        keys = {key for where, key in changed if place is None or where == place}
        return await self._parts.views.messages_of(keys) if keys else ()


class _Program(_Reader):
    """A reader that wants every event."""

    def __init__(self, parts: WebParts, wanted: Wanted) -> None:
        super().__init__(parts, wanted)
        self._everything = wanted.place is None and wanted.session is None
        self._mine: SessionId | None = None
        self._joined: str | None = None  # the turn in whose middle this reader came

    async def events(self) -> AsyncGenerator[bytes, None]:
        wanted, everything = self._wanted, self._everything
        with self._parts.hub.subscribe(
            place=wanted.place, everywhere=everything, every_session=everything, overview=not everything, events=True
        ) as reader:
            self._mine = await self._join(reader)
            for chunk in self._so_far(self._mine):  # no await between: the reader has nothing of this yet
                yield chunk
            news: News | None = None
            while True:
                if news is None or news.places or news.reworded:
                    async for chunk in self._said(news):
                        yield chunk
                news = await reader.wait(_HEARTBEAT_SECONDS)
                if news is None:
                    yield HEARTBEAT
                    continue
                if news.closed:
                    return
                if news.reload:
                    yield event("reload", {"after": self._last})
                for chunk in await self._told(news, reader):
                    yield chunk

    async def _told(self, news: News, reader: Subscription) -> list[bytes]:
        """The events of the session that is followed, which may be another one from here on. What that one wrote
        before stands in the place of the event that its turn begins with; when that comes later, it is passed over."""
        late: list[bytes] = []
        if self._wanted.place is not None and any(told.kind == "turn" for told in news.events):
            before, self._mine = self._mine, await self._watch_bound(reader)
            if self._mine != before:
                late, self._joined = self._so_far(self._mine), self._turn_of(self._mine)
        chunks: list[bytes] = []
        for told in news.events:
            if not (self._everything or told.session == self._mine):
                continue
            if told.kind == "turn" and self._joined is not None and told.data.get("turn") == self._joined:
                chunks, late = [*chunks, *late], []
            else:
                chunks.append(event(told.kind, {"session": told.session, **told.data}))
        return [*chunks, *late]

    async def _join(self, reader: Subscription) -> SessionId | None:
        """Begin, and follow the session that was asked for or that the place belongs to."""
        if self._wanted.session is not None:
            reader.watch(self._wanted.session)
            return self._wanted.session
        return await self._watch_bound(reader)

    def _turn_of(self, session: SessionId | None) -> str | None:
        doing = None if session is None else self._parts.hub.now_in(session)
        return None if doing is None else doing.turn

    def _so_far(self, session: SessionId | None) -> list[bytes]:
        """What a turn that runs already has written, for a reader that comes in the middle."""
        doing = None if session is None else self._parts.hub.now_in(session)
        if doing is None:
            return []
        chunks = [event("turn", {"session": session, "turn": doing.turn})]
        if doing.text and not doing.said:
            chunks.append(event("text", {"session": session, "text": doing.text}))
        return chunks

    async def _said(self, news: News | None) -> AsyncGenerator[bytes, None]:
        if self._wanted.session is not None:
            return
        while rows := await self._new_messages():
            for row in rows:
                yield event("message", as_json(row), id=row.n)
        for row in await self._reworded(news.reworded) if news is not None else ():
            yield event("edited", as_json(row))


class _Page(_Reader):
    """A page: one thread whole, and the outlines of everything else."""

    def __init__(self, parts: WebParts, wanted: Wanted) -> None:
        super().__init__(parts, wanted)
        self._session: SessionId | None = None
        self._waiting: str | None = None
        self._picture = ""

    async def events(self) -> AsyncGenerator[bytes, None]:
        with self._parts.hub.subscribe(everywhere=True, overview=True) as reader:
            self._session = await self._watch_bound(reader)
            lately = self._parts.hub.lately_reworded(self._wanted.place or "")
            for chunk in [*await self._missed(), *await self._thread_now(), *await self._edited(lately)]:
                yield chunk
            while True:
                news = await reader.wait(_HEARTBEAT_SECONDS)
                if news is None:
                    yield HEARTBEAT
                    continue
                if news.closed:
                    return
                began = time.monotonic()
                for chunk in await self._take(news, reader):
                    yield chunk
                # what takes long to draw is drawn less often
                await asyncio.sleep(min(1.0, max(_PAGE_SECONDS, 5 * (time.monotonic() - began))))

    async def _missed(self) -> list[bytes]:
        """What changed in the list and the tree between the drawing of the page and now: a child's thread, say."""
        rows = await self._parts.views.messages_everywhere(after=self._last, limit=_MISSED)
        places = frozenset(row.place for row in rows) - {self._wanted.place or ""}
        if not places:
            return []
        return [*await self._outlines(places, ()), event("facts", {})]

    async def _take(self, news: News, reader: Subscription) -> list[bytes]:
        chunks = [event("reload", {})] if news.reload else []
        if self._wanted.place in news.places or news.turned:
            self._session = await self._watch_bound(reader)
            chunks += await self._thread_now()
        elif self._session in news.sessions:
            chunks += self._live()
        chunks += await self._edited(news.reworded)
        return [*chunks, *await self._outlines(news.places, news.turned)]

    async def _thread_now(self) -> list[bytes]:
        """New messages, what is on its way, and the live bubble: in this order, so that nothing shows twice."""
        place = self._wanted.place
        if place is None:
            return []
        from bot.web import fragments

        chunks = []
        rows = await self._new_messages()
        chunks += [event("message", fragments.message(row), id=row.n) for row in rows]
        if self._session is not None and any(row.session == self._session and row.side == "out" for row in rows):
            doing = self._parts.hub.now_in(self._session)
            if doing is not None and doing.said:
                doing.clear()  # it stands in the timeline now
        waiting = fragments.waiting(await self._parts.views.waiting(place))
        if waiting != self._waiting:
            self._waiting = waiting
            chunks.append(event("waiting", {"html": waiting}))
        return [*chunks, *self._live()]

    def _live(self) -> list[bytes]:
        if self._session is None:
            return []
        from bot.web import fragments

        picture = fragments.live(self._parts.hub, self._session, self._label)
        if picture == self._picture:
            return []
        self._picture = picture
        return [event("live", {"session": self._session, "html": picture})]

    async def _edited(self, changed: frozenset[tuple[str, str]]) -> list[bytes]:
        if self._wanted.place is None or not changed:
            return []
        from bot.web import fragments

        return [event("edited", fragments.message(row)) for row in await self._reworded(changed)]

    async def _outlines(self, places: Collection[str], turned: Collection[SessionId]) -> list[bytes]:
        """The rows of the thread list and of the tree that changed."""
        from bot.web import fragments

        chunks: list[bytes] = []
        if len(places) + len(turned) > _ROWS:
            return [event("overview", {})]
        for place in places:
            row = await self._parts.views.place(place)
            if row is not None:
                chunks.append(event("place", fragments.place(row)))
        for id in turned:
            session = await self._parts.views.find_session(id)
            if session is not None:
                chunks.append(event("session", fragments.outline(session)))
        if turned:
            chunks.append(event("facts", {}))
        return chunks
