"""What stands on Slack only for the moment (previews, signs), remembered over a crash.

A preview is nobody's message: when Threadmill dies while it is written, no delivery will ever take it over. So the
channel keeps a list of what stands, in a cursor of its intake, and a new process takes away what the former one
left. The list is short and written behind the deed: it costs a commit when something begins and when it is gone.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import OrderedDict

from channels.base import ChannelError, Intake, NotAccepted, ThreadRef

logger = logging.getLogger(__name__)

STANDING = "standing"
"""The cursor: a JSON object of ids and the places that they stand in."""

MOST = 500


class Traces:
    """What stands, of one channel. The ids are for whoever put it there; a preview's is that of its message."""

    def __init__(self) -> None:
        self._intake: Intake | None = None
        self._standing: OrderedDict[str, ThreadRef] = OrderedDict()
        self._written: dict[str, ThreadRef] = {}
        self._writing = asyncio.Lock()

    async def left_behind(self, intake: Intake) -> dict[str, ThreadRef]:
        """Those of a former process. They stay on the list until they are dropped."""
        self._intake = intake
        try:
            found = json.loads(await intake.cursor(STANDING) or "{}")
            listed = {str(ts): ThreadRef.parse(place) for ts, place in found.items()}
        except (ValueError, AttributeError, TypeError):
            logger.warning("the list of what stands cannot be read, and is begun anew")
            listed = {}
        left = {ts: place for ts, place in listed.items() if ts not in self._standing}
        self._written = listed
        self._standing.update(left)
        return left

    def __contains__(self, ts: object) -> bool:
        return ts in self._standing

    async def add(self, ts: str, place: ThreadRef) -> None:
        self._standing[ts] = place
        while len(self._standing) > MOST:
            self._standing.popitem(last=False)
        await self._write()

    async def drop(self, ts: str) -> None:
        if self._standing.pop(ts, None) is not None:
            await self._write()

    async def _write(self) -> None:
        """Whoever waits for the lock finds the work done by the one before him, mostly."""
        async with self._writing:
            if self._intake is None or self._standing == self._written:
                return
            standing = dict(self._standing)
            text = json.dumps({ts: place.key for ts, place in standing.items()})
            try:
                await self._intake.accept((), cursors={STANDING: text})
            except (NotAccepted, ChannelError) as error:
                logger.info("the list of what stands is not written: %s", error)
            else:
                self._written = standing
