"""Monitors: agents that are woken on a schedule, or when something that is watched has changed.

Read `base` for the nouns and what must be stored, `schedule` for when one is due, `look` for what is compared,
`judge` for what becomes of a firing, and `service` for how it all runs. A firing is claimed in the store under
the key `monitor:<name>:<scheduled UTC>`: of several processes, and of several tries, one gets in.
"""

from __future__ import annotations
