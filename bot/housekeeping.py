"""Deletes what the configuration does not keep, once a day and a little at a time; ends sessions that nobody used
for as long as their agent's `expire_after_hours` says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import structlog

from agents.base import Ended
from agents.ports import Profiles, Sessions
from agents.workspaces import Workspaces
from storage.database import Database, StorageError
from storage.files import FileStore
from storage.kept_work import left_workspaces
from storage.retention import RetentionPolicy, retain

log = structlog.get_logger("housekeeping")

_FIRST_SECONDS = 300.0  # after the start, so that a restart is not slowed down by it
_EVERY_SECONDS = 86_400.0
_EXPIRY_SECONDS = 600.0


class Housekeeping:
    """`forgot` is called after rows were deleted, for whoever remembers some of them."""

    def __init__(
        self,
        database: Database,
        policy: RetentionPolicy,
        files: FileStore,
        workspaces: Workspaces,
        forgot: Callable[[], None],
        sessions: Sessions,
        profiles: Profiles,
        clock: Callable[[], datetime],
    ) -> None:
        self._sessions = sessions
        self._profiles = profiles
        self._database = database
        self._policy = policy
        self._files = files
        self._workspaces = workspaces
        self._forgot = forgot
        self._clock = clock

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._every(_FIRST_SECONDS, _EVERY_SECONDS, self.tidy_up))
            group.create_task(self._every(_EXPIRY_SECONDS, _EXPIRY_SECONDS, self.expire))

    async def _every(self, first_seconds: float, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        await asyncio.sleep(first_seconds)
        while True:
            await work()
            await asyncio.sleep(seconds)

    async def expire(self) -> None:
        """End idle sessions whose time is over."""
        now = self._clock()
        for name in self._profiles.names():
            profile = self._profiles.profile(name)
            if profile is None or profile.expire_after_hours is None:
                continue
            before = now - timedelta(hours=profile.expire_after_hours)
            try:
                for session in await self._sessions.idle_since(name, before):
                    await self._sessions.end(session, Ended.EXPIRED, "nobody used it", now)
            except StorageError as error:
                log.warning("sessions not expired", reason=str(error))

    async def _remove_workspaces(self) -> int:
        """Own workspaces of sessions that ended so long ago that their conversation is gone as well."""
        if self._policy.sessions is None:
            return 0
        before = self._clock() - self._policy.sessions
        removed = 0
        for session in await left_workspaces(self._database, await asyncio.to_thread(self._workspaces.own), before):
            try:
                removed += await asyncio.to_thread(self._workspaces.remove, session)
            except OSError as error:
                log.warning("a workspace is not removed", session=session, reason=str(error))
        return removed

    async def tidy_up(self) -> None:
        try:
            removed = await retain(self._database, self._policy, self._clock())
            await self._files.remove(removed.files)
        except StorageError as error:
            log.warning("not tidied up", reason=str(error))
            return
        workspaces = await self._remove_workspaces()
        self._forgot()
        if workspaces:
            log.info("workspaces removed", workspaces=workspaces)
        if removed.rows:
            log.info("tidied up", rows=dict(removed.rows), files=len(removed.files))
