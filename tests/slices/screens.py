"""What a person does and sees on each platform, in the same words for all of them.

A screen joins one loopback platform to the slices: Ada, who owns the bot, and Eve, whom nobody knows, write and give
commands in the platform's own form (a slash command on Discord, `!…` in a Slack thread), and everything that
the bot has shown to anybody can be read, to find what must not be there.
"""

from __future__ import annotations

import html
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

from channels.base import ChannelName, ThreadRef
from tests.conformance.rig_slack import seen_text
from tests.fakes.discord import DiscordServer
from tests.fakes.slack import BOT, BOT_TOKEN, TEAM, FakeSlack
from tests.fakes.slack.workspace import APP_TOKEN
from tests.fakes.telegram import FakeTelegram
from tests.fakes.telegram.world import ADA, EVE, FORUM

ADAS, EVES = "ada", "eve"


class Screen(Protocol):
    """One platform as its people know it. `room` is shared, and routed to the agent `assistant`."""

    @property
    def name(self) -> ChannelName: ...
    @property
    def room(self) -> ThreadRef: ...
    @property
    def accounts(self) -> Mapping[str, str]:
        """By person: the account as the configuration writes it."""

    def table(self) -> str:
        """The channel's table in config.toml."""

    def home(self, person: str = ADAS) -> ThreadRef:
        """The private place of a person and the bot."""

    def says(self, where: ThreadRef, text: str, *, by: str = ADAS, mention: bool = False) -> str: ...
    def gives(self, where: ThreadRef, line: str, *, by: str = ADAS) -> None:
        """A command, in the form that the platform has for it."""

    def edits(self, where: ThreadRef, message_id: str, text: str) -> None: ...
    def deletes(self, where: ThreadRef, message_id: str) -> None: ...
    def threads(self) -> dict[ThreadRef, str]:
        """The threads of the room with their titles, oldest first."""

    def said(self, where: ThreadRef) -> list[str]:
        """What the bot said there, oldest first, without emphasis."""

    def said_anywhere(self) -> dict[str, list[str]]:
        """Everything that the bot said on this platform, by place."""

    def strikes(self, text: str, strike: Callable[[], None], *, shown: bool) -> None:
        """Call `strike` when the bot's first message with this text comes in: when it has just been `shown`, or
        else in its stead. The bot gets no answer."""

    async def go_away(self) -> None: ...
    async def come_back(self) -> None: ...


def plain(text: str) -> str:
    """Platforms show emphasis in different ways: none of it counts here."""
    return text.replace("*", "").replace("`", "").replace("\\", "").strip()


class DiscordScreen:
    name = ChannelName("discord")

    def __init__(self, server: DiscordServer) -> None:
        self.server = server
        self.world = server.world
        self.people = {ADAS: self.world.ada, EVES: self.world.stranger}

    @property
    def room(self) -> ThreadRef:
        return ThreadRef(channel=self.name, space=self.world.guild_id, room=self.world.room)

    @property
    def accounts(self) -> Mapping[str, str]:
        return {name: f"discord:{id}" for name, id in self.people.items()}

    def know(self, name: str, id: str) -> None:
        """Somebody more, who is called so here."""
        self.people[name] = id

    def table(self) -> str:
        return f'[channels.discord]\ntoken = "{self.world.token}"\nbase_url = "{self.server.base_url}"\n'

    def home(self, person: str = ADAS) -> ThreadRef:
        return ThreadRef(channel=self.name, room=self.world.direct_room(self.people[person]))

    def says(self, where: ThreadRef, text: str, *, by: str = ADAS, mention: bool = False) -> str:
        spoken = f"<@{self.world.bot}> {text}" if mention else text
        return self.world.says(_channel(where), spoken, by=self.people[by])

    def gives(self, where: ThreadRef, line: str, *, by: str = ADAS) -> None:
        name, _, rest = line.removeprefix("/").partition(" ")
        declared = next(command for command in self.world.commands if command["name"] == name)
        options = declared.get("options", [])
        # What must be filled in, is; where nothing must, all that there is. The last takes the rest of the line.
        names = [o["name"] for o in options if o["required"]] or [o["name"] for o in options]
        words = rest.split(" ", len(names) - 1) if rest else []
        self.world.gives_command(_channel(where), name, dict(zip(names, words, strict=False)), by=self.people[by])

    def edits(self, where: ThreadRef, message_id: str, text: str) -> None:
        self.world.edits(_channel(where), message_id, text)

    def deletes(self, where: ThreadRef, message_id: str) -> None:
        self.world.deletes(_channel(where), message_id)

    def threads(self) -> dict[ThreadRef, str]:
        return {
            ThreadRef(channel=self.name, space=self.world.guild_id, room=self.world.room, thread=id): channel["name"]
            for id, channel in self.world.channels.items()
            if channel.get("parent_id") == self.world.room
        }

    def said(self, where: ThreadRef) -> list[str]:
        return self._said(_channel(where))

    def said_anywhere(self) -> dict[str, list[str]]:
        return {id: said for id in self.world.messages if (said := self._said(id))}

    def _said(self, channel: str) -> list[str]:
        ours = [m["content"] for m in self.world.messages.get(channel, []) if m["author"]["id"] == self.world.bot]
        return [plain(text) for text in ours if text]

    def strikes(self, text: str, strike: Callable[[], None], *, shown: bool) -> None:
        say, bot = self.world.add_message, self.world.bot
        struck = _struck(say, text, strike, shown=shown, ours=lambda said: bool(said[1] == bot))
        self.world.add_message = struck  # type: ignore[method-assign]

    async def go_away(self) -> None:
        await self.server.stop()

    async def come_back(self) -> None:
        await self.server.start()


