"""Finding out whether something was said, after its answer was lost or Threadmill crashed in between.

Posts carry their delivery's key as metadata. Files take no metadata: they are known by the ids that Slack gave them,
and after a restart by name and size.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from slack_sdk.web.async_client import AsyncWebClient

from channels.base import Outbound, Receipt
from channels.slack.calls import Calls, dict_of, list_of
from channels.slack.files import safe_name
from channels.slack.history import messages_in
from channels.slack.reader import Identity
from channels.slack.writer import EVENT_TYPE, receipt_of

CLOCKS = timedelta(minutes=2)
LOOK_BACK = timedelta(hours=1)
"""Slack's clock and ours may differ, and a message that was shown while it was written is older than its sending."""


class Lookup:
    """Looks into the places of one channel."""

    def __init__(self, client: AsyncWebClient, calls: Calls) -> None:
        self._client = client
        self._calls = calls

    async def post(self, part: Outbound, since: datetime) -> Receipt | None:
        oldest = _stamp(since - LOOK_BACK)
        async for message in messages_in(self._client, self._calls, part.to, oldest, metadata=True):
            if key_of(message) == part.key and isinstance(ts := message.get("ts"), str):
                return receipt_of(ts)
        return None

    async def files(self, part: Outbound, ids: frozenset[str] | None, since: datetime, me: Identity) -> Receipt | None:
        """`ids` are those that Slack gave the files, when they are known still; else files of ours with the same names
        and sizes since then are taken for them."""
        alike = sorted((safe_name(file.name), file.size_bytes or -1) for file in part.attachments)
        async for message in messages_in(self._client, self._calls, part.to, _stamp(since - CLOCKS)):
            files = list_of(message, "files")
            if ids is not None:
                same = ids == {str(file.get("id")) for file in files}
            else:
                ours = message.get("user") == me.user or message.get("bot_id") == me.bot
                same = ours and alike == sorted((str(file.get("name")), int(file.get("size") or 0)) for file in files)
            if same and isinstance(ts := message.get("ts"), str):
                return receipt_of(ts)
        return None


def key_of(message: object) -> str | None:
    """The key of the delivery that a message says, when it is one of ours."""
    metadata = dict_of(message, "metadata")
    if metadata.get("event_type") != EVENT_TYPE:
        return None
    key = dict_of(metadata, "event_payload").get("key")
    return key if isinstance(key, str) else None


def _stamp(when: datetime) -> str:
    return f"{when.timestamp():.6f}"
