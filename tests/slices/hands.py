"""What people and other bots do on a platform beside writing: they press, react, edit and send files."""

from __future__ import annotations

from typing import Any

from channels.base import ThreadRef
from tests.fakes.slack import BOT
from tests.fakes.telegram.world import ADA, EVE
from tests.slices.screens import ADAS, EVES, DiscordScreen, Screen, SlackScreen, TelegramScreen

ROBOT = "robot"
TELEGRAM_IDS = {ADAS: ADA, EVES: EVE, ROBOT: 6_000_000_001}
SLACK_IDS = {ADAS: "U1", EVES: "U9", ROBOT: "U7"}


def press(screen: Screen, where: ThreadRef, label: str, *, by: str = ADAS) -> bool:
    """Somebody presses the newest button of this label. False: there is none."""
    match screen:
        case DiscordScreen():
            room = where.thread or where.room
            for message in reversed(screen.world.messages[room]):
                for row in message.get("components", []):
                    for button in row["components"]:
                        if button.get("label") == label:
                            screen.world.presses(room, message["id"], button["custom_id"], by=screen.people[by])
                            return True
        case TelegramScreen():
            for id, message in reversed(screen.world.chats[int(where.room)].messages.items()):
                for row in message.get("reply_markup", {}).get("inline_keyboard", []):
                    for button in row:
                        if button["text"] == label:
                            screen.world.presses(int(where.room), id, button["callback_data"], by=TELEGRAM_IDS[by])
                            return True
        case SlackScreen():
            for message in reversed(screen.slack.space.room(where.room).messages):
                blocks = message.get("blocks", []) if message.get("user") == BOT else []
                for element in (element for block in blocks for element in block.get("elements", [])):
                    if element.get("text", {}).get("text") == label if isinstance(element.get("text"), dict) else False:
                        screen.slack.press(where.room, message["ts"], element["action_id"], SLACK_IDS[by])
                        return True
    return False


def reacts(screen: Screen, where: ThreadRef, message_id: str, *, by: str) -> None:
    match screen:
        case DiscordScreen():
            screen.world.reacts(where.thread or where.room, message_id, "🛑", by=screen.people[by])
        case TelegramScreen():
            screen.world.reacts(int(where.room), int(message_id), "👎", by=TELEGRAM_IDS[by])
        case SlackScreen():
            item = {"type": "message", "channel": where.room, "ts": message_id}
            event = {"type": "reaction_added", "user": SLACK_IDS[by], "reaction": "octagonal_sign", "item": item}
            screen.slack.space.announce({**event, "item_user": BOT, "event_ts": screen.slack.space.now()})


def edits(screen: Screen, where: ThreadRef, message_id: str, text: str, *, by: str) -> None:
    """The platform says that this person has changed this message, whoever wrote it."""
    match screen:
        case DiscordScreen():
            message = screen.world.message(where.thread or where.room, message_id)
            message["author"] = screen.world.users[screen.people[by]]
            screen.world.edits(where.thread or where.room, message_id, text)
        case TelegramScreen():
            screen.world.chats[int(where.room)].messages[int(message_id)]["from"] = screen.world.users[TELEGRAM_IDS[by]]
            screen.world.edits(int(where.room), int(message_id), text)
        case SlackScreen():
            screen.slack.space.message(where.room, message_id)["user"] = SLACK_IDS[by]
            screen.slack.space.edit(where.room, message_id, text, SLACK_IDS[by])


def sends_file(screen: Screen, where: ThreadRef, *, by: str) -> None:
    """A file with a caption that addresses the bot."""
    content = b"a letter from a stranger"
    match screen:
        case DiscordScreen(world=world):
            room = where.thread or where.room
            attachment = {
                "id": world.new_id(),
                "filename": "letter.txt",
                "size": len(content),
                "content_type": "text/plain",
            }
            attachment["url"] = attachment["proxy_url"] = f"{world.attachments_url}/attachments/{room}/1/letter.txt"
            world.says(room, f"<@{world.bot}> say a file", by=screen.people[by], attachments=[attachment])
        case TelegramScreen(world=world):
            document = world.store_file("letter.txt", content)
            caption = f"@{world.bot['username']} say a file"
            entity = {"type": "mention", "offset": 0, "length": len(caption.split(maxsplit=1)[0])}
            topic = None if where.thread is None else int(where.thread)
            more: dict[str, Any] = {"document": document, "caption": caption, "caption_entities": [entity]}
            world.says(int(where.room), by=TELEGRAM_IDS[by], topic=topic, **more)
        case SlackScreen():
            file = {"id": "F9", "name": "letter.txt", "mimetype": "text/plain", "size": len(content)}
            file["url_private_download"] = f"{screen.slack.base_url}files/F9"
            text = f"<@{BOT}> say a file"
            space = screen.slack.space
            space.say(where.room, SLACK_IDS[by], text, where.thread, files=[file], subtype="file_share")


def joins(screen: Screen) -> None:
    """Another program's bot comes into the routed room."""
    match screen:
        case DiscordScreen():
            screen.people[ROBOT] = screen.world.person("Robot", bot=True)
        case TelegramScreen():
            robot = {"id": TELEGRAM_IDS[ROBOT], "is_bot": True, "first_name": "Robot", "username": "robot_bot"}
            screen.world.users[TELEGRAM_IDS[ROBOT]] = robot
        case SlackScreen():
            screen.slack.space.people["U7"] = "Robot"
            screen.slack.space.room("C1").members.add("U7")


def robot_says(screen: Screen, where: ThreadRef, text: str) -> None:
    """The other bot writes, and addresses ours."""
    match screen:
        case DiscordScreen():
            spoken = f"<@{screen.world.bot}> {text}"
            screen.world.says(where.thread or where.room, spoken, by=screen.people[ROBOT])
        case TelegramScreen():
            topic = None if where.thread is None else int(where.thread)
            spoken = f"@{screen.world.bot['username']} {text}"
            screen.world.says(int(where.room), spoken, by=TELEGRAM_IDS[ROBOT], topic=topic)
        case SlackScreen():
            more = {"bot_id": "BROBOT", "app_id": "A7"}
            screen.slack.space.say(where.room, "U7", f"<@{BOT}> {text}", where.thread, **more)
