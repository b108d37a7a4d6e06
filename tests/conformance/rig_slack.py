"""Joins the Slack adapter to its loopback platform for the conformance suite."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from channels.base import (
    Attachment,
    Channel,
    ChannelContext,
    ChannelName,
    CommandOption,
    CommandSpec,
    Rejected,
    ThreadRef,
    Unavailable,
)
from channels.slack import Settings, create
from tests.conformance.harness import Fault, RecordingIntake, Shown
from tests.fakes.slack import BOT, BOT_TOKEN, TEAM, FakeSlack
from tests.fakes.slack import faults as slack_faults
from tests.fakes.slack.workspace import APP_TOKEN

NAME = ChannelName("slack")
COMMANDS = (
    CommandSpec(name="agents", description="What runs here"),
    CommandSpec(
        name="kill", description="End a session", options=(CommandOption(name="S", description="which", required=True),)
    ),
)


class FolderFiles:
    """The attachment store, as one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        (self._folder / digest).write_bytes(content)
        return f"sha256:{digest}"

    async def read(self, attachment: Attachment) -> bytes:
        return (self._folder / attachment.source.removeprefix("sha256:")).read_bytes()


class SlackRig:
    """See `tests.conformance.harness.Rig`."""

    channel: Channel

    def __init__(self, slack: FakeSlack, folder: Path) -> None:
        self.slack = slack
        self.files = FolderFiles(folder)
        self.intake = RecordingIntake()
        self.room = ThreadRef(channel=NAME, space=TEAM, room="C1")
        self.ada_account = f"slack:{TEAM}/U1"
        self.stranger_account = f"slack:{TEAM}/U9"
        self._open = contextlib.AsyncExitStack()
        self._running: asyncio.Task[None] | None = None

    # The adapter's life -------------------------------------------------------------------------------------

    def fresh(self, **more: Any) -> Channel:
        """A channel that is not opened yet. It keeps Slack's own pace, as it does at slack.com."""
        more = {"posts_per_second": 1.0, **more}
        context = ChannelContext(name=NAME, files=self.files, commands=COMMANDS)
        bot, app = SecretStr(BOT_TOKEN), SecretStr(APP_TOKEN)
        return create(Settings(bot_token=bot, app_token=app, base_url=self.slack.base_url, **more), context)

    async def start(self, **more: Any) -> None:
        self.channel = await self._open.enter_async_context(self.fresh(**more))
        self._running = asyncio.create_task(self._supervise(self.channel))
        async with asyncio.timeout(10):
            await self.slack.post.until_sockets(1)

    async def crash(self) -> None:
        """End as a process that is killed: nothing is tidied up on Slack."""
        assert self._running is not None
        self._running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._running
        await self.slack.post.until_sockets(0)

    async def stop(self) -> None:
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running
        await self._open.aclose()
        await self.slack.post.until_sockets(0)

    async def _supervise(self, channel: Channel) -> None:
        """What bot/app does: call again, with a short pause, while the platform is away."""
        while True:
            try:
                await channel.run(self.intake)
            except (Unavailable, Rejected):
                await asyncio.sleep(0.1)

    async def reconnect(self) -> None:
        await self.stop()
        await self.start()

    # What people do -----------------------------------------------------------------------------------------

    async def says(self, where: ThreadRef, text: str, *, by: str | None = None, mention: bool = False) -> str:
        written = html.escape(text, quote=False)
        if mention:
            written = f"<@{BOT}> {written}"
        return str(self.slack.space.say(where.room, _user(by), written, where.thread)["ts"])

    async def sends_file(self, where: ThreadRef, name: str, content: bytes) -> str:
        file = self.slack.space.upload(name, content, "text/plain" if name.endswith(".txt") else "image/png")
        message = self.slack.space.say(where.room, "U1", "", where.thread, subtype="file_share", files=[file])
        return str(message["ts"])

    async def edits(self, where: ThreadRef, message_id: str, text: str) -> None:
        self.slack.space.edit(where.room, message_id, html.escape(text, quote=False), "U1")

    async def deletes(self, where: ThreadRef, message_id: str) -> None:
        self.slack.space.delete(where.room, message_id)

    async def presses(self, where: ThreadRef, message_id: str, button_id: str) -> None:
        self.slack.press(where.room, message_id, button_id)

    async def commands(self, where: ThreadRef, text: str) -> None:
        """Slack has slash commands outside of threads only; in them a command is written."""
        if where.thread:
            await self.says(where, "!" + text.removeprefix("/"))
        else:
            self.slack.command(where.room, text.removeprefix("/"))

    # What people see ----------------------------------------------------------------------------------------

    async def shown(self, where: ThreadRef) -> list[Shown]:
        found = []
        for message in self.slack.space.room(where.room).messages:
            root = message.get("thread_ts", message["ts"])
            here = root == where.thread if where.thread else root == message["ts"]
            if here and message.get("subtype") != "tombstone":
                found.append(self._seen(message))
        return found

    async def shown_to(self, where: ThreadRef, account: str) -> list[Shown]:
        whispered = [
            message
            for message in self.slack.space.ephemerals
            if (message["channel"], message["thread_ts"], message["user"]) == (where.room, where.thread, _user(account))
        ]
        # Only whoever gave a slash command holds its answer's address; here that is Ada.
        answers = [answer for answer in self.slack.answers if answer["response_type"] == "ephemeral"]
        seen = whispered + (answers if account == self.ada_account else [])
        return [Shown(message_id=message.get("ts", ""), text=seen_text(message)) for message in seen]

    async def marks(self, where: ThreadRef, message_id: str) -> list[str]:
        """See `harness.MarkRig`."""
        return list(self.slack.methods.reactions.get((where.room, message_id), ()))

    async def typing_shown(self, where: ThreadRef) -> bool:
        key = (where.room, where.thread or "")
        session = self.slack.methods.streams.sessions.get(key, {})
        return key in self.slack.space.statuses or session.get("status") == "processing"

    def _seen(self, message: dict[str, Any]) -> Shown:
        files = [self.slack.space.files[file["id"]] for file in message.get("files", [])]
        return Shown(
            message_id=message["ts"],
            text=seen_text(message),
            buttons=tuple(
                (element["action_id"], element["text"]["text"])
                for block in message.get("blocks", [])
                for element in block.get("elements", [])
            ),
            files=tuple((file.name, file.content) for file in files),
            by_bot=message.get("user") == BOT,
        )

    # What goes wrong ----------------------------------------------------------------------------------------

    async def fail(self, fault: Fault) -> None:
        match fault:
            case Fault.RATE_LIMITED:
                self.slack.fail(slack_faults.Fault(word="ratelimited", status=429, retry_after="1"))
            case Fault.SERVER_ERROR:
                self.slack.fail(slack_faults.Fault(word="service_unavailable", status=503))
            case Fault.FORBIDDEN:
                self.slack.fail(slack_faults.Fault(word="restricted_action"))
            case Fault.UNKNOWN_ROOM:
                self.slack.fail(slack_faults.Fault(word="channel_not_found"))
            case Fault.ANSWER_LOST:
                self.slack.fail(slack_faults.Fault(after_doing=True))
            case Fault.UNREACHABLE:
                await self.slack.go_away()

    async def heal(self) -> None:
        await self.slack.come_back()
        async with asyncio.timeout(10):
            await self.slack.post.until_sockets(1)

    async def drop_connections(self) -> None:
        before = self.slack.post.sockets_opened
        self.slack.post.drop()
        async with asyncio.timeout(10):
            await self.slack.post.until_opened(before + 1)

    async def repeat_last_event(self) -> None:
        self.slack.post.repeat(self.slack.post.deliveries[-1])

    async def acknowledged(self, message_id: str) -> bool:
        deliveries = self.slack.deliveries_of(message_id)
        return bool(deliveries) and all(delivery.acknowledged.is_set() for delivery in deliveries)

    async def stored_file(self, content: bytes, name: str, media_type: str) -> Attachment:
        source = self.files.put(content)
        return Attachment(name=name, media_type=media_type, size_bytes=len(content), source=source)


def seen_text(message: dict[str, Any]) -> str:
    """A message's text as it stands on the screen, in Markdown as far as Slack renders it from that."""
    blocks = message.get("blocks") or []
    written = [block["text"] for block in blocks if block.get("type") == "markdown"]
    written += [block["text"]["text"] for block in blocks if block.get("type") == "section"]
    if written:
        return "\n".join(written).replace("\u2060", "")
    text = re.sub(r"<(@[A-Z0-9]+)>", r"\1", message.get("text", ""))
    return html.unescape(text).replace("\u2060", "")


def _user(account: str | None) -> str:
    return account.rpartition("/")[2] if account else "U1"


@asynccontextmanager
async def rig(tmp_path: Path) -> AsyncIterator[SlackRig]:
    async with FakeSlack() as slack:
        joined = SlackRig(slack, tmp_path)
        await joined.start()
        try:
            yield joined
        finally:
            await slack.come_back()
            await joined.stop()
