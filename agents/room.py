"""Room for the turns of one agent: how many of its sessions may run at once. Pure.

A session that finds no room is not refused. It waits here as an id, holding no task, and is woken in its order when a
turn of that agent ends. Nothing is lost with the process: its mail is in the store, and a start wakes it again.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict

from agents.base import AgentName, SessionId


class Room:
    """Who runs and who waits, by agent."""

    def __init__(self) -> None:
        self._running: dict[AgentName, set[SessionId]] = defaultdict(set)
        self._waiting: dict[AgentName, OrderedDict[SessionId, None]] = defaultdict(OrderedDict)

    @property
    def waiting(self) -> int:
        return sum(len(sessions) for sessions in self._waiting.values())

    def waits(self, session: SessionId) -> bool:
        return any(session in waiting for waiting in self._waiting.values())

    def enter(self, agent: AgentName, session: SessionId, limit: int) -> bool:
        """Take a place. False: there is none now, and the session waits for one."""
        if len(self._running[agent]) >= limit:
            self._waiting[agent].setdefault(session)
            return False
        self._waiting[agent].pop(session, None)
        self._running[agent].add(session)
        return True

    def leave(self, agent: AgentName, session: SessionId, limit: int | None) -> list[SessionId]:
        """Give the place back; who is to be woken for the places that are free. `limit` None: there is no limit now."""
        self._running[agent].discard(session)
        waiting = self._waiting[agent]
        free = len(waiting) if limit is None else max(0, limit - len(self._running[agent]))
        woken = list(waiting)[:free]
        for each in woken:
            del waiting[each]
        if not waiting and not self._running[agent]:
            del self._waiting[agent], self._running[agent]
        return woken
