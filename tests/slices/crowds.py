"""Crowded platforms: documented limits are enforced, thousands of messages wait, one place is closed for minutes."""

from __future__ import annotations

from typing import Any

from bot.app import now
from channels.base import DeliveryKey, Outbound, ThreadRef
from storage.outbox import enqueue
from tests.fakes.discord.world import World as DiscordWorld
from tests.fakes.slack import TEAM
from tests.fakes.slack.faults import Fault as SlackFault
from tests.fakes.slack.workspace import BOT, Room
from tests.fakes.telegram.server import refuse
from tests.fakes.telegram.world import Chat
from tests.slices.harness import Running
from tests.slices.screens import DiscordScreen, Screen, SlackScreen, TelegramScreen

MINUTES_SECONDS = 180


def documented_limits(screen: Screen) -> str:
    """Enforce the platform's documented limits; the table of a configuration that knows them."""
    match screen:
        case DiscordScreen():
            screen.server.limits.as_documented()
            return screen.table() + "requests_per_second = 50\n"
        case TelegramScreen():
            screen.server.flood.enforced = True
            return screen.table() + "messages_per_second = 30.0\n"
        case SlackScreen():
            screen.slack.limits.on = True
            return screen.table() + "posts_per_second = 1.0\n"
    raise TypeError(screen)


def other_places(screen: Screen, count: int) -> list[ThreadRef]:
    """Rooms of the platform besides the routed one."""
    match screen:
        case DiscordScreen(world=world):
            return [_discord_room(screen, world, number) for number in range(count)]
        case TelegramScreen():
            for number in range(count):
                screen.world.chats[1_000 + number] = Chat(1_000 + number, "private", "Somebody", bot_is="member")
            return [ThreadRef(channel=screen.name, room=str(1_000 + number)) for number in range(count)]
        case SlackScreen():
            for number in range(count):
                screen.slack.space.rooms[f"C9{number}"] = Room(f"C9{number}", f"room-{number}", {BOT, "U1"})
            return [ThreadRef(channel=screen.name, space=TEAM, room=f"C9{number}") for number in range(count)]
    raise TypeError(screen)


def _discord_room(screen: DiscordScreen, world: DiscordWorld, number: int) -> ThreadRef:
    return ThreadRef(channel=screen.name, space=world.guild_id, room=world.new_channel(f"room-{number}"))


def refuses_for_minutes(screen: Screen) -> None:
    """The next thing that the bot says is refused, and its place is closed to it for minutes."""
    match screen:
        case DiscordScreen():
            screen.server.faults.retry_after_seconds = float(MINUTES_SECONDS)
            screen.server.faults.next_posts.append("429")
        case TelegramScreen():
            words = f"Too Many Requests: retry after {MINUTES_SECONDS}"
            screen.server.fail_next("send", refuse(429, words, retry_after=MINUTES_SECONDS))
        case SlackScreen():
            fault = SlackFault(word="ratelimited", status=429, retry_after=str(MINUTES_SECONDS))
            screen.slack.fail(fault)


async def queue(threadmill: Running, places: dict[ThreadRef, int]) -> None:
    """So many messages for each place, straight into the outbox, and the courier is told."""

    def work(tx: Any) -> int:
        total = 0
        for place, count in places.items():
            for number in range(count):
                key = DeliveryKey(f"crowd:{place.key}:{number}")
                total += enqueue(tx, Outbound(key=key, to=place, text=f"one of many, {number}"), now=now())
        return total

    assert await threadmill.database.write(work) == sum(places.values())
    for place in places:
        threadmill.application.courier.notify(place.key)
