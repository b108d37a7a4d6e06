"""Slack's events as far as we read them: parsed once, here, and trusted inside.

Slack adds fields without notice and leaves others out, so every field has a default, unknown ones are
ignored, and null stands for "left out". Source: the Events API and interactivity references.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Payload(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: item for key, item in value.items() if item is not None}
        return value


class Profile(Payload):
    display_name: str = ""
    real_name: str = ""
    name: str = ""


class File(Payload):
    id: str = ""
    name: str = ""
    title: str = ""
    mimetype: str = ""
    size: int | None = None
    mode: str = ""
    url_private: str = ""
    url_private_download: str = ""


class Edited(Payload):
    user: str = ""
    ts: str = ""


class Message(Payload):
    """A message as events and the history carry it; for changes, with the message before and after."""

    type: str = ""
    subtype: str = ""
    channel: str = ""
    channel_type: str = ""
    user: str = ""
    bot_id: str = ""
    app_id: str = ""
    username: str = ""
    user_profile: Profile = Profile()
    text: str = ""
    ts: str = ""
    event_ts: str = ""
    thread_ts: str = ""
    parent_user_id: str = ""
    deleted_ts: str = ""
    edited: Edited | None = None
    files: tuple[File, ...] = ()
    attachments: Any = None  # the older kind; this and blocks are read by `blockkit`, which takes them as they come
    blocks: Any = None
    message: Message | None = None
    previous_message: Message | None = None

    @property
    def thread(self) -> str | None:
        """The thread it was said in; None for a post of the room, also when replies hang under it."""
        return self.thread_ts if self.thread_ts and self.thread_ts != self.ts else None


class ReactedItem(Payload):
    type: str = ""
    channel: str = ""
    ts: str = ""


class Reaction(Payload):
    user: str = ""
    reaction: str = ""
    item: ReactedItem = ReactedItem()
    event_ts: str = ""


class RoomEvent(Payload):
    """channel_archive, channel_deleted, channel_id_changed, agent_session_stopped and their like."""

    channel: str = ""
    user: str = ""
    actor_id: str = ""
    thread_ts: str = ""
    event_ts: str = ""
    old_channel_id: str = ""
    new_channel_id: str = ""


class EventCallback(Payload):
    team_id: str = ""
    event_id: str = ""
    event_time: int = 0
    event: dict[str, Any] = Field(default_factory=dict)


class SlashCommand(Payload):
    command: str = ""
    text: str = ""
    team_id: str = ""
    channel_id: str = ""
    channel_name: str = ""
    user_id: str = ""
    user_name: str = ""
    trigger_id: str = ""
    response_url: str = ""
    thread_ts: str = ""


class Ref(Payload):
    id: str = ""
    name: str = ""
    username: str = ""


class Container(Payload):
    channel_id: str = ""
    message_ts: str = ""
    thread_ts: str = ""


class Action(Payload):
    type: str = ""
    action_id: str = ""
    action_ts: str = ""


class Interaction(Payload):
    """block_actions and message_action (a shortcut in a message's menu)."""

    type: str = ""
    callback_id: str = ""
    trigger_id: str = ""
    action_ts: str = ""
    message_ts: str = ""
    response_url: str = ""
    team: Ref = Ref()
    user: Ref = Ref()
    channel: Ref = Ref()
    container: Container = Container()
    message: Message = Message()
    actions: tuple[Action, ...] = ()
