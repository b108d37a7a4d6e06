"""What Discord refuses in a message or a command, from its documentation."""

from __future__ import annotations

import re
from typing import Any

Json = dict[str, Any]
_COMMAND_NAME = re.compile(r"^[-_'\w]{1,32}$")


class Refusal(Exception):
    """An error answer: HTTP status, Discord's code, its text."""

    def __init__(self, status: int, code: int, text: str) -> None:
        super().__init__(f"{status} {code} {text}")
        self.status, self.code, self.text = status, code, text


def check_message(body: Json, *, files: int = 0) -> None:
    """Raises Refusal for a message that Discord would not take."""
    content = body.get("content") or ""
    if not isinstance(content, str) or len(content.encode("utf-16-le")) // 2 > 2000:
        raise Refusal(400, 50035, "Invalid Form Body: content must be 2000 or fewer in length")
    rows = body.get("components") or []
    if not content.strip() and not files and not rows and not body.get("flags", 0) & (1 << 7):
        raise Refusal(400, 50006, "Cannot send an empty message")
    if files > 10:
        raise Refusal(400, 50035, "Invalid Form Body: at most 10 attachments")
    mentions = body.get("allowed_mentions")
    if mentions is not None and not isinstance(mentions.get("parse", []), list):
        raise Refusal(400, 50035, "Invalid Form Body: allowed_mentions")
    _check_rows(rows)


def _check_rows(rows: list[Json]) -> None:
    if len(rows) > 5:
        raise Refusal(400, 50035, "Invalid Form Body: at most 5 rows")
    seen: set[str] = set()
    for row in rows:
        buttons = row.get("components", [])
        if row.get("type") != 1 or not 1 <= len(buttons) <= 5:
            raise Refusal(400, 50035, "Invalid Form Body: a row holds 1 to 5 buttons")
        for button in buttons:
            custom_id, label = button.get("custom_id", ""), button.get("label", "")
            if not 1 <= len(custom_id) <= 100 or not 1 <= len(label) <= 80 or custom_id in seen:
                raise Refusal(400, 50035, "Invalid Form Body: custom_id or label")
            seen.add(custom_id)


def check_command(command: Json) -> None:
    """Raises Refusal for a command that Discord would not take."""
    kind, name = command.get("type", 1), command["name"]
    if kind == 1:
        if not _COMMAND_NAME.match(name) or name != name.lower():
            raise Refusal(400, 50035, f"Invalid Form Body: command name {name!r}")
        if not 1 <= len(command.get("description", "")) <= 100:
            raise Refusal(400, 50035, "Invalid Form Body: description")
    elif command.get("description") or command.get("options") or not 1 <= len(name) <= 32:
        raise Refusal(400, 50035, "Invalid Form Body: a menu entry has a name only")
    optional_seen = False
    for option in command.get("options", []):
        if not _COMMAND_NAME.match(option["name"]) or not 1 <= len(option["description"]) <= 100:
            raise Refusal(400, 50035, "Invalid Form Body: option")
        if option.get("required") and optional_seen:
            raise Refusal(400, 50035, "Required options must be placed before non-required options")
        optional_seen = optional_seen or not option.get("required")
        choices = option.get("choices", [])
        if len(choices) > 25 or (choices and option.get("autocomplete")):
            raise Refusal(400, 50035, "Invalid Form Body: choices")


def check_response(interaction: int, body: Json) -> None:
    """Raises Refusal for an answer to an interaction that Discord would not take."""
    suggesting = body.get("type") == 8
    if suggesting != (interaction == 4):
        raise Refusal(400, 50035, "Invalid Form Body: this type does not answer this interaction")
    choices = body.get("data", {}).get("choices", []) if suggesting else []
    if len(choices) > 25:
        raise Refusal(400, 50035, "Invalid Form Body: at most 25 choices")
    for choice in choices:
        name, value = choice["name"], choice["value"]
        if not 1 <= len(name) <= 100 or not 1 <= len(value) <= 100:
            raise Refusal(400, 50035, "Invalid Form Body: a choice has 1 to 100 characters")


def minutes_of(body: Json) -> int:
    """How long a new thread stays in the list. A room's own default is its clients' affair."""
    minutes = int(body.get("auto_archive_duration") or 1440)
    if minutes not in (60, 1440, 4320, 10080):
        raise Refusal(400, 50035, "Invalid Form Body: auto_archive_duration")
    return minutes


def posted(body: Json) -> Json:
    """The fields of a new message that come from its sender."""
    return {
        "text": body.get("content") or "",
        "flags": int(body.get("flags") or 0),
        "components": body.get("components") or [],
        **({"message_reference": body["message_reference"]} if body.get("message_reference") else {}),
    }


def changed(message: Json, body: Json) -> Json:
    """The fields of a message after an edit."""
    fields = posted({**message, **body})
    return {**fields, "content": fields.pop("text")}
