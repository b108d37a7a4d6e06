"""What the store says after a commit, passed on to whoever must act: the engine and the courier."""

from __future__ import annotations

from collections.abc import Callable

from agents.base import SessionId
from agents.ports import Engine


class Wiring:
    """Fulfils `agents.ports.Signals`. Made before those it passes on to: `connect` names them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._notify: Callable[[str], None] = lambda _: None
        self._gone: Callable[[SessionId], None] = lambda _: None

    def connect(self, *, notify: Callable[[str], None], gone: Callable[[SessionId], None]) -> None:
        self._notify = notify
        self._gone = gone

    def mail(self, session: SessionId) -> None:
        self._engine.wake(session)

    def said(self, lane: str) -> None:
        self._notify(lane)

    def ended(self, session: SessionId) -> None:
        self._engine.abort(session)
        self._gone(session)
