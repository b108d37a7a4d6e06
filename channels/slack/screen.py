"""The calls that show a message while it is written, each within the workspace's limits.

A beginning whose answer was lost is looked for before another one is made: a preview that nobody knows of would stay
in the thread for ever.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from typing import Any

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from channels.base import Button, ChannelError, Rejected, TemporaryFailure, ThreadRef, UnknownOutcome
from channels.slack.calls import Calls, dict_of
from channels.slack.errors import word_of
from channels.slack.history import messages_in
from channels.slack.lookup import key_of
from channels.slack.pace import Budget, Pace
from channels.slack.pressed import STOP_BUTTON
from channels.slack.reader import Identity
from channels.slack.render import TEXT_UNITS, blocks, mrkdwn, units
from channels.slack.traces import Traces

logger = logging.getLogger(__name__)

CLOCKS_SECONDS = 120.0
"""By which Slack's clock and ours may differ."""

TAIL = 3000
EVENT_TYPE = "threadmill_preview"
STOP = Button(id=STOP_BUTTON, label="Stop", danger=True)
GONE = "message_not_found"
ENDED = frozenset({"message_not_in_streaming_state", "streaming_state_conflict", GONE})
NO_STREAMS_SECONDS = 600.0


class Screen:
    """What previews are painted with."""

    def __init__(self, client: AsyncWebClient, calls: Calls, pace: Pace) -> None:
        self._client = client
        self._calls = calls
        self.pace = pace
        self.traces = Traces()
        # Slack's tiers a minute over the whole workspace: 2 for starts, 4 for additions, 3 for edits.
        self.starts = Budget(per_minute=20)
        self.appends = Budget(per_minute=100)
        self.edits = Budget(per_minute=40)  # ten are left to the deliveries' own edits
        self._no_streams_until = 0.0
        self.me = Identity(team="", user="")

    def can_stream(self, place: ThreadRef, asker: str | None) -> bool:
        """Slack streams as replies in threads, to one person."""
        return place.thread is not None and bool(asker) and time.monotonic() >= self._no_streams_until

    async def start(self, place: ThreadRef, asker: str, chunks: list[dict[str, Any]]) -> str | None:
        """Begin a stream; its message, or None where Slack does not stream now."""
        try:
            answer = await self._calls.ask(
                "begin a stream",
                self._client.chat_startStream(
                    channel=place.room,
                    thread_ts=place.thread or "",
                    recipient_user_id=asker,
                    recipient_team_id=self.me.team or None,
                    chunks=chunks or None,
                ),
                says=True,
            )
            ts = answer.get("ts")
        except TemporaryFailure:
            return None
        except Rejected as error:
            logger.info("Slack does not stream here, messages are edited instead: %s", error)
            self._no_streams_until = time.monotonic() + NO_STREAMS_SECONDS
            return None
        except UnknownOutcome:
            text = "".join(str(chunk.get("text", "")) for chunk in chunks).strip()
            ts = await self._lost(place, lambda message: _is_stream(message, text))
            if ts is not None:
                await self.stop(place, ts)  # what it holds is not known: it is written anew, by an edit
        return await self._begun(place, ts)

    async def post(self, place: ThreadRef, text: str, status: str) -> str | None:
        """Begin a message that is edited."""
        mark = secrets.token_hex(8)
        posting = self._client.chat_postMessage(
            channel=place.room,
            thread_ts=place.thread,
            unfurl_links=False,
            unfurl_media=False,
            metadata={"event_type": EVENT_TYPE, "event_payload": {"mark": mark}},
            **_preview(text, status),
        )
        try:
            ts = (await self._calls.ask("show a preview", posting, says=True)).get("ts")
        except UnknownOutcome:
            ts = await self._lost(
                place, lambda message: dict_of(dict_of(message, "metadata"), "event_payload").get("mark") == mark
            )
        return await self._begun(place, ts)

    async def append(self, place: ThreadRef, ts: str, chunks: list[dict[str, Any]]) -> None:
        await self._calls.ask(
            "add to a stream", self._client.chat_appendStream(channel=place.room, ts=ts, chunks=chunks), says=True
        )

    async def stop(self, place: ThreadRef, ts: str) -> None:
        """End a stream, if Slack has not done so. Never raises."""
        try:
            async with self._calls.guarded("end a stream", seconds=5.0):
                try:
                    await self._client.chat_stopStream(channel=place.room, ts=ts)
                except SlackApiError as error:
                    if word_of(error) not in ENDED:
                        raise
        except ChannelError as error:
            logger.info("a stream in %s was not ended: %s", place.key, error)

    async def edit(self, place: ThreadRef, ts: str, text: str, status: str) -> None:
        await self._calls.ask(
            "edit a preview", self._client.chat_update(channel=place.room, ts=ts, **_preview(text, status))
        )

    async def remove(self, place: ThreadRef, ts: str, *, streaming: bool) -> bool:
        """Take a preview away. False when Slack refuses, so that it stands for certain. Never raises."""
        if streaming:
            await self.stop(place, ts)
        try:
            async with self._calls.guarded("take a preview away"):
                try:
                    await self._client.chat_delete(channel=place.room, ts=ts)
                except SlackApiError as error:
                    if word_of(error) != GONE:  # somebody may have been faster
                        raise
        except ChannelError as error:
            logger.warning("a preview stays in %s: %s", place.key, error)
            return not isinstance(error, Rejected)
        await self.traces.drop(ts)
        return True

    async def clear(self, place: ThreadRef, ts: str) -> None:
        """Take away what a former process left, unless it has become an answer. Never raises: else the next start
        comes back to it."""
        try:
            async for message in messages_in(self._client, self._calls, place, ts, latest=ts, metadata=True):
                if message.get("ts") == ts and key_of(message) is None:
                    await self.remove(place, ts, streaming=True)
                    return
        except Rejected as error:
            logger.info("whether a preview stands in %s cannot be seen: %s", place.key, error)
        except ChannelError as error:
            logger.warning("a preview may stay in %s until the next start: %s", place.key, error)
            return
        await self.traces.drop(ts)

    async def _begun(self, place: ThreadRef, ts: Any) -> str | None:
        if not isinstance(ts, str) or not ts:
            return None
        await self.traces.add(ts, place)
        return ts

    async def _lost(self, place: ThreadRef, is_it: Callable[[dict[str, Any]], bool]) -> str | None:
        """The message of a beginning whose answer was lost."""
        oldest = f"{time.time() - CLOCKS_SECONDS:.6f}"
        async for message in messages_in(self._client, self._calls, place, oldest, metadata=True):
            ts = message.get("ts")
            if isinstance(ts, str) and message.get("user") == self.me.user and ts not in self.traces and is_it(message):
                return ts
        return None


def _is_stream(message: dict[str, Any], text: str) -> bool:
    """Whether a message of ours is a stream that was begun with this text. A stream takes no metadata, and that Slack
    tells its state is written nowhere, so the text counts too. All else that we say has a key or files."""
    said = str(message.get("text") or "").strip()
    unclaimed = "metadata" not in message and not message.get("files")
    return unclaimed and (message.get("streaming_state") == "in_progress" or said in {"", text})


def _preview(text: str, status: str) -> dict[str, Any]:
    """A preview's content for a post or an edit: the end of the text, what is being done, a Stop button."""
    body = text if units(text) < TEXT_UNITS - 200 else "…" + text[-TAIL:]
    note = f"_{' '.join(status.split())[:150]}_" if status.strip() else ""
    whole = "\n\n".join(piece for piece in (body.strip(), note) if piece) or "…"
    return {"text": mrkdwn(whole), "blocks": blocks(whole, (STOP,))}
