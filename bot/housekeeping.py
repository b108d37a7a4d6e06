"""Deletes what the configuration does not keep, once a day and a little at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

import structlog

from storage.database import Database, StorageError
from storage.files import FileStore
from storage.retention import RetentionPolicy, retain

log = structlog.get_logger("housekeeping")

_FIRST_SECONDS = 300.0  # after the start, so that a restart is not slowed down by it
_EVERY_SECONDS = 86_400.0


class Housekeeping:
    """`forgot` is called after rows were deleted, for whoever remembers some of them."""

    def __init__(
        self,
        database: Database,
        policy: RetentionPolicy,
        files: FileStore,
        forgot: Callable[[], None],
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._policy = policy
        self._files = files
        self._forgot = forgot
        self._clock = clock

    async def run(self) -> None:
        """Serve until cancelled."""
        await asyncio.sleep(_FIRST_SECONDS)
        while True:
            await self.once()
            await asyncio.sleep(_EVERY_SECONDS)

    async def once(self) -> None:
        try:
            removed = await retain(self._database, self._policy, self._clock())
            await self._files.remove(removed.files)
        except StorageError as error:
            log.warning("not tidied up", reason=str(error))
            return
        self._forgot()
        if removed.rows:
            log.info("tidied up", rows=dict(removed.rows), files=len(removed.files))
