"""The configuration as it is now: what an edit of the file changes while Threadmill runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agents.base import AgentName
from agents.ports import Profile
from bot.config import Config
from bot.config.kinds import ALWAYS_THERE
from bot.people.directory import Directory
from bot.routing.router import Routes
from bot.routing.rules import On
from channels.base import ChannelName, CommandOption, CommandSpec

LOCAL_CHANNELS = frozenset(ChannelName(name) for name in ALWAYS_THERE)

_TASK = CommandOption(name="text", description="What is to be done", required=True)


class Current:
    """Fulfils `agents.ports.Profiles`, and gives the router its rules. `read` says how to take what is written."""

    def __init__(self, config: Config, people: Directory, read: Callable[[Config], Config] = lambda it: it) -> None:
        self._people = people
        self._read = read
        self._commands: tuple[str, ...] = ()
        self.apply(config)

    def knows_commands(self, names: Sequence[str]) -> None:
        """The chat commands that there are."""
        self._commands = tuple(names)
        self.read_again()

    def read_again(self) -> None:
        """What is written may mean something else by now."""
        self.apply(self.written)

    def apply(self, config: Config) -> None:
        """Take over an edit. Raises ValueError and keeps the old one when people contradict each other."""
        self._people.configure(config.people.values(), default_role=config.default_role, token_channels=LOCAL_CHANNELS)
        self.written = config
        self.config = config = self._read(config)
        self._routes = Routes(
            rules=config.routes,
            first_agent=next(iter(config.agents), None),
            local_channels=LOCAL_CHANNELS,
            commands=self._commands,
            timezone=config.bot.timezone,
        )

    def profile(self, name: AgentName) -> Profile | None:
        return self.config.agents.get(name)

    def names(self) -> Sequence[AgentName]:
        return tuple(self.config.agents)

    def routes(self) -> Routes:
        return self._routes

    def routed_commands(self, channel: ChannelName) -> tuple[CommandSpec, ...]:
        """The commands that routes make for agents on a channel, for menus and help."""
        made: dict[str, CommandSpec] = {}
        for rule in self.config.routes:
            agent = self.config.agents.get(rule.agent)
            if rule.on is not On.COMMAND or rule.channel not in (None, channel) or rule.command_name in self._commands:
                continue
            description = (agent.description if agent is not None else "") or f"Give work to {rule.agent}"
            made.setdefault(
                rule.command_name, CommandSpec(name=rule.command_name, description=description, options=(_TASK,))
            )
        return tuple(made.values())
