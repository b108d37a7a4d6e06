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
@pytest.mark.requirement("P1")
@pytest.mark.parametrize("thread", [False, True], ids=["in the room", "in a thread"])
@pytest.mark.parametrize("platform", _SERVERS)
async def test_a_server_that_knows_only_posts_is_answered(platform: str, thread: bool, tmp_path: Path) -> None:
    serve, says = _SERVERS[platform]
    async with serve() as server:
        table = f"[channels.{platform}]\n{_TABLES[platform].format(url=server.url)}"
        route = f'[[routes]]\nchannel = "{platform}"\nagent = "assistant"\nthread = {str(thread).lower()}\n'
        ada = f'[people.ada]\naccounts = ["{_ACCOUNTS[platform]}"]\nrole = "owner"\nreach = ["{platform}"]\n'
        async with running(write_config(tmp_path, more=table + route + ada), connect=False) as threadmill:
            await threadmill.connected(platform)
            for number in range(3):  # one after the other, each waits for its answer
                says(server, f"wait 1s then say Answer {number} is here")
                await until(_told(server, f"Answer {number} is here"), f"answer {number}; said: {server.said}")
            says(server, "/help" if platform != "slack" else "!help")
            await until(_told(server, "/spawn" if platform != "slack" else "spawn"), "help")
        print("REFUSED", server.refused)
        [print("SAID", x) for x in server.said]
        said = [text for _, text in server.said]
        assert all(sum(f"Answer {number} is here" in text for text in said) == 1 for number in range(3))


def _told(server: least.Least, text: str) -> Callable[[], bool]:
    return lambda: any(text in said for _, said in server.said)
