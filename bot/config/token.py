"""The web token: the configured one, or one that is made once and kept.

A made token stays in the data folder, readable by its owner alone, so that a restart keeps the page's address and
the command line can talk to a running Threadmill.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from bot.config.parts import Config

_FILE = "token"
_LEAST_CHARACTERS = 16


class TokenUnreadable(Exception):
    """The token cannot be kept or read. Its text says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebToken:
    value: str = field(repr=False)
    new: bool  # made just now: show it to the person once
    file: Path | None  # None: it is configured


def token_file(config: Config) -> Path:
    return config.bot.data / _FILE


def found(config: Config) -> WebToken | None:
    """The token as it is; None when there is none yet. Raises TokenUnreadable."""
    if config.web.token is not None:
        return WebToken(value=config.web.token.get_secret_value(), new=False, file=None)
    file = token_file(config)
    try:
        text = file.read_text("ascii").strip()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise TokenUnreadable(f"{file} cannot be read ({error}); delete it and a new one is made") from error
    if len(text) < _LEAST_CHARACTERS or not text.isprintable() or " " in text:
        return None
    return WebToken(value=text, new=False, file=file)


def settled(config: Config) -> WebToken:
    """The token, made and kept when there is none. Raises TokenUnreadable."""
    token = found(config)
    if token is not None:
        return token
    file, value = token_file(config), secrets.token_urlsafe(24)
    part = file.with_name(f"{_FILE}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)  # conversations will stand here
        part.unlink(missing_ok=True)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as stream:
            stream.write(value + "\n")
        part.replace(file)
    except OSError as error:
        raise TokenUnreadable(
            f"{file} cannot be written ({error.strerror}); make the data folder writable, or set THREADMILL_TOKEN"
        ) from error
    return WebToken(value=value, new=True, file=file)
