"""Fetching pages of the web for agents and monitors without letting them reach what is not public.

`Fetcher` is the only way out: addresses are checked at the socket that is connected, so neither a literal, nor
a redirect, nor a name that resolves differently the second time gets around it. `readable` makes text of what came.
"""

from __future__ import annotations

from agents.fetching.addresses import Allowed
from agents.fetching.client import Fetched, Fetcher, FetchFailed, FetchRefused, Version
from agents.fetching.readable import Readable, readable

__all__ = ["Allowed", "FetchFailed", "FetchRefused", "Fetched", "Fetcher", "Readable", "Version", "readable"]
