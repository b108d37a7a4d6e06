"""How a verb says that it could not do what was asked."""

from __future__ import annotations


class Failed(Exception):
    """Its text is for the person at the keyboard. `code` is the exit code: 1 it failed, 2 usage or configuration."""

    def __init__(self, message: str, *, code: int = 1) -> None:
        super().__init__(message)
        self.code = code
