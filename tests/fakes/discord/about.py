"""What the loopback Discord tells of the bot, its application and its servers."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tests.fakes.discord.gateway import Gateway
from tests.fakes.discord.rules import Refusal, check_command
from tests.fakes.discord.world import Json, World


class About:
    """Answers over a world."""

    def __init__(self, world: World, gateway: Gateway) -> None:
        self._world = world
        self._gateway = gateway

    async def gateway(self, _request: web.Request) -> Json:
        return {"url": self._gateway.url}

    async def guilds(self, _request: web.Request) -> list[Any]:
        if self._world.in_no_guild:
            return []
        return [{key: self._world.guild()[key] for key in ("id", "name")}]

    def _in_guild(self, request: web.Request) -> None:
        if request.match_info["guild"] != self._world.guild_id or self._world.in_no_guild:
            raise Refusal(404, 10004, "Unknown Guild")

    async def guild(self, request: web.Request) -> Json:
        self._in_guild(request)
        return {key: self._world.guild()[key] for key in ("id", "name", "owner_id", "roles")}

    async def member(self, request: web.Request) -> Json:
        self._in_guild(request)
        user_id = request.match_info["user"]
        if user_id not in self._world.users:
            raise Refusal(404, 10007, "Unknown Member")
        roles = [self._world.bot_role["id"]] if user_id == self._world.bot else []
        return {"user": self._world.users[user_id], "roles": roles, "nick": None}

    async def declared(self, _request: web.Request) -> list[Any]:
        return self._world.commands

    async def gateway_bot(self, _request: web.Request) -> Json:
        starts = {"total": 1000, "remaining": self._world.sessions_left, "reset_after": 0, "max_concurrency": 1}
        return {"url": self._gateway.url, "shards": 1, "session_start_limit": starts}

    async def me(self, _request: web.Request) -> Json:
        return self._world.users[self._world.bot]

    async def application(self, _request: web.Request) -> Json:
        return {
            "id": self._world.application_id,
            "name": "Threadmill",
            "icon": None,
            "description": "",
            "bot_public": True,
            "bot_require_code_grant": self._world.code_grant,
            "verify_key": "00",
            "team": None,
            "flags": self._world.application_flags,
            "interactions_endpoint_url": self._world.interactions_endpoint,
            "owner": self._world.users[self._world.ada],
        }

    async def direct(self, request: web.Request) -> Json:
        user_id = str((await request.json())["recipient_id"])
        if user_id not in self._world.users:
            raise Refusal(400, 50033, "Invalid Recipient(s)")
        return self._world.channels[self._world.direct_room(user_id)]

    async def declare(self, request: web.Request) -> list[Any]:
        declared = await request.json()
        names = [(command["name"], command.get("type", 1)) for command in declared]
        if len(set(names)) != len(names):
            raise Refusal(400, 50035, "Application command names must be unique")
        for command in declared:
            check_command(command)
        self._world.commands = declared
        self._world.command_writes += 1
        self._world.declared.set()
        return list(declared)
