"""What a child hands to its parent when the result is long, or is no text.

A parent reads a result in its conversation, where every character costs; so up to 10 kB stand in the message, up to 1
MB become a file in the parent's workspace, and what is larger, or no text, an attachment, which the parent can read in
pieces (`attachment_read`). The message then has the beginning and says where the rest is. Whatever goes wrong on the
way, the parent is told of the result, with as much of it as there is room for.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
from collections.abc import AsyncIterable, AsyncIterator
from typing import Protocol

import structlog

from agents.base import Mode, Session
from agents.ports import Handed, Profile, Sessions
from agents.rights import Rights
from agents.tools.files import workspace_name
from agents.workspaces import WorkspaceError, Workspaces
from channels.base import Attachment

log = structlog.get_logger("results")

IN_THE_MESSAGE_BYTES = 10_000
IN_A_FILE_BYTES = 1_000_000
_LONGEST_BYTES = 100_000_000
_HEAD_CHARACTERS = 2_000
_ODD = re.compile(r"[\x01-\x08\x0e-\x1a\x1c-\x1f\x7f-\x9f\ufffd]")  # no writing has these
_ODD_SHARE = 0.02  # of a text's characters, above which it is no text


class StoresFiles(Protocol):
    """The attachment store. `storage.files` fulfils it."""

    async def store(self, name: str, media_type: str, chunks: AsyncIterable[bytes], limit_bytes: int) -> Attachment: ...


class Results:
    def __init__(self, sessions: Sessions, rights: Rights, workspaces: Workspaces, files: StoresFiles) -> None:
        self._sessions = sessions
        self._rights = rights
        self._workspaces = workspaces
        self._files = files

    async def handed(self, session: Session, result: str) -> Handed | None:
        """What is handed up instead of this result; None: the result itself. Raises nothing but cancellation."""
        data = result.encode("utf-8", "replace")
        readable = is_text(result)
        if session.mode is not Mode.RUN or (readable and len(data) <= IN_THE_MESSAGE_BYTES):
            return None
        above = await self._nearest_living(session)
        if above is None:  # a person reads it
            return None
        name = f"{session.label}-{hashlib.sha256(data).hexdigest()[:8]}.{'md' if readable else 'bin'}"
        head = f"{result[:_HEAD_CHARACTERS].rstrip()}\n\n[…]" if readable else "[It is no text.]"
        try:
            profile = await self._rights.profile_of(above)
            if readable and len(data) <= IN_A_FILE_BYTES and profile is not None and "file_read" in profile.tools:
                path = await self._as_file(above, profile, f"results/{name}", data)
                where = f"the file {path} in your workspace: file_read shows it in pieces"
                return Handed(text=f"{head}\n\n[All of it, {len(data)} bytes: {where}.]")
        except WorkspaceError as error:
            log.info("a result does not go into the workspace", session=session.id, reason=str(error))
        try:
            kind = "text/markdown" if readable else "application/octet-stream"
            file = await self._files.store(name, kind, _once(data), _LONGEST_BYTES)
        except Exception as error:
            log.exception("a result could not be kept", session=session.id)
            why = f"All of it, {len(data)} bytes, could not be kept ({type(error).__name__})"
            return Handed(text=f"{head}\n\n[{why}; sessions_history of {session.id} shows it.]")
        where = f"the attachment {file.name}: attachment_read shows it in pieces"
        return Handed(text=f"{head}\n\n[All of it, {len(data)} bytes: {where}.]", attachments=(file,))

    async def _nearest_living(self, session: Session) -> Session | None:
        parent = session.parent
        while parent is not None:
            found = await self._sessions.session(parent)
            if found is None or found.ended is None:
                return found
            parent = found.parent
        return None

    async def _as_file(self, above: Session, profile: Profile, path: str, data: bytes) -> str:
        """The path. A content that is there already is not written again."""
        workspace = self._workspaces.workspace(*workspace_name(above, profile))
        gone = threading.Event()
        try:
            await asyncio.to_thread(workspace.write, path, data, None, gone.is_set)
        finally:
            gone.set()
        return path


def is_text(result: str) -> bool:
    """Whether people and models could read it."""
    if "\0" in result:
        return False
    return len(_ODD.findall(result)) <= len(result) * _ODD_SHARE


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
