"""What happens now, shown to whoever looks: text as it comes, tools as they run, places where something new stands.

Durable facts are in the store and are read from there; this hub only says *look again* and keeps, for each running
turn, what is being said at the moment, so that a page opened in the middle shows it. Publishing never blocks and
costs nothing for what nobody watches. A reader that is slow loses transient text first and is then told to read
everything anew: its memory has a bound (P8), and it holds nobody up (P6). Nobody here has a task of his own.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from agents.base import SessionId

_TURNS = 10_000  # running turns that are remembered
_TEXT = 200_000  # characters of one answer
_THINKING = 2_000
_TAKEN = 3  # newest notes that a turn has read
_TOOLS = 50  # newest tool runs of a turn
_EVENTS = 1_000  # waiting for one reader
_PLACES = 10_000  # changed places waiting for one reader
_TRANSIENT = frozenset({"text", "thinking"})
_COARSE = frozenset({"turn", "state", "turn_done", "ended"})  # what an overview of all sessions is told


@dataclass(slots=True)
class ToolRun:
    """A tool at work, or done with."""

    call_id: str
    name: str
    arguments: Mapping[str, Any]
    started: float
    seconds: float | None = None  # None while it runs
    error: bool = False


@dataclass(slots=True)
class Doing:
    """What a running turn is at. `text` is what the model has written since its last committed answer."""

    turn: str
    started: float
    state: str = "running"
    thinking: str = ""
    tools: list[ToolRun] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)  # what people wrote while it ran, and it has read; the newest
    cost_usd: float = 0.0
    tokens: int = 0
    said: bool = False  # the text is committed and on its way as a message
    _chunks: list[str] = field(default_factory=list)
    _length: int = 0

    @property
    def text(self) -> str:
        if len(self._chunks) > 1:
            self._chunks = ["".join(self._chunks)]
        return self._chunks[0] if self._chunks else ""

    def write(self, text: str) -> None:
        if self.said:
            self.clear()
        room = _TEXT - self._length
        if room > 0:
            self._chunks.append(text[:room])
            self._length += min(len(text), room)

    def clear(self) -> None:
        self._chunks, self._length, self.said = [], 0, False


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    session: SessionId
    kind: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What came since a reader last took. With `reload` some of it is lost: read everything anew."""

    places: frozenset[str]
    sessions: frozenset[SessionId]  # whose `Doing` changed
    reworded: frozenset[tuple[str, str]]  # place and key of messages that say something else now
    turned: frozenset[SessionId]  # of these, who began, ended, changed state or spent money
    events: tuple[Event, ...]
    reload: bool
    closed: bool  # the hub has closed: nothing will come any more


class Subscription:
    """One reader's mailbox. `watch` may be called at any time, as the reader learns what belongs to its thread."""

    def __init__(self, hub: EventHub, *, events: bool) -> None:
        self._hub = hub
        self._keeps_events = events
        self._arrived = asyncio.Event()
        self._places: set[str] = set()
        self._reworded: set[tuple[str, str]] = set()
        self._sessions: set[SessionId] = set()
        self._turned: set[SessionId] = set()
        self._events: list[Event] = []
        self._reload = False

    def watch(self, session: SessionId) -> None:
        self._hub.add_watcher(session, self)

    async def wait(self, seconds: float) -> News | None:
        """What is new; None when nothing came in time."""
        try:
            async with asyncio.timeout(seconds):
                await self._arrived.wait()
        except TimeoutError:
            return None
        return self.take()

    def take(self) -> News:
        news = News(
            places=frozenset(self._places),
            reworded=frozenset(self._reworded),
            sessions=frozenset(self._sessions),
            turned=frozenset(self._turned),
            events=tuple(self._events),
            reload=self._reload,
            closed=self._hub.closed,
        )
        self._places, self._reworded, self._sessions, self._turned = set(), set(), set(), set()
        self._events, self._reload = [], False
        if not self._hub.closed:
            self._arrived.clear()
        return news

    def put_place(self, place: str) -> None:
        if len(self._places) >= _PLACES:
            self._places.clear()
            self._reload = True
        self._places.add(place)
        self._arrived.set()

    def put_reworded(self, place: str, key: str) -> None:
        if len(self._reworded) >= _EVENTS:
            self._reworded.clear()
            self._reload = True
        self._reworded.add((place, key))
        self._arrived.set()

    def put_event(self, event: Event) -> None:
        self._sessions.add(event.session)
        if event.kind in _COARSE or event.kind == "cost":
            self._turned.add(event.session)
        if self._keeps_events:
            self._keep(event)
        self._arrived.set()

    def wake(self) -> None:
        self._arrived.set()

    def _keep(self, event: Event) -> None:
        last = self._events[-1] if self._events else None
        if last and event.kind in _TRANSIENT and (last.kind, last.session) == (event.kind, event.session):
            joined = str(last.data["text"]) + str(event.data["text"])
            if len(joined) <= _TEXT:
                self._events[-1] = Event(session=event.session, kind=event.kind, data={"text": joined})
                return
        self._events.append(event)
        if len(self._events) > _EVENTS:
            self._reload = True
            self._events = [kept for kept in self._events if kept.kind not in _TRANSIENT]
            if len(self._events) > _EVENTS // 2:
                self._events.clear()


