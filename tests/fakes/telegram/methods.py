"""The Bot API's methods: what a bot may ask, checked as Telegram checks it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from telegram.constants import ReactionEmoji

from tests.fakes.telegram.rules import (
    CAPTION_UNITS,
    TEXT_UNITS,
    FloodControl,
    Refused,
    bad_request,
    check_keyboard,
    check_text,
)
from tests.fakes.telegram.world import Chat, World

Upload = tuple[str, bytes]

_REACTIONS = {emoji.value for emoji in ReactionEmoji}  # the ones that need no premium


@dataclass
class Request:
    """One call: parameters as sent (text, or JSON in text), and uploaded files."""

    data: Mapping[str, Any]
    files: Mapping[str, Upload] = field(default_factory=dict)

    def text(self, name: str) -> str:
        return str(self.data.get(name, ""))

    def number(self, name: str) -> int | None:
        value = self.data.get(name)
        try:
            return None if value is None else int(value)
        except ValueError:
            raise bad_request(f"{name} is not a number") from None

    def flag(self, name: str) -> bool:
        return str(self.data.get(name, "")).lower() == "true"

    def json(self, name: str, default: Any = None) -> Any:
        value = self.data.get(name)
        if value is None:
            return default
        try:
            return json.loads(value) if isinstance(value, str) else value
        except ValueError:
            raise bad_request(f"can't parse {name} JSON object") from None


@dataclass
class Methods:
    """What a bot may ask of this world."""

    world: World
    flood: FloodControl = field(default_factory=FloodControl)
    webhook: dict[str, Any] | None = None
    menu_calls: int = 0

    def names(self) -> dict[str, str]:
        """Method names are case-insensitive."""
        return {name.removeprefix("do_").replace("_", "").lower(): name for name in dir(self) if name.startswith("do_")}

    def do_get_me(self, request: Request) -> Any:
        return self.world.bot

    def do_set_my_commands(self, request: Request) -> Any:
        commands = request.json("commands", [])
        if len(commands) > 100 or any(not 1 <= len(each["description"]) <= 256 for each in commands):
            raise bad_request("BOT_COMMAND_INVALID")
        self.menu_calls += 1
        self.world.menus[self._menu(request)] = commands
        return True

    def do_delete_my_commands(self, request: Request) -> Any:
        self.world.menus.pop(self._menu(request), None)
        return True

    def _menu(self, request: Request) -> tuple[str, int | None, str]:
        scope, language = request.json("scope", {"type": "default"}), request.text("language_code")
        if language and (len(language) != 2 or not language.islower()):
            raise bad_request("BOT_COMMAND_LANGUAGE_CODE_INVALID")
        if scope["type"].startswith("chat") and scope["chat_id"] not in self.world.chats:
            raise bad_request("chat not found")
        return scope["type"], scope.get("chat_id"), language

    def do_set_webhook(self, request: Request) -> Any:
        url = request.text("url")
        if url and not url.startswith("https://"):
            raise bad_request("bad webhook: An HTTPS URL must be provided for webhook")
        if (allowed := request.json("allowed_updates")) is not None:
            self.world.allowed = set(allowed) or None
        self.webhook = {"url": url, "secret": request.text("secret_token")} if url else None
        self.world.arrived.set()
        return True

    def do_delete_webhook(self, request: Request) -> Any:
        if request.flag("drop_pending_updates"):
            self.world.updates.clear()
        self.webhook = None
        return True

    def do_get_webhook_info(self, request: Request) -> Any:
        return {"url": self.webhook["url"] if self.webhook else "", "pending_update_count": len(self.world.updates)}

    def do_get_chat(self, request: Request) -> Any:
        return self._chat(request).told()

    def do_get_my_commands(self, request: Request) -> Any:
        return self.world.menus.get(self._menu(request), [])

    def do_get_chat_member(self, request: Request) -> Any:
        chat = self.world.chats.get(request.number("chat_id") or 0)
        if chat is None or request.number("user_id") != self.world.bot["id"]:
            raise bad_request("member not found")
        rights = dict.fromkeys(chat.bot_rights, True) if chat.bot_is == "administrator" else {}
        return {"user": self.world.bot, "status": chat.bot_is, "can_send_messages": "send" in chat.bot_rights} | rights

    def do_send_message(self, request: Request) -> Any:
        entities = request.json("entities", [])
        text = request.text("text")
        check_text(text, entities, TEXT_UNITS)
        return self._say(request, {"text": text} | ({"entities": entities} if entities else {}))

    def do_send_document(self, request: Request) -> Any:
        return self._say(request, self._caption(request) | {"document": self._uploaded(request.files.get("document"))})

    def do_send_photo(self, request: Request) -> Any:
        upload = request.files.get("photo")
        if upload is None or not upload[1].startswith((b"\x89PNG", b"\xff\xd8\xff")):
            raise bad_request("IMAGE_PROCESS_FAILED")
        photo = self._uploaded(upload)
        return self._say(request, self._caption(request) | {"photo": [{**photo, "width": 8, "height": 8}]})

    def do_send_media_group(self, request: Request) -> Any:
        media = request.json("media", [])
        if not 2 <= len(media) <= 10:
            raise bad_request("wrong number of media in a group")
        content = []
        for item in media:
            caption = {"caption": item["caption"]} if item.get("caption") else {}
            if caption:
                check_text(item["caption"], item.get("caption_entities", []), CAPTION_UNITS)
            upload = request.files.get(item["media"].removeprefix("attach://"))
            content.append(caption | {"document": self._uploaded(upload), "media_group_id": "1"})
        return [self._say(request, each, counted=index == 0) for index, each in enumerate(content)]

    def do_edit_message_text(self, request: Request) -> Any:
        text, entities = request.text("text"), request.json("entities", [])
        check_text(text, entities, TEXT_UNITS)
        chat, message = self._own_message(request)
        if "text" not in message:
            raise bad_request("there is no text in the message to edit")
        return self._change(chat, message, {"text": text, "entities": entities}, request)

    def do_edit_message_caption(self, request: Request) -> Any:
        chat, message = self._own_message(request)
        return self._change(chat, message, self._caption(request), request)

    def do_delete_message(self, request: Request) -> Any:
        chat, message = self._own_message(request)
        del chat.messages[message["message_id"]]
        return True

    def do_set_message_reaction(self, request: Request) -> Any:
        chat = self._chat(request)
        message_id, wanted = request.number("message_id"), request.json("reaction", [])
        if message_id not in chat.messages:
            raise bad_request("message to react not found")
        if len(wanted) > 1:
            raise bad_request("REACTIONS_TOO_MANY")
        emoji = [str(each.get("emoji")) for each in wanted if each.get("type") == "emoji"]
        if not chat.takes_reactions or len(emoji) != len(wanted) or not set(emoji) <= _REACTIONS:
            raise bad_request("REACTION_INVALID")
        self.world.reactions[chat.id, message_id] = emoji
        return True

    def do_answer_callback_query(self, request: Request) -> Any:
        self.world.answered.append(request.text("callback_query_id"))
        return True

    def do_send_chat_action(self, request: Request) -> Any:
        chat = self._chat(request)
        self.world.actions[chat.id, self._thread(chat, request, general=True)] = self.world.clock() + 5
        return True

    def do_send_message_draft(self, request: Request) -> Any:
        chat = self._chat(request)
        if chat.type != "private":
            raise bad_request("TEXTDRAFT_PEER_INVALID")
        draft_id = request.number("draft_id")
        if not draft_id:
            raise bad_request("draft_id must be non-zero")
        text = request.text("text")
        if text:
            check_text(text, request.json("entities", []), TEXT_UNITS)
        topic = self._thread(chat, request)
        draft = {"draft_id": draft_id, "text": text, "at": self.world.clock(), "can_stop": request.flag("can_stop")}
        self.world.drafts[chat.id, topic] = draft
        self.world.drafts_shown.append(draft | {"chat": chat.id, "topic": topic})
        return True

    def do_create_forum_topic(self, request: Request) -> Any:
        chat = self._chat(request)
        if chat.type == "private" and not self.world.bot.get("has_topics_enabled"):
            raise bad_request("BOT_FORUM_CREATE_FORBIDDEN")
        if chat.type != "private" and not chat.is_forum:
            raise bad_request("the chat is not a forum")
        if chat.type != "private" and "can_manage_topics" not in chat.bot_rights:
            raise bad_request("not enough rights to create a topic")
        name = request.text("name")
        if not 1 <= len(name) <= 128:
            raise bad_request("TOPIC_TITLE_EMPTY")
        topic = self.world.open_topic(chat.id, name, self.world.bot)
        return {"message_thread_id": topic, "name": name, "icon_color": 7322096}

    def do_get_file(self, request: Request) -> Any:
        found = self.world.files.get(request.text("file_id"))
        if found is None:
            raise bad_request("wrong file_id or the file is temporarily unavailable")
        path, content = found
        if len(content) > 20_000_000:
            raise bad_request("file is too big")
        return {"file_id": request.text("file_id"), "file_unique_id": "u", "file_size": len(content), "file_path": path}

    # --- what they share -------------------------------------------------------------------------

    def _chat(self, request: Request) -> Chat:
        chat = self.world.chats.get(request.number("chat_id") or 0)
        if chat is None:
            raise bad_request("chat not found")
        if chat.migrated_to is not None:
            raise bad_request("group chat was upgraded to a supergroup chat", migrate_to_chat_id=chat.migrated_to)
        if chat.bot_is == "kicked":
            blocked = chat.type == "private"
            raise Refused(
                403, "Forbidden: bot was " + ("blocked by the user" if blocked else f"kicked from the {chat.type} chat")
            )
        return chat

    def _thread(self, chat: Chat, request: Request, *, general: bool = False) -> int | None:
        thread = request.number("message_thread_id")
        if thread == 1 and general and chat.is_forum:
            return None
        if thread is not None and thread not in chat.topics:
            raise bad_request("message thread not found")
        return thread

    def _say(self, request: Request, content: dict[str, Any], *, counted: bool = True) -> dict[str, Any]:
        chat = self._chat(request)
        topic = self._thread(chat, request)
        if "send" not in chat.bot_rights:
            raise bad_request("not enough rights to send text messages to the chat")
        if topic is not None and chat.topics[topic].closed and "can_manage_topics" not in chat.bot_rights:
            raise bad_request("TOPIC_CLOSED")
        direct = request.number("direct_messages_topic_id")
        if (direct not in chat.direct_topics) if chat.direct_topics is not None else direct is not None:
            raise bad_request("direct messages topic must be specified")
        markup = request.json("reply_markup")
        check_keyboard(markup)
        reply = request.json("reply_parameters") or {}
        if reply and reply["message_id"] not in chat.messages and not reply.get("allow_sending_without_reply"):
            raise bad_request("message to be replied not found")
        if counted:
            self.flood.check(chat.id, self.world.clock())
        more = {"reply_markup": markup} if markup else {}
        if direct is not None:
            more["direct_messages_topic"] = {"topic_id": direct}
        if request.json("link_preview_options", {}).get("is_disabled"):
            more["link_preview_options"] = {"is_disabled": True}
        return self.world.bot_says(chat.id, topic, reply.get("message_id"), content | more)

    def _change(self, chat: Chat, message: dict[str, Any], content: dict[str, Any], request: Request) -> dict[str, Any]:
        markup = request.json("reply_markup")
        check_keyboard(markup)
        if (
            all(message.get(key, []) == value for key, value in content.items())
            and message.get("reply_markup") == markup
        ):
            raise bad_request(
                "message is not modified: specified new message content and reply markup are exactly the same"
            )
        self.flood.check(chat.id, self.world.clock())
        message.pop("reply_markup", None)
        message |= content | ({"reply_markup": markup} if markup else {})
        return message

    def _own_message(self, request: Request) -> tuple[Chat, dict[str, Any]]:
        chat = self._chat(request)
        message = chat.messages.get(request.number("message_id") or 0)
        if message is None:
            raise bad_request("message to edit not found")
        if message["from"]["id"] != self.world.bot["id"]:
            raise bad_request("message can't be edited")
        return chat, message

    def _caption(self, request: Request) -> dict[str, Any]:
        caption, entities = request.text("caption"), request.json("caption_entities", [])
        if caption:
            check_text(caption, entities, CAPTION_UNITS)
        return ({"caption": caption} if caption else {}) | ({"caption_entities": entities} if entities else {})

    def _uploaded(self, upload: Upload | None) -> dict[str, Any]:
        if upload is None:
            raise bad_request("there is no document in the request")
        name, content = upload
        if not content:
            raise bad_request("file must be non-empty")
        if len(content) > 50_000_000:
            raise Refused(413, "Request Entity Too Large")
        return self.world.store_file(name, content)
