"""All chat commands, each with what it needs. A new one is added here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agents.engine import EmbeddedEngine
from agents.models.base import Models
from bot.asking import AnswerDesk
from bot.commands import (
    Commands,
    cost,
    deadletters,
    focus,
    health,
    help,
    history,
    kill,
    model,
    monitor,
    new,
    pairing,
    queue,
    retry,
    send,
    spawn,
    status,
    steer,
    stop,
    whoami,
)
from bot.commands import agents as agents_command
from bot.commands.base import Command, Targets
from bot.connections import Connections
from bot.current import Current
from bot.events import EventHub
from bot.letters import DeadLetters
from bot.people.pairing import PairingDesk
from bot.showing.marks import Marks
from bot.speaker import Speaker
from bot.stores import Stores
from bot.thinking import Thinking


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandParts:
    """What commands are about."""

    commands: Commands
    stores: Stores
    thinking: Thinking
    engine: EmbeddedEngine
    models: Models
    current: Current
    connections: Connections
    hub: EventHub
    marks: Marks
    desk: PairingDesk
    answers: AnswerDesk
    speaker: Speaker
    letters: DeadLetters


def chat_commands(parts: CommandParts) -> Sequence[Command]:
    current, models, sessions = parts.current, parts.models, parts.stores.sessions
    thinking, team = parts.thinking, parts.thinking.team
    targets = Targets(sessions)
    return [
        help.command(parts.commands.all, current.routed_commands),
        spawn.command(team, current, models),
        agents_command.command(sessions, parts.hub.words),
        steer.command(team, targets, parts.marks),
        kill.command(team, sessions, targets),
        stop.command(team, targets),
        status.command(sessions, current, targets, thinking.runner.room.waits),
        history.command(parts.stores.journal, targets),
        send.command(team, targets),
        focus.focus(sessions, targets),
        focus.unfocus(sessions),
        new.command(sessions, targets),
        model.command(sessions, models, current, targets),
        queue.command(sessions, current, targets),
        cost.command(parts.stores.views),
        retry.command(team, targets),
        pairing.approve(parts.desk, parts.speaker, parts.answers, thinking.tool_servers),
        pairing.deny(parts.desk, parts.answers),
        pairing.link(parts.desk, parts.speaker),
        whoami.command(),
        health.command(parts.connections.health, models, thinking.tool_servers.health, lambda: parts.engine.awake),
        monitor.command(thinking.monitors, current, current.config.bot.timezone),
        deadletters.command(lambda: parts.letters),
    ]
