"""Saying things on Slack: posts, answers to a command, edits, threads, files, and finding what was said.

A post is never repeated here. When its answer is lost that is an UnknownOutcome, and `find` looks for the key in
the message's metadata (for files, which take no metadata, for ours with the same names). A message that Slack
refuses for its form alone is said again in a plainer one, which is safe: it was refused.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from channels.base import (
    ChannelError,
    DeliveryKey,
    Files,
    OpenThread,
    Outbound,
    Receipt,
    Rejected,
    TemporaryFailure,
    ThreadRef,
    UnknownOutcome,
)
from channels.slack.calls import Calls, dict_of, list_of
from channels.slack.errors import UNFIT, retry_after, word_of
from channels.slack.files import safe_name, share, shared_as, upload
from channels.slack.history import messages_in
from channels.slack.live import Left, Previews
from channels.slack.pace import PATIENCE_SECONDS, Pace
from channels.slack.reader import ASKED_BY, Identity, ts_order, ts_time
from channels.slack.render import blocks, mrkdwn, plain_blocks, quoted, split_text, with_commands
from channels.slack.status import Status
from channels.slack.web import proxy_for

logger = logging.getLogger(__name__)

EVENT_TYPE = "threadmill_delivery"
HALF_DONE = timedelta(minutes=10)
"""Files that were shared so long ago may belong to a post that did not follow."""

CLOCKS = timedelta(minutes=2)
LOOK_BACK = timedelta(hours=1)
"""Slack's clock and ours may differ, and a message that was shown while it was written is older than its sending."""

MOST_TAKEN = 1000
BURST = 5

COMMENT_LENGTH = 3000
Form = dict[str, Any]


