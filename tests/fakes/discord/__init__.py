"""A Discord on the loopback interface: REST and gateway, for the unmodified client library.

Written from Discord's documentation. `DiscordServer` is started in a test, people act in its `world`, and `faults` says
what goes wrong next. It enforces what Discord enforces: authorization, intents, permissions, sizes, nonces, rate
limits with their headers, heartbeats, resuming, the three seconds of an interaction and the 15 minutes of its token.
"""

from __future__ import annotations

from tests.fakes.discord.faults import Faults
from tests.fakes.discord.server import DiscordServer
from tests.fakes.discord.world import World

__all__ = ["DiscordServer", "Faults", "World"]
