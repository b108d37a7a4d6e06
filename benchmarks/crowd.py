"""A platform on loopback with the people who use it, as a process of its own: `python -m benchmarks.crowd telegram`.

It is told what to do in lines on standard input and answers each with one line of JSON. Each person writes to the bot
directly, waits for its answer, and writes again. At the end the crowd looks at what stands in every conversation: each
message must have been answered once, and in order. A preview of an answer (it carries a Stop button) is no answer.

The loopback platforms keep their rate limits only where a test switches them on; here they stay off.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from tests.fakes.discord import DiscordServer
from tests.fakes.slack import BOT, FakeSlack
from tests.fakes.slack.workspace import Room
from tests.fakes.telegram import FakeTelegram
from tests.fakes.telegram.world import Chat

_ANSWERED = re.compile(r"answers (\d+-\d+)\W*$")
_PATIENCE_SECONDS = 60.0


class Platform(Protocol):
    """A loopback platform as the people see it. Chats are numbered."""

    heard: Callable[[str], None]
    """Called with the text of each message that the bot says or edits."""

    def server(self) -> AbstractAsyncContextManager[Any]: ...

    def address(self) -> str: ...

    async def connected(self) -> None:
        """Wait for the bot's first poll, or for its socket."""

    def opens(self, chats: int) -> None:
        """Make so many people, each with a direct conversation."""

    def says(self, chat: int, text: str) -> None: ...

    def answers(self, chat: int) -> Iterator[str]:
        """What the bot has said there and not taken away, in order, without previews."""


class Telegram:
    def __init__(self) -> None:
        self.fake = FakeTelegram()
        self.heard: Callable[[str], None] = lambda _: None
        self.fake.world.bot["has_topics_enabled"] = False
        self._says, self.fake.world.bot_says = self.fake.world.bot_says, self._bot_says  # type: ignore[method-assign]

    def server(self) -> AbstractAsyncContextManager[Any]:
        return self.fake

    def address(self) -> str:
        return self.fake.base_url

    async def connected(self) -> None:
        await self.fake.world.wait_until(lambda: bool(self.fake.called("getUpdates")), _PATIENCE_SECONDS)

    def opens(self, chats: int) -> None:
        for number in range(chats):
            person = 1000 + number
            name = f"Person {number}"
            self.fake.world.users[person] = {"id": person, "is_bot": False, "first_name": name}
            self.fake.world.chats[person] = Chat(person, "private", name, bot_is="member")

    def says(self, chat: int, text: str) -> None:
        self.fake.calls.clear()
        self.fake.world.says(1000 + chat, text, by=1000 + chat)

    def answers(self, chat: int) -> Iterator[str]:
        for message in self.fake.world.chats[1000 + chat].messages.values():
            if message["from"]["is_bot"] and "reply_markup" not in message:
                yield message["text"]

    def _bot_says(self, chat: int, topic: int | None, reply_to: int | None, content: dict[str, Any]) -> dict[str, Any]:
        message = self._says(chat, topic, reply_to, content)
        if "reply_markup" not in content:
            self.heard(content["text"])
        return message


class Discord:
    def __init__(self) -> None:
        self.fake = DiscordServer()
        self.heard: Callable[[str], None] = lambda _: None
        self._rooms: list[tuple[str, str]] = []
        self._add, self.fake.world.add_message = self.fake.world.add_message, self._add_message  # type: ignore[method-assign]

    def server(self) -> AbstractAsyncContextManager[Any]:
        return self.fake

    def address(self) -> str:
        return self.fake.base_url

    async def connected(self) -> None:
        await self.fake.gateway.wait_until(lambda: self.fake.gateway.identified > 0, _PATIENCE_SECONDS)

    def opens(self, chats: int) -> None:
        for number in range(chats):
            person = self.fake.world.person(f"Person {number}")
            room = self.fake.world.new_channel("", kind=1, recipients=[self.fake.world.users[person]])
            self._rooms.append((room, person))

    def says(self, chat: int, text: str) -> None:
        for session in self.fake.gateway.sessions.values():
            session.events.clear()
        room, person = self._rooms[chat]
        self.fake.world.says(room, text, by=person)

    def answers(self, chat: int) -> Iterator[str]:
        for message in self.fake.world.messages[self._rooms[chat][0]]:
            if message["author"]["bot"] and not message["components"]:
                yield message["content"]

    def _add_message(self, channel_id: str, author: str, text: str, **more: Any) -> dict[str, Any]:
        message = self._add(channel_id, author, text, **more)
        if author == self.fake.world.bot and not message["components"]:
            self.heard(text)
        return message


