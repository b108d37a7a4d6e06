"""What `init` tells and proves, and what `doctor` finds on Discord."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import pytest

from channels.base import ChannelName, ThreadRef
from channels.checks import CheckResult, Result
from channels.discord import Settings
from channels.discord.connect import GUIDE, PERMISSIONS, checks, invite_address, missing_permissions, prove
from tests.fakes.discord import DiscordServer

NAME = ChannelName("discord")


@pytest.fixture
async def server() -> AsyncIterator[DiscordServer]:
    async with DiscordServer() as made:
        yield made


def settings(server: DiscordServer, token: str | None = None) -> Settings:
    return Settings.model_validate({"token": token or server.world.token, "base_url": server.base_url})


async def found(
    server: DiscordServer, what: str, room: ThreadRef | None = None, token: str | None = None
) -> CheckResult:
    rooms = [room] if room is not None else []
    known = {check.id: check for check in checks(settings(server, token), NAME, rooms)}
    return await known[f"channel.discord.{what}"].run()


def room_of(server: DiscordServer) -> ThreadRef:
    return ThreadRef(channel=NAME, space=server.world.guild_id, room=server.world.room)


async def test_a_wrong_token_is_found_and_not_shown(server: DiscordServer) -> None:
    for result in (await found(server, "token", token="a.wrong.token"), await prove(settings(server, "a.wrong.token"))):
        assert result.result is Result.FAILED
        assert "reset the token" in result.fix
        assert "a.wrong.token" not in result.evidence + result.fix
    assert (await found(server, "token_form", token="short")).result is Result.WARNING


async def test_a_missing_intent_is_found_before_discord_refuses_the_connection(server: DiscordServer) -> None:
    server.world.application_flags = 0
    result = await found(server, "message_content")
    assert result.result is Result.FAILED
    assert "Message Content" in result.fix
    assert (await prove(settings(server))) == result


async def test_a_bot_in_no_server_is_told_where_to_be_invited(server: DiscordServer) -> None:
    server.world.in_no_guild = True
    result = await found(server, "guilds")
    assert result.result is Result.WARNING
    assert invite_address(server.world.application_id) in result.fix


async def test_each_missing_permission_of_a_room_is_named(server: DiscordServer) -> None:
    server.world.channels[server.world.room]["permission_overwrites"] = [
        {"id": server.world.bot_role["id"], "type": 0, "allow": "0", "deny": str((1 << 35) | (1 << 15))}
    ]
    for what, lacking in (("files", "Attach Files"), ("threads", "Create Public Threads")):
        result = await found(server, f"room.{server.world.room}.{what}", room_of(server))
        assert result.result is Result.FAILED
        assert lacking in result.evidence
        assert lacking in result.fix


async def test_a_room_that_is_not_there_or_not_seen_is_found(server: DiscordServer) -> None:
    nowhere = ThreadRef(channel=NAME, space=server.world.guild_id, room="123456789")
    assert (await found(server, "room.123456789", nowhere)).result is Result.FAILED
    server.world.may_not_see.add(server.world.room)
    assert "View Channel" in (await found(server, f"room.{server.world.room}", room_of(server))).evidence
    server.world.may_not_see.clear()
    elsewhere = ThreadRef(channel=NAME, space="55", room=server.world.room)
    assert server.world.guild_id in (await found(server, f"room.{server.world.room}", elsewhere)).fix


def test_overwrites_are_united_as_discord_does() -> None:
    all_of_it = sum(PERMISSIONS.values())
    bot = {"user": {"id": "9"}, "roles": ["2"]}
    guild = {"id": "1", "roles": [{"id": "1", "permissions": str(all_of_it)}, {"id": "2", "permissions": "0"}]}
    send = PERMISSIONS["Send Messages"]

    def lacking(*overwrites: tuple[str, int, int, int]) -> list[str]:
        listed = [
            {"id": i, "type": kind, "allow": str(allow), "deny": str(deny)} for i, kind, allow, deny in overwrites
        ]
        return missing_permissions(bot, guild, {"permission_overwrites": listed})

    assert lacking() == []
    assert lacking(("1", 0, 0, send)) == ["Send Messages"]
    assert lacking(("1", 0, 0, send), ("2", 0, send, 0)) == []
    assert lacking(("2", 0, send, 0), ("9", 1, 0, send)) == ["Send Messages"]
    assert lacking(("3", 0, 0, send)) == []  # a role that the bot has not
    owner = {"id": "1", "roles": [{"id": "2", "permissions": "8"}]}
    assert missing_permissions(bot, owner, {}) == []  # an administrator may do all


def test_the_invitation_asks_for_exactly_what_is_needed() -> None:
    asked = parse_qs(urlsplit(invite_address("42")).query)
    assert asked == {
        "client_id": ["42"],
        "scope": ["bot applications.commands"],
        "permissions": [str(sum(PERMISSIONS.values()))],
    }
    assert "Message Content Intent" in GUIDE


def test_importing_the_package_does_not_import_the_library() -> None:
    look = "import sys, channels.discord, channels.discord.connect; sys.exit('discord' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], check=False, timeout=30).returncode == 0
