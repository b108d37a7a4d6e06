"""What Telegram refuses, in its own words."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Any

TEXT_UNITS = 4096
CAPTION_UNITS = 1024
ENTITY_COUNT = 100
_NESTABLE = {"bold", "italic", "underline", "strikethrough", "spoiler"}
_CODE = {"pre", "code"}
_QUOTES = {"blockquote", "expandable_blockquote"}
_ENTITIES = _NESTABLE | _CODE | _QUOTES | {"text_link", "text_mention", "custom_emoji", "mention", "url"}


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, description: str, **parameters: Any) -> None:
        super().__init__(description)
        self.status, self.description, self.parameters = status, description, parameters


def bad_request(description: str, **parameters: Any) -> Refused:
    return Refused(400, f"Bad Request: {description}", **parameters)


def units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def check_text(text: str, entities: list[dict[str, Any]], limit: int) -> None:
    """A text and its entities. Stricter than Telegram, which repairs entities in silence: ours shall need no repair."""
    if not text.strip("\u200b\u2060 \n\t\r"):
        raise bad_request("message text is empty")
    if units(text) > limit:
        raise bad_request("message is too long" if limit == TEXT_UNITS else "message caption is too long")
    if len(entities) > ENTITY_COUNT:
        raise bad_request("too many entities (the fake's own rule)")
    text.encode("utf-8")
    for entity in entities:
        _check_entity(text, entity)
    for index, one in enumerate(entities):
        for other in entities[index + 1 :]:
            _check_pair(one, other)


def _check_entity(text: str, entity: dict[str, Any]) -> None:
    start, length = entity["offset"], entity["length"]
    if entity["type"] not in _ENTITIES:
        raise bad_request(f"unknown entity type {entity['type']}")
    if start < 0 or length <= 0 or start + length > units(text):
        raise bad_request("entity beyond the text (the fake's own rule)")
    encoded = text.encode("utf-16-le")
    encoded[start * 2 : (start + length) * 2].decode("utf-16-le")  # no half of a pair
    if entity["type"] == "text_link" and not entity.get("url", "").startswith(("http://", "https://", "tg://")):
        raise bad_request("wrong URL of an entity (the fake's own rule)")


def _check_pair(one: dict[str, Any], other: dict[str, Any]) -> None:
    first, second = sorted((one, other), key=lambda each: (each["offset"], -each["length"]))
    end = first["offset"] + first["length"]
    if second["offset"] >= end:
        return
    if second["offset"] + second["length"] > end:
        raise bad_request("entities overlap (the fake's own rule)")
    outer, inner = first["type"], second["type"]
    if outer in _QUOTES and inner not in _QUOTES:
        return
    if outer in _CODE or inner in _CODE or inner in _QUOTES:
        raise bad_request(f"{inner} inside {outer} (the fake's own rule)")
    if outer == inner or not (outer in _NESTABLE or inner in _NESTABLE):
        raise bad_request(f"{inner} inside {outer} (the fake's own rule)")


def check_keyboard(markup: dict[str, Any] | None) -> None:
    for row in (markup or {}).get("inline_keyboard", []):
        for button in row:
            if not button.get("text"):
                raise bad_request("text buttons are unallowed in the inline keyboard")
            if "callback_data" in button and not 1 <= len(button["callback_data"].encode()) <= 64:
                raise bad_request("BUTTON_DATA_INVALID")


def _wait(log: deque[float], most: int, seconds: float, now: float) -> float:
    while log and log[0] <= now - seconds:
        log.popleft()
    return log[-most] + seconds - now if len(log) >= most else 0.0


@dataclass
class FloodControl:
    """30 a second over all, 20 a minute in a group, 1 a second in a private chat after a short burst."""

    enforced: bool = False
    private_burst: int = 6
    _all: deque[float] = field(default_factory=deque)
    _groups: dict[int, deque[float]] = field(default_factory=lambda: defaultdict(deque))
    _people: dict[int, float] = field(
        default_factory=lambda: defaultdict(float)
    )  # when an even pace would be caught up
    refusals: int = 0

    def check(self, chat: int, now: float) -> None:
        if not self.enforced:
            return
        waits = [_wait(self._all, 30, 1.0, now)]
        if chat < 0:
            waits.append(_wait(self._groups[chat], 20, 60.0, now))
        else:
            waits.append(self._people[chat] - self.private_burst + 1 - now)
        if max(waits) > 0.01:  # the clocks of both sides tick apart
            self.refusals += 1
            wait = math.ceil(max(waits))
            raise Refused(429, f"Too Many Requests: retry after {wait}", retry_after=wait)
        self._all.append(now)
        self._groups[chat].append(now)
        self._people[chat] = max(self._people[chat], now) + 1.0
