"""The tool over files that came with messages: what people sent, and large results of children, read in pieces.

A session reaches the files that were given to it and no others: a file is named by its name (or its hash), and looked
for in the session's own mail.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, Field

from agents.base import SessionId
from agents.tools.base import Call, ToolError
from channels.base import Attachment, Files

_PIECE_CHARACTERS = 40_000
_LONGEST_BYTES = 100_000_000


class Given(Protocol):
    """`storage.sessions` fulfils it."""

    async def attachments(self, session: SessionId) -> Sequence[Attachment]:
        """The files that came with the mail that a session took in, newest first."""


class ReadAttachmentArguments(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1, max_length=300, description="The file's name, as the message showed it.")
    offset: int = Field(default=0, ge=0, description="From which character on.")
    limit: int = Field(default=_PIECE_CHARACTERS, ge=1, le=_PIECE_CHARACTERS, description="Characters at the most.")


class AttachmentReadTool:
    """attachment_read."""

    name: ClassVar[str] = "attachment_read"
    description: ClassVar[str] = (
        "Read a text file that came with a message to you (from a person, or a child's large result), piece by piece."
    )
    arguments: ClassVar[type[BaseModel]] = ReadAttachmentArguments
    repeatable: ClassVar[bool] = True
    timeout_seconds: ClassVar[float] = 30.0

    def __init__(self, given: Given, files: Files) -> None:
        self._given = given
        self._files = files

    async def run(self, call: Call, arguments: ReadAttachmentArguments) -> str:
        given = await self._given.attachments(call.session.id)
        found = next((file for file in given if arguments.name in (file.name, file.source)), None)
        if found is None:
            names = ", ".join(dict.fromkeys(file.name for file in given[:50])) or "none"
            raise ToolError(f"no file {arguments.name!r} was given to you; there are: {names}.")
        if (found.size_bytes or 0) > _LONGEST_BYTES:
            raise ToolError(f"{found.name} is too large to be read ({found.size_bytes} bytes).")
        try:
            data = await self._files.read(found)
        except FileNotFoundError as error:
            raise ToolError(f"{found.name} is not kept any more.") from error
        text = await asyncio.to_thread(_text, found, data)  # it may be large
        piece = text[arguments.offset : arguments.offset + arguments.limit]
        if not piece and text:
            raise ToolError(f"{found.name} has {len(text)} characters: offset {arguments.offset} is beyond them.")
        end = arguments.offset + len(piece)
        more = f"; go on with offset {end}" if end < len(text) else ""
        return f"[{found.name}, characters {arguments.offset} to {end} of {len(text)}{more}]\n{piece}"


def _text(file: Attachment, data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ToolError(f"{file.name} is no text ({file.media_type}, {len(data)} bytes): it cannot be shown.")
    return text
