"""Which platforms are away, and since when: what the courier saw itself, and what a channel says of its own health.

An outage is one as long as somebody keeps meeting it. After a quiet time the next failure begins a new one, so that
a single failure an hour ago does not send a conversation elsewhere at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from channels.base import Channel, ChannelName, ChannelState

_QUIET = timedelta(seconds=30)


@dataclass(slots=True)
class _Outage:
    since: datetime
    met: datetime
    noted: set[tuple[str, str]] = field(default_factory=set)


class Outages:
    def __init__(self) -> None:
        self._outages: dict[ChannelName, _Outage] = {}
        self._well: set[ChannelName] = set()

    def met(self, name: ChannelName, channel: Channel | None, now: datetime) -> timedelta:
        """The channel was unavailable just now; for how long it has been."""
        self._well.discard(name)
        outage = self._outages.get(name)
        if outage is None or now - outage.met > _QUIET:
            outage = self._outages[name] = _Outage(since=now, met=now)
        outage.met = now
        since = outage.since
        if channel is not None:
            health = channel.health()
            if health.state is ChannelState.DOWN:
                since = min(since, health.since)
        return now - since

    def over(self, name: ChannelName) -> bool:
        """The platform answered. True when that is news: the first time, and after an outage."""
        if name in self._well:
            return False
        self._well.add(name)
        self._outages.pop(name, None)
        return True

    def note(self, name: ChannelName, who: str, place: str) -> bool:
        """Whether people at this place are still to be told that the conversation goes on there; once an outage."""
        outage = self._outages.get(name)
        return outage is not None and (who, place) not in outage.noted

    def noted(self, name: ChannelName, who: str, place: str) -> None:
        outage = self._outages.get(name)
        if outage is not None:
            outage.noted.add((who, place))
