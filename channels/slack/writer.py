"""The calls that write a message, each once: in the best form that Slack takes, at the room's pace, with its key.

A post is never repeated here. When its answer is lost that is an UnknownOutcome, and the key in the message's metadata
tells later whether it was said (`lookup`). A message that Slack refuses for its form alone is said again in a plainer
one, which is safe: it was refused.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from channels.base import Outbound, Receipt, Rejected, TemporaryFailure, UnknownOutcome
from channels.slack.calls import Calls
from channels.slack.errors import UNFIT, word_of
from channels.slack.pace import PATIENCE_SECONDS, Pace
from channels.slack.reader import ts_order, ts_time
from channels.slack.render import blocks, mrkdwn, plain_blocks

EVENT_TYPE = "threadmill_delivery"
Form = dict[str, Any]


class Writer:
    """Posts and changes messages of one channel."""

    def __init__(self, client: AsyncWebClient, calls: Calls, pace: Pace) -> None:
        self._client = client
        self._calls = calls
        self._pace = pace

    async def turn(self, part: Outbound) -> None:
        """Wait for this room's turn, or say when it comes."""
        wait = self._pace.wait_seconds(part.to.room, time.monotonic(), control=part.control)
        if wait > PATIENCE_SECONDS:
            raise TemporaryFailure("this channel has had its messages for now", retry_after=timedelta(seconds=wait))
        if wait > 0:
            await asyncio.sleep(wait)

    async def post(self, part: Outbound) -> Receipt:
        def post(form: Form) -> Awaitable[Any]:
            return self._client.chat_postMessage(
                channel=part.to.room,
                thread_ts=part.to.thread,
                unfurl_links=False,
                unfurl_media=False,
                metadata=_metadata(part),
                **form,
            )

        answer = await self.fitting(part, "post a message", post, says=True)
        ts = answer.get("ts")
        if not isinstance(ts, str) or not ts:
            raise UnknownOutcome("Slack took the message but gave no id")
        return receipt_of(ts)

    async def settle(self, part: Outbound, ts: str) -> Receipt:
        """Make a message that is there already the one that says this part."""

        def update(form: Form) -> Awaitable[Any]:
            return self._client.chat_update(channel=part.to.room, ts=ts, metadata=_metadata(part), **form)

        await self.fitting(part, "post a message", update, says=True)
        return receipt_of(ts)

    async def change(self, part: Outbound, ts: str) -> None:
        """Replace a message's text and buttons."""
        await self.fitting(
            part, "edit a message", lambda form: self._client.chat_update(channel=part.to.room, ts=ts, **form)
        )

    async def fitting(
        self, part: Outbound, doing: str, call: Callable[[Form], Awaitable[Any]], *, says: bool = False
    ) -> Any:
        """Make the call with the message in the best form that Slack takes."""
        text = mrkdwn(part.text)
        native = blocks(part.text, part.buttons)
        if not native:
            raise Rejected("there is nothing to say in this message")
        forms: tuple[Callable[[], Form], ...] = (
            lambda: {"text": text, "blocks": native},
            lambda: {"text": text, "blocks": plain_blocks(part.text, part.buttons)},
            lambda: {"text": text},
        )
        try:
            async with self._calls.guarded(doing, says=says):
                for form in forms[:-1]:
                    try:
                        return await call(form())
                    except SlackApiError as error:
                        if word_of(error) not in UNFIT:
                            raise
                return await call(forms[-1]())
        except TemporaryFailure as error:
            if says and error.retry_after is not None:
                self._pace.pause(part.to.room, time.monotonic() + error.retry_after.total_seconds())
            raise


def _metadata(part: Outbound) -> dict[str, Any]:
    return {"event_type": EVENT_TYPE, "event_payload": {"key": part.key}}


def receipt_of(ts: str) -> Receipt:
    now = datetime.now(UTC)
    return Receipt(message_ids=(ts,) if ts else (), sent_at=ts_time(ts, now) if ts_order(ts) != (0, 0) else now)
