"""What we say on Discord, and whether it was said.

One request for each message. In a channel it carries a nonce made from the delivery's key, with `enforce_nonce`, so
that Discord answers a repetition with the message that it has. The answer to a command fills in the waiting reply,
which may be repeated as well. Each lasts a few minutes on Discord's side; for later there is `find`.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import aiohttp
import discord
from discord.http import Route

from channels.base import (
    Attachment,
    ChannelName,
    DeliveryKey,
    Files,
    Outbound,
    Receipt,
    Rejected,
    ThreadRef,
    UnknownOutcome,
)
from channels.discord import errors
from channels.discord.commands import AnswerHandle
from channels.discord.errors import spoken
from channels.discord.normalize import Identity
from channels.discord.payloads import Message, made_at
from channels.discord.render import render
from channels.discord.rest import Rest
from channels.discord.split import file_content, is_part
from channels.stayed import Stayed

SUPPRESS_EMBEDS = 1 << 2
EPHEMERAL = 1 << 6
SUPPRESS_NOTIFICATIONS = 1 << 12
NO_MENTIONS = {"parse": [], "replied_user": False}
MOST_FILES = 10
MOST_BUTTONS = 25
_BUTTONS_IN_A_ROW = 5
_MOST_PAGES = 5
_PAGE = 100
_MOST_ANSWERS = 1_000
_MOST_SAID = 5_000
_ANSWERED_NO_MORE = frozenset({errors.UNKNOWN_WEBHOOK, errors.UNKNOWN_INTERACTION, errors.INVALID_WEBHOOK_TOKEN})


class Speaker:
    """Sends, edits and finds messages. Raises only the contract's errors."""

    def __init__(self, rest: Rest, name: ChannelName, files: Files, me: Callable[[], Identity | None]) -> None:
        self._rest = rest
        self._name = name
        self._files = files
        self._me = me
        self.previews: set[str] = set()  # ids of messages that are being written, see `live`
        self.stayed = Stayed()
        self._said: dict[str, DeliveryKey] = {}  # message id -> what was said with it, newest last
        self._answered: dict[str, DeliveryKey] = {}  # interaction id -> the delivery that filled in its reply

    async def send(self, part: Outbound) -> Receipt:
        stayed = await self.stayed.say(part, self.edit)
        return stayed if stayed is not None else await self._send(part)

    async def _send(self, part: Outbound) -> Receipt:
        handle = AnswerHandle.parse(part.answer_with) if part.answer_with is not None else None
        body, files = await self._body(part)
        if handle is not None:
            receipt = await self._answer(part, handle, body, files)
            if receipt is not None:
                return receipt
        room = part.to.thread or part.to.room
        if handle is not None and part.private:
            room = await self.direct_room(handle.user_id)  # never to more people than were meant to see it
            body.pop("message_reference", None)
        with spoken("send a message"):
            receipt = _receipt(await self._say(room, body, files, part))
        self._said[receipt.message_ids[0]] = part.key
        while len(self._said) > _MOST_SAID:
            del self._said[next(iter(self._said))]
        return receipt

    async def send_silently(self, part: Outbound) -> Receipt:
        """Say something that is worth no notification."""
        body, files = await self._body(part)
        body["flags"] |= SUPPRESS_NOTIFICATIONS
        with spoken("show a preview"):
            return _receipt(await self._say(part.to.thread or part.to.room, body, files, part))

    async def edit(self, part: Outbound, message_id: str) -> None:
        body, _ = await self._body(replace(part, attachments=()))
        changed = {key: body[key] for key in ("content", "allowed_mentions", "flags")}
        changed["components"] = body.get("components", [])
        handle = AnswerHandle.parse(part.answer_with) if part.answer_with is not None else None
        if handle is not None and handle.usable(datetime.now(UTC)):
            route = _webhook(handle, "PATCH", "/messages/{message_id}", message_id=message_id)
        else:
            route = Route(
                "PATCH",
                "/channels/{channel_id}/messages/{message_id}",
                channel_id=part.to.thread or part.to.room,
                message_id=message_id,
            )
        with spoken("edit a message"):
            await self._rest.request(route, json=changed, urgent=part.control)

    async def delete(self, where: ThreadRef, message_id: str) -> None:
        with spoken("delete a message"):
            try:
                await self._rest.delete_message(where.thread or where.room, message_id)
            except discord.NotFound as error:
                if error.code != errors.UNKNOWN_MESSAGE:  # somebody was faster: it is gone, as it should be
                    raise

    async def direct_room(self, user_id: str) -> str:
        """The channel of direct messages with a person. Discord gives the same one each time."""
        with spoken("open a direct conversation"):
            raw: Any = await self._rest.start_private_message(user_id)
        room = str(raw.get("id", "")) if isinstance(raw, dict) else ""
        if not room.isdecimal():
            raise Rejected(f"Discord named no channel for direct messages with {user_id}")
        return room

    async def find(self, part: Outbound, since: datetime) -> Receipt | None:
        """Our message with this text and these files, not older than `since`: by its nonce where Discord tells it.
        A message that is known to be another delivery's is passed over, however much it looks the same."""
        body, _ = await self._body(replace(part, attachments=()))
        wanted = str(body["content"]).strip()
        room = part.to.thread or part.to.room
        before: str | None = None
        for _ in range(_MOST_PAGES):
            with spoken("look for a message"):
                page = await self._rest.logs_from(room, _PAGE, before=before)
            messages = [(raw, Message.model_validate(raw)) for raw in page or []]
            for raw, message in messages:
                if (message.timestamp or made_at(message.id)) < since or not self._ours(message):
                    continue
                known = self._said.get(message.id)
                if known is not None and known != part.key:
                    continue
                same_files = len(message.attachments) == len(part.attachments)
                same_nonce = raw.get("nonce") is not None and str(raw["nonce"]) == nonce_of(part.key)
                if same_nonce or (raw.get("nonce") is None and message.content.strip() == wanted and same_files):
                    return _receipt(raw)
            if len(messages) < _PAGE or (messages[-1][1].timestamp or made_at(messages[-1][1].id)) < since:
                return None
            before = messages[-1][1].id
        return None

    def _ours(self, message: Message) -> bool:
        me = self._me()
        if message.author is None:
            return False
        return message.author.id == me.user_id if me is not None else bool(message.author.bot)

    async def _say(self, room: str, body: dict[str, Any], files: Sequence[discord.File], part: Outbound) -> Any:
        body = {**body, "nonce": nonce_of(part.key), "enforce_nonce": True}
        route = Route("POST", "/channels/{channel_id}/messages", channel_id=room)
        try:
            return await self._rest.request(route, **_encoded(body, files), urgent=part.control)
        except discord.HTTPException as error:
            if error.code == errors.MAY_NOT_REPLY and body.pop("message_reference", None) is not None:
                pass  # it may not read the history, and so not point into it; what it has to say it may say
            elif error.code == errors.THREAD_ARCHIVED:
                await self._bring_back(room, error)
            else:
                raise
        return await self._rest.request(route, **_encoded(body, files), urgent=part.control)

    async def _bring_back(self, thread: str, archived: discord.HTTPException) -> None:
        try:
            await self._rest.edit_channel(thread, archived=False)
        except discord.Forbidden:
            raise archived from None  # that it is archived is what a person has to know

    async def _answer(
        self, part: Outbound, handle: AnswerHandle, body: Mapping[str, Any], files: Sequence[discord.File]
    ) -> Receipt | None:
        """Answer an interaction. None when it cannot be answered any more, or is better answered in the channel."""
        if not handle.usable(datetime.now(UTC)) or not (handle.command or part.private):
            return None
        said = {key: value for key, value in body.items() if key != "message_reference"}
        fills_reply = handle.command and self._answered.get(handle.interaction_id, part.key) == part.key
        try:
            raw = await (self._fill_reply if fills_reply else self._follow_up)(handle, said, files)
        except discord.HTTPException as error:
            if error.code in _ANSWERED_NO_MORE:
                return None
            raise errors.translated(error, "answer a command") from error
        except (discord.RateLimited, aiohttp.ClientError, TimeoutError, OSError) as error:
            raise errors.translated(error, "answer a command") from error
        self._answered.setdefault(handle.interaction_id, part.key)
        while len(self._answered) > _MOST_ANSWERS:
            del self._answered[next(iter(self._answered))]
        return _receipt(raw)

    async def _fill_reply(self, handle: AnswerHandle, said: Mapping[str, Any], files: Sequence[discord.File]) -> Any:
        route = _webhook(handle, "PATCH", "/messages/@original")
        try:
            return await self._rest.request(route, **_encoded(said, files), urgent=True)
        except discord.NotFound as error:
            if error.code in _ANSWERED_NO_MORE:
                raise
            return await self._follow_up(handle, said, files)  # somebody dismissed the waiting reply

    async def _follow_up(self, handle: AnswerHandle, said: Mapping[str, Any], files: Sequence[discord.File]) -> Any:
        private = {**said, "flags": SUPPRESS_EMBEDS | EPHEMERAL}
        route = _webhook(handle, "POST", "")
        return await self._rest.request(route, **_encoded(private, files), params={"wait": "true"}, urgent=True)

    async def _body(self, part: Outbound) -> tuple[dict[str, Any], list[discord.File]]:
        files = [
            discord.File(io.BytesIO(await self._content(attachment)), filename=safe_name(attachment.name))
            for attachment in part.attachments[:MOST_FILES]
        ]
        body: dict[str, Any] = {
            "content": shown_text(part),
            "allowed_mentions": NO_MENTIONS,
            "flags": SUPPRESS_EMBEDS,
        }
        if part.buttons:
            body["components"] = rows_of(part)
        if part.reply_to is not None:
            body["message_reference"] = {"type": 0, "message_id": part.reply_to, "fail_if_not_exists": False}
        return body, files

    async def _content(self, attachment: Attachment) -> bytes:
        made_here = file_content(attachment)
        if made_here is not None:
            return made_here
        try:
            return await self._files.read(attachment)
        except FileNotFoundError as error:
            raise Rejected(f"the file {attachment.name!r} is no longer in the attachment store") from error


