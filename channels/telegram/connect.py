"""Getting Telegram connected: how to make the bot, one round trip that proves it, and what `doctor` looks at.

Nothing here takes updates away from a Threadmill that runs, or changes anything that people see.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from channels.base import ChannelError, ChannelName, RoomMoved, ThreadRef
from channels.checks import Check, CheckResult, clock_check, failed, ok, once, skipped, warning
from channels.telegram import DEFAULT_BASE_URL, Settings

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

SILENT = "write to the bot in Telegram; in groups privacy mode may keep it deaf, see channel.NAME.privacy"
"""What to look at when nothing ever came in."""

MANY_WAITING = 100
_OTHERS_SECONDS = 4
"""For how long updates are asked for to see whether somebody else asks too: pollers ask again within seconds."""
_TOKEN = re.compile(r"\d{3,}:[\w-]{20,}")
_HEARS = ("administrator", "creator")


def checks(settings: Settings, name: ChannelName, rooms: Sequence[ThreadRef]) -> Sequence[Check]:
    inspection = _Inspection(settings)
    return [
        Check(id=f"channel.{name}.token_form", run=inspection.token_form, network=False),
        Check(id=f"channel.{name}.second_poller", run=inspection.second_poller, disturbs=True),
        *(
            Check(id=f"channel.{name}.{what}", run=run)
            for what, run in (
                ("token", inspection.token),
                ("server", inspection.server),
                ("files", inspection.files),
                ("webhook", inspection.webhook),
                ("waiting", inspection.waiting),
                ("privacy", inspection.privacy),
                ("groups", inspection.groups),
                ("topics", inspection.topics),
                ("menu", inspection.menu),
                ("clock", inspection.clock),
            )
        ),
        *(
            Check(id=f"channel.{name}.room.{room.room}{what}", run=partial(run, room))
            for room in dict.fromkeys(room.in_room for room in rooms if room.channel == name)
            for what, run in (
                ("", inspection.room),
                (".write", inspection.room_write),
                (".hears", inspection.room_hears),
                (".topics", inspection.room_topics),
            )
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
    """What several checks want to know is asked once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.me = once(lambda: self._ask("getMe"))
        self._webhook = once(lambda: self._ask("getWebhookInfo"))
        self._chats: dict[str, Any] = {}

    async def token_form(self) -> CheckResult:
        if not _TOKEN.fullmatch(self._settings.token.get_secret_value()):
            return warning("the token does not look like 123456:ABC-DEF", "copy it from BotFather again: /mybots")
        return ok("the token has a token's form")

    async def token(self) -> CheckResult:
        try:
            me = await self.me()
        except ChannelError as error:
            return failed(str(error), "copy the token from BotFather again (/mybots, API Token), and check base_url")
        if me.get("is_bot") is False:
            return failed(f"{me.get('first_name')} is a person's account", "use a bot's token, from BotFather")
        return ok(f"@{me.get('username')} ({me.get('id')})")

    async def server(self) -> CheckResult:
        """Another server than Telegram's own must be meant."""
        url = self._settings.base_url
        if url == DEFAULT_BASE_URL:
            return ok("Telegram's own server")
        if url.startswith("http://") and not _on_this_machine(url):
            return warning(
                f"the token travels without encryption to {url}", "use https for base_url, or a server on this machine"
            )
        return ok(f"another Bot API server: {url}")

    async def files(self) -> CheckResult:
        """Asks for a file that there is not: any answer shows that the server can be reached."""
        try:
            async with self._client() as client:
                async for _ in client.download("threadmill-doctor"):
                    break
        except ChannelError as error:
            from channels.telegram.errors import Refusal

            if not isinstance(error.__cause__, Refusal) or error.__cause__.answer.status >= 500:
                return failed(f"attachments cannot be fetched: {error}", "check base_file_url and the firewall")
        return ok(f"the file server answers ({urlsplit(self._settings.file_url).netloc})")

    async def webhook(self) -> CheckResult:
        try:
            info = await self._webhook()
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

    async def second_poller(self) -> CheckResult:
        """Asks for updates for some seconds and acknowledges none: who else asks ends our question."""
        from telegram.error import TelegramError

        from channels.telegram.errors import Refusal

        if self._settings.webhook_url:
            return skipped("updates are brought to a webhook")
        try:
            if (await self._webhook()).get("url"):
                return skipped("a webhook stands in the way, see webhook")
            async with self._client() as client:
                waiting = await client.attempt("getUpdates", timeout=_OTHERS_SECONDS, limit=1)
        except Refusal as refusal:
            if refusal.answer.status == 409:
                return failed(
                    "another program asks for this bot's updates",
                    "stop it; if you do not know it, BotFather's /revoke makes a new token that only you have",
                )
            return skipped(f"cannot be told: {refusal}")
        except (ChannelError, TelegramError, TimeoutError) as error:
            return skipped(f"cannot be told: {error}")
        if waiting:
            return ok("updates wait here that nobody else fetches")
        return ok(f"nobody else asked for updates within {_OTHERS_SECONDS} s")

    async def waiting(self) -> CheckResult:
        try:
            count = int((await self._webhook()).get("pending_update_count") or 0)
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

    async def clock(self) -> CheckResult:
        try:
            async with self._client() as client:
                return clock_check(await client.date(), "Telegram")
        except ChannelError as error:
            return skipped(f"cannot be told: {error}")

    async def room(self, room: ThreadRef) -> CheckResult:
        try:
            chat, member = await self._seen(room)
        except RoomMoved as error:
            return failed(
                f"{room.key}: {error}", f"write {error.to} in the configuration; until then Threadmill follows"
            )
        except ChannelError as error:
            return failed(
                f"{room.key}: {error}", "check the id; add the bot to the group, or let the person write first"
            )
        if member.get("status") in ("left", "kicked"):
            return failed(f"the bot is not in {_name(chat)}", "add it to the group")
        return ok(f"the bot is in {_name(chat)} ({member.get('status')})")

    async def room_write(self, room: ThreadRef) -> CheckResult:
        try:
            chat, member = await self._seen(room)
        except ChannelError:
            return skipped("the room is not seen")
        if member.get("status") == "restricted" and not member.get("can_send_messages"):
            return failed(f"the bot may not write in {_name(chat)}", "lift its restriction in the group's permissions")
        everybody = chat.get("permissions") or {}
        if member.get("status") == "member" and everybody.get("can_send_messages") is False:
            return failed(
                f"only administrators may write in {_name(chat)}", "make the bot an administrator, or let members write"
            )
        return ok(f"the bot may write in {_name(chat)}")

    async def room_hears(self, room: ThreadRef) -> CheckResult:
        try:
            (chat, member), me = await self._seen(room), await self.me()
        except ChannelError:
            return skipped("the room is not seen")
        if chat.get("type") == "private" or member.get("status") in _HEARS:
            return ok(f"the bot hears everything in {_name(chat)}")
        if not me.get("can_read_all_group_messages"):
            return warning(
                f"in {_name(chat)} the bot hears only commands, mentions and replies: privacy mode is on",
                "make it an administrator there; or BotFather: /setprivacy, Disable, and add it to the group again",
            )
        return ok(f"the bot hears everything in {_name(chat)}")

    async def room_topics(self, room: ThreadRef) -> CheckResult:
        try:
            chat, member = await self._seen(room)
        except ChannelError:
            return skipped("the room is not seen")
        if not chat.get("is_forum"):
            how = "are reply chains" if chat.get("type") == "supergroup" else "share the conversation"
            return ok(f"{_name(chat)} has no topics: sessions {how}")
        if member.get("status") != "creator" and not member.get("can_manage_topics"):
            return warning(
                f"the bot cannot open topics in {_name(chat)}", "make it an administrator who may manage topics"
            )
        return ok(f"the bot may open topics in {_name(chat)}")

    async def _seen(self, room: ThreadRef) -> tuple[dict[str, Any], dict[str, Any]]:
        """The chat, and the bot as its member."""
        if room.room not in self._chats:
            self._chats[room.room] = once(partial(self._look_at, room.room))
        found: tuple[dict[str, Any], dict[str, Any]] = await self._chats[room.room]()
        return found

    async def _look_at(self, chat_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
        me = await self.me()
        chat = await self._ask("getChat", chat_id=chat_id)
        return chat, await self._ask("getChatMember", chat_id=chat_id, user_id=me.get("id"))

    async def _ask(self, method: str, **data: Any) -> dict[str, Any]:
        async with self._client() as client:
            answer = await client.call(method, repeatable=True, **data)
        return answer if isinstance(answer, dict) else {}

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[Client]:
        from channels.telegram.client import Client

        async with Client(self._settings) as client:
            yield client


def _name(chat: dict[str, Any]) -> str:
    return str(chat.get("title") or chat.get("first_name") or chat.get("id"))


def _on_this_machine(url: str) -> bool:
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
