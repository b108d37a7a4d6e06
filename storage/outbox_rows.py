"""Rows of `deliveries` as the nouns of delivery, and back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from channels.base import Button, DeliveryKey, OpenThread, Outbound, ThreadRef
from channels.delivery import Delivery, DeliveryState
from storage import rows
from storage.database import from_us

_EMPTY = "{}"


def message_body(message: Outbound) -> str:
    """What an Outbound has beside its columns."""
    flags = message.private or message.stays or message.ours
    if not (message.attachments or message.buttons or message.reply_to or message.answer_with or flags):
        return _EMPTY
    body: dict[str, Any] = {}
    if message.attachments:
        body["attachments"] = [
            {"name": file.name, "media_type": file.media_type, "size_bytes": file.size_bytes, "source": file.source}
            for file in message.attachments
        ]
    if message.buttons:
        body["buttons"] = [[button.id, button.label, button.danger] for button in message.buttons]
    if message.reply_to is not None:
        body["reply_to"] = message.reply_to
    if message.answer_with is not None:
        body["answer_with"] = message.answer_with
    if message.private:
        body["private"] = True
    if message.stays:
        body["stays"] = True
    if message.ours:
        body["ours"] = True
    return rows.to_json(body)


def opening_body(opening: OpenThread) -> str:
    body = {"room": opening.room.key, "title": opening.title, "anchor": opening.anchor}
    return rows.to_json(body | ({"apart": opening.apart_text} if opening.apart_text else {}))


def parts_text(message: Outbound, parts: Sequence[Outbound]) -> str:
    """The split. A message that is its own only part is not written twice."""
    return rows.to_json(
        [
            None if part == message else {"key": part.key, "text": part.text, "body": json.loads(message_body(part))}
            for part in parts
        ]
    )


def rest_of(parts: str, said: int) -> str:
    """The text of the parts that are not said yet."""
    return "\n\n".join(part["text"] for part in json.loads(parts)[said:] if part is not None)


def delivery(row: sqlite3.Row) -> Delivery:
    body = json.loads(row["body"]) if row["body"] != _EMPTY else {}
    place = ThreadRef.parse(row["place"])
    message = _outbound(DeliveryKey(row["key"]), place, row["text"], body, control=bool(row["control"]))
    opening = None
    if row["kind"] == "open_thread":
        opening = OpenThread(
            key=message.key,
            room=ThreadRef.parse(body["room"]),
            title=body["title"],
            first_text=row["text"],
            apart_text=body.get("apart", ""),
            anchor=body["anchor"],
        )
    parts = () if row["parts"] is None else tuple(_part(message, part) for part in json.loads(row["parts"]))
    return Delivery(
        n=row["n"],
        lane=row["lane"],
        message=message,
        opening=opening,
        session=row["session"],
        killed=killed(row),
        state=DeliveryState(row["state"]),
        attempt=row["attempt"],
        not_before=from_us(row["not_before"]),
        parts=parts,
        part=row["part"],
        message_ids=tuple(json.loads(row["message_ids"])),
        tried=tuple(ThreadRef.parse(key) for key in json.loads(row["tried"])),
        created_at=from_us(row["created_at"]),
        sending_at=None if row["sending_at"] is None else from_us(row["sending_at"]),
    )


def killed(row: sqlite3.Row) -> bool:
    return row["session_ended"] == "killed" and not row["control"]


def _part(message: Outbound, part: dict[str, Any] | None) -> Outbound:
    if part is None:
        return message
    return _outbound(DeliveryKey(part["key"]), message.to, part["text"], part["body"], control=message.control)


def _outbound(key: DeliveryKey, to: ThreadRef, text: str, body: dict[str, Any], *, control: bool) -> Outbound:
    attachments = body.get("attachments")
    return Outbound(
        key=key,
        to=to,
        text=text,
        attachments=rows.attachments(json.dumps(attachments)) if attachments else (),
        buttons=tuple(Button(id=id, label=label, danger=danger) for id, label, danger in body.get("buttons", ())),
        reply_to=body.get("reply_to"),
        answer_with=body.get("answer_with"),
        control=control,
        private=body.get("private", False),
        stays=body.get("stays", False),
        ours=body.get("ours", False),
    )