def nonce_of(key: DeliveryKey) -> str:
    """A key in the 25 characters that Discord allows a nonce."""
    return hashlib.sha256(key.encode()).hexdigest()[:25]


def shown_text(message: Outbound) -> str:
    """A message's text as it is sent. What `split` made is Discord's dialect already."""
    if is_part(message):
        return message.text
    rendered = render(message.text)
    return rendered if rendered.strip() else message.text  # an empty quote shows nothing, and Discord refuses nothing


def safe_name(name: str) -> str:
    """A file name without path and control characters."""
    kept = "".join(character for character in name.replace("\\", "/").rsplit("/", 1)[-1] if character.isprintable())
    return kept.strip(" .")[-100:] or "file"


def rows_of(part: Outbound) -> list[dict[str, Any]]:
    """Buttons, five in a row."""
    buttons = [
        {
            "type": 2,
            "style": 4 if button.danger else 2,
            "label": button.label[:80] or "…",
            "custom_id": button.id,
        }
        for button in part.buttons[:MOST_BUTTONS]
    ]
    rows = [buttons[start : start + _BUTTONS_IN_A_ROW] for start in range(0, len(buttons), _BUTTONS_IN_A_ROW)]
    return [{"type": 1, "components": row} for row in rows]


def _encoded(body: Mapping[str, Any], files: Sequence[discord.File]) -> dict[str, Any]:
    """The arguments of a request that carries this body, and files where there are some."""
    if not files:
        return {"json": body}
    named = {**body, "attachments": [{"id": number, "filename": file.filename} for number, file in enumerate(files)]}
    form: list[dict[str, Any]] = [{"name": "payload_json", "value": json.dumps(named)}]
    form += [
        {
            "name": f"files[{number}]",
            "value": file.fp,
            "filename": file.filename,
            "content_type": "application/octet-stream",
        }
        for number, file in enumerate(files)
    ]
    return {"form": form, "files": files}


def _webhook(handle: AnswerHandle, method: str, path: str, **parameters: str) -> Route:
    return Route(
        method,
        "/webhooks/{webhook_id}/{webhook_token}" + path,
        webhook_id=handle.application_id,
        webhook_token=handle.token,
        **parameters,
    )


def _receipt(raw: Any) -> Receipt:
    try:
        message = Message.model_validate(raw)
    except ValueError as error:
        raise UnknownOutcome("Discord took the message but its answer cannot be read") from error
    return Receipt(message_ids=(message.id,), sent_at=message.timestamp or made_at(message.id))
