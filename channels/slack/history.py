"""Reading back what was said in a place: to fill a gap, and to find out whether a message of ours arrived."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from channels.base import ThreadRef
from channels.slack.calls import Calls, dict_of, list_of

PAGE = 200
MOST_PAGES = 50


async def messages_in(
    client: AsyncWebClient, calls: Calls, place: ThreadRef, oldest: str, *, metadata: bool = False
) -> AsyncIterator[dict[str, Any]]:
    """The messages of a thread, or of a room, that are newer than `oldest`, in Slack's order (a thread's oldest
    first, a room's newest first). The root of a thread is not among its messages."""
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        if place.thread:
            call = client.conversations_replies(
                channel=place.room,
                ts=place.thread,
                oldest=oldest,
                limit=PAGE,
                cursor=cursor,
                include_all_metadata=metadata,
            )
        else:
            call = client.conversations_history(
                channel=place.room, oldest=oldest, limit=PAGE, cursor=cursor, include_all_metadata=metadata
            )
        answer = await calls.ask("read a conversation", call)
        for message in list_of(answer, "messages"):
            if message.get("ts") != place.thread:
                yield message
        following = dict_of(answer, "response_metadata").get("next_cursor")
        if not isinstance(following, str) or not following or following == cursor:
            return
        cursor = following
