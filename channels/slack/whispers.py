"""What only one person is shown: Slack's ephemeral messages, and answers at the address of a command or a button.

Nobody can look them up, not even Slack's own clients after a reload. So one whose answer was lost is said once more,
and says that it may be the second: to say nothing would leave the person without an answer, and to say it twice
without a word would be a lie.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from channels.base import DeliveryKey, Outbound, Receipt, Rejected, TemporaryFailure
from channels.slack.calls import Calls
from channels.slack.errors import UNFIT, retry_after, word_of
from channels.slack.files import safe_name
from channels.slack.reader import ASKED_BY
from channels.slack.render import blocks, mrkdwn
from channels.slack.web import proxy_for
from channels.slack.writer import Form, Writer, receipt_of

AGAIN = "_Slack did not confirm this answer the first time, so you may see it twice._"
MOST_DOUBTFUL = 1000


class Whispers:
    """Answers of one channel that are for one person."""

    def __init__(self, client: AsyncWebClient, http: aiohttp.ClientSession, calls: Calls, writer: Writer) -> None:
        self._client = client
        self._http = http
        self._calls = calls
        self._writer = writer
        self._doubtful: OrderedDict[DeliveryKey, None] = OrderedDict()

    def doubt(self, part: Outbound) -> None:
        """It may have been shown: when it is said again, it says so."""
        self._doubtful[part.key] = None
        while len(self._doubtful) > MOST_DOUBTFUL:
            self._doubtful.popitem(last=False)

    async def say(self, part: Outbound) -> Receipt | None:
        """Show it to whom it is for, in the place of the question, until they reload. None: this server has no
        whispering, so it is said aloud, as on any platform without."""
        handle = part.answer_with or ""
        shown = _without_files(part)
        if part.key in self._doubtful:
            shown = replace(shown, text=f"{shown.text}\n\n{AGAIN}")
        receipt = await (
            self._whisper(shown, handle.removeprefix(ASKED_BY))
            if handle.startswith(ASKED_BY)
            else self.answer(shown, visible=False)
        )
        self._doubtful.pop(part.key, None)
        return receipt

    async def _whisper(self, part: Outbound, user: str) -> Receipt | None:
        async def whisper(form: Form) -> Any:
            try:
                return await self._client.chat_postEphemeral(
                    channel=part.to.room, thread_ts=part.to.thread, user=user, **form
                )
            except SlackApiError as error:
                if word_of(error) == "unknown_method":
                    return None
                raise

        answer = await self._writer.fitting(part, "answer one person", whisper, says=True)
        if answer is None:
            return None
        ts = answer.get("message_ts")
        return receipt_of(ts if isinstance(ts, str) else "")

    async def answer(self, part: Outbound, *, visible: bool) -> Receipt:
        """Through the address that came with a command or a button (five times, for thirty minutes)."""
        address = part.answer_with or ""
        common: Form = {"response_type": "in_channel" if visible else "ephemeral", "replace_original": False}
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
                return receipt_of("")
            if status == 429:
                raise TemporaryFailure("Slack asks to answer a command more slowly", retry_after=retry_after(headers))
            if status >= 500:
                raise TemporaryFailure(f"Slack could not answer a command just now (status {status})")
            if not any(unfit in word for unfit in UNFIT):
                break
        raise Rejected("Slack no longer takes an answer to this command: its address works for thirty minutes")


def is_for_one(part: Outbound) -> bool:
    """Whether the answer is shown to the asker alone: a private one, and the reply to a native command or a button.

    Slack shows no files to one person: a reply with files that is not private goes to the room.
    """
    handle = part.answer_with
    if not handle:
        return False
    return part.private or (part.control and not part.attachments and not handle.startswith(ASKED_BY))


def _without_files(part: Outbound) -> Outbound:
    """What one person is shown: without the files, but saying so."""
    if not part.attachments:
        return part
    names = ", ".join(safe_name(file.name) for file in part.attachments)
    note = f"_Not shown, because Slack shows no files to one person alone: {names}_"
    return replace(part, text=f"{part.text}\n\n{note}".strip(), attachments=())
