"""The Slack app that Threadmill needs, as a manifest: paste it, and the app is made with all of it. Pure.

Source: the app manifest reference. The same lists tell `doctor` what an installed app lacks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from channels.base import CommandSpec
from channels.slack.pressed import HAND_OVER

SCOPES = {
    "app_mentions:read": "hear when it is mentioned",
    "assistant:write": "show that it is working, with a Stop button",
    "channels:history": "read messages in public channels that it is in",
    "channels:read": "notice archived and deleted public channels",
    "chat:write": "write messages",
    "commands": "offer /threadmill and the message menu",
    "files:read": "read files that people send",
    "files:write": "send files",
    "groups:history": "read messages in private channels that it is in",
    "groups:read": "notice archived and deleted private channels",
    "im:history": "read direct messages to it",
    "im:write": "open direct messages",
    "mpim:history": "read group messages that it is in",
    "reactions:read": "see reactions",
    "reactions:write": "mark messages that an agent has read or is answering",
    "users:read": "show people's names",
}
"""Each permission and what for."""

EVENTS = (
    "agent_session_stopped",
    "app_mention",
    "app_uninstalled",
    "channel_archive",
    "channel_deleted",
    "channel_id_changed",
    "channel_left",
    "channel_unarchive",
    "group_archive",
    "group_deleted",
    "group_left",
    "group_unarchive",
    "message.channels",
    "message.groups",
    "message.im",
    "message.mpim",
    "reaction_added",
    "tokens_revoked",
)

NAME = "Threadmill"
PROMPTS = ("help", "agents", "status", "cost")


def manifest(*, address: str | None = None, commands: Sequence[CommandSpec] = ()) -> dict[str, Any]:
    """With `address` (the public URL of the HTTP endpoint) for HTTP; without it for Socket Mode."""
    url = {} if address is None else {"request_url": address}
    slash = {"command": "/threadmill", "description": "Spawn, steer and stop agents", "usage_hint": "help"}
    known = {command.name: command.description for command in commands}
    prompts = [{"title": known[name][:100], "message": f"!{name}"} for name in PROMPTS if name in known]
    return {
        "display_information": {"name": NAME, "description": "A team of agents in your threads"},
        "features": {
            "app_home": {
                "home_tab_enabled": False,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": NAME, "always_online": True},
            "agent_view": {
                "agent_description": "A team of agents in your threads",
                **({"suggested_prompts": prompts} if prompts else {}),
            },
            "slash_commands": [slash | {"should_escape": False} | ({} if address is None else {"url": address})],
            "shortcuts": [
                {
                    "name": "Hand to an agent",
                    "type": "message",
                    "callback_id": HAND_OVER,
                    "description": "Spawn an agent with this message as its task",
                }
            ],
        },
        "oauth_config": {"scopes": {"bot": sorted(SCOPES)}},
        "settings": {
            "event_subscriptions": {"bot_events": list(EVENTS), **url},
            "interactivity": {"is_enabled": True, **url},
            "org_deploy_enabled": False,
            "socket_mode_enabled": address is None,
            "token_rotation_enabled": False,
        },
    }


def creation_address(**about: Any) -> str:
    """The page of Slack that makes an app from this manifest: one click instead of many."""
    written = json.dumps(manifest(**about), separators=(",", ":"))
    return f"https://api.slack.com/apps?new_app=1&manifest_json={quote(written, safe='')}"