class Slack:
    def __init__(self) -> None:
        self.fake = FakeSlack()
        self.heard: Callable[[str], None] = lambda _: None
        space = self.fake.space
        self._add, space.add = space.add, self._added  # type: ignore[method-assign]
        self._changed, space.changed = space.changed, self._edited  # type: ignore[method-assign]

    def server(self) -> AbstractAsyncContextManager[Any]:
        return self.fake

    def address(self) -> str:
        return self.fake.base_url

    async def connected(self) -> None:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await self.fake.post.until_opened(1)

    def opens(self, chats: int) -> None:
        for number in range(chats):
            user = f"U{1000 + number}"
            self.fake.space.people[user] = f"Person {number}"
            self.fake.space.rooms[f"D{user}"] = Room(f"D{user}", "", {BOT, user})

    def says(self, chat: int, text: str) -> None:
        post, user = self.fake.post, f"U{1000 + chat}"
        self.fake.calls.clear()
        post.deliveries[:] = [each for each in post.deliveries if not each.acknowledged.is_set()]
        self.fake.space.say(f"D{user}", user, text)

    def answers(self, chat: int) -> Iterator[str]:
        for message in self.fake.space.rooms[f"DU{1000 + chat}"].messages:
            if message.get("bot_id") and not _has_buttons(message):
                yield _written(message)

    def _added(self, room: str, message: dict[str, Any]) -> None:
        self._add(room, message)
        self._hear(message)

    def _edited(self, room: str, before: dict[str, Any], after: dict[str, Any]) -> None:
        self._changed(room, before, after)
        self._hear(after)

    def _hear(self, message: dict[str, Any]) -> None:
        if message.get("bot_id") and not _has_buttons(message):
            self.heard(_written(message))


def _has_buttons(message: dict[str, Any]) -> bool:
    return any(block.get("type") == "actions" for block in message.get("blocks", []))


def _written(message: dict[str, Any]) -> str:
    blocks = "\n".join(str(block["text"]) for block in message.get("blocks", []) if block.get("type") == "markdown")
    return blocks or str(message.get("text", ""))


PLATFORMS: dict[str, Callable[[], Platform]] = {"telegram": Telegram, "discord": Discord, "slack": Slack}


class Crowd:
    """The people of one platform."""

    def __init__(self, platform: Platform, chats: int) -> None:
        self._platform = platform
        self._chats = chats
        self._said = [0] * chats
        self._waiting: dict[str, asyncio.Event] = {}
        platform.opens(chats)
        platform.heard = self._heard

    async def talk(self, chats: int, rounds: int) -> dict[str, Any]:
        """`rounds` messages in each of the first `chats` conversations."""
        began = time.perf_counter()
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS), asyncio.TaskGroup() as group:
                for chat in range(chats):
                    group.create_task(self._one(chat, rounds))
        except TimeoutError:
            raise SystemExit(f"no answer came to {sorted(self._waiting)}") from None
        return {"messages": chats * rounds, "seconds": time.perf_counter() - began}

    async def _one(self, chat: int, rounds: int) -> None:
        for _ in range(rounds):
            name = f"{chat}-{self._said[chat]}"
            self._said[chat] += 1
            answered = self._waiting[name] = asyncio.Event()
            self._platform.says(chat, f"This is message {name} and it wants an answer")
            await answered.wait()
            del self._waiting[name]

    def _heard(self, text: str) -> None:
        found = _ANSWERED.search(text)
        answered = self._waiting.get(found[1]) if found else None
        if answered is not None:
            answered.set()

    def wrong(self) -> list[str]:
        """Conversations that do not hold exactly one answer to each message, in order."""
        found = []
        for chat in range(self._chats):
            answers = [match[1] for text in self._platform.answers(chat) if (match := _ANSWERED.search(text))]
            if answers != [f"{chat}-{number}" for number in range(self._said[chat])]:
                found.append(f"conversation {chat}: {answers}")
        return found


async def _serve(name: str, chats: int) -> None:
    platform = PLATFORMS[name]()
    crowd = Crowd(platform, chats)
    commands: dict[str, Callable[..., Awaitable[Any]]] = {"talk": crowd.talk}
    async with platform.server():
        _tell({"address": platform.address()})
        while line := await asyncio.to_thread(sys.stdin.readline):
            asked = json.loads(line)
            match asked.pop("do"):
                case "connected":
                    await platform.connected()
                    _tell({})
                case "wrong":
                    _tell({"wrong": crowd.wrong()})
                case do:
                    _tell(await commands[do](**asked))


def _tell(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("platform", choices=PLATFORMS)
    parser.add_argument("--chats", type=int, default=200)
    options = parser.parse_args()
    asyncio.run(_serve(options.platform, options.chats))


if __name__ == "__main__":
    main()