class TelegramScreen:
    name = ChannelName("telegram")
    accounts: Mapping[str, str] = {ADAS: f"telegram:{ADA}", EVES: f"telegram:{EVE}"}
    room = ThreadRef(channel=name, room=str(FORUM))

    def __init__(self, server: FakeTelegram) -> None:
        self.server = server
        self.world = server.world

    def table(self) -> str:
        return f'[channels.telegram]\ntoken = "{self.server.token}"\nbase_url = "{self.server.base_url}"\n'

    def home(self, person: str = ADAS) -> ThreadRef:
        return ThreadRef(channel=self.name, room=str(_telegram_id(person)))

    def says(self, where: ThreadRef, text: str, *, by: str = ADAS, mention: bool = False) -> str:
        spoken = f"@{self.world.bot['username']} {text}" if mention else text
        return str(self.world.says(int(where.room), spoken, by=_telegram_id(by), topic=_topic(where)))

    def gives(self, where: ThreadRef, line: str, *, by: str = ADAS) -> None:
        name, _, rest = line.partition(" ")
        addressed = f"{name}@{self.world.bot['username']}" if int(where.room) < 0 else name
        self.says(where, f"{addressed} {rest}".strip(), by=by)

    def edits(self, where: ThreadRef, message_id: str, text: str) -> None:
        self.world.edits(int(where.room), int(message_id), text)

    def deletes(self, where: ThreadRef, message_id: str) -> None:
        raise NotImplementedError("Telegram tells bots nothing of deletions")

    def threads(self) -> dict[ThreadRef, str]:
        topics = self.world.chats[FORUM].topics
        return {
            ThreadRef(channel=self.name, room=str(FORUM), thread=str(id)): topic.name for id, topic in topics.items()
        }

    def said(self, where: ThreadRef) -> list[str]:
        chat = self.world.chats.get(int(where.room))
        if chat is None or (where.thread and where.thread.startswith("+")):
            return []
        return _telegram_texts(self.world, self.world.in_topic(int(where.room), _topic(where)))

    def said_anywhere(self) -> dict[str, list[str]]:
        everywhere = {
            str(id): _telegram_texts(self.world, list(chat.messages.values())) for id, chat in self.world.chats.items()
        }
        return {id: said for id, said in everywhere.items() if said}

    def strikes(self, text: str, strike: Callable[[], None], *, shown: bool) -> None:
        self.world.bot_says = _struck(self.world.bot_says, text, strike, shown=shown)  # type: ignore[method-assign]

    async def go_away(self) -> None:
        await self.server.refuse_connections()

    async def come_back(self) -> None:
        await self.server.accept_connections()


