"""The configuration: read, checked whole, and handed out as one frozen object.

`load` either returns a `Config` or raises `ConfigInvalid` with every problem, each with its line and what to do.
`ConfigWatch` follows edits. Importing this package costs pydantic and nothing of any platform's or model's library.
"""

from bot.config.loader import DEFAULT_FILE, load
from bot.config.parts import Config, ConfiguredChannel, Person
from bot.config.problems import ConfigInvalid, ConfigProblem

__all__ = [
    "DEFAULT_FILE",
    "Config",
    "ConfigInvalid",
    "ConfigProblem",
    "ConfiguredChannel",
    "Person",
    "load",
]
