"""Reading back what was said in a place: to fill a gap, to see what became of a message, and to find our own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from channels.base import ThreadRef
from channels.slack.calls import Calls, dict_of, list_of
from channels.slack.errors import word_of

PAGE = 200
MOST_PAGES = 50


async def messages_in(
    client: AsyncWebClient,
    calls: Calls,
    place: ThreadRef,
    oldest: str,
    *,
    latest: str | None = None,
    metadata: bool = False,
) -> AsyncIterator[dict[str, Any]]:
    """The messages of a thread, or of a room, from `oldest` (to `latest`, both included), in Slack's order: a thread's
    oldest first, a room's newest first. The root of a thread is not among its messages, and a thread that is gone has
    none."""
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        async with calls.guarded("read a conversation"):
            try:
                answer = await _page(client, place, oldest, latest, cursor, metadata=metadata)
            except SlackApiError as error:
                if word_of(error) != "thread_not_found":
                    raise
                return
        for message in list_of(answer, "messages"):
            if message.get("ts") != place.thread:
                yield message
        following = dict_of(answer, "response_metadata").get("next_cursor")
        if not isinstance(following, str) or not following or following == cursor:
            return
        cursor = following


async def _page(
    client: AsyncWebClient, place: ThreadRef, oldest: str, latest: str | None, cursor: str | None, *, metadata: bool
) -> Any:
    if place.thread:
        return await client.conversations_replies(
            channel=place.room,
            ts=place.thread,
            oldest=oldest,
            latest=latest,
            inclusive=True,
            limit=PAGE,
            cursor=cursor,
            include_all_metadata=metadata,
        )
    return await client.conversations_history(
        channel=place.room,
        oldest=oldest,
        latest=latest,
        inclusive=True,
        limit=PAGE,
        cursor=cursor,
        include_all_metadata=metadata,
    )
