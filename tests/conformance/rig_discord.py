"""The Discord adapter joined to its loopback Discord.

Discord counts no event as taken: there is no acknowledgement on its gateway. What stands for it is the position that
the adapter stored, since that is from where it would ask for a message again.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from channels.base import (
    Attachment,
    ChannelContext,
    ChannelName,
    CommandOption,
    CommandSpec,
    ThreadRef,
)
from channels.discord import Settings, create
from channels.discord.adapter import DiscordChannel
from tests.conformance.harness import Fault, RecordingIntake, Shown
from tests.fakes.discord import DiscordServer
from tests.fakes.discord.world import EPHEMERAL

NAME = ChannelName("discord")
COMMANDS = (
    CommandSpec(name="help", description="What can be said here"),
    CommandSpec(
        name="spawn",
        description="Start a session",
        options=(
            CommandOption(name="agent", description="Who", choices=("assistant", "researcher")),
            CommandOption(name="task", description="What to do", required=True),
        ),
    ),
    CommandSpec(
        name="kill", description="End a session", options=(CommandOption(name="session", description="Which, or all"),)
    ),
)


@dataclass
class StoredFiles:
    """An attachment store in memory."""

    contents: dict[str, bytes] = field(default_factory=dict)

    async def read(self, attachment: Attachment) -> bytes:
        if attachment.source not in self.contents:
            raise FileNotFoundError(attachment.source)
        return self.contents[attachment.source]

    def add(self, content: bytes, name: str, media_type: str) -> Attachment:
        source = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.contents[source] = content
        return Attachment(name=name, media_type=media_type, size_bytes=len(content), source=source)


@dataclass
class DiscordRig:
    """See `harness.Rig`."""

    server: DiscordServer
    intake: RecordingIntake = field(default_factory=RecordingIntake)
    files: StoredFiles = field(default_factory=StoredFiles)
    running: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.channel = self.new_channel()

    @property
    def declared(self) -> asyncio.Event:
        """Set once the adapter has declared its commands."""
        return self.server.world.declared

    @property
    def room(self) -> ThreadRef:
        return ThreadRef(channel=NAME, space=self.server.world.guild_id, room=self.server.world.room)

    @property
    def stranger_account(self) -> str:
        return f"{NAME}:{self.server.world.stranger}"

    @property
    def ada_account(self) -> str:
        return f"{NAME}:{self.server.world.ada}"

    async def says(self, where: ThreadRef, text: str, *, by: str | None = None, mention: bool = False) -> str:
        spoken = f"<@{self.server.world.bot}> {text}" if mention else text
        return self.server.world.says(_id(where), spoken, by=by.partition(":")[2] if by else None)

    async def sends_file(self, where: ThreadRef, name: str, content: bytes) -> str:
        world = self.server.world
        return world.says(
            _id(where), "", attachments=[world.attach(_id(where), name, content, "application/octet-stream")]
        )

    async def edits(self, where: ThreadRef, message_id: str, text: str) -> None:
        self.server.world.edits(_id(where), message_id, text)

    async def deletes(self, where: ThreadRef, message_id: str) -> None:
        self.server.world.deletes(_id(where), message_id)

    async def presses(self, where: ThreadRef, message_id: str, button_id: str) -> None:
        self.server.world.presses(_id(where), message_id, button_id)

    async def shown(self, where: ThreadRef) -> list[Shown]:
        return self._seen(where, None)

    async def shown_to(self, where: ThreadRef, account: str) -> list[Shown]:
        """See `harness.EphemeralRig`."""
        return self._seen(where, account.partition(":")[2])

    def _seen(self, where: ThreadRef, only_by: str | None) -> list[Shown]:
        world = self.server.world
        return [
            Shown(
                message_id=message["id"],
                text=message["content"],
                buttons=tuple((b["custom_id"], b["label"]) for row in message["components"] for b in row["components"]),
                files=tuple((file["filename"], world.files[file["id"]]) for file in message["attachments"]),
                by_bot=message["author"]["id"] == world.bot,
            )
            for message in world.messages.get(_id(where), [])
            if (message["for_user"] if message["flags"] & EPHEMERAL else None) == only_by
        ]

    async def commands(self, where: ThreadRef, text: str) -> None:
        """See `harness.CommandRig`. Discord's form asks for each argument; the last takes the rest."""
        name, _, rest = text.removeprefix("/").partition(" ")
        async with asyncio.timeout(10):
            await self.declared.wait()
        spec = next(spec for spec in COMMANDS if spec.name == name)
        words = rest.split(maxsplit=max(0, len(spec.options) - 1))
        options = {option.name: word for option, word in zip(spec.options, words, strict=False)}
        self.server.world.gives_command(_id(where), name, options)

    async def marks(self, where: ThreadRef, message_id: str) -> list[str]:
        """See `harness.MarkRig`."""
        return list(self.server.world.reactions.get(message_id, ()))

    async def typing_shown(self, where: ThreadRef) -> bool:
        return _id(where) in self.server.world.typing

    async def fail(self, fault: Fault) -> None:
        faults, world = self.server.faults, self.server.world
        match fault:
            case Fault.RATE_LIMITED:
                faults.next_posts.append("429")
            case Fault.SERVER_ERROR:
                faults.next_posts.append("500")
            case Fault.ANSWER_LOST:
                faults.next_posts.append("lost")
            case Fault.FORBIDDEN:
                world.may_not_post.add(world.room)
            case Fault.UNKNOWN_ROOM:
                faults.next_posts.append("unknown")
            case Fault.UNREACHABLE:
                await self.server.stop()

    async def heal(self) -> None:
        self.server.world.may_not_post.clear()
        self.server.faults.next_posts.clear()
        await self.server.stop()
        await self.server.start()

    async def drop_connections(self) -> None:
        self.server.gateway.drop()

    async def repeat_last_event(self) -> None:
        self.server.gateway.repeat_last()

    async def acknowledged(self, message_id: str) -> bool:
        for channel_id, messages in self.server.world.messages.items():
            if any(message["id"] == message_id for message in messages):
                return int(self.intake.cursors.get(f"at/{channel_id}", "0")) >= int(message_id)
        return False

    async def reconnect(self) -> None:
        await self.stop()
        self.channel = self.new_channel()
        await self.run()

    async def stored_file(self, content: bytes, name: str, media_type: str) -> Attachment:
        return self.files.add(content, name, media_type)

    # --- life --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Open and run the channel, and wait until it is connected."""
        await self.channel.__aenter__()
        self.running = asyncio.create_task(self.channel.run(self.intake))
        async with asyncio.timeout(10):
            await self.channel.connected()

    async def stop(self) -> None:
        if self.running is not None:
            self.running.cancel()
            await asyncio.gather(self.running, return_exceptions=True)
            self.running = None
        await self.channel.__aexit__(None, None, None)

    def new_channel(self, **more: object) -> DiscordChannel:
        keys = {"token": self.server.world.token, "base_url": self.server.base_url, **more}
        settings = Settings.model_validate(keys)
        return create(settings, ChannelContext(name=NAME, files=self.files, commands=COMMANDS))


@asynccontextmanager
async def rig(tmp_path: Path) -> AsyncIterator[DiscordRig]:
    """A running adapter on a loopback Discord. `tmp_path` is not needed: nothing here is on disk."""
    async with DiscordServer() as server:
        made = DiscordRig(server)
        await made.run()
        try:
            yield made
        finally:
            await made.stop()


def _id(where: ThreadRef) -> str:
    return where.thread or where.room
