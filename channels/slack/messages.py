"""What a message says and who said it, whatever form it came in. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from channels.base import Attachment
from channels.slack.blockkit import words_attached, words_in
from channels.slack.entities import readable, without_mention
from channels.slack.payloads import File, Message
from channels.slack.reader import Reader

SPOKEN = frozenset({"", "file_share", "thread_broadcast", "me_message", "bot_message"})
"""The subtypes of `message` that somebody said; all others are the room's own notices."""

_UNHOSTED = frozenset({"tombstone", "hidden_by_limit"})


def text_of(message: Message, reader: Reader) -> tuple[str, bool]:
    """The text without the mention of the bot, and whether there was one. Of a message with blocks that an app
    posted, people see the blocks; its text is for notifications."""
    said = message.text
    if is_bot(message) or not said:
        said = words_in(message.blocks) or said
    said, mentioned = without_mention(said, reader.me.user)
    return readable(
        "\n".join(part for part in (said, words_attached(message.attachments)) if part), reader.names
    ), mentioned


def attachments_of(files: Iterable[File]) -> Iterable[Attachment]:
    for file in files:
        if file.mode in _UNHOSTED or not (file.id or file.url_private):
            continue
        yield Attachment(
            name=file.name or file.title or file.id,
            media_type=file.mimetype or "application/octet-stream",
            size_bytes=file.size,
            source=file.url_private_download or file.url_private or f"file:{file.id}",
        )


def is_ours(message: Message, reader: Reader) -> bool:
    me = reader.me
    return (bool(message.user) and message.user == me.user) or (bool(me.bot) and message.bot_id == me.bot)


def is_bot(message: Message) -> bool:
    return bool(message.bot_id) or message.subtype == "bot_message"


def name_of(message: Message) -> str:
    profile = message.user_profile
    return profile.display_name or profile.real_name or profile.name or message.username
