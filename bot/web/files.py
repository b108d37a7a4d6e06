"""Files that people send by the page or by HTTP: first the file, then the message that names it.

    POST /api/v1/files?name=plan.png      the content as it is; 201 with its `source`
    POST /api/v1/threads/T/messages       {"text": …, "files": [{"source": …, "name": …}]}

So a large file is written to the disk while it comes, a message stays small, and a message that has to be sent again
needs no second upload. What nobody names in a message goes by retention, like every file that nothing refers to.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from bot.web.body import answer, chunks_of
from bot.web.parts import WebParts
from bot.web.problems import Problem
from channels.base import Attachment, Rejected
from storage.files import safe_name

MOST = 10  # files of one message


class NamedFile(BaseModel):
    """A file that was handed in before, as a message names it."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    source: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$", description="As the upload answered it.")]
    name: Annotated[str, Field(min_length=1, max_length=255, description="What people call it.")]
    media_type: Annotated[str, Field(max_length=100, pattern=r"^[\w.+-]+/[\w.+-]+$")] = "application/octet-stream"


NamedFiles = Annotated[tuple[NamedFile, ...], Field(max_length=MOST, strict=False)]
_ADAPTER: TypeAdapter[tuple[NamedFile, ...]] = TypeAdapter(NamedFiles)


class NewMessage(BaseModel):
    """The body of `POST /api/v1/threads/{thread}/messages`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    text: Annotated[str, Field(description="What to say: plain text or Markdown, or a command that begins with /")]
    id: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=200,
            pattern=r"^[\x21-\x7e]+$",
            description="Your own id of this message. The same id again is no second message.",
        ),
    ] = None
    files: NamedFiles = ()


class Uploads:
    """Takes files in."""

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts

    def routes(self) -> list[BaseRoute]:
        return [Route("/api/v1/files", self.upload, methods=["POST"])]

    async def upload(self, request: Request) -> Response:
        if self._parts.uploads is None:
            raise Problem(404, "Files are not taken in here.")
        name = request.query_params.get("name", "")
        if not 0 < len(name) <= 255:
            raise Problem(422, "Say what the file is called: `?name=plan.png`, 255 characters at most.")
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            stored = await self._parts.uploads(name, kind, chunks_of(request, self._parts.upload_bytes))
        except Rejected as error:
            raise Problem(413, f"{error}.", headers={"connection": "close"}) from None
        if not stored.size_bytes:
            raise Problem(422, f"{stored.name} is empty, so there is nothing to send.")
        content = {
            "source": stored.source,
            "name": stored.name,
            "media_type": stored.media_type,
            "size_bytes": stored.size_bytes,
        }
        return answer(content, 201)


def named_in_form(text: str) -> tuple[NamedFile, ...]:
    """The field `files` of a form of our own page. Raises Problem."""
    try:
        return _ADAPTER.validate_json(text) if text else ()
    except ValidationError:
        raise Problem(422, f"The files could not be read: at most {MOST}, each as its upload was answered.") from None


def attachments_of(parts: WebParts, files: tuple[NamedFile, ...]) -> tuple[Attachment, ...]:
    """The files as a message carries them. Raises Problem for one that is not here."""
    found = []
    for file in files:
        path = parts.file(file.source.removeprefix("sha256:"))
        if path is None:
            raise Problem(422, f"{file.name[:80]} is not kept here: hand it in first, with POST /api/v1/files.")
        size = path.stat().st_size
        found.append(
            Attachment(name=safe_name(file.name), media_type=file.media_type, size_bytes=size, source=file.source)
        )
    return tuple(found)
