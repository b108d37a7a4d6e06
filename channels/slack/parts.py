"""One message in the parts in which Slack takes it: pure.

Up to four parts stay messages. Longer texts nobody reads in a thread: the beginning is said, and the whole goes with
it as a file. That file travels in the part itself (its source is a `data:` address), so nothing has to be stored.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace

from channels.base import Attachment, DeliveryKey, Outbound
from channels.slack.render import fits, split_text
from channels.split import divided

MOST_PARTS = 4
BEGINNING_UNITS = 2500
NOTE = "_The whole text is in the file._"
_DATA = "data:text/markdown;base64,"


def split(message: Outbound) -> Sequence[Outbound]:
    """See Channel.split."""
    if fits(message.text):
        return (message,)
    texts = split_text(message.text)
    if len(texts) > MOST_PARTS:
        return (_with_file(message),)
    last = len(texts) - 1
    return tuple(
        replace(
            message,
            key=DeliveryKey(f"{message.key}#{index}"),
            text=text,
            attachments=message.attachments if index == last else (),
            buttons=message.buttons if index == last else (),
            reply_to=message.reply_to if index == 0 else None,
        )
        for index, text in enumerate(texts)
    )


def carried(attachment: Attachment) -> bytes | None:
    """The content of a file that `split` made; None for any other."""
    if not attachment.source.startswith(_DATA):
        return None
    return base64.b64decode(attachment.source.removeprefix(_DATA))


def _with_file(message: Outbound) -> Outbound:
    content = message.text.encode("utf-8", "replace")
    whole = Attachment(
        name="message.md",
        media_type="text/markdown",
        size_bytes=len(content),
        source=_DATA + base64.b64encode(content).decode(),
    )
    beginning = next(divided(message.text, len, BEGINNING_UNITS))
    return replace(message, text=f"{beginning}\n\n{NOTE}", attachments=(whole, *message.attachments))