class Speech:
    """The outgoing half of a Slack channel."""

    def __init__(
        self,
        client: AsyncWebClient,
        session: aiohttp.ClientSession,
        calls: Calls,
        files: Files,
        *,
        pace: Pace,
        commands: frozenset[str] = frozenset(),
    ) -> None:
        self._commands = commands
        self._client = client
        self._http = session
        self._calls = calls
        self._files = files
        self._pace = pace
        self.status = Status(client, calls)
        self.previews = Previews(client, calls, self._pace, self.status)
        self._taken: OrderedDict[DeliveryKey, Left] = OrderedDict()
        self._shared: OrderedDict[DeliveryKey, frozenset[str]] = OrderedDict()
        self._doubtful: OrderedDict[DeliveryKey, None] = OrderedDict()
        self._afterwards: set[asyncio.Task[None]] = set()

    async def aclose(self) -> None:
        await self.previews.aclose()
        for task in self._afterwards:
            task.cancel()
        await asyncio.gather(*self._afterwards, return_exceptions=True)

    async def send(self, part: Outbound, *, me: Identity) -> Receipt:
        handle = part.answer_with or ""
        part = self._as_said(part)
        if _only_for_one(part):
            if not handle.startswith(ASKED_BY):
                return await self._answer(_for_one(part), handle, visible=False)
            whispered = await self._whisper(_for_one(part), handle.removeprefix(ASKED_BY))
            if whispered is not None:
                return whispered
        await self._turn(part)
        try:
            receipt = await (self._say_with_files(part, me) if part.attachments else self._say(part))
        except Rejected:
            if not handle or handle.startswith(ASKED_BY) or part.attachments:
                raise
            # A command can be typed where the bot is no member; its own address works there all the same.
            return await self._answer(part, handle, visible=True)
        if not part.control and self.status.is_working(part.to):
            task = asyncio.create_task(self.status.done(part.to))
            self._afterwards.add(task)
            task.add_done_callback(self._afterwards.discard)
        return receipt

    async def edit(self, part: Outbound, message_id: str) -> None:
        if part.spare and not self.previews.edits.take(time.monotonic()):
            raise TemporaryFailure("other changes come first in this workspace", retry_after=timedelta(seconds=5))
        await self._fitting(
            part, "edit a message", lambda form: self._client.chat_update(channel=part.to.room, ts=message_id, **form)
        )

    async def open_thread(self, request: OpenThread) -> ThreadRef:
        room, thread = request.room, request.anchor
        first_text = self._native(request.first_text, replace(room, thread=thread or "its own"))
        texts = split_text(first_text) if first_text.strip() else []
        if thread is None:
            title = " ".join(request.title.split())
            heading = f"**{quoted(title)}**" if title else ""
            first = "\n\n".join(text for text in (heading, *texts[:1]) if text)
            pieces = [*split_text(first), *texts[1:]]
            receipt = await self._post_root(Outbound(key=request.key, to=room, text=pieces[0]))
            thread, texts = receipt.message_ids[0], pieces[1:]
        place = ThreadRef(channel=room.channel, space=room.space, room=room.room, thread=thread)
        for index, text in enumerate(texts):
            try:
                await self._post(Outbound(key=type(request.key)(f"{request.key}#{index}"), to=place, text=text))
            except ChannelError as error:
                if index == 0 and request.anchor is not None:
                    raise
                # The thread stands: to report a failure would open a second one.
                logger.warning("the first text of %s is not whole: %s", place.key, error)
                break
        self.status.name(place, request.title)
        return place

    async def _post_root(self, root: Outbound) -> Receipt:
        """The first post of a thread. Asked again after a lost answer, it is looked for before it is posted again."""
        if root.key in self._doubtful:
            found = await self._find_post(root, datetime.now(UTC))
            if found is not None:
                self._doubtful.pop(root.key, None)
                return found
        await self._turn(root)
        try:
            receipt = await self._post(root)
        except UnknownOutcome:
            self._doubtful[root.key] = None
            while len(self._doubtful) > MOST_TAKEN:
                self._doubtful.popitem(last=False)
            raise
        self._doubtful.pop(root.key, None)
        return receipt

    def _as_said(self, part: Outbound) -> Outbound:
        """A reply of ours names commands natively; what an agent writes stays as it is."""
        return replace(part, text=self._native(part.text, part.to)) if part.control else part

    def _native(self, text: str, where: ThreadRef) -> str:
        """What we say of commands, in the form in which they are given there."""
        bang = where.thread is not None or where.room.startswith("D")
        return with_commands(text, self._commands, here="!" if bang else "/threadmill ")

    async def find(self, part: Outbound, since: datetime, *, me: Identity) -> Receipt | None:
        if _only_for_one(part):
            return None  # it cannot be looked up, it is gone with the next reload, and once more does no harm
        if _in_one_message(self._as_said(part)):
            return await self._find_files(part, since, me)
        return await self._find_post(part, since)

    # Ways of saying it --------------------------------------------------------------------------------------

    async def _say(self, part: Outbound) -> Receipt:
        """A post; or, when this text has been shown while it was written, that message made final."""
        left = self._taken.pop(part.key, None)
        if left is None and not part.control:
            left = await self.previews.claim(part.to, part.text)
        if left is None:
            return await self._post(part)
        # A second try, after an answer that was lost or a refusal for now, comes back to the same message.
        self._taken[part.key] = left
        while len(self._taken) > MOST_TAKEN:
            self._taken.popitem(last=False)
        try:
            return await self._make_final(part, left)
        except Rejected:
            del self._taken[part.key]
            if not await self.previews.remove(part.to, left) and left.text.strip() == part.text.strip():
                return _receipt(left.ts)  # it stands there, and once is enough
            return await self._post(part)

    async def _make_final(self, part: Outbound, left: Left) -> Receipt:
        if left.streaming:
            await self.previews.stop(part.to, left.ts)

        def update(form: Form) -> Awaitable[Any]:
            return self._client.chat_update(channel=part.to.room, ts=left.ts, metadata=_metadata(part), **form)

        await self._fitting(part, "post a message", update, says=True)
        self._taken.pop(part.key, None)
        return _receipt(left.ts)

    async def _post(self, part: Outbound) -> Receipt:
        def post(form: Form) -> Awaitable[Any]:
            return self._client.chat_postMessage(
                channel=part.to.room,
                thread_ts=part.to.thread,
                unfurl_links=False,
                unfurl_media=False,
                metadata=_metadata(part),
                **form,
            )

        answer = await self._fitting(part, "post a message", post, says=True)
        ts = answer.get("ts")
        if not isinstance(ts, str) or not ts:
            raise UnknownOutcome("Slack took the message but gave no id")
        return _receipt(ts)

    async def _whisper(self, part: Outbound, user: str) -> Receipt | None:
        """Only this person sees it, in the place of the question, until they reload. None: this server has no
        whispering, so it is said aloud, as on any platform without."""

        def whisper(form: Form) -> Awaitable[Any]:
            return self._client.chat_postEphemeral(channel=part.to.room, thread_ts=part.to.thread, user=user, **form)

        async def known(form: Form) -> Any:
            try:
                return await whisper(form)
            except SlackApiError as error:
                if word_of(error) == "unknown_method":
                    return None
                raise

        answer = await self._fitting(part, "answer one person", known, says=True)
        if answer is None:
            return None
        ts = answer.get("message_ts")
        return _receipt(ts if isinstance(ts, str) else "")

    async def _answer(self, part: Outbound, address: str, *, visible: bool) -> Receipt:
        """Through the address that came with a command or a button (five times, for thirty minutes)."""
        kind = "in_channel" if visible else "ephemeral"
        common: Form = {"response_type": kind, "replace_original": False}
        if part.to.thread:
            common["thread_ts"] = part.to.thread
        for form in ({"blocks": blocks(part.text, part.buttons)}, {}):
            body = {**common, "text": mrkdwn(part.text), **form}
            async with (
                self._calls.guarded("answer a command", says=True),
                self._http.post(address, json=body, proxy=proxy_for(address)) as response,
            ):
                status, word = response.status, (await response.text())[:200]
                headers = response.headers
            if status == 200 and ('"ok":false' not in word.replace(" ", "")):
                return _receipt("")
            if status == 429:
                raise TemporaryFailure("Slack asks to answer a command more slowly", retry_after=retry_after(headers))
            if status >= 500:
                raise TemporaryFailure(f"Slack could not answer a command just now (status {status})")
            if not any(unfit in word for unfit in UNFIT):
                break
        raise Rejected("Slack no longer takes an answer to this command: its address works for thirty minutes")

    async def _say_with_files(self, part: Outbound, me: Identity) -> Receipt:
        """Short text without buttons goes with the files, in one message. Otherwise the files come first and the
        post with the key last, so that the key stands for both; files that are there already stay single."""
        if not _in_one_message(part):
            if await self._find_files(part, datetime.now(UTC) - HALF_DONE, me) is None:
                await self._share(part, "")
            return await self._post(part)
        return await self._share(part, mrkdwn(part.text))

    async def _share(self, part: Outbound, comment: str) -> Receipt:
        async with self._calls.guarded("take a file"):
            uploaded = [
                (await upload(self._client, self._http, self._files, attachment), attachment.name)
                for attachment in part.attachments
            ]
        self._shared[part.key] = frozenset(file_id for file_id, _ in uploaded)
        while len(self._shared) > MOST_TAKEN:
            self._shared.popitem(last=False)
        await self._calls.ask("share a file", share(self._client, part.to, uploaded, comment), says=True)
        try:
            async with self._calls.guarded("show a file", seconds=5.0):
                return _receipt(await shared_as(self._client, uploaded[0][0], part.to.room))
        except ChannelError:
            return _receipt("")

    async def _fitting(
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

    async def _turn(self, part: Outbound) -> None:
        """Wait for this room's turn, or say when it comes."""
        wait = self._pace.wait_seconds(part.to.room, time.monotonic(), control=part.control)
        if wait > PATIENCE_SECONDS:
            raise TemporaryFailure("this channel has had its messages for now", retry_after=timedelta(seconds=wait))
        if wait > 0:
            await asyncio.sleep(wait)

    # Finding what was said ----------------------------------------------------------------------------------

    async def _find_post(self, part: Outbound, since: datetime) -> Receipt | None:
        async for message in messages_in(self._client, self._calls, part.to, _stamp(since - LOOK_BACK), metadata=True):
            metadata = dict_of(message, "metadata")
            if metadata.get("event_type") == EVENT_TYPE:
                payload = dict_of(metadata, "event_payload")
                if payload.get("key") == part.key and isinstance(ts := message.get("ts"), str):
                    return _receipt(ts)
        return None

    async def _find_files(self, part: Outbound, since: datetime, me: Identity) -> Receipt | None:
        """Files take no metadata. Within one run of Threadmill we know the ids that we shared; after a restart, files
        of ours with the same names and sizes since then are taken for them."""
        ids = self._shared.get(part.key)
        alike = sorted((safe_name(file.name), file.size_bytes or -1) for file in part.attachments)
        async for message in messages_in(self._client, self._calls, part.to, _stamp(since - CLOCKS)):
            files = list_of(message, "files")
            if ids is not None:
                same = ids == {str(file.get("id")) for file in files}
            else:
                ours = message.get("user") == me.user or message.get("bot_id") == me.bot
                same = ours and alike == sorted((str(file.get("name")), int(file.get("size") or 0)) for file in files)
            if same and isinstance(ts := message.get("ts"), str):
                return _receipt(ts)
        return None


def _metadata(part: Outbound) -> dict[str, Any]:
    return {"event_type": EVENT_TYPE, "event_payload": {"key": part.key}}


def _only_for_one(part: Outbound) -> bool:
    """Whether the answer is shown to the asker alone: a private one, and the reply to a native command or a button.

    Slack shows no files to one person: a reply with files that is not private goes to the room.
    """
    handle = part.answer_with
    if not handle:
        return False
    return part.private or (part.control and not part.attachments and not handle.startswith(ASKED_BY))


def _for_one(part: Outbound) -> Outbound:
    """What one person is shown: without the files, but saying so."""
    if not part.attachments:
        return part
    names = ", ".join(safe_name(file.name) for file in part.attachments)
    note = f"_Not shown, because Slack shows no files to one person alone: {names}_"
    return replace(part, text=f"{part.text}\n\n{note}".strip(), attachments=())


def _in_one_message(part: Outbound) -> bool:
    return bool(part.attachments) and not part.buttons and len(part.text) <= COMMENT_LENGTH


def _stamp(when: datetime) -> str:
    return f"{when.timestamp():.6f}"


def _receipt(ts: str) -> Receipt:
    now = datetime.now(UTC)
    return Receipt(message_ids=(ts,) if ts else (), sent_at=ts_time(ts, now) if ts_order(ts) != (0, 0) else now)