class SlackScreen:
    name = ChannelName("slack")
    room = ThreadRef(channel=name, space=TEAM, room="C1")
    accounts: Mapping[str, str] = {ADAS: f"slack:{TEAM}/U1", EVES: f"slack:{TEAM}/U9"}

    def __init__(self, slack: FakeSlack) -> None:
        self.slack = slack

    def table(self) -> str:
        return (
            f'[channels.slack]\nbot_token = "{BOT_TOKEN}"\napp_token = "{APP_TOKEN}"\n'
            f'base_url = "{self.slack.base_url}"\n'
        )

    def home(self, person: str = ADAS) -> ThreadRef:
        return ThreadRef(channel=self.name, space=TEAM, room=self.slack.space.open_direct(_slack_id(person)).id)

    def says(self, where: ThreadRef, text: str, *, by: str = ADAS, mention: bool = False) -> str:
        written = html.escape(text, quote=False)
        spoken = f"<@{BOT}> {written}" if mention else written
        return str(self.slack.space.say(where.room, _slack_id(by), spoken, where.thread)["ts"])

    def gives(self, where: ThreadRef, line: str, *, by: str = ADAS) -> None:
        if where.thread is None:
            self.slack.command(where.room, line.removeprefix("/"), _slack_id(by))
        else:
            self.says(where, "!" + line.removeprefix("/"), by=by)

    def edits(self, where: ThreadRef, message_id: str, text: str) -> None:
        self.slack.space.edit(where.room, message_id, html.escape(text, quote=False), "U1")

    def deletes(self, where: ThreadRef, message_id: str) -> None:
        self.slack.space.delete(where.room, message_id)

    def threads(self) -> dict[ThreadRef, str]:
        """Messages with replies, and what the bot itself put into the room."""
        messages = self.slack.space.room("C1").messages
        replied = {message.get("thread_ts") for message in messages}
        return {
            ThreadRef(channel=self.name, space=TEAM, room="C1", thread=message["ts"]): plain(seen_text(message))
            for message in messages
            if not message.get("thread_ts") and (message["ts"] in replied or message.get("user") == BOT)
        }

    def said(self, where: ThreadRef) -> list[str]:
        ours = [message for message in self._ours(where.room) if where.thread in (None, _root(message))]
        whispers = [message for message in self.slack.space.ephemerals if message["channel"] == where.room]
        ours += [message for message in whispers if where.thread in (None, message.get("thread_ts"))]
        said = [plain(seen_text(message)) for message in ours]
        if where.thread is None:  # the answers to slash commands are shown where they were given
            said += [plain(str(answer.get("text") or seen_text(answer))) for answer in self.slack.answers]
        return said

    def said_anywhere(self) -> dict[str, list[str]]:
        everywhere = {id: [plain(seen_text(message)) for message in self._ours(id)] for id in self.slack.space.rooms}
        return {id: said for id, said in everywhere.items() if said}

    def _ours(self, room: str) -> list[dict[str, Any]]:
        return [message for message in self.slack.space.room(room).messages if message.get("user") == BOT]

    def strikes(self, text: str, strike: Callable[[], None], *, shown: bool) -> None:
        self.slack.space.post = _struck(self.slack.space.post, text, strike, shown=shown)  # type: ignore[method-assign]

    async def go_away(self) -> None:
        await self.slack.go_away()

    async def come_back(self) -> None:
        await self.slack.come_back()


@asynccontextmanager
async def discord() -> AsyncIterator[DiscordScreen]:
    async with DiscordServer() as server:
        yield DiscordScreen(server)


@asynccontextmanager
async def telegram() -> AsyncIterator[TelegramScreen]:
    async with FakeTelegram() as server:
        yield TelegramScreen(server)


@asynccontextmanager
async def slack() -> AsyncIterator[SlackScreen]:
    async with FakeSlack() as server:
        server.post.retry_after_seconds = (0.0, 0.2, 0.2, 0.2, 0.2, 0.2)
        yield SlackScreen(server)


PLATFORMS: Mapping[str, Callable[[], AbstractAsyncContextManager[Screen]]] = {
    "discord": discord,
    "telegram": telegram,
    "slack": slack,
}


class Struck(Exception):
    """Ends the request during which something broke."""


def _struck(
    say: Callable[..., dict[str, Any]],
    text: str,
    strike: Callable[[], None],
    *,
    shown: bool,
    ours: Callable[[tuple[Any, ...]], bool] = lambda _: True,
) -> Callable[..., dict[str, Any]]:
    """`say`, with a strike at the first message that has this text."""
    struck = False

    def striking(*arguments: Any, **more: Any) -> dict[str, Any]:
        nonlocal struck
        if struck or text not in repr((arguments, more)) or not ours(arguments):
            return say(*arguments, **more)
        struck = True
        if not shown:
            strike()
            raise Struck(text)
        done = say(*arguments, **more)
        strike()
        return done

    return striking


def _channel(where: ThreadRef) -> str:
    return where.thread or where.room


def _topic(where: ThreadRef) -> int | None:
    return None if where.thread is None else int(where.thread)


def _root(message: dict[str, Any]) -> str:
    return str(message.get("thread_ts") or message["ts"])


def _telegram_id(person: str) -> int:
    return {ADAS: ADA, EVES: EVE}[person]


def _slack_id(person: str) -> str:
    return {ADAS: "U1", EVES: "U9"}[person]


def _telegram_texts(world: Any, messages: list[dict[str, Any]]) -> list[str]:
    ours = [message for message in messages if message["from"]["id"] == world.bot["id"]]
    return [plain(text) for message in ours if (text := message.get("text") or message.get("caption"))]
