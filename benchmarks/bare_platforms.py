"""The floor on each platform: the client library and the anthropic SDK, with no durability.

Written as anybody would in an afternoon: each conversation is kept in memory and answered in order, and an answer is
sent when it is whole. `--lean` calls the model as Threadmill does: on the SDK's aiohttp transport, and with raw events
in place of its typed ones.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
from collections import defaultdict
from typing import Any

import anthropic

from benchmarks.bare import asked


class Conversations:
    """What each chat has said, and the answers."""

    def __init__(self, model_url: str, *, lean: bool) -> None:
        transport = anthropic.DefaultAioHttpClient() if lean else None
        self._lean = lean
        self._client = anthropic.AsyncAnthropic(base_url=model_url, api_key="key", max_retries=0, http_client=transport)
        self._said: defaultdict[Any, list[dict[str, str]]] = defaultdict(list)
        self.locks: defaultdict[Any, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def answer(self, chat: Any, text: str) -> str:
        said = self._said[chat]
        said.append({"role": "user", "content": text})
        answer = await asked(self._client, said, lean=self._lean)
        said.append({"role": "assistant", "content": answer})
        return answer


async def telegram(base_url: str, conversations: Conversations) -> None:
    import telegram

    async def answer(message: telegram.Message) -> None:
        async with conversations.locks[message.chat_id]:
            answer = await conversations.answer(message.chat_id, message.text or "")
            await bot.send_message(message.chat_id, answer)

    offset = 0
    async with telegram.Bot(TELEGRAM_TOKEN, base_url=base_url) as bot, asyncio.TaskGroup() as group:
        while True:
            for update in await bot.get_updates(offset=offset, timeout=25):
                offset = update.update_id + 1
                if update.message is not None:
                    group.create_task(answer(update.message))


async def discord(base_url: str, conversations: Conversations) -> None:
    import discord
    from discord.gateway import DiscordWebSocket
    from discord.http import Route
    from yarl import URL

    Route.BASE = base_url
    DiscordWebSocket.DEFAULT_GATEWAY = URL(base_url).with_scheme("ws").with_path("/gateway/")
    client = discord.Client(intents=discord.Intents(guilds=True, messages=True, message_content=True))

    @client.event
    async def on_message(message: discord.Message) -> None:
        if client.user is None or message.author.id == client.user.id:
            return
        async with conversations.locks[message.channel.id]:
            await message.channel.send(await conversations.answer(message.channel.id, message.content))

    await client.start(DISCORD_TOKEN)


async def slack(base_url: str, conversations: Conversations) -> None:
    from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
    from slack_bolt.app.async_app import AsyncApp
    from slack_sdk.web.async_client import AsyncWebClient

    app = AsyncApp(client=AsyncWebClient(token=SLACK_BOT_TOKEN, base_url=base_url))

    @app.event("message")
    async def on_message(event: dict[str, Any], client: AsyncWebClient) -> None:
        if event.get("bot_id"):
            return
        room = event["channel"]
        async with conversations.locks[room]:
            await client.chat_postMessage(channel=room, text=await conversations.answer(room, event["text"]))

    await AsyncSocketModeHandler(app, SLACK_APP_TOKEN).start_async()  # type: ignore[no-untyped-call]


# The loopback platforms' own; nothing else would take them.
TELEGRAM_TOKEN = "5000000001:AAHfakefakefakefakefakefakefakefake"
DISCORD_TOKEN = "loopback.bot.token"
SLACK_BOT_TOKEN, SLACK_APP_TOKEN = "xoxb-fake-bot", "xapp-fake-app"
BOTS = {"telegram": telegram, "discord": discord, "slack": slack}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("platform", choices=BOTS)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--model-url", required=True)
    parser.add_argument("--lean", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    conversations = Conversations(options.model_url, lean=options.lean)
    asyncio.run(BOTS[options.platform](options.base_url, conversations))


if __name__ == "__main__":
    main()
