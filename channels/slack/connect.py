"""Getting Slack connected: how to make the app, one round trip that proves it, and what `doctor` looks at.

Nothing here changes anything that people see. A check asks Slack once and says what it saw.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from channels.base import ChannelError, ChannelName, ThreadRef
from channels.checks import Check, CheckResult, failed, ok, skipped, warning
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

CLOCK_SECONDS = 30.0
REINSTALL = "in the app's settings, OAuth & Permissions, add it and press Reinstall to Workspace"


def checks(settings: Settings, name: ChannelName, rooms: Sequence[ThreadRef]) -> Sequence[Check]:
    prefix = f"channel.{name}"
    inspection = _Inspection(settings)
    return [
        Check(id=f"{prefix}.token_kinds", run=inspection.token_kinds, network=False),
        Check(id=f"{prefix}.bot_token", run=inspection.bot_token),
        Check(id=f"{prefix}.scopes", run=inspection.scopes),
        Check(id=f"{prefix}.socket_mode", run=inspection.socket_mode),
        Check(id=f"{prefix}.clock", run=inspection.clock),
        *(
            Check(id=f"{prefix}.room.{room.room}", run=partial(inspection.room, room))
            for room in dict.fromkeys(room.in_room for room in rooms if room.channel == name)
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
    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def token_kinds(self) -> CheckResult:
        bot, app = self._settings.bot_token.get_secret_value(), self._settings.app_token
        if not bot.startswith("xoxb-"):
            return failed(
                "bot_token does not start with xoxb-", "copy the Bot User OAuth Token from OAuth & Permissions"
            )
        if app is not None and not app.get_secret_value().startswith("xapp-"):
            return failed("app_token does not start with xapp-", "copy an app-level token from Basic Information")
        return ok("the tokens are of the right kinds")

    async def name(self) -> str:
        async with self._asking() as (client, calls):
            return str((await calls.ask("say who the bot is", client.auth_test())).get("user"))

    async def bot_token(self) -> CheckResult:
        async with self._asking() as (client, calls):
            try:
                answer = await calls.ask("say who the bot is", client.auth_test())
            except ChannelError as error:
                return failed(str(error), "copy the bot token again, or install the app again")
        return ok(f"@{answer.get('user')} ({answer.get('user_id')}) in {answer.get('team')} ({answer.get('team_id')})")

    async def scopes(self) -> CheckResult:
        async with self._asking() as (client, calls):
            try:
                answer = await calls.ask("say what the bot may do", client.auth_test())
            except ChannelError as error:
                return skipped(f"cannot be told: {error}")
        granted = _header(answer, "x-oauth-scopes")
        if granted is None:
            return skipped("Slack did not say which permissions the token has")
        missing = sorted(set(SCOPES) - {scope.strip() for scope in granted.split(",")})
        if missing:
            lacks = ", ".join(f"{scope} (to {SCOPES[scope]})" for scope in missing)
            return warning(f"the app lacks {lacks}", REINSTALL)
        return ok(f"all {len(SCOPES)} permissions are granted")

    async def socket_mode(self) -> CheckResult:
        """Asks for a socket's address and does not use it: an open socket would be given a share of the events."""
        token = self._settings.app_token
        if token is None:
            return skipped("HTTP is used instead of Socket Mode")
        async with self._asking() as (client, calls):
            try:
                await calls.ask("open a socket", client.apps_connections_open(app_token=token.get_secret_value()))
            except ChannelError as error:
                fix = "switch Socket Mode on, and make an app-level token with the scope connections:write"
                return failed(str(error), fix)
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
        async with self._asking() as (client, calls):
            try:
                answer = await calls.ask("tell the time", client.api_call("api.test"))
            except ChannelError as error:
                return skipped(f"cannot be told: {error}")
        try:
            there = parsedate_to_datetime(_header(answer, "date") or "")
        except ValueError:
            return skipped("Slack did not tell the time")
        off = abs((datetime.now(UTC) - there).total_seconds())
        if off > CLOCK_SECONDS:
            return warning(f"this machine's clock differs from Slack's by {off:.0f} s", "set the clock, by NTP say")
        return ok(f"this machine's clock is within {max(off, 1):.0f} s of Slack's")

    async def room(self, room: ThreadRef) -> CheckResult:
        async with self._asking() as (client, calls):
            try:
                answer = await calls.ask("show a channel", client.conversations_info(channel=room.room))
            except ChannelError as error:
                return failed(f"{room.key}: {error}", "check the channel's id, and invite the bot: /invite @Threadmill")
        found: Any = answer.get("channel") or {}
        name = f"#{found.get('name')}" if found.get("name") else room.room
        if found.get("is_archived"):
            return failed(f"{name} is archived", "unarchive it, or take it out of the configuration")
        if found.get("is_member") is False and not found.get("is_im"):
            return failed(f"the bot is not in {name}", f"in {name}, type /invite @Threadmill")
        return ok(f"the bot is in {name}")

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


def _header(answer: Any, wanted: str) -> str | None:
    for name, value in answer.headers.items():
        if name.lower() == wanted:
            return str(value)
    return None
