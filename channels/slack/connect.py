"""Getting Slack connected: how to make the app, one round trip that proves it, and what `doctor` looks at.

Nothing here changes anything that people see. A check asks Slack once and says what it saw.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from channels.base import ChannelError, ChannelName, ThreadRef
from channels.checks import Check, CheckResult, clock_check, failed, ok, once, skipped, warning
from channels.slack import Settings
from channels.slack.manifest import SCOPES, creation_address

if TYPE_CHECKING:
    from channels.slack.calls import Calls

GUIDE = f"""\
1. Open [this page]({creation_address()}), choose your workspace and press **Create**: the app gets exactly the
   permissions that it needs. (Or **From a manifest**, with what `threadmill init --slack-manifest` prints.)
2. **Install App** → **Install to Workspace**. Copy the *Bot User OAuth Token* (`xoxb-…`): that is `bot_token`.
3. **Basic Information** → **App-Level Tokens** → **Generate**, with the scope `connections:write`. Copy it
   (`xapp-…`): that is `app_token`.
4. In Slack, invite the bot to a channel: `/invite @Threadmill`.
"""

SILENT = (
    "write to the bot directly, or /invite it and mention it; when nothing comes: Event Subscriptions of the app must"
    " be on and name the events of `threadmill init --slack-manifest`, and the app be installed again after a change"
)
"""What to look at when nothing ever came in: Slack tells a bot nothing of its own subscriptions."""

_WRONG_APP_TOKEN = frozenset(
    {"invalid_auth", "not_authed", "not_allowed_token_type", "missing_scope", "token_revoked", "account_inactive"}
)
REINSTALL = "in the app's settings, OAuth & Permissions, add it and press Reinstall to Workspace"


def checks(settings: Settings, name: ChannelName, rooms: Sequence[ThreadRef]) -> Sequence[Check]:
    inspection = _Inspection(settings)
    return [
        Check(id=f"channel.{name}.token_kinds", run=inspection.token_kinds, network=False),
        Check(id=f"channel.{name}.listener", run=inspection.listener, network=False, disturbs=True),
        *(
            Check(id=f"channel.{name}.{what}", run=run)
            for what, run in (
                ("bot_token", inspection.bot_token),
                ("server", inspection.server),
                ("scopes", inspection.scopes),
                ("surplus", inspection.surplus),
                ("app_token", inspection.app_token),
                ("socket_mode", inspection.socket_mode),
                ("clock", inspection.clock),
            )
        ),
        *(
            Check(id=f"channel.{name}.room.{room.room}{what}", run=partial(run, room))
            for room in dict.fromkeys(room.in_room for room in rooms if room.channel == name)
            for what, run in (
                ("", inspection.room),
                (".workspace", inspection.room_workspace),
                (".member", inspection.room_member),
                (".write", inspection.room_write),
            )
        ),
    ]


async def prove(settings: Settings) -> CheckResult:
    """Both tokens, and a socket that Slack greets."""
    inspection = _Inspection(settings)
    for step in (inspection.token_kinds, inspection.bot_token, inspection.scopes, inspection.greeting):
        result = await step()
        if result.fix:
            return result
    return await inspection.bot_token()


async def where_to_write(settings: Settings) -> str:
    """How a person meets the bot."""
    try:
        name = await _Inspection(settings).name()
    except ChannelError:
        return ""
    return (
        f"In Slack, under **Apps**, choose *{name}* and write in **Messages**; or in a channel `/invite @{name}` first."
    )


class _Inspection:
    """What several checks want to know is asked once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._me = once(self._ask_me)
        self._socket = once(self._ask_for_socket)
        self._rooms: dict[str, Callable[[], Awaitable[Any]]] = {}

    async def name(self) -> str:
        return str((await self._me()).get("user"))

    async def token_kinds(self) -> CheckResult:
        bot, app = self._settings.bot_token.get_secret_value(), self._settings.app_token
        if not bot.startswith("xoxb-"):
            return failed(
                "bot_token does not start with xoxb-", "copy the Bot User OAuth Token from OAuth & Permissions"
            )
        if app is not None and not app.get_secret_value().startswith("xapp-"):
            return failed("app_token does not start with xapp-", "copy an app-level token from Basic Information")
        return ok("the tokens are of the right kinds")

    async def listener(self) -> CheckResult:
        """Where Slack would call us."""
        settings = self._settings
        if settings.app_token is not None:
            return ok("Socket Mode needs no address of ours")
        try:
            server = await asyncio.start_server(lambda _, __: None, settings.listen_host, settings.listen_port)
        except OSError as error:
            return failed(
                f"{settings.listen_host}:{settings.listen_port}: {error.strerror}",
                "stop what listens there, or change listen_port",
            )
        server.close()
        await server.wait_closed()
        return ok(f"{settings.listen_host}:{settings.listen_port} is free for Slack's requests")

    async def bot_token(self) -> CheckResult:
        try:
            answer = await self._me()
        except ChannelError as error:
            return failed(
                str(error), "copy the token again from OAuth & Permissions, or there press Reinstall to Workspace"
            )
        if not answer.get("bot_id"):
            return failed(f"the token is that of the person {answer.get('user')}", "copy the Bot User OAuth Token")
        return ok(f"@{answer.get('user')} ({answer.get('user_id')}) in {answer.get('team')} ({answer.get('team_id')})")

    async def server(self) -> CheckResult:
        """Another server than Slack's own must be meant."""
        url = self._settings.base_url
        if urlsplit(url).hostname == "slack.com":
            return ok("Slack's own server")
        if url.startswith("http://") and urlsplit(url).hostname not in ("127.0.0.1", "localhost", "::1"):
            return warning(
                f"the tokens travel without encryption to {url}", "use https for base_url, or a server on this machine"
            )
        return ok(f"another server: {url}")

    async def scopes(self) -> CheckResult:
        granted = await self._granted()
        if isinstance(granted, CheckResult):
            return granted
        missing = sorted(set(SCOPES) - granted)
        if missing:
            lacks = ", ".join(f"{scope} (to {SCOPES[scope]})" for scope in missing)
            return warning(f"the app lacks {lacks}", REINSTALL)
        return ok(f"all {len(SCOPES)} permissions are granted")

    async def surplus(self) -> CheckResult:
        """More than is needed is more than a stolen token should open."""
        granted = await self._granted()
        if isinstance(granted, CheckResult):
            return granted
        more = sorted(granted - set(SCOPES))
        if more:
            return warning(
                f"the app may also: {', '.join(more)}",
                "remove these in the app's settings, OAuth & Permissions, unless something else of yours uses them",
            )
        return ok("the app has no permission that Threadmill does not use")

    async def app_token(self) -> CheckResult:
        if self._settings.app_token is None:
            return skipped("HTTP is used instead of Socket Mode")
        try:
            refused = await self._socket()
        except ChannelError as error:
            return failed(str(error), "check base_url, the proxy and the firewall")
        if refused in _WRONG_APP_TOKEN:
            return failed(
                f"Slack does not take the app-level token ({refused})",
                "Basic Information, App-Level Tokens: generate one with the scope connections:write, and copy it",
            )
        return ok("the app-level token opens sockets" if not refused else "the app-level token is known")

    async def socket_mode(self) -> CheckResult:
        """Asks for a socket's address and does not use it: an open socket would be given a share of the events."""
        if self._settings.app_token is None:
            return skipped("HTTP is used instead of Socket Mode")
        try:
            refused = await self._socket()
        except ChannelError as error:
            return skipped(f"cannot be told: {error}")
        if refused in _WRONG_APP_TOKEN:
            return skipped("the app-level token is not taken, see app_token")
        if refused:
            return failed(
                f"Slack gives out no socket ({refused})",
                "switch Socket Mode on, in the app's settings under Socket Mode",
            )
        return ok("Slack gives out a socket")

    async def greeting(self) -> CheckResult:
        """Opens the socket: only for an app that is not in use yet."""
        if self._settings.app_token is None:
            return skipped("HTTP is used instead of Socket Mode")
        from slack_bolt.app.async_app import AsyncApp

        from channels.slack.socket import Socket
        from channels.slack.web import sdk_logger

        async with self._asking() as (client, calls):
            try:
                opening = client.apps_connections_open(app_token=self._settings.app_token.get_secret_value())
                address = str((await calls.ask("open a socket", opening)).get("url"))
                app = AsyncApp(client=client, logger=sdk_logger, name="threadmill")
                async with asyncio.TaskGroup() as group, Socket(app, client.session, group, address):
                    pass
            except* ChannelError as errors:
                first = str(errors.exceptions[0])
            else:
                return ok("Slack greets on the socket")
        return failed(first, "switch Socket Mode on, and let this machine reach wss-primary.slack.com by port 443")

    async def clock(self) -> CheckResult:
        try:
            async with self._asking() as (client, calls):
                answer = await calls.ask("tell the time", client.api_call("api.test"))
        except ChannelError as error:
            return skipped(f"cannot be told: {error}")
        return clock_check(_header(answer, "date") or "", "Slack")

    async def room(self, room: ThreadRef) -> CheckResult:
        try:
            found = await self._seen(room)
        except ChannelError as error:
            return failed(f"{room.key}: {error}", "check the channel's id, and invite the bot: /invite @Threadmill")
        if found.get("is_archived"):
            return failed(f"{_name(found)} is archived", "unarchive it, or take it out of the configuration")
        return ok(f"{_name(found)} ({room.room})")

    async def room_workspace(self, room: ThreadRef) -> CheckResult:
        try:
            team = str((await self._me()).get("team_id"))
        except ChannelError as error:
            return skipped(f"cannot be told: {error}")
        if room.space and room.space != team:
            return failed(f"{room.key} names the workspace {room.space}", f"this bot is in {team}: write that")
        return ok(f"the workspace is {team}")

    async def room_member(self, room: ThreadRef) -> CheckResult:
        try:
            found = await self._seen(room)
        except ChannelError:
            return skipped("the room is not seen")
        if found.get("is_member") is False and not found.get("is_im"):
            return failed(f"the bot is not in {_name(found)}", f"in {_name(found)}, type /invite @Threadmill")
        return ok(f"the bot is in {_name(found)}")

    async def room_write(self, room: ThreadRef) -> CheckResult:
        try:
            found = await self._seen(room)
        except ChannelError:
            return skipped("the room is not seen")
        if found.get("is_read_only") or found.get("is_thread_only"):
            only = "read" if found.get("is_read_only") else "answer in threads"
            return warning(
                f"in {_name(found)} not everybody may write: members may only {only}",
                "in the channel's settings, under Posting Permissions, let the bot post",
            )
        return ok(f"nothing keeps the bot from writing in {_name(found)}")

    async def _seen(self, room: ThreadRef) -> dict[str, Any]:
        if room.room not in self._rooms:
            self._rooms[room.room] = once(partial(self._look_at, room.room))
        found: dict[str, Any] = await self._rooms[room.room]()
        return found

    async def _look_at(self, room: str) -> dict[str, Any]:
        async with self._asking() as (client, calls):
            answer = await calls.ask("show a channel", client.conversations_info(channel=room))
        return {"id": room, **(answer.get("channel") or {})}

    async def _granted(self) -> set[str] | CheckResult:
        try:
            answer = await self._me()
        except ChannelError as error:
            return skipped(f"cannot be told: {error}")
        granted = _header(answer, "x-oauth-scopes")
        if granted is None:
            return skipped("Slack did not say which permissions the token has")
        return {scope.strip() for scope in granted.split(",") if scope.strip()}

    async def _ask_me(self) -> Any:
        async with self._asking() as (client, calls):
            return await calls.ask("say who the bot is", client.auth_test())

    async def _ask_for_socket(self) -> str:
        """Empty when a socket would be opened, else Slack's word for why not."""
        from slack_sdk.errors import SlackApiError

        assert self._settings.app_token is not None
        token = self._settings.app_token.get_secret_value()

        async def attempt(client: Any) -> str:
            try:
                await client.apps_connections_open(app_token=token)
            except SlackApiError as error:
                return str(error.response.get("error") or "no reason given")
            return ""

        async with self._asking() as (client, calls):
            return await calls.ask("open a socket", attempt(client))

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[tuple[Any, Calls]]:
        from channels.slack.calls import Calls
        from channels.slack.web import new_client, new_session

        async with new_session() as session:
            token = self._settings.bot_token.get_secret_value()
            yield (
                new_client(session, token=token, base_url=self._settings.base_url, user_agent="Threadmill"),
                Calls(lambda _: None),
            )


def _name(room: dict[str, Any]) -> str:
    return f"#{room['name']}" if room.get("name") else str(room.get("id"))


def _header(answer: Any, wanted: str) -> str | None:
    for name, value in answer.headers.items():
        if name.lower() == wanted:
            return str(value)
    return None
