"""What went wrong at Telegram, as one of the four kinds that the core acts on.

`Refusal` keeps what the library throws away: the status. Without it a 404 looks like a wrong token, and a
429 without its parameters like a broken network. Whether something may have been done all the same is read
from how far the request got.

    connection not made            Unavailable
    401, 404, 409                  Unavailable (the token, the address or a second poller)
    429, 500, 502, 503             TemporaryFailure
    other 4xx                      Rejected; RoomMoved where a group became a supergroup
    broken off, timed out, 504     UnknownOutcome for a message, TemporaryFailure for what may be repeated
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
from telegram.error import TelegramError

from channels.base import ChannelError, Rejected, RoomMoved, TemporaryFailure, Unavailable, UnknownOutcome

_WAIT_WHEN_UNSAID = timedelta(seconds=5)
_NEVER_CONNECTED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)

NOT_LET_IN = (
    "Telegram does not accept the bot's token: get a new one from BotFather (/token) and put it in the config "
    "(with a base_url of your own, check that, too)"
)

_ADVICE = {
    "bot was blocked": "the person has blocked the bot and must unblock it in Telegram",
    "user is deactivated": "this account was deleted",
    "can't initiate conversation": "the person must write to the bot first",
    "chat not found": "the person must write to the bot first, or somebody must add the bot to the group",
    "bot was kicked": "add the bot to the group again",
    "not a member": "add the bot to the group",
    "not enough rights": "make the bot an administrator with the right to do this",
    "CHAT_ADMIN_REQUIRED": "make the bot an administrator of the group",
    "CHAT_WRITE_FORBIDDEN": "allow the bot to write in this group",
    "message thread not found": "this topic was deleted",
    "TOPIC_CLOSED": "reopen the topic, or make the bot an administrator who manages topics",
    "TOPIC_DELETED": "this topic was deleted",
    "file is too big": "bots may download up to 20 MB and upload up to 50 MB",
    "Request Entity Too Large": "bots may upload up to 50 MB",
}


class Refusal(TelegramError):
    """The server's own answer to a request that it did not carry out."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"{answer.status} {answer.description}")
        self.answer = answer

    def says(self, text: str) -> bool:
        return text.lower() in self.answer.description.lower()


class Unreadable(TelegramError):
    """The server says that it went well, and the rest of its answer cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer that is no success. https://core.telegram.org/bots/api#making-requests"""

    status: int
    description: str
    retry_after: timedelta | None = None
    moved_to: int | None = None  # the supergroup that a group became


def read_answer(status: int, body: bytes) -> Answer:
    """The refusal in a body, whatever the body is."""
    try:
        data = json.loads(body)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        return Answer(status=status, description="(no explanation)")
    parameters = data.get("parameters")
    parameters = parameters if isinstance(parameters, dict) else {}
    retry_after = _number(parameters.get("retry_after"))
    moved_to = _number(parameters.get("migrate_to_chat_id"))
    return Answer(
        status=status if status >= 400 else int(_number(data.get("error_code")) or 400),
        description=str(data.get("description") or "(no explanation)")[:500],
        retry_after=None if retry_after is None else timedelta(seconds=max(0.0, retry_after)),
        moved_to=None if moved_to is None else int(moved_to),
    )


def translate(error: TelegramError, doing: str, *, repeatable: bool = True) -> ChannelError:
    """The error for the core. `repeatable` says that doing it twice does no harm."""
    if isinstance(error, Refusal):
        return _refused(error.answer, doing, repeatable=repeatable)
    cause = error.__cause__
    if isinstance(cause, _NEVER_CONNECTED):
        return Unavailable(f"Telegram cannot be reached ({type(cause).__name__}): {doing} did not begin")
    if isinstance(cause, httpx.PoolTimeout):
        return TemporaryFailure(f"too many requests to Telegram at once: {doing} did not begin")
    what = type(cause or error).__name__
    if isinstance(cause, UnicodeError | httpx.InvalidURL):
        return Rejected(f"{doing} cannot be put into a request ({what})")
    if repeatable:
        return TemporaryFailure(f"the connection to Telegram broke ({what}): {doing} is to be repeated")
    return UnknownOutcome(f"the answer of Telegram to {doing} was lost ({what}): it may have been done")


def timed_out(doing: str, *, repeatable: bool = True) -> ChannelError:
    if repeatable:
        return TemporaryFailure(f"Telegram took too long for {doing}")
    return UnknownOutcome(f"Telegram took too long for {doing}: it may have been done")


def _refused(answer: Answer, doing: str, *, repeatable: bool) -> ChannelError:
    said = f"Telegram refused {doing}: {answer.description}"
    if answer.moved_to is not None:
        return RoomMoved(f"this group became a supergroup: its id is now {answer.moved_to}", to=str(answer.moved_to))
    match answer.status:
        case 401 | 404:
            return Unavailable(f"{said}. Check the bot's token and base_url")
        case 409:
            return Unavailable(second_poller(answer.description))
        case 420 | 429:
            return TemporaryFailure(f"{said} (too many requests)", retry_after=answer.retry_after or _WAIT_WHEN_UNSAID)
        case 504 if not repeatable:
            return UnknownOutcome(f"{said} ({answer.status}): it may have been done")
        case status if status >= 500:
            return TemporaryFailure(f"{said} ({status})", retry_after=answer.retry_after)
    advice = next((advice for part, advice in _ADVICE.items() if part.lower() in said.lower()), "")
    return Rejected(f"{said}: {advice}" if advice else said)


def second_poller(description: str) -> str:
    if "webhook" in description.lower():
        return "this bot still has a webhook, so Telegram gives no updates to anybody who asks: delete the webhook"
    return (
        "another program is asking for this bot's updates with the same token: stop it, or give Threadmill "
        "a bot of its own (only one may ask at a time)"
    )


def _number(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None
