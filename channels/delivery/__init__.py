"""Delivery: what is to be said is said once, in order, wherever it can be said.

Somebody commits a row together with what caused it, and notifies the courier. The courier has one worker for each
lane (a place's order) that has something due, and none for a lane that has not. It marks a row *sending* and
commits that, sends, and saves the receipt; so after a crash a row that is still *sending* is one whose outcome must be
found out before it is sent again.

`base` has the nouns and ports, `decide` what becomes of a failure, `attempt` one try, `outages` what is known of
platforms that are away, `courier` the lanes.
"""

from channels.delivery.base import (
    CourierParts,
    Delivery,
    DeliveryState,
    FinishLive,
    Head,
    NotYet,
    Outbox,
    PlaceTaken,
    Routes,
    Said,
)
from channels.delivery.courier import Courier

__all__ = [
    "Courier",
    "CourierParts",
    "Delivery",
    "DeliveryState",
    "FinishLive",
    "Head",
    "NotYet",
    "Outbox",
    "PlaceTaken",
    "Routes",
    "Said",
]
