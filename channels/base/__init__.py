"""The nouns of talking, and the contract of a channel.

Everything above this package speaks of threads, messages and deliveries in these words, whatever the
platform. It imports nothing else of ours, so that an adapter can be read, tested and replaced alone.

`nouns` are what is talked about, `errors` say what the caller should do, `commands` are what platforms' menus show, and
`channel` is the contract. Whoever needs any of it imports it from here.
"""

from channels.base.channel import (
    Capability,
    Channel,
    ChannelContext,
    ChannelState,
    Files,
    Health,
    Intake,
    Limits,
    LiveText,
    OpenPrompt,
)
from channels.base.commands import (
    CommandOption,
    CommandSpec,
    Suggestion,
    Suggestions,
    Takes,
)
from channels.base.errors import (
    ChannelError,
    NotAccepted,
    NoThreads,
    Rejected,
    RoomMoved,
    TemporaryFailure,
    Unavailable,
    UnknownOutcome,
)
from channels.base.nouns import (
    Account,
    Attachment,
    Button,
    ChannelName,
    DeliveryKey,
    EventId,
    Inbound,
    Kind,
    Mark,
    OpenThread,
    Outbound,
    Receipt,
    Sender,
    ThreadRef,
)

__all__ = [
    "Account",
    "Attachment",
    "Button",
    "Capability",
    "Channel",
    "ChannelContext",
    "ChannelError",
    "ChannelName",
    "ChannelState",
    "CommandOption",
    "CommandSpec",
    "DeliveryKey",
    "EventId",
    "Files",
    "Health",
    "Inbound",
    "Intake",
    "Kind",
    "Limits",
    "LiveText",
    "Mark",
    "NoThreads",
    "NotAccepted",
    "OpenPrompt",
    "OpenThread",
    "Outbound",
    "Receipt",
    "Rejected",
    "RoomMoved",
    "Sender",
    "Suggestion",
    "Suggestions",
    "Takes",
    "TemporaryFailure",
    "ThreadRef",
    "Unavailable",
    "UnknownOutcome",
]
