"""Servers that know only the least of a platform: a message is answered all the same.

What is nice to have (menus, typing signs, previews, threads, streams, names) may be missing; nobody may wait for it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.fakes import least
from tests.slices.harness import running, write_config
from tests.slices.waiting import until

_TABLES = {
    "telegram": 'token = "7:ABC"\nbase_url = "{url}/bot"\n',
    "slack": 'bot_token = "xoxb-1"\napp_token = "xapp-1"\nbase_url = "{url}/api/"\n',
    "discord": 'token = "abc"\nbase_url = "{url}/api/v10"\n',
}
_ACCOUNTS = {"telegram": "telegram:42", "slack": "slack:T1/U1", "discord": "discord:99"}
_SERVERS: dict[
    str, tuple[Callable[[], AbstractAsyncContextManager[least.Least]], Callable[[least.Least, str], None]]
] = {
    "telegram": (least.telegram, least.telegram_says),
    "slack": (least.slack, least.slack_says),
    "discord": (least.discord, least.discord_says),
}


@pytest.mark.slow
@pytest.mark.requirement("P3")
@pytest.mark.parametrize("platform", _SERVERS)
async def test_a_server_that_knows_only_posts_is_answered_once(platform: str, tmp_path: Path) -> None:
    serve, says = _SERVERS[platform]
    async with serve() as server:
        table = f"[channels.{platform}]\n{_TABLES[platform].format(url=server.url)}"
        route = f'[[routes]]\nchannel = "{platform}"\nagent = "assistant"\nthread = true\n'
        ada = f'[people.ada]\naccounts = ["{_ACCOUNTS[platform]}"]\nrole = "owner"\nreach = ["{platform}"]\n'
        async with running(write_config(tmp_path, more=table + route + ada), connect=False) as threadmill:
            await threadmill.connected(platform)
            for text in ("say At once", "wait 1.1s then say Shown as it grows", "say And again"):
                says(server, text)
                await until(_told(server, text.rpartition("say ")[2]), f"{text}; said: {server.said}")
            says(server, "!help" if platform == "slack" else "/help")
            await until(_told(server, "spawn [agent]"), "help")
            await threadmill.settled()
        said = [text for _, text in server.said]
        assert [sum(words in text for text in said) for words in ("At once", "as it grows", "And again")] == [1, 1, 1]
        assert server.refused, "there was more that Threadmill would have liked to do"


def _told(server: least.Least, text: str) -> Callable[[], bool]:
    return lambda: any(text in said for _, said in server.said)
