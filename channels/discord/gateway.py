"""discord.py's gateway client, kept to what it does best: the connection.

Handshake, heartbeats, compression and resuming are the library's. Its object cache is not used: events go raw to our
own reader, which costs little memory and lets one malformed event be one malformed event, where the library's
parser would end the client. Whoever drives this (see `receiver`) gets each event in Discord's order.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import discord
from discord.state import ConnectionState

from channels.base import ChannelError, Rejected, Unavailable
from channels.discord.rest import Rest

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long the connection is waited for."""

    silence_seconds: float = 50.0  # nothing at all arrives: it is dead. Discord answers a heartbeat every 41 s
    identify_pause_seconds: tuple[float, float] = (1.0, 5.0)  # what Discord asks for after it ended a session
    outage_seconds: float = 60.0  # not connected again: a new client is the better try


_CLOSED_FOR_GOOD = {
    4004: "Discord does not accept the bot's token. Set a new one from the developer portal",
    4010: "Discord refuses this shard",
    4011: "the bot is in so many servers that Discord requires sharding",
    4012: "Discord no longer speaks this version of its gateway: update Threadmill",
    4013: "Discord does not know the intents that were asked for: update Threadmill",
    4014: "the bot may not read messages: switch on the Message Content intent on the Bot page of the developer portal",
}

EventReader = Callable[[str, Mapping[str, Any]], None]
EVENTS = (
    "READY",
    "RESUMED",
    "GUILD_CREATE",
    "CHANNEL_CREATE",
    "CHANNEL_UPDATE",
    "CHANNEL_DELETE",
    "THREAD_CREATE",
    "THREAD_UPDATE",
    "THREAD_DELETE",
    "THREAD_LIST_SYNC",
    "MESSAGE_CREATE",
    "MESSAGE_UPDATE",
    "MESSAGE_DELETE",
    "MESSAGE_DELETE_BULK",
    "MESSAGE_REACTION_ADD",
    "INTERACTION_CREATE",
)


def intents() -> discord.Intents:
    """Only what is read: fewer events, less memory."""
    wanted = discord.Intents.none()
    wanted.guilds = True
    wanted.guild_messages = True
    wanted.dm_messages = True
    wanted.message_content = True
    wanted.guild_reactions = True
    wanted.dm_reactions = True
    return wanted


class GatewayClient(discord.Client):
    """One client for one `run`. `read` gets every event that we name, `lost` is told when the connection drops."""

    def __init__(
        self,
        rest: Rest,
        *,
        read: EventReader,
        lost: Callable[[], None],
        patience: Patience,
    ) -> None:
        # The library warns that voice will not work; we have no use for it.
        discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False
        self._read = read
        self._lost = lost
        self._rest = rest
        self._patience = patience
        super().__init__(
            intents=intents(),
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            heartbeat_timeout=patience.silence_seconds,
        )
        self.http = rest

    def _get_state(self, **options: Any) -> ConnectionState[Any]:
        state = ConnectionState(
            dispatch=self.dispatch, handlers=self._handlers, hooks=self._hooks, http=self._rest, **options
        )
        state.parsers = {event: self._guarded(event) for event in EVENTS}
        return state

    def _guarded(self, event: str) -> Callable[[Any], None]:
        def parse(data: Any) -> None:
            try:
                if event in ("READY", "RESUMED"):
                    self._suit_patience_to_heartbeat()
                self._read(event, data if isinstance(data, dict) else {})
            except ChannelError:
                raise
            except Exception:  # noqa: BLE001
                # The one place where all is caught: what cannot be read must not end the connection.
                _log.exception("an event of Discord could not be read and is passed over: %s", event)

        return parse

    def _suit_patience_to_heartbeat(self) -> None:
        """A server may ask for heartbeats more seldom than Discord does: its silence is no death then."""
        heartbeat = self.ws._keep_alive
        if heartbeat is not None and heartbeat.interval is not None:
            patience = max(self._patience.silence_seconds, heartbeat.interval * 1.2)
            self.ws._max_heartbeat_timeout = heartbeat.heartbeat_timeout = patience

    async def before_identify_hook(self, _shard_id: int | None, /, *, initial: bool = False) -> None:
        """Discord asks for 1 to 5 s of patience after it invalidated a session."""
        if not initial:
            await asyncio.sleep(random.uniform(*self._patience.identify_pause_seconds))  # noqa: S311  # no secret

    async def on_disconnect(self) -> None:
        self._lost()

    async def stay_connected(self, token: str) -> None:
        """Log in and listen until the connection cannot be kept. Always raises, one of the contract's errors."""
        try:
            await self._rest.find_gateway()
            await self.login(token)
            await self.connect(reconnect=True)
        except discord.LoginFailure as error:
            raise Rejected(_CLOSED_FOR_GOOD[4004]) from error
        except discord.PrivilegedIntentsRequired as error:
            raise Rejected(_CLOSED_FOR_GOOD[4014]) from error
        except discord.ConnectionClosed as error:
            if error.code in _CLOSED_FOR_GOOD:
                raise Rejected(_CLOSED_FOR_GOOD[error.code]) from error
            raise Unavailable(f"Discord's gateway closed the connection (code {error.code})") from error
        except discord.HTTPException as error:
            if error.status == 401:
                raise Rejected(_CLOSED_FOR_GOOD[4004]) from error
            raise Unavailable(f"Discord refused the connection (HTTP {error.status})") from error
        except (discord.DiscordException, aiohttp.ClientError, OSError, ValueError, KeyError, AttributeError) as error:
            # AttributeError: how discord.py ends when the very first handshake fails.
            raise Unavailable(f"Discord cannot be reached ({_cause(error)})") from error
        raise Unavailable("the connection to Discord's gateway was closed")


def _cause(error: BaseException) -> str:
    if isinstance(error, AttributeError) and error.__context__ is not None:
        return type(error.__context__).__name__
    return type(error).__name__
