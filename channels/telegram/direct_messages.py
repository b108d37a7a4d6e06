"""Direct messages to a channel: a chat of the channel's administrators with a topic for each person who writes.

A message there goes to its topic under a name of its own (Bot API 9.2), so the topic's thread is written in a way that
tells it from a forum's. Pure.
"""

from __future__ import annotations

from channels.base import ThreadRef

_PREFIX = "direct-"


def direct_messages(room: ThreadRef, topic: int) -> ThreadRef:
    return ThreadRef(channel=room.channel, space=room.space, room=room.room, thread=f"{_PREFIX}{topic}")


def topic_of(where: ThreadRef) -> int | None:
    """The person's topic; None where the place is none."""
    topic = (where.thread or "").removeprefix(_PREFIX)
    return int(topic) if topic != where.thread and topic.isdigit() else None
