"""What Discord wants to hear about interactions: that they arrived, what could be typed, which commands there are.

An interaction is acknowledged within three seconds, and only after its commit. Commands are declared when they are not
those that Discord was last told, since Discord limits how often that may be done.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import discord
from discord.http import Route

from channels.base import CommandSpec, Inbound, Intake, NotAccepted, Sender, Suggestion, Suggestions, ThreadRef
from channels.discord import commands
from channels.discord.payloads import Interaction
from channels.discord.rest import Rest

_log = logging.getLogger(__name__)
DECLARED = "commands"
"""Cursor: the fingerprint of the commands that Discord was last told."""

_ANSWER_LATER, _TAKEN, _SUGGESTIONS = 5, 6, 8
_EPHEMERAL = 64
_LOOKING_SECONDS = 1.0  # of the three that Discord waits


class Interactions:
    """Speaks to Discord about the interactions of one run."""

    def __init__(self, rest: Rest, specs: Sequence[CommandSpec], suggestions: Suggestions | None) -> None:
        self._rest = rest
        self._specs = specs
        self._suggestions = suggestions

    async def acknowledge(self, event: Inbound) -> None:
        """Say that an answer is on its way: to a command visibly, to the person alone; to a button without a trace."""
        handle = commands.AnswerHandle.parse(event.answer_with or "")
        if handle is None:
            return
        later = {"type": _ANSWER_LATER, "data": {"flags": _EPHEMERAL}}
        await self._respond(handle.interaction_id, handle.token, later if handle.command else {"type": _TAKEN})

    async def suggest(self, raw: Interaction, sender: Sender, where: ThreadRef) -> None:
        """Offer what could be typed. What takes too long to find out is not offered: the next letter asks again."""
        typed = commands.typed(raw, self._specs)
        found = [*typed.fitting, *await self._there_is(typed, sender, where)] if typed is not None else []
        await self._respond(raw.id, raw.token, {"type": _SUGGESTIONS, "data": {"choices": commands.choices(found)}})

    async def _there_is(self, typed: commands.Typed, sender: Sender, where: ThreadRef) -> Sequence[Suggestion]:
        takes = typed.option.takes
        if self._suggestions is None or takes is None:
            return []
        try:
            async with asyncio.timeout(_LOOKING_SECONDS):
                return await self._suggestions.suggest(sender, where, typed.command.name, takes, typed.text)
        except TimeoutError:
            _log.warning("what could be typed for /%s was not found in time", typed.command.name)
        except Exception:  # noqa: BLE001
            # Whatever fails behind a keystroke must not end the connection.
            _log.exception("what could be typed for /%s was not found", typed.command.name)
        return []

    async def declare(self, application_id: str, intake: Intake) -> None:
        """Tell Discord our commands, when they are not those that it was last told."""
        declaration = commands.declared(self._specs)
        wanted = commands.fingerprint(declaration, application_id)
        if not declaration or await intake.cursor(DECLARED) == wanted:
            return
        try:
            await self._rest.bulk_upsert_global_commands(application_id, declaration)
            await intake.accept([], cursors={DECLARED: wanted})
        except (discord.DiscordException, aiohttp.ClientError, TimeoutError, OSError, NotAccepted) as error:
            _log.warning("the commands could not be declared to Discord, next try at the next start: %s", error)

    async def _respond(self, interaction_id: str, token: str, body: Mapping[str, Any]) -> None:
        route = Route(
            "POST",
            "/interactions/{interaction_id}/{webhook_token}/callback",
            interaction_id=interaction_id,
            webhook_token=token,
        )
        for _ in range(2):
            try:
                await self._rest.request(route, json=body, urgent=True)
                return
            except discord.HTTPException as error:
                _log.warning("an interaction could not be acknowledged: %s %s", error.status, error.code)
                if error.status < 500:
                    return
            except (discord.RateLimited, aiohttp.ClientError, TimeoutError, OSError) as error:
                _log.warning("an interaction could not be acknowledged: %s", type(error).__name__)
