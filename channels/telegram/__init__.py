"""Telegram, on python-telegram-bot: rooms are chats, threads are topics.

Updates are fetched by long polling (or taken in by a webhook) and committed before they are acknowledged. Answers are
sent as text with entities, paced by Telegram's own limits, and streamed as drafts where the chat is private.
The library is imported when a channel is made, not before.
"""

from __future__ import annotations

import re
from typing import Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator, model_validator

from channels.base import Channel, ChannelContext

DEFAULT_BASE_URL = "https://api.telegram.org/bot"
_SECRET = re.compile(r"[A-Za-z0-9_-]{0,256}")


class Settings(BaseModel):
    """`[channels.telegram]` of the configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    token: SecretStr = Field(description="The bot's token, as BotFather gives it.")
    base_url: str = Field(
        default=DEFAULT_BASE_URL,
        description="The Bot API server, up to the token. Another one for a local Bot API server or a test server.",
    )
    base_file_url: str = Field(
        default="", description="Where files are downloaded, up to the token. Derived from base_url when it is absent."
    )
    poll_timeout_seconds: int = Field(
        default=25, ge=0, le=50, description="How long Telegram holds a request for updates open when there are none."
    )
    messages_per_second: float | None = Field(
        default=None,
        gt=0,
        description=(
            "Ceiling over all chats. When absent: 30 at Telegram itself; at another server no limit is kept until "
            "it complains about too many requests."
        ),
    )
    stream: bool = Field(default=True, description="Show answers while they are written.")
    webhook_url: str = Field(
        default="", description="The public https address for a webhook; when absent, updates are polled."
    )
    webhook_secret: SecretStr = Field(
        default=SecretStr(""), description="Secret token that Telegram repeats with every webhook request."
    )
    webhook_listen: str = Field(
        default="127.0.0.1:8643", description="host:port where the webhook's requests are taken, behind your TLS proxy."
    )

    @field_validator("token")
    @classmethod
    def _token_is_whole(cls, token: SecretStr) -> SecretStr:
        text = token.get_secret_value()
        if not text or any(character.isspace() or character in "/?#" for character in text):
            raise ValueError("is empty or no token: copy it from BotFather, it looks like 123456:ABC-DEF")
        return token

    @field_validator("base_url", "base_file_url")
    @classmethod
    def _address_is_whole(cls, address: str, info: ValidationInfo) -> str:
        address = address.rstrip("/")
        parts = urlsplit(address)
        if address and (parts.scheme not in ("https", "http") or not parts.hostname):
            raise ValueError("must be an address such as https://api.telegram.org/bot")
        if info.field_name == "base_url" and "/bot" not in parts.path:
            return f"{address}/bot"
        return address

    @field_validator("webhook_listen")
    @classmethod
    def _listens_somewhere(cls, listen: str) -> str:
        _, colon, port = listen.rpartition(":")
        if not colon or not port.isdigit() or int(port) > 65535:
            raise ValueError("must be host:port, such as 127.0.0.1:8643")
        return listen

    @field_validator("webhook_secret")
    @classmethod
    def _secret_fits_in_a_header(cls, secret: SecretStr) -> SecretStr:
        """https://core.telegram.org/bots/api#setwebhook"""
        if not _SECRET.fullmatch(secret.get_secret_value()):
            raise ValueError("must be at most 256 letters, digits, _ and -: Telegram takes no others")
        return secret

    @model_validator(mode="after")
    def _webhook_can_be_reached(self) -> Self:
        parts = urlsplit(self.webhook_url)
        if self.webhook_url and (parts.scheme not in ("https", "http") or not parts.hostname):
            raise ValueError("webhook_url must be an address such as https://bot.example.org/telegram")
        if parts.scheme == "http" and self.base_url == DEFAULT_BASE_URL:
            raise ValueError("webhook_url must begin with https://: Telegram brings updates to no other address")
        if self.webhook_url and not self.webhook_secret.get_secret_value():
            raise ValueError("webhook_url needs webhook_secret: without it anybody could forge messages")
        return self

    @property
    def file_url(self) -> str:
        """Where files are: the documented `/file/bot` beside `/bot`."""
        if self.base_file_url:
            return self.base_file_url
        head, bot, tail = self.base_url.rpartition("/bot")
        return f"{head}/file{bot}{tail}"

    @property
    def listen_at(self) -> tuple[str, int]:
        host, _, port = self.webhook_listen.rpartition(":")
        return host.strip("[]") or "127.0.0.1", int(port)

    @property
    def ceiling(self) -> float | None:
        """Messages a second over all chats, as far as it is known from the start."""
        if self.messages_per_second is None and self.base_url.startswith("https://api.telegram.org/"):
            return 30.0
        return self.messages_per_second


def create(settings: Settings, context: ChannelContext) -> Channel:
    """A Telegram channel. Imports python-telegram-bot; makes no network call."""
    from channels.telegram.adapter import TelegramChannel

    return TelegramChannel(settings, context)
