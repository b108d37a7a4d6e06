"""Discord: its gateway for what comes in, its REST interface for what goes out.

This package promises the channel contract (channels/base.py) for Discord. Importing it costs nothing: discord.py
takes a second to load and is imported by `create`, when a Discord channel is really configured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from channels.base import ChannelContext

if TYPE_CHECKING:
    from channels.discord.adapter import DiscordChannel

OFFICIAL_BASE_URL = "https://discord.com/api/v10"


class Settings(BaseModel):
    """The keys of `[channels.discord]`."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    token: SecretStr = Field(description="The bot's token, from the Bot page of the Discord developer portal.")
    base_url: str = Field(
        default=OFFICIAL_BASE_URL,
        description="Where Discord's REST interface is, version 10. The gateway's address is asked there.",
    )

    requests_per_second: int | None = Field(
        default=None,
        ge=1,
        description="How many requests a second the server allows over all. Discord allows 50, large bots more; "
        "another server's limit is learnt from its refusals when this is not set.",
    )

    @field_validator("token")
    @classmethod
    def _token_is_there(cls, token: SecretStr) -> SecretStr:
        text = token.get_secret_value().strip()
        if not text or any(character.isspace() for character in text):
            raise ValueError("the token is empty or has spaces in it: copy it again from the developer portal")
        return SecretStr(text.removeprefix("Bot "))

    @field_validator("base_url")
    @classmethod
    def _base_url_is_http(cls, base_url: str) -> str:
        if not base_url.startswith(("https://", "http://")):
            raise ValueError(f"write an address that begins with https://, such as {OFFICIAL_BASE_URL}")
        return base_url.rstrip("/")


def create(settings: Settings, context: ChannelContext) -> DiscordChannel:
    """The channel of these settings. Imports discord.py."""
    from channels.discord.adapter import DiscordChannel

    return DiscordChannel(settings, context)
