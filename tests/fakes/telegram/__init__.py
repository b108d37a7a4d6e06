"""A Bot API server on the loopback, with the people who use it.

Written from https://core.telegram.org/bots/api and the published source of the server, it speaks to the unmodified
client library and keeps Telegram's rules: offsets and conflicts of getUpdates, sizes in UTF-16 units, entities,
callback data, topics and rights, drafts that fade, flood limits, migration. `world` is what exists there and what
people do, `rules` what is refused, `methods` what a bot may ask, `server` the wire, with the faults of networks.
"""

from tests.fakes.telegram.server import FakeTelegram
from tests.fakes.telegram.world import World

__all__ = ["FakeTelegram", "World"]
