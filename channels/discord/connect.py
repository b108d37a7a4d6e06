"""Getting Discord connected: how to make the bot, one round trip that proves it, and what `doctor` looks at.

Nothing here opens a session of the gateway (Discord allows a thousand a day), takes events away from a Threadmill
that runs, or changes anything that people see.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from channels.base import ChannelError, ChannelName, ThreadRef
from channels.checks import Check, CheckResult, clock_check, failed, ok, once, skipped, warning
from channels.discord import OFFICIAL_BASE_URL, Settings

if TYPE_CHECKING:
    from channels.discord.rest import Rest

GUIDE = """\
1. Open the [developer portal](https://discord.com/developers/applications), press **New Application**, and choose a
   name.
2. On the page **Bot**, press **Reset Token** and copy it: that is `token`.
3. On the same page, switch **Message Content Intent** on: without it the bot sees empty messages.
4. Threadmill then shows an address: open it, and choose the server that the bot is to join. It asks for exactly the
   permissions that are needed.
"""

PERMISSIONS = {
    "Add Reactions": 1 << 6,
    "View Channels": 1 << 10,
    "Send Messages": 1 << 11,
    "Attach Files": 1 << 15,
    "Read Message History": 1 << 16,
    "Create Public Threads": 1 << 35,
    "Send Messages in Threads": 1 << 38,
}
"""All that the bot needs in a room."""

THREADS = tuple(name for name in PERMISSIONS if "Thread" in name)
FILES = tuple(name for name in PERMISSIONS if "Files" in name)
TALK = tuple(name for name in PERMISSIONS if name not in THREADS + FILES)

SILENT = "mention the bot in a channel that it sees, or write to it directly; see channel.NAME.message_content"
"""What to look at when nothing ever came in."""

FEW_SESSIONS = 20
SERVERS_THAT_NEED_SHARDS = 2_500
_ADMINISTRATOR = 1 << 3
_MESSAGE_CONTENT = (1 << 18) | (1 << 19)  # for large and for small bots
_HELLO = 10
_WITH_THREADS = frozenset({0, 5, 15, 16})  # text, announcements, forum, media
_MEMBER = 1  # an overwrite of one member; others are of roles


def invite_address(application_id: str) -> str:
    """Where a person lets the bot into a server, with exactly the permissions that it needs."""
    asked = {
        "client_id": application_id,
        "scope": "bot applications.commands",
        "permissions": sum(PERMISSIONS.values()),
    }
    return f"https://discord.com/oauth2/authorize?{urlencode(asked)}"


def checks(settings: Settings, name: ChannelName, rooms: Sequence[ThreadRef]) -> Sequence[Check]:
    inspection = _Inspection(settings)
    return [
        Check(id=f"channel.{name}.token_form", run=inspection.token_form, network=False),
        *(
            Check(id=f"channel.{name}.{what}", run=run)
            for what, run in (
                ("token", inspection.token),
                ("server", inspection.server),
                ("message_content", inspection.message_content),
                ("interactions", inspection.interactions),
                ("code_grant", inspection.code_grant),
                ("gateway", inspection.gateway),
                ("sessions", inspection.sessions),
                ("guilds", inspection.guilds),
                ("commands", inspection.commands),
                ("clock", inspection.clock),
            )
        ),
        *(
            Check(id=f"channel.{name}.room.{room.room}{what}", run=partial(run, room))
            for room in dict.fromkeys(room.in_room for room in rooms if room.channel == name)
            for what, run in (
                ("", inspection.room),
                (".talk", partial(inspection.permitted, needed=TALK)),
                (".files", partial(inspection.permitted, needed=FILES)),
                (".threads", inspection.threads),
            )
        ),
    ]


async def prove(settings: Settings) -> CheckResult:
    """The token opens the door, messages can be read, and the gateway greets."""
    inspection = _Inspection(settings)
    for step in (inspection.token_form, inspection.token, inspection.message_content, inspection.gateway):
        result = await step()
        if result.fix:
            return result
    return await inspection.guilds()


async def where_to_write(settings: Settings) -> str:
    """How a person meets the bot: it must share a server with him."""
    inspection = _Inspection(settings)
    try:
        application = await inspection.application()
    except ChannelError:
        return ""
    return (
        f"[Let the bot into your server]({invite_address(str(application.get('id')))}), if it is not there yet. Then"
        " click on its name in the list of members and write to it, or mention it in a channel: `@bot 1234-5678`."
    )


def missing_permissions(bot: Mapping[str, Any], guild: Mapping[str, Any], room: Mapping[str, Any]) -> list[str]:
    """Which of the needed permissions a member has not in a room: roles, then the room's overwrites. Pure."""
    everybody_id = str(guild.get("id"))
    roles = {*(str(role) for role in bot.get("roles") or []), everybody_id}
    granted = 0
    for role in guild.get("roles") or []:
        if str(role.get("id")) in roles:
            granted |= int(role.get("permissions") or 0)
    if granted & _ADMINISTRATOR:
        return []
    overwrites = room.get("permission_overwrites") or []
    bot_id = str((bot.get("user") or {}).get("id"))
    everybody = [one for one in overwrites if str(one.get("id")) == everybody_id]
    of_roles = [one for one in overwrites if one not in everybody and str(one.get("id")) in roles]
    own = [one for one in overwrites if str(one.get("id")) == bot_id and int(one.get("type") or 0) == _MEMBER]
    for group in (everybody, of_roles, own):
        granted = (granted & ~_united(group, "deny")) | _united(group, "allow")
    return [name for name, bit in PERMISSIONS.items() if not granted & bit]


def _united(overwrites: Iterable[Mapping[str, Any]], side: str) -> int:
    bits = 0
    for overwrite in overwrites:
        bits |= int(overwrite.get(side) or 0)
    return bits


class _Inspection:
    """What several checks want to know is asked once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._answers: dict[str, Callable[[], Awaitable[Any]]] = {}

    async def token_form(self) -> CheckResult:
        if self._settings.token.get_secret_value().count(".") != 2:
            return warning(
                "the token does not look like a bot's (three parts with dots between them)",
                "copy it from the page Bot of the developer portal, not the client secret or the public key",
            )
        return ok("the token has a token's form")

    async def application(self) -> Any:
        return await self._ask("/oauth2/applications/@me")

    async def token(self) -> CheckResult:
        try:
            me = await self._ask("/users/@me")
        except ChannelError as error:
            return failed(str(error), "reset the token on the page Bot of the developer portal, and check base_url")
        if me.get("bot") is False:
            return failed(f"{me.get('username')} is a person's account", "use a bot's token: Discord forbids others")
        return ok(f"{me.get('username')} ({me.get('id')})")

    async def message_content(self) -> CheckResult:
        try:
            application = await self.application()
        except ChannelError as error:
            return skipped(f"cannot be told: {error}")
        if "flags" in application and not int(application["flags"] or 0) & _MESSAGE_CONTENT:
            return failed(
                "the bot may not read messages: Discord would refuse its connection",
                "switch Message Content Intent on, on the page Bot of the developer portal",
            )
        return ok("the bot may read messages")

    async def interactions(self) -> CheckResult:
        try:
            application = await self.application()
        except ChannelError as error:
            return skipped(f"cannot be told: {error}")
        address = application.get("interactions_endpoint_url")
        if address:
            return failed(
                f"commands and buttons go to {address} and never reach Threadmill",
                "empty Interactions Endpoint URL on the page General Information of the developer portal",
            )
        return ok("commands and buttons come by the gateway")

    async def server(self) -> CheckResult:
        """Another server than Discord's own must be meant."""
        url = self._settings.base_url
        if url == OFFICIAL_BASE_URL:
            return ok("Discord's own server")
        if url.startswith("http://") and urlsplit(url).hostname not in ("127.0.0.1", "localhost", "::1"):
            return warning(
                f"the token travels without encryption to {url}", "use https for base_url, or a server on this machine"
            )
        return ok(f"another server: {url}")

    async def code_grant(self) -> CheckResult:
        try:
            application = await self.application()
        except ChannelError as error:
            return skipped(f"cannot be told: {error}")
        if application.get("bot_require_code_grant"):
            return failed(
                "the bot cannot be let into servers: its invitation asks for an OAuth2 code",
                "switch Requires OAuth2 Code Grant off, on the page Bot of the developer portal",
            )
        if application.get("bot_public"):
            return ok("whoever has the invitation may add the bot: strangers there are let in by nobody but you")
        return ok("only its owner may add the bot to servers")

    async def gateway(self) -> CheckResult:
        try:
            async with self._rest() as rest:
                began = time.perf_counter()
                greeting = await rest.greeting()
        except ChannelError as error:
            return failed(str(error), "check base_url, the proxy and the firewall: websockets must get through")
        if greeting.get("op") != _HELLO:
            return failed(f"the gateway said {str(greeting)[:80]}", "check base_url: is that Discord?")
        return ok(f"the gateway greets after {(time.perf_counter() - began) * 1000:.0f} ms")

    async def sessions(self) -> CheckResult:
        try:
            answer = await self._ask("/gateway/bot")
        except ChannelError as error:
            return skipped(f"cannot be told: {error}")
        starts = answer.get("session_start_limit") or {}
        remaining, total = int(starts.get("remaining") or 0), int(starts.get("total") or 0)
        if total and remaining < FEW_SESSIONS:
            return warning(
                f"{remaining} of today's {total} sessions are left",
                "find out what connects so often: a second Threadmill with this token, or restarts in a loop",
            )
        return ok(f"{remaining} of today's {total} sessions are left")

    async def guilds(self) -> CheckResult:
        try:
            guilds = await self._ask("/users/@me/guilds")
            application = await self.application()
        except ChannelError as error:
            return skipped(f"cannot be told: {error}")
        invite = invite_address(str(application.get("id")))
        if not guilds:
            return warning("the bot is in no server", f"open {invite}")
        if len(guilds) >= SERVERS_THAT_NEED_SHARDS:
            return failed(f"the bot is in {len(guilds)} servers", "Threadmill does not shard: use a bot for fewer")
        names = ", ".join(str(guild.get("name")) for guild in guilds[:5])
        return ok(f"the bot is in {len(guilds)} server(s): {names}; into others by {invite}")

    async def commands(self) -> CheckResult:
        try:
            application = await self.application()
            declared = await self._ask(f"/applications/{application.get('id')}/commands")
        except ChannelError as error:
            return skipped(f"cannot be told: {error}")
        if not declared:
            return warning("no commands are declared", "nothing: starting Threadmill declares them")
        return ok(f"{len(declared)} commands are declared")

    async def clock(self) -> CheckResult:
        try:
            async with self._rest() as rest:
                return clock_check(await rest.date(), "Discord")
        except ChannelError as error:
            return skipped(f"cannot be told: {error}")

    async def room(self, room: ThreadRef) -> CheckResult:
        try:
            channel = await self._ask(f"/channels/{room.room}")
            guild_id = str(channel.get("guild_id") or "")
            if not guild_id:
                return ok(f"a conversation with {_partner(channel)}")
            if room.space and guild_id != room.space:
                return failed(f"{room.key}: the room is in the server {guild_id}", f"write {guild_id} in its place")
            guild = await self._ask(f"/guilds/{guild_id}")
        except ChannelError as error:
            return failed(
                f"{room.key}: {error}", "check the ids (Developer Mode, Copy ID), and let the bot's role see it"
            )
        return ok(f"#{channel.get('name')} of {guild.get('name')}")

    async def permitted(self, room: ThreadRef, *, needed: Sequence[str]) -> CheckResult:
        try:
            channel = await self._ask(f"/channels/{room.room}")
            guild_id = channel.get("guild_id")
            if not guild_id:
                return skipped("direct conversations know no permissions")
            guild = await self._ask(f"/guilds/{guild_id}")
            me = await self._ask("/users/@me")
            member = await self._ask(f"/guilds/{guild_id}/members/{me.get('id')}")
        except ChannelError:
            return skipped("the room is not seen")
        missing = missing_permissions(member, guild, channel)
        lacking = [name for name in missing if name in needed]
        name = f"#{channel.get('name')} of {guild.get('name')}"
        if lacking:
            return failed(
                f"in {name} the bot lacks: {', '.join(lacking)}",
                f"edit the channel, Permissions, the bot's role: allow {', '.join(lacking)}",
            )
        return ok(f"in {name} the bot has: {', '.join(needed)}")

    async def threads(self, room: ThreadRef) -> CheckResult:
        try:
            channel = await self._ask(f"/channels/{room.room}")
        except ChannelError:
            return skipped("the room is not seen")
        if not channel.get("guild_id"):
            return skipped("direct conversations have no threads")
        if channel.get("type") not in _WITH_THREADS:
            return warning(
                "this kind of room has no threads: all sessions share the conversation",
                "name a text channel or a forum, when each session shall have a thread of its own",
            )
        return await self.permitted(room, needed=THREADS)

    async def _ask(self, path: str) -> Any:
        if path not in self._answers:
            self._answers[path] = once(partial(self._asked, path))
        return await self._answers[path]()

    async def _asked(self, path: str) -> Any:
        from discord.http import Route

        async with self._rest() as rest:
            return await rest.request(Route("GET", path)) or {}

    @asynccontextmanager
    async def _rest(self) -> AsyncIterator[Rest]:
        """A client of its own; what goes wrong inside leaves as one of the contract's errors."""
        from channels.discord.errors import spoken
        from channels.discord.pace import Pace
        from channels.discord.rest import Rest, new_session

        with spoken("ask Discord"):
            async with new_session() as session:
                yield Rest(
                    base_url=self._settings.base_url,
                    token=self._settings.token.get_secret_value(),
                    session=session,
                    pace=Pace(),
                    user_agent="Threadmill",
                )


def _partner(channel: Mapping[str, Any]) -> str:
    recipients = channel.get("recipients") or [{}]
    return str(recipients[0].get("global_name") or recipients[0].get("username") or "somebody")
