"""Marks on people's messages, as reactions, and addresses of threads.

Slack says so when a reaction is there already, or not there: both are as wanted. The new mark comes before the old one
goes, so that there is always one to see.
"""

from __future__ import annotations

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from channels.base import ChannelError, Mark, ThreadRef
from channels.slack.calls import Calls
from channels.slack.errors import word_of

EMOJI = {Mark.WAITING: "hourglass_flowing_sand", Mark.TAKEN_IN: "eyes", Mark.REFUSED: "no_entry_sign"}


async def put(
    client: AsyncWebClient,
    calls: Calls,
    where: ThreadRef,
    message_id: str,
    mark: Mark | None,
    instead_of: Mark | None,
) -> None:
    """See Channel.react."""
    async with calls.guarded("mark a message"):
        if mark is not None:
            try:
                await client.reactions_add(channel=where.room, timestamp=message_id, name=EMOJI[mark])
            except SlackApiError as error:
                if word_of(error) != "already_reacted":
                    raise
        if instead_of is not None and instead_of is not mark:
            try:
                await client.reactions_remove(channel=where.room, timestamp=message_id, name=EMOJI[instead_of])
            except SlackApiError as error:
                if word_of(error) != "no_reaction":
                    raise


async def link(client: AsyncWebClient, calls: Calls, where: ThreadRef) -> str | None:
    """See Channel.link. Only Slack knows the workspace's own address."""
    if where.thread is None:
        return f"https://slack.com/app_redirect?team={where.space}&channel={where.room}"
    try:
        answer = await calls.ask("give a link", client.chat_getPermalink(channel=where.room, message_ts=where.thread))
    except ChannelError:
        return None
    address = answer.get("permalink")
    return address if isinstance(address, str) and address.startswith("https://") else None
