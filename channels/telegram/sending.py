"""Saying one part: text, files, or text with files, in one request each.

One request a part means that a lost answer leaves one doubt, not several. Telegram has no key against repetition, so
a send whose outcome is unknown is reported as that and not tried again here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from telegram import InputFile, InputMediaDocument, MessageEntity
from telegram.error import TelegramError

from channels.base import Attachment, Files, Outbound, Receipt, Rejected, TemporaryFailure
from channels.split import divided
from channels.stayed import Stayed
from channels.telegram.client import Client
from channels.telegram.errors import Refusal, timed_out, translate
from channels.telegram.pace import Lane
from channels.telegram.parts import addressed, answering, fits_caption, fits_text, keyboard, text_size
from channels.telegram.render import TEXT_UNITS, Rendered, render

_PHOTO_TYPES = frozenset({"image/png", "image/jpeg"})
_PHOTO_BYTES = 10_000_000
_PHOTO_REFUSED = ("PHOTO", "IMAGE", "WRONG_FILE")
_NAME_BYTES = 120


class Sender:
    """Sends parts through one client."""

    def __init__(self, client: Client, files: Files, stayed: Stayed) -> None:
        self._client = client
        self._files = files
        self._stayed = stayed

    async def send(self, part: Outbound) -> Receipt:
        """See Channel.send. A text that no message can hold is sent as a file."""
        stayed = await self._stayed.say(part, self.edit)
        return stayed if stayed is not None else await self._send(part)

    async def _send(self, part: Outbound) -> Receipt:
        doing = _doing(part)
        album = len(part.attachments) > 1
        files = [await self._upload(attachment, in_album=album) for attachment in part.attachments]
        text = part.text if part.text.strip() else ""
        if files and text and not fits_caption(text):
            raise Rejected(f"{doing} has a text that is too long beside its files")
        if not files and text and not fits_text(text):
            files, text = [InputFile(text.encode(errors="replace"), filename="answer.md")], ""
        if not text and not files:
            raise Rejected(f"{doing} has nothing in it")
        rendered = render(text) if text else Rendered(text="")
        place = {**addressed(part.to), **answering(part.reply_to, part.to)}
        await self._client.turn(part.to.room, _lane(part))
        if album:
            said = await self._ask("sendMediaGroup", part, place | _group(files, rendered))
        elif files:
            said = await self._file(part, files[0], place | _caption(rendered) | keyboard(part.buttons))
        else:
            said = await self._ask("sendMessage", part, place | _text(rendered) | keyboard(part.buttons))
        return _receipt(said)

    async def edit(self, part: Outbound, message_id: str) -> None:
        """See Channel.edit. Of a text that is too long, the beginning is shown."""
        if not message_id.isdigit():
            raise Rejected(f"{message_id!r} is no message id of Telegram")
        doing = f"a change of message {message_id} in {part.to.key}"
        text = part.text
        if not fits_text(text):
            text = next(divided(text, lambda part: text_size(f"{part}\n\n…"), TEXT_UNITS)) + "\n\n…"
        place = {"chat_id": addressed(part.to)["chat_id"], "message_id": int(message_id), **keyboard(part.buttons)}
        await self._turn_to_edit(part)
        try:
            await self._edit(place, render(text), lane=_lane(part))
        except Refusal as refusal:
            if not refusal.says("message is not modified"):
                raise translate(refusal, doing) from refusal
        except TelegramError as error:
            raise translate(error, doing) from error
        except TimeoutError as error:
            raise timed_out(doing) from error

    async def _turn_to_edit(self, part: Outbound) -> None:
        if not part.spare:
            await self._client.turn(part.to.room, _lane(part))
        elif wait := self._client.may_go_now(part.to.room):
            raise TemporaryFailure("other messages come first in this chat", retry_after=timedelta(seconds=wait))

    async def _edit(self, place: dict[str, Any], rendered: Rendered, *, lane: Lane) -> None:
        try:
            await self._client.attempt("editMessageText", lane=lane, **place, **_text(rendered))
        except Refusal as refusal:
            if not refusal.says("no text in the message to edit"):
                raise
            await self._client.attempt("editMessageCaption", lane=lane, **place, **_caption(rendered))

    async def _file(self, part: Outbound, file: InputFile, data: dict[str, Any]) -> Any:
        """A picture is shown as one, unless Telegram finds that it is none."""
        attachment = part.attachments[0] if part.attachments else None
        if attachment and attachment.media_type in _PHOTO_TYPES and (attachment.size_bytes or 0) <= _PHOTO_BYTES:
            try:
                return await self._client.attempt("sendPhoto", lane=_lane(part), **data, photo=file)
            except TimeoutError as error:
                raise timed_out(_doing(part), repeatable=False) from error
            except TelegramError as error:
                refused_as_photo = isinstance(error, Refusal) and any(error.says(sign) for sign in _PHOTO_REFUSED)
                if not refused_as_photo:
                    raise translate(error, _doing(part), repeatable=False) from error
        return await self._ask("sendDocument", part, data | {"document": file})

    async def _ask(self, method: str, part: Outbound, data: dict[str, Any]) -> Any:
        return await self._client.call(method, doing=_doing(part), lane=_lane(part), **data)

    async def _upload(self, attachment: Attachment, *, in_album: bool) -> InputFile:
        try:
            content = await self._files.read(attachment)
        except FileNotFoundError as error:
            raise Rejected(f"the file {attachment.name} is not in the attachment store any more") from error
        if not content:
            raise Rejected(f"the file {attachment.name} is empty, and Telegram takes no empty files")
        return InputFile(content, filename=safe_name(attachment.name), attach=in_album)


def _lane(part: Outbound) -> Lane:
    return Lane.CONTROL if part.control else Lane.MESSAGE


def _doing(part: Outbound) -> str:
    return f"a message to {part.to.key}"


def safe_name(name: str) -> str:
    """A file name that means nothing but itself, wherever it is saved."""
    name = "".join(character for character in name if unicodedata.category(character)[0] != "C")
    name = re.sub(r'[\\/:*?"<>|]+', "_", name).strip(" .") or "file"
    stem, dot, ending = name.rpartition(".")
    while len(name.encode()) > _NAME_BYTES:
        stem, ending = (stem[:-1], ending) if len(stem) > 1 else (stem, ending[:-1])
        name = f"{stem}{dot}{ending}"
    return name


def _text(rendered: Rendered) -> dict[str, Any]:
    return {
        "text": rendered.text,
        "entities": list(rendered.entities) or None,
        "link_preview_options": {"is_disabled": True},
    }


def _caption(rendered: Rendered) -> dict[str, Any]:
    if not rendered.text:
        return {}
    return {"caption": rendered.text, "caption_entities": list(rendered.entities) or None}


def _group(files: Sequence[InputFile], rendered: Rendered) -> dict[str, Any]:
    """An album of files, its caption under the last."""
    entities = [MessageEntity(**entity) for entity in rendered.entities]
    *media, last = files
    return {
        "media": [
            *(InputMediaDocument(file) for file in media),
            InputMediaDocument(last, caption=rendered.text or None, caption_entities=entities),
        ]
    }


def _receipt(said: Any) -> Receipt:
    """What the server shows for it. It was said, even when it does not tell the number."""
    messages = [message for message in (said if isinstance(said, list) else [said]) if isinstance(message, dict)]
    ids = tuple(str(message["message_id"]) for message in messages if "message_id" in message)
    date = messages[0].get("date") if messages else None
    sent_at = datetime.fromtimestamp(date, UTC) if isinstance(date, int) and 0 < date < 2**40 else datetime.now(UTC)
    return Receipt(message_ids=ids, sent_at=sent_at)