class EventHub:
    """`agents.ports.Live`, and who looks. All methods belong to the event loop's thread."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._doing: OrderedDict[SessionId, Doing] = OrderedDict()
        self._reworded: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._by_place: defaultdict[str, set[Subscription]] = defaultdict(set)
        self._by_session: defaultdict[SessionId, set[Subscription]] = defaultdict(set)
        self._everywhere: set[Subscription] = set()
        self._every_session: set[Subscription] = set()
        self._overviews: set[Subscription] = set()
        self._watches: dict[Subscription, set[SessionId]] = {}
        self.closed = False

    def publish(self, session: SessionId, kind: str, data: Mapping[str, Any]) -> None:
        self._follow(session, kind, data)
        readers = self._by_session.get(session, set()) | self._every_session
        if kind in _COARSE:
            readers |= self._overviews
        if readers:
            event = Event(session=session, kind=kind, data=dict(data))
            for reader in readers:
                reader.put_event(event)

    def changed(self, place: str) -> None:
        """Something new stands in this place's timeline, or is on its way there."""
        for reader in (*self._by_place.get(place, ()), *self._everywhere):
            reader.put_place(place)

    def reworded(self, place: str, key: str) -> None:
        """The message of this key, which stands in the place's timeline, says something else now."""
        self._reworded.pop((place, key), None)
        self._reworded[place, key] = None
        while len(self._reworded) > _EVENTS:
            self._reworded.popitem(last=False)
        for reader in (*self._by_place.get(place, ()), *self._everywhere):
            reader.put_reworded(place, key)

    def lately_reworded(self, place: str) -> frozenset[tuple[str, str]]:
        """What was changed in a place since this process began (the newest): a page may have been drawn before."""
        return frozenset(each for each in self._reworded if each[0] == place)

    def ended(self, session: SessionId) -> None:
        """A session has ended, however: nothing is being said in it any more."""
        self.publish(session, "ended", {})

    def now_in(self, session: SessionId) -> Doing | None:
        """What the session's running turn is at; None when none runs."""
        return self._doing.get(session)

    def words(self, session: SessionId) -> str:
        """What the running turn is at, in a few words; nothing when none runs."""
        doing = self._doing.get(session)
        if doing is None or doing.state == "waiting":
            return ""
        running = [run.name for run in doing.tools if run.seconds is None]
        if running:
            return f"running {', '.join(running)}"
        return "writing" if doing.text and not doing.said else ""

    def seconds_since(self, moment: float) -> float:
        return max(0.0, self._monotonic() - moment)

    @property
    def readers(self) -> int:
        return len(self._watches)

    @contextmanager
    def subscribe(
        self,
        *,
        place: str | None = None,
        everywhere: bool = False,
        every_session: bool = False,
        overview: bool = False,
        events: bool = False,
    ) -> Iterator[Subscription]:
        """Read from now on. `place`: one place's news; `everywhere`: all places'; `every_session`: all that sessions
        do; `overview`: only that they begin and end; `events`: keep each event, not just whose it was."""
        reader = Subscription(self, events=events)
        self._watches[reader] = set()
        groups = [(self._everywhere, everywhere), (self._every_session, every_session), (self._overviews, overview)]
        for group, joined in groups:
            if joined:
                group.add(reader)
        if place is not None:
            self._by_place[place].add(reader)
        if self.closed:
            reader.wake()
        try:
            yield reader
        finally:
            for group, _ in groups:
                group.discard(reader)
            if place is not None:
                _leave(self._by_place, place, reader)
            for session in self._watches.pop(reader):
                _leave(self._by_session, session, reader)

    def add_watcher(self, session: SessionId, reader: Subscription) -> None:
        self._by_session[session].add(reader)
        self._watches[reader].add(session)

    def close(self) -> None:
        """Threadmill stops: every reader is told, so that its connection can end."""
        self.closed = True
        for reader in self._watches:
            reader.wake()

    def _follow(self, session: SessionId, kind: str, data: Mapping[str, Any]) -> None:
        if kind in ("turn_done", "ended"):
            self._doing.pop(session, None)
            return
        doing = self._doing.get(session)
        if doing is None or kind == "turn":
            doing = Doing(turn=str(data.get("turn", "")), started=self._monotonic())
            self._doing[session] = doing
            while len(self._doing) > _TURNS:
                self._doing.popitem(last=False)
        if kind == "text":
            doing.write(str(data["text"]))
        elif kind == "thinking":
            doing.thinking = (doing.thinking + str(data["text"]))[-_THINKING:]
        elif kind == "restarted":
            doing.clear()
            doing.thinking = ""
        elif kind == "cost":
            doing.said, doing.thinking = True, ""
            doing.cost_usd += float(data.get("cost_usd", 0.0))
            doing.tokens += int(data.get("tokens", 0))
        elif kind == "taken" and data.get("what") in ("person", "steer"):
            doing.taken = [*doing.taken[1 - _TAKEN :], str(data["text"])[:_THINKING]]
        elif kind == "state":
            doing.state = str(data.get("state", doing.state))
        elif kind in ("tool", "tool_done"):
            self._follow_tool(doing, kind, data)

    def _follow_tool(self, doing: Doing, kind: str, data: Mapping[str, Any]) -> None:
        now = self._monotonic()
        if kind == "tool":
            run = ToolRun(str(data["call_id"]), str(data["name"]), data.get("arguments") or {}, now)
            doing.tools = [*doing.tools[1 - _TOOLS :], run]
            return
        for run in reversed(doing.tools):
            if run.call_id == data["call_id"]:
                run.seconds, run.error = now - run.started, bool(data.get("error"))
                break


def _leave(groups: defaultdict[Any, set[Subscription]], key: object, reader: Subscription) -> None:
    groups[key].discard(reader)
    if not groups[key]:
        del groups[key]
