"""One message as Telegram can take it: texts that fit, files in groups, buttons at the end. Pure.

Each part is one request, so that a part is either said or not. A text beyond four messages becomes its beginning
and the whole of it as a file: such a file part carries a text that no message could hold, and `send` knows it by that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from channels.base import Attachment, Button, DeliveryKey, Outbound, ThreadRef
from channels.split import divided
from channels.telegram.chains import root_of
from channels.telegram.characters import whole_characters
from channels.telegram.direct_messages import topic_of
from channels.telegram.normalize import GENERAL_TOPIC
from channels.telegram.render import CAPTION_UNITS, TEXT_UNITS, least_units, render

FILES_IN_A_GROUP = 10
MOST_TEXTS = 4

_BEGINNING = 16_000  # characters in which the first message is looked for
_IN_THE_FILE = "\n\n*The whole answer is in the file.*"

Piece = tuple[str, tuple[Attachment, ...]]


def split(message: Outbound) -> Sequence[Outbound]:
    """The parts of a message, see Channel.split."""
    pieces = _pieces(message)
    if len(pieces) == 1:
        return (message,)
    last = len(pieces) - 1
    return tuple(
        replace(
            message,
            key=DeliveryKey(f"{message.key}#{index}"),
            text=text,
            attachments=attachments,
            buttons=message.buttons if index == last else (),
            reply_to=message.reply_to if index == 0 else None,
        )
        for index, (text, attachments) in enumerate(pieces)
    )


def text_size(markdown: str, limit: int = TEXT_UNITS) -> int:
    """How much of a message a text takes; of one that cannot fit, how much at least."""
    # Rendering is worth it only when the text might fit.
    least = least_units(markdown)
    return least if least > limit else render(markdown).size(limit)


def fits_text(markdown: str) -> bool:
    return text_size(markdown) <= TEXT_UNITS


def fits_caption(markdown: str) -> bool:
    return text_size(markdown, CAPTION_UNITS) <= CAPTION_UNITS


def _pieces(message: Outbound) -> list[Piece]:
    texts = _texts(message.text) if message.text.strip() else []
    groups = _groups(message.attachments, alone=bool(message.buttons))
    if len(groups) == 1 and texts and fits_caption(texts[-1]):
        return [*((text, ()) for text in texts[:-1]), (texts[-1], groups[0])]
    return [*((text, ()) for text in texts), *(("", group) for group in groups)] or [("", ())]


def _texts(text: str) -> list[str]:
    if least_units(text) <= TEXT_UNITS * MOST_TEXTS:
        texts = list(islice(divided(text, text_size, TEXT_UNITS), MOST_TEXTS + 1))
        if len(texts) <= MOST_TEXTS:
            return texts
    beginning = divided(text[:_BEGINNING], lambda part: text_size(part + _IN_THE_FILE), TEXT_UNITS)
    return [next(beginning) + _IN_THE_FILE, text]


def _groups(attachments: tuple[Attachment, ...], *, alone: bool) -> list[tuple[Attachment, ...]]:
    """Groups of files that go in one request. With `alone` the last file is on its own: a group has no buttons."""
    if alone and len(attachments) > 1:
        return [*_groups(attachments[:-1], alone=False), attachments[-1:]]
    return [attachments[start : start + FILES_IN_A_GROUP] for start in range(0, len(attachments), FILES_IN_A_GROUP)]


def addressed(where: ThreadRef) -> dict[str, Any]:
    """The parameters that name a place. In the General topic the thread is left out; a chain is for `answering`."""
    room: dict[str, Any] = {"chat_id": _number(where.room)}
    if (topic := topic_of(where)) is not None:
        room["direct_messages_topic_id"] = topic
    elif where.thread is not None and where.thread != str(GENERAL_TOPIC) and root_of(where) is None:
        room["message_thread_id"] = _number(where.thread)
    return room


def link(where: ThreadRef) -> str | None:
    """The address of a topic, or of a chain's beginning, for those who are in its supergroup. Other chats have none
    that a bot could know."""
    if where.thread is None or not where.room.startswith("-100") or topic_of(where) is not None:
        return None
    return f"https://t.me/c/{where.room.removeprefix('-100')}/{root_of(where) or where.thread}"


def answering(message_id: str | None, where: ThreadRef) -> dict[str, Any]:
    """A reply, or just a message when the one that it answers is gone. In a chain everything answers something."""
    message_id = message_id or root_of(where)
    if message_id is None or not message_id.isdigit():
        return {}
    return {"reply_parameters": {"message_id": int(message_id), "allow_sending_without_reply": True}}


def keyboard(buttons: Sequence[Button]) -> dict[str, Any]:
    """Short labels share a row, as on the other platforms."""
    rows: list[list[dict[str, str]]] = []
    for button in buttons:
        pressed = {"text": whole_characters(button.label).strip() or "…", "callback_data": button.id}
        width = sum(len(each["text"]) for each in rows[-1]) if rows else 0
        if rows and len(rows[-1]) < 3 and width + len(button.label) <= 24:
            rows[-1].append(pressed)
        else:
            rows.append([pressed])
    return {"reply_markup": {"inline_keyboard": rows}} if rows else {}


def _number(text: str) -> int | str:
    return int(text) if text.removeprefix("-").isdigit() else text
