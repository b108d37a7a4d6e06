"""Slack: its threads are Threadmill's threads.

Connected through Socket Mode (no public address is needed), spoken to through the Web API. Only this
package knows slack-bolt and slack-sdk, and it imports them when a channel is made, not before.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from channels.base import Channel, ChannelContext

_Base = Annotated[str, StringConstraints(pattern=r"^https?://", strip_whitespace=True)]


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


def create(settings: Settings, context: ChannelContext) -> Channel:
    """Make the channel. Imports the SDK (about 0.3 s the first time); makes no network call."""
    from channels.slack.adapter import SlackChannel

    return SlackChannel(settings, context)
