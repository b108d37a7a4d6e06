"""What goes wrong next on the loopback Discord."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field


@dataclass(slots=True)
class Faults:
    """Each entry of `next_posts` meets one request that posts a message; the others hold until they are changed."""

    next_posts: deque[str] = field(
        default_factory=deque
    )  # "429", "429-global", "500", "502", "503", "lost", "refused", "unknown"
    next_histories: deque[str] = field(default_factory=deque)  # the same, for reading a channel's history
    gateway_refuses: int = 0  # so many handshakes are answered with HTTP 500
    gateway_silent: bool = False  # half-open: nothing is sent any more, nothing is answered
    retry_after_seconds: float = 1.0
    histories_wait_for: asyncio.Event | None = None  # histories are answered once it is set
    files_wait_for: asyncio.Event | None = None  # so are files
    close_code: int | None = None  # each identify is answered by closing with this code
    identify_fails: bool = False  # every resume is refused, as after a long absence
