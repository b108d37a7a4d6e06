"""Slack: its threads are Threadmill's threads.

Connected through Socket Mode (no public address is needed), spoken to through the Web API. Only this
package knows slack-bolt and slack-sdk, and it imports them when a channel is made, not before.
"""

from __future__ import annotations

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, model_validator

from channels.base import Channel, ChannelContext

_Base = Annotated[str, StringConstraints(pattern=r"^https?://", strip_whitespace=True)]


DOCUMENTED_PER_SECOND = 1.0
"""In one channel (https://docs.slack.dev/apis/web-api/rate-limits, "posting messages")."""


class Settings(BaseModel):
    """The keys of `[channels.slack]`."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    bot_token: SecretStr = Field(description="The bot token (xoxb-…) from *OAuth & Permissions*.")
    app_token: SecretStr | None = Field(
        default=None,
        description="The app-level token (xapp-…) with `connections:write` from *Basic Information*, for Socket Mode.",
    )
    base_url: _Base = Field(
        default="https://slack.com/api/", description="Address of the Web API. The socket's address comes from it."
    )
    posts_per_second: float | None = Field(
        default=None,
        gt=0,
        description=(
            "How fast we write in one channel. When absent: about one message a second at Slack itself; at another "
            "server no limit is kept until it complains about too many requests."
        ),
    )
    look_back_minutes: int = Field(
        default=60,
        ge=0,
        le=1440,
        description="After a gap: how far back posts outside of bound threads are still answered (0: not at all).",
    )
    signing_secret: SecretStr | None = Field(
        default=None,
        description="From *Basic Information*: Slack calls us by HTTP instead, when there is no app_token.",
    )
    listen_host: str = Field(default="127.0.0.1", description="HTTP: where to listen (behind a proxy with TLS).")
    listen_port: int = Field(default=3000, ge=1, le=65535, description="HTTP: the port to listen on.")
    listen_path: Annotated[str, StringConstraints(pattern=r"^/")] = Field(
        default="/slack/events", description="HTTP: the path of the request URLs in the app's settings."
    )

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if self.app_token is None and self.signing_secret is None:
            raise ValueError("Slack needs app_token (Socket Mode) or signing_secret (HTTP)")
        return self

    @property
    def pace_is_known(self) -> bool:
        """Whether a channel's limit is known from the start."""
        host = urlsplit(self.base_url).hostname or ""
        return (
            self.posts_per_second is not None or host == "slack.com" or host.endswith((".slack.com", ".slack-gov.com"))
        )


def create(settings: Settings, context: ChannelContext) -> Channel:
    """Make the channel. Imports the SDK (about 0.3 s the first time); makes no network call."""
    from channels.slack.adapter import SlackChannel

    return SlackChannel(settings, context)
