"""Gives memory back that loading something large has left free.

The C library keeps what was freed for itself, since it may be asked for again. After the one big load of a provider's
library or the price list it will not be, and a bot that mostly waits should not hold it for months.
"""

from __future__ import annotations

import contextlib
import ctypes


def give_back() -> None:
    """Return free memory to the system, where the C library can (glibc). Takes some milliseconds."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
