"""Getting Telegram connected: how to make the bot, one round trip that proves it, and what `doctor` looks at.

Nothing here takes updates away from a Threadmill that runs, or changes anything that people see.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from channels.base import ChannelError, ChannelName, ThreadRef
from channels.checks import Check, CheckResult, failed, ok, skipped, warning
from channels.telegram import Settings

if TYPE_CHECKING:
    from channels.telegram.client import Client

GUIDE = """\
1. In Telegram, open [@BotFather](https://t.me/BotFather), send `/newbot`, and choose a name and a user name.
2. Copy the token that it answers with (`123456:ABC-DEF…`): that is `token`.
3. To let the bot hear everything in groups, send `/setprivacy` to BotFather, choose the bot, then **Disable**; a
   group that has the bot already must remove and add it again. Without this it hears commands, mentions and replies.
4. For a topic for each session in private chats, open BotFather's app, choose the bot, and switch **Threaded Mode** on.
   In a group, switch **Topics** on and make the bot an administrator who may **manage topics**.
5. Write to the bot once: it cannot write to anybody first.
"""

MANY_WAITING = 100
_TOKEN = re.compile(r"\d{3,}:[\w-]{20,}")


def checks(settings: Settings, name: ChannelName, rooms: Sequence[ThreadRef]) -> Sequence[Check]:
    prefix = f"channel.{name}"
    inspection = _Inspection(settings)
    return [
        Check(id=f"{prefix}.token_form", run=inspection.token_form, network=False),
        Check(id=f"{prefix}.token", run=inspection.token),
        Check(id=f"{prefix}.webhook", run=inspection.webhook),
        Check(id=f"{prefix}.waiting", run=inspection.waiting),
        Check(id=f"{prefix}.privacy", run=inspection.privacy),
        Check(id=f"{prefix}.groups", run=inspection.groups),
        Check(id=f"{prefix}.topics", run=inspection.topics),
        Check(id=f"{prefix}.menu", run=inspection.menu),
        *(
            Check(id=f"{prefix}.room.{room.room}", run=partial(inspection.room, room))
            for room in dict.fromkeys(room.in_room for room in rooms if room.channel == name)
        ),
    ]


async def prove(settings: Settings) -> CheckResult:
    """The token opens the door."""
    return await _Inspection(settings).token()


async def where_to_write(settings: Settings) -> str:
    """How a person meets the bot."""
    try:
        me = await _Inspection(settings).me()
    except ChannelError:
        return ""
    return f"[Open the bot](https://t.me/{me.get('username')}), press **Start**, and write there."


class _Inspection:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def token_form(self) -> CheckResult:
        if not _TOKEN.fullmatch(self._settings.token.get_secret_value()):
            return warning("the token does not look like 123456:ABC-DEF", "copy it from BotFather again: /mybots")
        return ok("the token has a token's form")

    async def me(self) -> dict[str, Any]:
        return await self._ask("getMe")

    async def token(self) -> CheckResult:
        try:
            me = await self.me()
        except ChannelError as error:
            return failed(str(error), "copy the token from BotFather again, and check base_url")
        return ok(f"@{me.get('username')} ({me.get('id')})")

    async def webhook(self) -> CheckResult:
        try:
            info = await self._ask("getWebhookInfo")
        except ChannelError as error:
            return skipped(f"cannot be told: {error}")
        url, wanted = str(info.get("url") or ""), self._settings.webhook_url
        if url and not wanted:
            return warning(
                f"a webhook is left over: {url}", "nothing: starting Threadmill removes it, what waits is kept"
            )
        if wanted and url != wanted:
            return warning(f"the webhook is {url or 'not set'}", "nothing: starting Threadmill sets it")
        if wanted and (trouble := info.get("last_error_message")):
            return warning(f"Telegram last met: {trouble}", f"let {wanted} lead to {self._settings.webhook_listen}")
        return ok(f"updates are brought to {wanted}" if wanted else "no webhook stands in the way of polling")

    async def waiting(self) -> CheckResult:
        try:
            count = int((await self._ask("getWebhookInfo")).get("pending_update_count") or 0)
        except ChannelError as error:
            return skipped(f"cannot be told: {error}")
        if count > MANY_WAITING:
            return warning(f"{count} updates wait at Telegram", "start Threadmill; they are kept for 24 hours")
        return ok(f"{count} updates wait at Telegram")

    async def privacy(self) -> CheckResult:
        try:
            me = await self.me()
        except ChannelError as error:
            return skipped(f"cannot be told: {error}")
        if not me.get("can_read_all_group_messages"):
            return warning(
                "privacy mode is on: in groups the bot hears only commands, mentions and replies (or is administrator)",
                "BotFather: /setprivacy, Disable; then remove the bot from its groups and add it again",
            )
        return ok("the bot hears everything in its groups")

    async def groups(self) -> CheckResult:
        try:
            me = await self.me()
        except ChannelError as error:
            return skipped(f"cannot be told: {error}")
        if me.get("can_join_groups") is False:
            return warning("the bot cannot be added to groups", "BotFather: /setjoingroups, Enable")
        return ok("the bot can be added to groups")

    async def topics(self) -> CheckResult:
        try:
            me = await self.me()
        except ChannelError as error:
            return skipped(f"cannot be told: {error}")
        if not me.get("has_topics_enabled"):
            return warning(
                "no topics in private chats: all sessions of a person share one conversation",
                "BotFather's app: choose the bot, switch Threaded Mode on",
            )
        return ok("sessions in private chats get topics of their own")

    async def menu(self) -> CheckResult:
        try:
            async with self._client() as client:
                commands = await client.call("getMyCommands", repeatable=True)
        except ChannelError as error:
            return skipped(f"cannot be told: {error}")
        if not commands:
            return warning("the command menu is empty", "nothing: starting Threadmill sets it")
        return ok(f"the menu has {len(commands)} commands")

    async def room(self, room: ThreadRef) -> CheckResult:
        try:
            chat = await self._ask("getChat", chat_id=room.room)
            me = await self.me()
            member = await self._ask("getChatMember", chat_id=room.room, user_id=me.get("id"))
        except ChannelError as error:
            return failed(
                f"{room.key}: {error}", "check the id; add the bot to the group, or let the person write first"
            )
        name = chat.get("title") or chat.get("first_name") or room.room
        status = member.get("status")
        if status in ("left", "kicked"):
            return failed(f"the bot is not in {name}", "add it to the group")
        if status == "restricted" and not member.get("can_send_messages"):
            return failed(f"the bot may not write in {name}", "lift its restriction in the group's permissions")
        if chat.get("is_forum") and not member.get("can_manage_topics"):
            return warning(f"the bot cannot open topics in {name}", "make it an administrator who may manage topics")
        return ok(f"the bot is in {name} ({status})")

    async def _ask(self, method: str, **data: Any) -> dict[str, Any]:
        async with self._client() as client:
            answer = await client.call(method, repeatable=True, **data)
        return answer if isinstance(answer, dict) else {}

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[Client]:
        from channels.telegram.client import Client

        async with Client(self._settings) as client:
            yield client
