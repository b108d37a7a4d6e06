"""The way in: `threadmill` and `python -m bot`.

Threadmill is an application of four folders in an environment of its own. Before anything else happens, this makes
sure that the Python is new enough and that the other three folders are the ones beside this one, since a
stranger's package of the same name would fail later and in strange ways.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Run the command line; ends the process with 0 (fine), 1 (it failed) or 2 (usage or configuration)."""
    if sys.version_info < (3, 11):  # noqa: UP036 - somebody may start it with any Python
        sys.exit(f"threadmill: needs Python 3.11 or newer, and this is {sys.version.split()[0]}: {sys.executable}")
    from bot.cli.packages import foreign_package

    stranger = foreign_package(Path(__file__).resolve().parent.parent)
    if stranger is not None:
        sys.exit(f"threadmill: {stranger}")
    from bot.cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
